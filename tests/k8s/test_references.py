"""Scope: k8s/: what one object names in another is there, and what pipelines name is, too."""

import re
from collections.abc import Iterator

import pytest

from components import images
from pipelines import placement
from support.manifests import (
    K8S,
    KFP_OWNED,
    OVERLAYS,
    SECRETS,
    Object,
    containers,
    everything_in,
    named,
    of_kind,
    render,
    templates,
)

EACH = pytest.mark.parametrize("overlay", OVERLAYS)


def with_restore(overlay: str) -> list[Object]:
    """An overlay and the job that is applied beside it."""
    return [*render(overlay), *render("restore")]


@EACH
def test_no_object_is_defined_twice_or_bound_to_a_namespace(overlay: str) -> None:
    objects = [*with_restore(overlay), *render("kueue")]
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(set(names)) == len(names)
    assert all("namespace" not in one["metadata"] for one in objects)
    assert all(
        one["metadata"]["labels"]["app.kubernetes.io/part-of"] == "openmofi" for one in objects
    )


def read_by(templates_of: dict[str, Object]) -> Iterator[tuple[str, str, str | None]]:
    """Kind, name and key of every secret and config map that a pod reads."""
    kinds = {
        "secretKeyRef": "Secret", "secretRef": "Secret", "configMapKeyRef": "ConfigMap",
        "configMapRef": "ConfigMap", "configMap": "ConfigMap", "secret": "Secret",
    }  # fmt: skip
    for value in everything_in(list(templates_of.values())):
        for key in kinds.keys() & value.keys() if isinstance(value, dict) else ():
            yield kinds[key], value[key]["name"], value[key].get("key")


@EACH
def test_every_secret_and_config_map_that_is_read_exists_and_has_the_key(overlay: str) -> None:
    objects = with_restore(overlay)
    maps = {one["metadata"]["name"]: set(one["data"]) for one in of_kind(objects, "ConfigMap")}
    known = {"Secret": SECRETS, "ConfigMap": maps}
    read = list(read_by(templates(objects)))
    assert len(read) >= 10
    assert [r for r in read if r[1] not in known[r[0]]] == []
    assert [r for r in read if r[2] and r[2] not in known[r[0]][r[1]]] == []


def test_every_secret_that_is_asked_for_is_read_by_somebody() -> None:
    read = {name for kind, name, _ in read_by(templates(render("local"))) if kind == "Secret"}
    assert read == set(SECRETS)
    outside = read_by(templates(render("external-s3")))
    assert {name for kind, name, _ in outside if kind == "Secret"} == {
        "openmofi-postgres", "openmofi-mlflow",
    }  # fmt: skip


@EACH
def test_an_identity_is_one_servers_own(overlay: str) -> None:
    """The pipelines' key opens no run, MLflow's no image, and the store's owner's is for jobs."""
    reads: dict[str, set[str]] = {}
    for owner, template in templates(with_restore(overlay)).items():
        secrets = {n for kind, n, _ in read_by({owner: template}) if kind == "Secret"}
        reads[owner.split("/")[1]] = secrets
    makers = {"openmofi-buckets"}
    assert {o for o, s in reads.items() if "openmofi-minio" in s} <= {"openmofi-minio", *makers}
    assert {o for o, s in reads.items() if "openmofi-storage" in s} <= {"openmofi-torch", *makers}
    assert {o for o, s in reads.items() if "openmofi-mlflow" in s} == {
        "openmofi-mlflow", "openmofi-backup", "openmofi-restore",
        *(makers if overlay == "local" else ()),
    }  # fmt: skip
    superuser = {
        owner
        for owner, template in templates(with_restore(overlay)).items()
        for kind, name, key in read_by({owner: template})
        if (kind, name, key) == ("Secret", "openmofi-postgres", "POSTGRES_PASSWORD")
    }
    assert superuser == {"StatefulSet/openmofi-postgres"}


@EACH
def test_mlflow_and_its_dumps_have_a_bucket_that_is_not_the_pipelines(overlay: str) -> None:
    data = {
        k: v
        for name in ("openmofi-settings", "openmofi-mlflow")
        for k, v in named(render(overlay), "ConfigMap", name)["data"].items()
    }
    buckets = {k: v.split("/")[2] for k, v in data.items() if v.startswith("s3://")}
    pool = buckets.pop("OPENMOFI_ROOT")
    assert len(buckets) == 2
    assert pool not in buckets.values()
    assert len(set(buckets.values())) == 1


@pytest.mark.parametrize("overlay", ["external-s3", "gpu"])
def test_nothing_of_the_store_inside_is_left_where_the_store_is_outside(overlay: str) -> None:
    for name in ("openmofi-settings", "openmofi-mlflow"):
        inside = named(render("local"), "ConfigMap", name)["data"]
        outside = named(render(overlay), "ConfigMap", name)["data"]
        same = {key for key in inside if inside[key] == outside[key]}
        assert same == {"MLFLOW_TRACKING_URI"} & set(inside)


def test_pipelines_find_the_secret_and_the_settings_that_they_mount() -> None:
    assert set(placement.SECRET_KEYS) <= SECRETS[placement.STORAGE_SECRET]
    settings = named(render("local"), "ConfigMap", placement.SETTINGS)["data"]
    assert set(placement.SETTINGS_KEYS) <= set(settings)


@EACH
def test_every_account_exists_and_the_servers_get_no_token(overlay: str) -> None:
    objects = with_restore(overlay)
    accounts = {one["metadata"]["name"] for one in of_kind(objects, "ServiceAccount")}
    for template in templates(objects).values():
        assert template["spec"]["serviceAccountName"] in accounts
        assert template["spec"]["automountServiceAccountToken"] is False
    for binding in of_kind(objects, "RoleBinding"):
        assert named(objects, "Role", binding["roleRef"]["name"])
        assert {subject["name"] for subject in binding["subjects"]} <= accounts


