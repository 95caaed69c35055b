"""Scope: k8s/: pods pass Pod Security "restricted", and are bounded, probed and pinned."""

import re
from decimal import Decimal

import pytest

from support.manifests import (
    K8S,
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

TEMPLATES = {
    f"{overlay}:{owner}": template
    for overlay in (*OVERLAYS, "restore")
    for owner, template in templates(render(overlay)).items()
}
CONTAINERS = {
    f"{name}:{container['name']}": container
    for name, template in TEMPLATES.items()
    for container in containers(template)
}
EACH = pytest.mark.parametrize("name", CONTAINERS)


def violations(template: Object) -> list[str]:
    """What "restricted" refuses in a pod: the controls that a template of ours could break.

    https://kubernetes.io/docs/concepts/security/pod-security-standards
    """
    spec = template["spec"]
    shared = spec.get("securityContext", {})
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    allowed = {
        "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
        "projected", "secret",
    }  # fmt: skip
    found += [v["name"] for v in spec.get("volumes", []) if set(v) - {"name"} - allowed]
    for container in containers(template):
        own = container.get("securityContext", {})
        both = {**shared, **own}
        if own.get("privileged") or own.get("allowPrivilegeEscalation") is not False:
            found.append(f"{container['name']}: escalation")
        if own.get("capabilities", {}).get("drop") != ["ALL"] or "add" in own["capabilities"]:
            found.append(f"{container['name']}: capabilities")
        if both.get("runAsNonRoot") is not True or both.get("runAsUser") == 0:
            found.append(f"{container['name']}: root")
        if both.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
            found.append(f"{container['name']}: seccomp")
        if any("hostPort" in port for port in container.get("ports", [])):
            found.append(f"{container['name']}: host port")
    return found


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_pod_passes_restricted(name: str) -> None:
    assert violations(TEMPLATES[name]) == []


@EACH
def test_a_container_writes_to_mounted_folders_only_and_as_a_number(name: str) -> None:
    assert CONTAINERS[name]["securityContext"]["readOnlyRootFilesystem"] is True
    user = TEMPLATES[name.rpartition(":")[0]]["spec"]["securityContext"]["runAsUser"]
    assert user >= 100


@EACH
def test_an_image_is_pinned(name: str) -> None:
    image, _, tag = CONTAINERS[name]["image"].rpartition(":")
    assert image
    assert re.search(r"\d+\.\d+|20\d\d-\d\d-\d\d", tag)
    assert "latest" not in tag


@EACH
def test_a_container_has_requests_and_limits(name: str) -> None:
    resources = CONTAINERS[name]["resources"]
    assert {"cpu", "memory"} <= set(resources["requests"]) == set(resources["limits"])
    for kind, asked in resources["requests"].items():
        assert amount(asked) <= amount(resources["limits"][kind])


@pytest.mark.parametrize("kind", ["startupProbe", "livenessProbe", "readinessProbe"])
def test_every_server_is_probed_on_a_port_that_it_has(kind: str) -> None:
    servers = of_kind(render("local"), "Deployment", "StatefulSet")
    assert len(servers) == 3
    for server in servers:
        (container,) = server["spec"]["template"]["spec"]["containers"]
        probe = container[kind]
        if "httpGet" in probe:
            assert probe["httpGet"]["port"] in {port["name"] for port in container["ports"]}
        else:
            assert probe["exec"]["command"][0] == "pg_isready"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_job_ends_some_day(overlay: str) -> None:
    objects = [*render(overlay), *render("restore")]
    jobs = [one["spec"] for one in of_kind(objects, "Job")]
    jobs += [one["spec"]["jobTemplate"]["spec"] for one in of_kind(objects, "CronJob")]
    assert len(jobs) >= 2
    assert all(job["activeDeadlineSeconds"] <= 7200 and "backoffLimit" in job for job in jobs)
    assert all(one["spec"]["concurrencyPolicy"] == "Forbid" for one in of_kind(objects, "CronJob"))


def test_no_secret_has_a_value_here() -> None:
    for overlay in (*OVERLAYS, "restore"):
        assert not of_kind(render(overlay), "Secret")
    named_secretly = 0
    for container in CONTAINERS.values():
        for variable in container.get("env", []):
            if re.search(r"PASSWORD|SECRET|_KEY|TOKEN", variable["name"]):
                assert set(variable["valueFrom"]) == {"secretKeyRef"}
                named_secretly += 1
    assert named_secretly >= 10
    for path in (K8S / "secrets.example").glob("*.env"):
        lines = [x for x in path.read_text().splitlines() if x and not x.startswith("#")]
        assert lines
        assert all(line.endswith("=") for line in lines)
    assert {variable for keys in SECRETS.values() for variable in keys}


SUFFIXES = {"m": Decimal("0.001"), "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "": 1}


def amount(quantity: str) -> Decimal:
    found = re.fullmatch(r"(\d+)(m|[KMGT]i|)", quantity)
    assert found, quantity
    return int(found[1]) * Decimal(SUFFIXES[found[2]])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_quota_holds_the_servers_and_a_pod_of_the_largest_pool(overlay: str) -> None:
    from pipelines import placement

    objects = render(overlay)
    hard = named(objects, "ResourceQuota", "openmofi")["spec"]["hard"]
    pools = (placement.CPU, placement.GPU_INFERENCE, placement.GPU_TRAINING)
    largest = {
        "cpu": max(amount(pool.cpus) for pool in pools),
        "memory": max(amount(pool.memory) for pool in pools),
    }
    inside = [t for o, t in templates(objects).items() if not o.startswith("ClusterTraining")]
    for kind, most in largest.items():
        for part in ("requests", "limits"):
            ours = sum(
                max(amount(c["resources"][part][kind]) for c in containers(template))
                for template in inside
            )
            assert ours + most <= amount(hard[f"{part}.{kind}"])
    storage = [
        amount(value["requests"]["storage"])
        for value in everything_in(objects)
        if isinstance(value, dict) and "storage" in value.get("requests", {})
    ]
    assert storage
    assert sum(storage) <= amount(hard["requests.storage"])
    assert ("requests.nvidia.com/gpu" in hard) == (overlay == "gpu")


def test_a_quota_on_requests_and_limits_comes_with_defaults_for_both() -> None:
    (limit,) = named(render("gpu"), "LimitRange", "openmofi")["spec"]["limits"]
    assert set(limit["default"]) == set(limit["defaultRequest"]) == {"cpu", "memory"}
    for kind, asked in limit["defaultRequest"].items():
        assert amount(asked) <= amount(limit["default"][kind])


def test_a_server_with_one_replica_and_a_volume_is_kept_from_a_drain() -> None:
    kept = {o["metadata"]["name"] for o in of_kind(render("local"), "PodDisruptionBudget")}
    single = of_kind(render("local"), "StatefulSet")
    assert kept == {one["metadata"]["name"] for one in single}
    assert all(one["spec"]["replicas"] == 1 for one in single)
