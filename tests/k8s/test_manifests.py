"""Scope: k8s/base: valid, complete, hardened and free of secrets. No cluster is asked."""

import itertools
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from components.images import CURATION
from pipelines import placement
from support.manifests import BASE, EXTERNAL, KFP_OWNED, OBJECTS, Object, named, pod, workloads

KUBERNETES = "1.32"
IDS = [f"{one['kind']}/{one['metadata']['name']}" for one in OBJECTS]


def containers() -> list[tuple[str, Object]]:
    found = [(w["metadata"]["name"], c) for w in workloads() for c in pod(w)["containers"]]
    assert len(found) == 4
    assert all("initContainers" not in pod(w) for w in workloads())
    return found


CONTAINERS = pytest.mark.parametrize(
    "container", [c for _, c in containers()], ids=[name for name, _ in containers()]
)


def everything_in(value: Any) -> Iterator[Any]:
    """A value and all that is nested in it."""
    yield value
    if isinstance(value, dict):
        value = list(value.values())
    for child in value if isinstance(value, list) else ():
        yield from everything_in(child)


@pytest.mark.parametrize("one", OBJECTS, ids=IDS)
def test_an_object_fits_the_schema_of_its_kind(one: Object) -> None:
    kubernetes_validate.validate(one, KUBERNETES, strict=True)


def test_the_check_would_find_a_misspelt_field() -> None:
    wrong = yaml.safe_load((BASE / "settings.yaml").read_text()) | {"dta": {}}
    with pytest.raises(kubernetes_validate.ValidationError, match="dta"):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


def test_no_object_is_defined_twice() -> None:
    assert len(set(IDS)) == len(IDS)
    assert all("namespace" not in one["metadata"] for one in OBJECTS)


if shutil.which("kubectl"):  # a fresh machine may lack it; the files are read as they are anyway

    def test_kustomize_renders_what_the_files_say() -> None:
        command = ["kubectl", "kustomize", str(BASE)]
        rendered = subprocess.run(command, capture_output=True, text=True, check=True).stdout

        def key(one: Object) -> tuple[str, str]:
            return one["kind"], one["metadata"]["name"]

        assert sorted(yaml.safe_load_all(rendered), key=key) == sorted(OBJECTS, key=key)


# References


def test_every_secret_and_config_map_that_is_read_exists_and_has_the_key() -> None:
    read = set()
    for reference, value in _references():
        kind = {"secretKeyRef": "Secret", "secretRef": "Secret"}.get(reference, "ConfigMap")
        read.add((kind, value["name"]))
        keys = EXTERNAL.get((kind, value["name"])) or set(named(kind, value["name"])["data"])
        assert "key" not in value or value["key"] in keys
    assert read == {*EXTERNAL, ("ConfigMap", "openmofi-settings")}


def _references() -> Iterator[tuple[str, Object]]:
    kinds = ("secretKeyRef", "configMapKeyRef", "secretRef", "configMapRef")
    for workload in workloads():
        for value in everything_in(workload):
            if isinstance(value, dict):
                yield from ((kind, value[kind]) for kind in kinds if kind in value)


def test_pipelines_find_the_secret_and_the_settings_that_they_mount() -> None:
    secret, settings = ("Secret", placement.STORAGE_SECRET), placement.SETTINGS
    assert set(placement.SECRET_KEYS) <= EXTERNAL[secret]
    assert set(placement.SETTINGS_KEYS) <= set(named("ConfigMap", settings)["data"])


def test_every_account_exists_and_the_servers_get_no_token() -> None:
    for workload in workloads():
        named("ServiceAccount", pod(workload)["serviceAccountName"])
        assert pod(workload)["automountServiceAccountToken"] is False
    binding = named("RoleBinding", "openmofi-pipeline")
    named("Role", binding["roleRef"]["name"])
    assert [named("ServiceAccount", s["name"]) for s in binding["subjects"]]


def test_every_volume_that_is_mounted_is_declared() -> None:
    for workload in workloads():
        claims = workload["spec"].get("volumeClaimTemplates", [])
        declared = {volume["name"] for volume in pod(workload).get("volumes", [])}
        declared |= {claim["metadata"]["name"] for claim in claims}
        mounts = [m for c in pod(workload)["containers"] for m in c.get("volumeMounts", [])]
        assert {mount["name"] for mount in mounts} == declared


