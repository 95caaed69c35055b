"""Scope: k8s/kfp: KFP 2.17 takes the settings of its MLflow plug-in, and they name our server.

The fields are those of backend/src/common/plugins/mlflow/config.go and
backend/src/apiserver/plugins/mlflow/config.go in kubeflow/pipelines 2.17.0, which refuse others in
the launcher's config map and ignore them in the server's.
"""

import json
from urllib.parse import urlparse

import yaml

from openmofi.tracking.server import _DEFAULT_EXPERIMENT
from support.manifests import K8S, named, render

SERVER = {"endpoint", "timeout", "tls", "settings"}
SETTINGS = {
    "workspacesEnabled", "authType", "credentialSecretRef", "experimentDescription",
    "defaultExperimentName", "kfpBaseURL", "kfpRunURLPathTemplate", "mlflowBaseURL",
    "mlflowUIPathPrefix", "injectUserEnvVars",
}  # fmt: skip
OF_A_NAMESPACE = {
    "experimentDescription", "defaultExperimentName", "injectUserEnvVars", "credentialSecretRef",
}  # fmt: skip

PLUGIN = json.loads((K8S / "kfp" / "mlflow-plugin.json").read_text())["plugins"]["mlflow"]
LAUNCHER = json.loads(
    yaml.safe_load((K8S / "kfp" / "launcher.yaml").read_text())["data"]["plugins.mlflow"]
)


def test_the_servers_part_has_known_fields_and_no_login() -> None:
    assert set(PLUGIN) <= SERVER
    assert set(PLUGIN["settings"]) <= SETTINGS
    # Left out, they mean "kubernetes" and workspaces, which our server has not.
    assert PLUGIN["settings"]["authType"] == "none"
    assert PLUGIN["settings"]["workspacesEnabled"] is False


def test_a_namespace_sets_what_it_may_and_no_more() -> None:
    assert set(LAUNCHER) == {"settings"}
    assert set(LAUNCHER["settings"]) <= OF_A_NAMESPACE


def test_runs_come_to_the_experiment_that_our_steps_use_without_the_plug_in() -> None:
    for settings in (PLUGIN["settings"], LAUNCHER["settings"]):
        assert settings["defaultExperimentName"] == _DEFAULT_EXPERIMENT
        assert settings["injectUserEnvVars"] is True  # our steps attach by MLFLOW_RUN_ID


def test_the_endpoint_is_our_service_by_a_host_that_it_takes() -> None:
    endpoint = urlparse(PLUGIN["endpoint"])
    name, namespace, kind = (endpoint.hostname or "").split(".")
    service = named(render("local"), "Service", name)
    assert endpoint.port in {port["port"] for port in service["spec"]["ports"]}
    assert (namespace, kind) == ("kubeflow-user", "svc")
    assert (endpoint.query, endpoint.fragment, endpoint.username) == ("", "", None)


def test_the_api_server_reads_the_file_where_it_looks_for_it() -> None:
    pod = yaml.safe_load((K8S / "kfp" / "api-server.yaml").read_text())["spec"]["template"]["spec"]
    (container,), (volume,) = pod["containers"], pod["volumes"]
    (mount,) = container["volumeMounts"]
    assert container["name"] == "ml-pipeline-api-server"
    assert mount["name"] == volume["name"]
    assert mount["mountPath"] == "/config/config.json"
    assert mount["subPath"] == "config.json"
