"""Scope: k8s/README.md: what it names is there."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from pipelines import placement
from support.manifests import K8S, SECRETS, named, of_kind, render

TEXT = (K8S / "README.md").read_text()
MODULES = set(re.findall(r"`((?:cluster/)?test_\w+\.py)`", TEXT))
BLOCKS = re.findall(r"```(bash|yaml)\n(.*?)```", TEXT, re.DOTALL)


def test_every_path_exists() -> None:
    paths = set(re.findall(r"k8s/[\w./-]*\w", "\n".join(code for _, code in BLOCKS)))
    paths |= {f"tests/k8s/{name}" for name in MODULES}
    paths |= {f"k8s/{name}" for name in re.findall(r"^\| `([a-z0-9/.-]+)/` \|", TEXT, re.MULTILINE)}
    assert len(paths) >= 20
    missing = {path for path in paths if not (K8S.parent / path).exists()}
    assert missing == {"k8s/mine"} & paths  # the reader's own


def test_every_test_of_the_table_is_told_of() -> None:
    folder = K8S.parent / "tests" / "k8s"
    modules = {str(path.relative_to(folder)) for path in folder.rglob("test_*.py")}
    elsewhere = "".join(path.read_text() for path in (K8S.parent / "docs").glob("*.md"))
    others = {name for name in modules if name.startswith("cluster/") and name in elsewhere}
    assert MODULES | others == modules - {"test_readme.py", "test_dockerfiles.py"}


def test_every_secret_and_map_of_the_table_has_its_keys() -> None:
    maps = {f"openmofi-{n}": named(render("local"), "ConfigMap", f"openmofi-{n}")["data"]
            for n in ("settings", "mlflow")}  # fmt: skip
    rows = re.findall(r"^\| (secret|config map) `([\w-]+)` \| (.*?) \|", TEXT, re.MULTILINE)
    found = {"secret": {}, "config map": {}}  # type: dict[str, dict[str, set[str]]]
    keys: set[str] = set()
    for kind, name, cell in rows:
        keys = keys if cell == "the same" else set(re.findall(r"`(\w+)`", cell))
        found[kind][name] = keys
    assert found["secret"] == SECRETS
    assert found["config map"] == {name: set(data) for name, data in maps.items()}
    (loop,) = re.findall(r"for name in (.*); do", TEXT)
    assert {f"openmofi-{name}" for name in loop.split()} == set(SECRETS)


def test_objects_that_commands_name_are_rendered() -> None:
    objects = [*render("local"), *render("restore"), *render("kueue")]
    kinds = {"job": "Job", "deployment": "Deployment", "svc": "Service", "cronjob": "CronJob"}
    found = re.findall(r"(job|deployment|svc|cronjob)[/ ](openmofi-[a-z]+)", TEXT)
    assert len(found) >= 6
    assert all(named(objects, kinds[kind], name) for kind, name in found)
    accounts = {one["metadata"]["name"] for one in of_kind(objects, "ServiceAccount")}
    assert accounts == set(re.findall(r"`(openmofi-[a-z]+)`", TEXT)) & accounts


def test_nodes_get_the_label_and_the_taint_that_steps_ask_for() -> None:
    pool = placement.GPU_TRAINING.parameters()
    ((label, value),) = pool["training_pool_selector"][1].items()
    (taint,) = pool["training_pool_tolerations"][1]
    assert f"kubectl label node $NODE {label}={value}\n" in TEXT
    assert f"taint node $NODE {taint['key']}={taint['value']}:{taint['effect']}\n" in TEXT
    names = {p.name for p in (placement.CPU, placement.GPU_INFERENCE, placement.GPU_TRAINING)}
    (listed,) = re.findall(r"Three pools, by the label `openmofi/pool`: (.*?) \(", TEXT)
    assert set(re.findall(r"`([\w-]+)`", listed)) == names


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_every_block_of_commands_can_be_parsed() -> None:
    for kind, code in BLOCKS:
        if kind == "bash":
            subprocess.run(["bash", "-n", "-c", code], check=True)
        else:
            assert yaml.safe_load(code)["kind"] == "Kustomization"


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_secrets_can_be_made_of_the_examples_and_the_readers_overlay_renders(
    tmp_path: Path,
) -> None:
    for name, keys in SECRETS.items():
        path = K8S / "secrets.example" / f"{name.removeprefix('openmofi-')}.env"
        command = ["kubectl", "create", "secret", "generic", name, f"--from-env-file={path}"]
        made = subprocess.run(
            [*command, "--dry-run=client", "-o", "yaml"], capture_output=True, check=True
        )
        assert set(yaml.safe_load(made.stdout)["data"]) == keys
    shutil.copytree(K8S, tmp_path / "k8s")
    (mine,) = (code for kind, code in BLOCKS if kind == "yaml")
    (tmp_path / "k8s" / "mine").mkdir()
    (tmp_path / "k8s" / "mine" / "kustomization.yaml").write_text(mine.replace("…", "0" * 64))
    shown = subprocess.run(
        ["kubectl", "kustomize", str(tmp_path / "k8s" / "mine")], capture_output=True, check=True
    ).stdout.decode()
    for kind in ("curation", "training"):
        assert f"image: registry.example/openmofi-{kind}-python@sha256:" in shown
        assert f"image: openmofi-{kind}-python" not in shown