def test_every_service_reaches_a_port_of_pods_that_exist() -> None:
    services = [one for one in OBJECTS if one["kind"] == "Service"]
    assert len(services) == 3
    for service in services:
        spec = service["spec"]
        target = next(w for w in workloads() if _selected(spec["selector"], w))
        assert target["spec"]["selector"]["matchLabels"] == spec["selector"]
        ports = {p["name"]: p["containerPort"] for p in pod(target)["containers"][0]["ports"]}
        assert [ports[p["targetPort"]] for p in spec["ports"]] == [p["port"] for p in spec["ports"]]
        assert target["spec"].get("serviceName", service["metadata"]["name"]) in IDS_OF_SERVICES


IDS_OF_SERVICES = {o["metadata"]["name"] for o in OBJECTS if o["kind"] == "Service"}


def _selected(selector: Object, workload: Object) -> bool:
    labels = workload["spec"]["template"]["metadata"]["labels"]
    return bool(selector.items() <= labels.items())


def test_every_address_that_is_written_down_is_a_service_with_that_port() -> None:
    ports = {
        o["metadata"]["name"]: {p["port"] for p in o["spec"]["ports"]}
        for o in OBJECTS
        if o["kind"] == "Service"
    }
    text = "".join(path.read_text() for path in BASE.glob("*.yaml"))
    found = re.findall(r"(?://|@)(openmofi-[a-z]+):(\d+)", text)
    assert len(found) >= 3
    assert [(name, port) for name, port in found if int(port) not in ports[name]] == []


def test_network_policies_let_through_what_is_needed_and_guard_every_server() -> None:
    policies = [o["spec"] for o in OBJECTS if o["kind"] == "NetworkPolicy"]
    guarded = [next(w for w in workloads() if _selected(p["podSelector"]["matchLabels"], w))
               for p in policies]  # fmt: skip
    assert {w["metadata"]["name"] for w in guarded} == IDS_OF_SERVICES
    for policy, workload in zip(policies, guarded, strict=True):
        port = pod(workload)["containers"][0]["ports"][0]["containerPort"]
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        assert [p["port"] for rule in policy["ingress"] for p in rule["ports"]] == [port]
        assert all(rule["from"] for rule in policy["ingress"])
    egress = named("NetworkPolicy", "openmofi-mlflow")["spec"]["egress"]
    assert {p["port"] for rule in egress for p in rule["ports"]} == {53, 5432, 9000}


def test_the_pipeline_account_may_do_nothing_wide() -> None:
    for rule in named("Role", "openmofi-pipeline")["rules"]:
        words = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        assert "*" not in words
        if "secrets" in rule["resources"]:
            assert rule["verbs"] == ["get"]
            assert set(rule["resourceNames"]) <= KFP_OWNED
    assert not [o for o in OBJECTS if o["kind"].startswith("ClusterRole")]


# Hardening


@CONTAINERS
def test_an_image_is_pinned(container: Object) -> None:
    name, _, tag = container["image"].rpartition(":")
    assert name
    assert re.search(r"\d+\.\d+|20\d\d-\d\d-\d\d", tag)
    assert "latest" not in tag


def test_our_image_is_the_one_that_components_name() -> None:
    assert pod(named("Job", "openmofi-bucket"))["containers"][0]["image"] == CURATION


@CONTAINERS
def test_a_container_has_requests_and_limits(container: Object) -> None:
    for part in ("requests", "limits"):
        assert set(container["resources"][part]) == {"cpu", "memory"}


@pytest.mark.parametrize("kind", ["startupProbe", "livenessProbe", "readinessProbe"])
def test_every_server_is_probed_on_a_port_that_it_has(kind: str) -> None:
    servers = [pod(w)["containers"][0] for w in workloads() if w["kind"] != "Job"]
    assert len(servers) == 3
    for server in servers:
        probe = server[kind]
        if "httpGet" in probe:
            assert probe["httpGet"]["port"] in {port["name"] for port in server["ports"]}
        else:
            assert probe["exec"]["command"][0] == "pg_isready"


def test_no_pod_runs_as_root_or_on_a_writable_system() -> None:
    for workload in workloads():
        security = pod(workload)["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] >= 100
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod(workload)["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
        for volume in pod(workload).get("volumes", []):
            assert set(volume) == {"name", "emptyDir"}


def test_no_secret_has_a_value_here() -> None:
    assert not [one for one in OBJECTS if one["kind"] == "Secret"]
    for _, container in containers():
        for variable in container.get("env", []):
            if re.search(r"PASSWORD|SECRET|ACCESS_KEY|TOKEN", variable["name"]):
                assert set(variable["valueFrom"]) == {"secretKeyRef"}
    example = (BASE.parent / "secrets.example.env").read_text().splitlines()
    settings = [line for line in example if line and not line.startswith("#")]
    assert {line.rstrip("=") for line in settings} == set(itertools.chain(*EXTERNAL.values()))
    assert all(line.endswith("=") for line in settings)
