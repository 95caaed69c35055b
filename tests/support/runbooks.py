"""Fenced blocks of pages, and of runbooks a small place in which their commands can be run."""

import contextlib
import itertools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from openmofi.errors import InputError

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
MODEL = "birds"
MARKS = ("runs", "cluster")
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NEXT = "--- next block ---"


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the mark behind it, and where it begins."""

    language: str
    mark: str
    code: str
    place: str


def runbooks() -> list[Path]:
    """All of them, by name."""
    return sorted(RUNBOOKS.glob("*.md"))


def blocks(path: Path) -> list[Block]:
    """A page's blocks, in their order."""
    text = path.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        language, _, mark = match[1].partition(" ")
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(language, mark, match[2], f"{path.name}:{line}"))
    return found


def commands(block: Block) -> Iterator[list[str]]:
    """The words of each line; comments are left out, variables are left as they stand."""
    for line in block.code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            yield words


def runs_with_output(path: Path) -> list[tuple[Block, str]]:
    """Each block that is run, and what the text block right below it says comes out."""
    found = blocks(path)
    below = {id(one): two for one, two in itertools.pairwise(found)}
    made = []
    for block in found:
        if block.mark == "runs":
            after = below.get(id(block))
            made.append((block, after.code if after and after.language == "text" else ""))
    return made


def run_blocks(folder: Path, path: Path) -> list[str]:
    """Run a runbook's blocks as one script in a sandbox; what each has printed.

    Raises:
        AssertionError: A command failed; the message has all output.
    """
    script = f"\necho '{_NEXT}'\n".join(block.code for block, _ in runs_with_output(path))
    done = subprocess.run(
        ["sh", "-euc", script],
        cwd=folder,
        env=_environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{path.name} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout.split(f"{_NEXT}\n")


def missing_line(expected: str, output: str) -> str:
    """The first line that does not come in ``output`` after those before it; ``…`` is anything."""
    lines = iter(output.splitlines())
    for wanted in expected.splitlines():
        if wanted.strip() == "…":
            continue
        pattern = re.compile(".*".join(map(re.escape, wanted.split("…"))))
        if not any(pattern.fullmatch(line) for line in lines):
            return wanted
    return ""


def write_sandbox(folder: Path) -> Path:
    """A crawl with one tar yet to come, two versions of its data set, three of a model."""
    from openmofi.dataset.versions.published import publish
    from support.evaluation import write_image_set
    from support.refreshing import curate, write_growing_workplace

    write_growing_workplace(folder, shards=2, samples=6)
    for capped in ({}, {"max_images_per_entity": 4}):
        publish(curate(folder, folder / "root", **capped), why="refresh")
    write_image_set(folder / "evaluation")
    config = yaml.safe_load((folder / "mine.yaml").read_text())
    config |= {"evaluation_data": "evaluation", "model_name": MODEL}
    (folder / "configs").mkdir()
    (folder / "configs" / "refresh.yaml").write_text(yaml.safe_dump(config))
    (folder / "build").mkdir()
    _register_models(f"sqlite:///{folder}/build/mlflow.db")
    return folder


def _register_models(address: str) -> None:
    """Three versions, of which 1 and then 2 were champion, and a training that failed."""
    from openmofi.registry.promotion import promote
    from openmofi.tracking.runs import tracked_run
    from openmofi.tracking.server import mlflow_client
    from support.registries import add_version

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        client = mlflow_client()
        client.create_registered_model(MODEL)
        for _ in range(3):
            add_version(client, MODEL)
        for version in ("1", "2"):
            promote(MODEL, version, reason="of the sandbox")
        with (
            contextlib.suppress(InputError),
            tracked_run("train", pipeline_run="", tags={}, params={}),
        ):
            raise InputError("no image is left to train on")


def _environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "ROOT": (folder / "root").as_uri(),
        "OPENMOFI_ROOT": (folder / "root").as_uri(),
        "BACKUP": (folder / "backup").as_uri(),
        "MODEL": MODEL,
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/build/mlflow.db",
        "OMP_NUM_THREADS": "1",
    }
