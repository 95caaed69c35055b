"""Whatever moment kills assembly, and however many work at it, the same version comes out."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from openmofi.dataset.assemble import assemble_dataset
from openmofi.dataset.versions.version import read_dataset
from openmofi.entities.build import build_knowledge_base
from openmofi.storage import open_store
from support.killed_assembly import Options, command
from support.tables import Pool, labelled, write_pool

CONFIG = {"min_images_per_entity": 1, "validation_share": 0.3}
SHARDS = 4


def make_pool(folder: Path) -> dict[str, Any]:
    """Four shards, each with a copy of a picture of the one before."""
    source = folder / "kb.csv"
    source.write_text("entity_id,name,aliases,description\nperu,Peru,,\nchad,Chad,,\n")
    knowledge_base = build_knowledge_base(str(folder / "root"), csv=str(source))
    shards = {
        f"{shard}": [
            labelled(3 * shard + row, ("peru", 0.4), ("chad", 0.3 + row / 100)) for row in range(4)
        ]
        for shard in range(SHARDS)
    }
    pool: Pool = write_pool(folder / "root", shards)
    return {**pool.tables(), "knowledge_base": knowledge_base}


def content(root: Path, uri: str) -> tuple[str, set[str]]:
    """The content digest, and the names of all objects of the store."""
    names = {info.key for info in open_store(str(root)).list()}
    return str(read_dataset(uri).content["content_digest"]), names


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, set[str]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    uri = assemble_dataset(**make_pool(folder), config=CONFIG)
    return content(folder / "root", uri)


def run(options: Options) -> "subprocess.CompletedProcess[str]":
    tests = str(Path(__file__).parents[2])
    path = os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command(options), capture_output=True, text=True, env=environment, timeout=120
    )


@pytest.mark.timeout(300)
def test_a_run_after_kills_ends_as_an_undisturbed_one(
    tmp_path: Path, undisturbed: tuple[str, set[str]]
) -> None:
    tables = make_pool(tmp_path)
    store = open_store(str(tmp_path / "root"))
    for prefix, puts in (
        ("tables/dataset_facts/", 3),  # a table, and its entry is not there yet
        ("manifests/dataset_facts/", 1),
        ("datasets/", 0),
        ("datasets/", 5),
        ("manifests/dataset/", 0),
    ):
        killed = run(Options(tables, prefix, puts, config=CONFIG))
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert not list(store.list("manifests/dataset/"))
    final = run(Options(tables, config=CONFIG))
    assert f"dataset_facts: {SHARDS} shards, {SHARDS} reused, 0 to do" in final.stderr
    for left in (tmp_path / "root").rglob(".writing-*"):  # of a kill: no object, but bytes
        left.unlink()
    assert content(tmp_path / "root", final.stdout.strip()) == undisturbed


@pytest.mark.timeout(120)
def test_facts_that_were_made_before_a_kill_are_not_made_again(tmp_path: Path) -> None:
    tables = make_pool(tmp_path)
    run(Options(tables, "tables/dataset_facts/", 5, config=CONFIG))
    final = run(Options(tables, config=CONFIG))
    assert f"dataset_facts: {SHARDS} shards, 2 reused, 2 to do" in final.stderr


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("workers", "resources"), [(2, {}), (1, {"threads": 2}), (1, {"threads": 1, "memory": "64MB"})]
)
def test_workers_threads_and_memory_change_nothing(
    tmp_path: Path, undisturbed: tuple[str, set[str]], workers: int, resources: dict[str, Any]
) -> None:
    tables = make_pool(tmp_path)
    made = run(Options(tables, workers=workers, resources=resources, config=CONFIG))
    assert content(tmp_path / "root", made.stdout.strip()) == undisturbed, made.stderr
