"""Scope: the built images, started as a pod would start them. `make test-images` asks for it."""

import os
import shutil
import subprocess

import pytest

from components.images import CURATION, TRAINING

ENGINE = shutil.which("podman") or shutil.which("docker") or ""


def there(image: str) -> bool:
    command = [ENGINE, "image", "inspect", image]
    return bool(ENGINE) and subprocess.run(command, capture_output=True).returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("TEST_IMAGES" not in os.environ, reason="make test-images"),
]
IMAGES = pytest.mark.parametrize("image", [CURATION, TRAINING])


def started(image: str, *command: str, user: str = "") -> subprocess.CompletedProcess[str]:
    assert there(image), f"{image} is not built: make images"
    confined = ["--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp:mode=1777"]
    confined += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    confined += ["--user", user] if user else []
    return subprocess.run(
        [ENGINE, "run", *confined, image, *command], capture_output=True, text=True, timeout=300
    )


@IMAGES
@pytest.mark.parametrize("user", ["", "4711:4711"])
def test_it_starts_for_any_user_without_network_on_a_root_that_is_read(
    image: str, user: str
) -> None:
    done = started(image, "openmofi", "--version", user=user)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("openmofi ")


@IMAGES
def test_it_is_no_root_and_writes_nowhere_but_below_tmp(image: str) -> None:
    assert started(image, "id", "-u").stdout.strip() == "10001"
    for path in ("/x", "/opt/openmofi/x"):
        assert "Read-only" in started(image, "touch", path).stderr
    assert started(image, "touch", "/tmp/x").returncode == 0


@IMAGES
def test_a_pod_finds_kfp_and_nobody_finds_pip_or_a_compiler(image: str) -> None:
    assert started(image, "python3", "-c", "import kfp.dsl.executor_main, torch").returncode == 0
    found = started(image, "sh", "-c", "command -v pip pip3 gcc cc")
    assert found.stdout == ""


def test_curation_brings_its_machine_code_along() -> None:
    done = started(CURATION, "sh", "-c", "python3 -c '' && find /tmp/numba -name '*.nbc'")
    assert done.stdout.strip(), done.stderr
