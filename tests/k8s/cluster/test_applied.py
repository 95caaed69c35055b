"""Scope: k8s/: a Kubernetes API server takes all of it, as k8s/README.md has it applied.

Kinds of Trainer and Kueue by their CRDs, with the rules in CEL; none of their controllers is here.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.applied import checkout, restricted_namespace
from support.control_plane import ControlPlane, lacking
from support.manifests import K8S, OVERLAYS, Object, named, of_kind, render

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(lacking()), reason=lacking()),
]
FOLDERS = [*(f"overlays/{name}" for name in OVERLAYS), "kueue", "restore"]
CLUSTER_WIDE = {"ClusterTrainingRuntime", "ClusterQueue", "ResourceFlavor"}


def keyed(one: Object) -> tuple[str, str]:
    return one["kind"], one["metadata"]["name"]


@dataclass(frozen=True)
class Applied:
    """A folder of k8s/ in a namespace of its own."""

    plane: ControlPlane
    folder: str
    namespace: str
    told: str
    warned: str

    @property
    def objects(self) -> list[Object]:
        return render(self.folder.removeprefix("overlays/"))

    @property
    def words(self) -> tuple[str, ...]:
        return ("kubectl", "-n", self.namespace)

    def kubectl(self, *words: str) -> str:
        return self.plane.kubectl(*self.words[1:], *words)

    def stored(self) -> dict[tuple[str, str], Object]:
        """What the server keeps of the objects, by kind and name."""
        found = self.plane.get("-n", self.namespace, "-k", str(K8S / self.folder))["items"]
        return {keyed(one): one for one in found}


@pytest.fixture(scope="module", params=FOLDERS)
def applied(plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[Applied]:
    with restricted_namespace(plane) as name:
        plane.kubectl("label", "namespace", name, "openmofi/queue=true")
        words = ["kubectl", "-n", name, "apply", "-k", str(K8S / request.param)]
        looked_at = plane.run(*words, "--dry-run=server")
        assert looked_at.returncode == 0, looked_at.stderr
        assert "(server dry run)" in looked_at.stdout
        done = plane.run(*words)
        assert done.returncode == 0, done.stderr
        yield Applied(plane, request.param, name, done.stdout, looked_at.stderr + done.stderr)
        plane.kubectl("-n", name, "delete", "-k", str(K8S / request.param), "--ignore-not-found")


def lost(written: Any, kept: Any, where: str = "") -> list[str]:
    """Where the server keeps something else than what was written; more it may keep."""
    if isinstance(written, dict) and isinstance(kept, dict):
        return [x for k, v in written.items() for x in lost(v, kept.get(k), f"{where}.{k}")]
    if isinstance(written, list) and isinstance(kept, list) and len(written) == len(kept):
        pairs = enumerate(zip(written, kept, strict=True))
        return [x for i, (one, two) in pairs for x in lost(one, two, f"{where}.{i}")]
    return [] if written in (kept, {}) else [f"{where}: {written!r} is {kept!r}"]


def bare(one: Object) -> Object:
    """An object without what controllers and the server write into it."""
    written = {k: v for k, v in one["metadata"].items() if k != "resourceVersion"}
    return {**{k: v for k, v in one.items() if k != "status"}, "metadata": written}


def test_all_is_taken_and_without_a_warning(applied: Applied) -> None:
    assert applied.warned == ""
    lines = applied.told.splitlines()
    assert len(lines) == len(applied.objects)
    assert all(line.endswith(" created") for line in lines), applied.told


def test_no_field_is_lost(applied: Applied) -> None:
    stored = applied.stored()
    assert len(stored) == len(applied.objects)
    for one in applied.objects:
        kept = stored[keyed(one)]
        assert not lost(one, kept), f"{one['kind']} {one['metadata']['name']}"
        assert kept["metadata"].get("namespace", "") == (
            "" if one["kind"] in CLUSTER_WIDE else applied.namespace
        )


def test_applied_again_nothing_changes(applied: Applied) -> None:
    """kubectl says "configured" where it sends a list again; the server has it so already."""
    before = {key: bare(one) for key, one in applied.stored().items()}
    differs = applied.plane.run(*applied.words, "diff", "-k", str(K8S / applied.folder))
    assert (differs.returncode, differs.stdout) == (0, "")
    again = applied.kubectl("apply", "-k", str(K8S / applied.folder)).splitlines()
    assert {line.rpartition(" ")[2] for line in again} <= {"unchanged", "configured"}
    assert {key: bare(one) for key, one in applied.stored().items()} == before


def test_what_differs_is_found(applied: Applied) -> None:
    one = next(o for o in applied.objects if o["kind"] != "ServiceAccount")
    kept = applied.stored()[keyed(one)]
    one["metadata"]["labels"]["app.kubernetes.io/part-of"] = "another"
    assert lost(one, kept) == [
        ".metadata.labels.app.kubernetes.io/part-of: 'another' is 'openmofi'"
    ]


@pytest.mark.parametrize("name", OVERLAYS)
def test_it_is_deleted_as_it_was_applied_and_volumes_stay(
    plane: ControlPlane, namespace: str, name: str
) -> None:
    words = ("-n", namespace)
    plane.kubectl(*words, "apply", "-k", str(K8S / "overlays" / name))
    ours = ("-l", "app.kubernetes.io/part-of=openmofi")
    made = {keyed(one) for one in render(name) if one["kind"] not in CLUSTER_WIDE}
    listed = ",".join([*sorted({kind for kind, _ in made}), "pod"])
    assert made <= {keyed(one) for one in plane.get(*words, listed, *ours)["items"]}
    servers = [one["metadata"]["name"] for one in of_kind(render(name), "StatefulSet")]
    claims = [f"pvc/data-{server}-0" for server in servers]
    plane.kubectl(*words, "wait", "--for=create", *claims, "--timeout=60s")
    plane.kubectl(*words, "delete", "-k", str(K8S / "overlays" / name), "--timeout=60s")
    plane.kubectl(*words, "wait", "--for=delete", "pod", *ours, "--timeout=60s")
    assert plane.get(*words, listed, *ours)["items"] == []
    assert len(plane.get(*words, "pvc")["items"]) == len(claims)
    plane.kubectl(*words, "delete", "pvc", "--all", "--wait=false")


def refused(plane: ControlPlane, namespace: str, verb: str, one: Object) -> str:
    """What the server says when it does not take an object."""
    done = plane.run("kubectl", "-n", namespace, verb, "-f", "-", given=json.dumps(one))
    assert done.returncode == 1, done.stdout
    return done.stderr


def test_rules_of_the_crds_are_enforced(plane: ControlPlane, namespace: str) -> None:
    runtime = named(render("gpu"), "ClusterTrainingRuntime", "openmofi-torch")
    runtime["spec"]["mlPolicy"]["mpi"] = {}
    said = refused(plane, namespace, "create", runtime)
    assert "Only one of the policy can be configured" in said
    queue = named(render("kueue"), "ClusterQueue", "openmofi")
    queue["spec"]["resourceGroups"][0]["flavors"][0]["resources"].pop()
    said = refused(plane, namespace, "create", queue)
    assert "the same number of resources as the coveredResources" in said
    plane.kubectl("-n", namespace, "apply", "-k", str(K8S / "kueue"))
    queue = named(render("kueue"), "LocalQueue", "openmofi")
    queue["spec"]["clusterQueue"] = "another"
    assert "field is immutable" in refused(plane, namespace, "apply", queue)
    plane.kubectl("-n", namespace, "delete", "-k", str(K8S / "kueue"))


@pytest.mark.parametrize(
    ("overlay", "kind", "path"),
    [
        ("local", "Deployment", ["spec", "template", "spec", "containers", 0]),
        ("local", "NetworkPolicy", ["spec"]),
        ("gpu", "ClusterTrainingRuntime", ["spec", "template", "spec", "replicatedJobs", 0]),
        ("kueue", "ClusterQueue", ["spec"]),
    ],
)
def test_a_misspelt_field_is_refused(
    plane: ControlPlane, namespace: str, overlay: str, kind: str, path: list[Any]
) -> None:
    inner = wrong = of_kind(render(overlay), kind)[0]
    for part in path:
        inner = inner[part]
    inner["replica"] = 1
    assert 'unknown field "' in refused(plane, namespace, "apply", wrong)


@pytest.mark.parametrize("over", ["local", "external-s3"])
def test_an_overlay_of_the_readers_own_is_taken(
    plane: ControlPlane, tmp_path: Path, over: str
) -> None:
    with restricted_namespace(plane) as name:
        mine = checkout(tmp_path / "work", over=over) / "k8s" / "mine"
        done = plane.run("kubectl", "-n", name, "apply", "-k", str(mine))
        assert (done.returncode, done.stderr) == (0, "")
        assert len(done.stdout.splitlines()) == len(render(over)) + 5  # those of gpu/
        hard = plane.get("-n", name, "resourcequota", "openmofi")["spec"]["hard"]
        assert hard["requests.nvidia.com/gpu"] == "16"
        (backup,) = plane.get("-n", name, "cronjob")["items"]
        job = backup["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        assert "registry.example" in job["containers"][0]["image"]
        plane.kubectl("-n", name, "delete", "-k", str(mine))


def test_the_bucket_job_alone_refuses_another_image(plane: ControlPlane, tmp_path: Path) -> None:
    with restricted_namespace(plane) as name:
        plane.kubectl("-n", name, "apply", "-k", str(K8S / "overlays" / "local"))
        mine = checkout(tmp_path / "work") / "k8s" / "mine"
        done = plane.run("kubectl", "-n", name, "apply", "-k", str(mine))
        assert done.returncode == 1
        assert done.stderr.count("is invalid") == 1
        assert 'Job "openmofi-buckets"' in done.stderr
        assert "field is immutable" in done.stderr
        plane.kubectl("-n", name, "delete", "job", "openmofi-buckets")
        plane.kubectl("-n", name, "apply", "-k", str(mine))
        plane.kubectl("-n", name, "delete", "-k", str(mine))
