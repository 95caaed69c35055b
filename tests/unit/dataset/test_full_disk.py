"""Assembly where a disk is full: one line, nothing published, and the next run as if nothing was.

The errors are real: DuckDB's own limit of temporary files, and the kernel's limit of a file's size.
"""

import errno
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.assembly_data import Size, write_pool
from openmofi.dataset.assemble import assemble_dataset
from openmofi.dataset.versions.published import publish
from openmofi.dataset.versions.version import read_dataset
from openmofi.errors import StorageError
from openmofi.storage import open_store

SIZE = Size(rows=60_000, shards=4, dim=0, entities=2000)


class Pool:
    """A store with a version that is published, and the tables for another."""

    def __init__(self, folder: Path, tables: Mapping[str, Any]) -> None:
        self.root = folder
        self._tables = tables

    def copied(self, folder: Path) -> "Pool":
        """The same in a store of its own."""
        shutil.copytree(self.root, folder / "root")
        return Pool(folder / "root", self._tables)

    def tables(self) -> dict[str, Any]:
        """Manifests' URIs, as keyword arguments of `assemble_dataset`."""
        return {
            kind: [self._here(uri) for uri in given]
            if isinstance(given, list)
            else self._here(given)
            for kind, given in self._tables.items()
        }

    def _here(self, uri: str) -> str:
        return self.root.as_uri() + "/manifests/" + uri.partition("/manifests/")[2]

    def assembled(self, *, seed: int = 1, **resources: Any) -> str:
        """The content digest of a version; with another seed it is another one."""
        uri = assemble_dataset(
            **self.tables(), config={"seed": seed, "validation_share": 0.3}, resources=resources
        )
        return str(read_dataset(uri).content["content_digest"])

    def published(self) -> dict[str, bytes]:
        """What the next step could read: manifests and the pointer."""
        store = open_store(str(self.root))
        names = [one.key for folder in ("manifests/", "published/") for one in store.list(folder)]
        return {name: store.get(name) for name in names}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    folder = tmp_path_factory.mktemp("full")
    made = Pool(folder / "root", write_pool(folder / "root", SIZE))
    config = {"seed": 0, "validation_share": 0.3}
    publish(assemble_dataset(**made.tables(), config=config), why="the first")
    return made


@pytest.fixture(scope="module")
def undisturbed(original: Pool, tmp_path_factory: pytest.TempPathFactory) -> Pool:
    made = original.copied(tmp_path_factory.mktemp("undisturbed"))
    made.assembled()
    return made


@pytest.fixture(scope="module")
def tight(original: Pool, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Resources with which assembly must spill: the most memory that is not enough without."""
    made = original.copied(tmp_path_factory.mktemp("tight"))
    for megabytes in range(40, 8, -4):
        given = {"memory": f"{megabytes}MB", "threads": 1}
        try:
            made.assembled(seed=megabytes, **given, temporary_bytes=0)
        except StorageError:
            return given
    raise AssertionError("assembly fits into 8 MB; give it a larger pool")


@pytest.fixture
def pool(original: Pool, tmp_path: Path) -> Pool:
    return original.copied(tmp_path)


def test_no_room_to_spill_publishes_nothing(
    pool: Pool,
    undisturbed: Pool,
    tight: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    before = pool.published()
    with pytest.raises(StorageError) as told:
        pool.assembled(**tight, temporary_bytes=100_000)
    assert str(told.value).startswith(
        f"assemble: no room for temporary files in {tmp_path / 'scratch'}: "
    )
    assert "\n" not in str(told.value)
    assert pool.published() == before
    assert list((tmp_path / "scratch").iterdir()) == []
    assert pool.assembled() == undisturbed.assembled()


def test_spilling_changes_nothing(pool: Pool, undisturbed: Pool, tight: dict[str, Any]) -> None:
    assert pool.assembled(**tight) == undisturbed.assembled()


def limited(pool: Pool, most_bytes: int) -> subprocess.CompletedProcess[str]:
    """Assembly by the command line, where no file may grow beyond ``most_bytes``."""
    config = pool.root.parent / "assemble.yaml"
    config.write_text("seed: 1\nvalidation_share: 0.3\n")
    command = [sys.executable, "-m", "openmofi", "dataset", "assemble", "--config", str(config)]
    for kind, given in pool.tables().items():
        uris = [given] if isinstance(given, str) else given
        command += [f"--{kind.replace('_', '-')}", *uris] if uris else []
    return subprocess.run(
        command,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes)),
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("written", ["vocabulary.parquet", "kept/000002.parquet", "card.html"])
def test_a_store_that_is_full_publishes_nothing(
    pool: Pool, undisturbed: Pool, written: str
) -> None:
    made = {one.key for one in open_store(str(undisturbed.root)).list("datasets/")}
    made -= {one.key for one in open_store(str(pool.root)).list("datasets/")}
    (key,) = [key for key in made if key.endswith(written)]
    before = pool.published()
    ran = limited(pool, (undisturbed.root / key).stat().st_size - 1)
    assert ran.returncode == 2
    line = rf"openmofi: cannot write file://.*: {os.strerror(errno.EFBIG)}"
    assert [bool(re.fullmatch(line, told)) for told in ran.stderr.splitlines()].count(True) == 1
    assert re.fullmatch(line, ran.stderr.splitlines()[-1])
    assert "Traceback" not in ran.stderr
    assert pool.published() == before
    assert not list(pool.root.rglob(".writing-*"))
    assert pool.assembled() == undisturbed.assembled()
    assert pool.published().keys() == undisturbed.published().keys()


def test_a_store_that_is_full_of_facts_names_the_shard(pool: Pool, undisturbed: Pool) -> None:
    for made in ("tables/dataset_facts", "manifests/dataset_facts"):
        shutil.rmtree(pool.root / made)
    before = pool.published()
    ran = limited(pool, 1000)
    assert ran.returncode == 2
    last = ran.stderr.splitlines()[-1]
    assert re.search(r"openmofi: dataset_facts: shard '000000' failed: cannot write file://", last)
    assert os.strerror(errno.EFBIG) in last
    assert "Traceback" not in ran.stderr
    assert pool.published() == before
    assert pool.assembled() == undisturbed.assembled()