def claims(objects: list[Object], owner: str) -> set[str]:
    found = named(objects, *owner.split("/"))["spec"].get("volumeClaimTemplates", [])
    return {claim["metadata"]["name"] for claim in found}


@EACH
def test_every_volume_that_is_mounted_is_declared_and_the_other_way(overlay: str) -> None:
    objects = with_restore(overlay)
    for owner, template in templates(objects).items():
        declared = {volume["name"] for volume in template["spec"].get("volumes", [])}
        mounts = [m["name"] for c in containers(template) for m in c.get("volumeMounts", [])]
        assert set(mounts) == declared | claims(objects, owner)


@EACH
def test_a_script_that_is_run_is_in_the_map_that_is_mounted(overlay: str) -> None:
    objects = with_restore(overlay)
    run = []
    for template in templates(objects).values():
        maps = {
            v["name"]: v["configMap"]["name"]
            for v in template["spec"]["volumes"]
            if "configMap" in v
        }
        for container in containers(template):
            script = next(
                (w for w in container.get("command", ()) if w.startswith("/scripts/")), ""
            )
            if script:
                mount = next(m for m in container["volumeMounts"] if m["mountPath"] == "/scripts")
                data = named(objects, "ConfigMap", maps[mount["name"]])["data"]
                assert script.removeprefix("/scripts/") in data
                run.append(script)
    assert len(run) >= 2


@EACH
def test_every_service_reaches_a_port_of_pods_that_exist(overlay: str) -> None:
    objects = render(overlay)
    services = of_kind(objects, "Service")
    assert len(services) == (3 if overlay == "local" else 2)
    for service in services:
        spec = service["spec"]
        target = templates(objects)[f"{_owner(objects, service)}/{service['metadata']['name']}"]
        assert spec["selector"].items() <= target["metadata"]["labels"].items()
        ports = {p["name"]: p["containerPort"] for p in target["spec"]["containers"][0]["ports"]}
        assert [ports[p["targetPort"]] for p in spec["ports"]] == [p["port"] for p in spec["ports"]]


def _owner(objects: list[Object], service: Object) -> str:
    name = service["metadata"]["name"]
    servers = of_kind(objects, "Deployment", "StatefulSet")
    return next(str(one["kind"]) for one in servers if one["metadata"]["name"] == name)


@EACH
def test_every_selector_finds_pods(overlay: str) -> None:
    labels = [t["metadata"]["labels"] for t in templates(render(overlay)).values()]
    owners = of_kind(render(overlay), "Deployment", "StatefulSet", "PodDisruptionBudget")
    for one in owners:
        wanted = one["spec"]["selector"]["matchLabels"]
        assert [found for found in labels if wanted.items() <= found.items()], one["metadata"]
    for server in of_kind(owners, "StatefulSet"):
        assert named(render(overlay), "Service", server["spec"]["serviceName"])


@EACH
def test_every_address_that_is_written_down_is_a_service_with_that_port(overlay: str) -> None:
    ports = {
        one["metadata"]["name"]: {port["port"] for port in one["spec"]["ports"]}
        for one in of_kind(render(overlay), "Service")
    }
    text = str([*render(overlay), (K8S / "kfp" / "mlflow-plugin.json").read_text()])
    found = re.findall(r"(?://|@)(openmofi-[a-z]+)(?:\.[a-z.-]+)?:(\d+)", text)
    assert len(found) >= 3
    assert [(n, p) for n, p in found if int(p) not in ports.get(n, ())] == []


@EACH
def test_our_images_are_those_that_components_name(overlay: str) -> None:
    ours = {
        container["image"]
        for template in templates(with_restore(overlay)).values()
        for container in containers(template)
        if "openmofi" in container["image"]
    }
    expected = {images.CURATION} | ({images.TRAINING} if overlay == "gpu" else set())
    assert ours == expected


def test_what_is_tolerated_and_selected_is_the_pool_that_pipelines_name() -> None:
    pool = placement.GPU_TRAINING.parameters()
    selector, tolerations = (pool[f"training_pool_{n}"][1] for n in ("selector", "tolerations"))
    runtime = templates(render("gpu"))["ClusterTrainingRuntime/openmofi-torch"]["spec"]
    flavor = named(render("kueue"), "ResourceFlavor", "openmofi-gpu-training")["spec"]
    assert runtime["nodeSelector"] == flavor["nodeLabels"] == selector
    assert runtime["tolerations"] == flavor["tolerations"] == tolerations


def test_queues_lead_into_each_other_and_cover_what_a_node_asks_for() -> None:
    objects = render("kueue")
    assert named(
        objects, "ClusterQueue", named(objects, "LocalQueue", "openmofi")["spec"]["clusterQueue"]
    )
    (group,) = named(objects, "ClusterQueue", "openmofi")["spec"]["resourceGroups"]
    for flavor in group["flavors"]:
        assert named(objects, "ResourceFlavor", flavor["name"])
        assert [one["name"] for one in flavor["resources"]] == group["coveredResources"]
    (node,) = templates(render("gpu"))["ClusterTrainingRuntime/openmofi-torch"]["spec"][
        "containers"
    ]
    assert set(node["resources"]["requests"]) == set(group["coveredResources"])


def test_kfp_owns_what_is_named_but_not_made() -> None:
    resource_names = {
        name
        for role in of_kind(render("gpu"), "Role")
        for rule in role["rules"]
        for name in rule.get("resourceNames", ())
    }
    assert resource_names == KFP_OWNED
