"""What a working database may take, and what it says when there is no room."""

import errno
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from openmofi.config import parse_config
from openmofi.database import Resources, first_row, memory_bytes, working_database
from openmofi.errors import InputError, StorageError
from openmofi.workers import usable_cores

# 48 MB of numbers that do not compress.
ROWS = 2_000_000
FILL = f"CREATE TABLE t AS SELECT i, hash(i) AS h, hash(i + 1) AS k FROM range({ROWS}) r(i)"
SMALL = "24MB"


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def setting(database: duckdb.DuckDBPyConnection, name: str) -> str:
    row = first_row(database, f"SELECT current_setting('{name}')")
    assert row is not None
    return str(row[0])


def test_more_than_the_memory_is_spilled_and_removed(scratch: Path) -> None:
    with working_database("assemble", Resources(memory=SMALL, threads=1)) as database:
        database.execute(FILL)
        (folder,) = scratch.iterdir()
        assert folder.name.startswith("openmofi-assemble-")
        assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) > 10_000_000
        row = first_row(database, "SELECT count(*), sum(i), count(DISTINCT h) FROM t")
        assert row == (ROWS, ROWS * (ROWS - 1) // 2, ROWS)
    assert list(scratch.iterdir()) == []


def test_what_fits_into_memory_touches_no_disk(scratch: Path) -> None:
    with working_database("assemble", Resources(memory="1GB")) as database:
        database.execute(FILL)
        assert [path for path in scratch.rglob("*") if path.is_file()] == []


def test_the_limits_are_those_asked_for() -> None:
    given = Resources(memory="64MiB", threads=3, temporary_bytes=1 << 30)
    with working_database("assemble", given) as database:
        assert setting(database, "memory_limit") == "64.0 MiB"
        assert setting(database, "threads") == "3"
        assert setting(database, "max_temp_directory_size") == "1.0 GiB"


def test_by_default_it_is_half_of_the_memory_and_every_core(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("openmofi.database.memory_bytes", lambda: 4 << 30)
    with working_database("assemble") as database:
        assert setting(database, "memory_limit") == "2.0 GiB"
        assert setting(database, "threads") == str(usable_cores())


def test_no_room_on_the_disk_is_one_line_that_names_the_folder(scratch: Path) -> None:
    given = Resources(memory=SMALL, temporary_bytes=1_000_000)
    with (
        pytest.raises(StorageError) as told,
        working_database("assemble", given) as database,
    ):
        database.execute(FILL)
    line = str(told.value)
    assert line.startswith(f"assemble: no room for temporary files in {scratch}: ")
    assert "TMPDIR" in line
    assert "resources.temporary_bytes 1000000" in line
    assert "\n" not in line
    assert list(scratch.iterdir()) == []


def test_a_file_that_may_not_grow_is_no_room_too(scratch: Path) -> None:
    program = (
        "import resource, sys\n"
        "from openmofi.database import Resources, working_database\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))\n"
        f"with working_database('kb', Resources(memory='{SMALL}')) as database:\n"
        f"    database.execute('{FILL}')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1
    assert f"StorageError: kb: no room for temporary files in {scratch}: " in ran.stderr
    assert os.strerror(errno.EFBIG) in ran.stderr
    assert list(scratch.iterdir()) == []


def test_too_little_memory_is_one_line_that_says_what_to_raise() -> None:
    with (
        pytest.raises(
            StorageError, match=r"needs more memory than 1MB: .*resources\.memory"
        ) as told,
        working_database("assemble", Resources(memory="1MB")) as database,
    ):
        database.execute(FILL)
    assert "\n" not in str(told.value)


def test_a_mistake_in_a_statement_stays_a_mistake() -> None:
    with pytest.raises(duckdb.BinderException), working_database("assemble") as database:
        database.execute("SELECT nothing")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_beside_the_database_is_told_alike(code: int) -> None:
    with pytest.raises(StorageError, match="no room for temporary"), working_database("assemble"):
        raise OSError(code, os.strerror(code))


def test_other_errors_of_files_pass() -> None:
    with pytest.raises(PermissionError), working_database("assemble"):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_numpys_unfinished_file_is_no_room(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(StorageError, match="no room"), working_database("assemble"):
            np.zeros(1_000_000).tofile(tmp_path / "vectors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def group_tree(root: Path, limits: dict[str, str]) -> None:
    for name, value in limits.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(value + "\n")


@pytest.mark.parametrize(
    ("groups", "limits"),
    [
        ("0::/pod/box\n", {"pod/box/memory.max": "max", "pod/memory.max": "1000"}),
        ("0::/pod/box\n", {"pod/box/memory.max": "1000", "pod/memory.max": "2000"}),
        ("0::/\n", {"memory.max": "1000"}),  # a container that sees itself as the root
        ("5:cpu,memory:/pod\n", {"memory/pod/memory.limit_in_bytes": "1000"}),
        ("5:memory:/pod\n0::/\n", {"memory/memory.limit_in_bytes": "1000"}),
    ],
)
def test_memory_is_within_every_limit_above(
    tmp_path: Path, groups: str, limits: dict[str, str]
) -> None:
    (tmp_path / "cgroup").write_text(groups)
    group_tree(tmp_path / "sys", limits)
    assert memory_bytes(tmp_path / "cgroup", tmp_path / "sys") == 1000


def test_memory_without_limits_is_the_machines(tmp_path: Path) -> None:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert memory_bytes(tmp_path / "none", tmp_path) == machine
    (tmp_path / "cgroup").write_text("0::/pod\n7:cpu:/pod\n")
    group_tree(tmp_path / "sys", {"pod/memory.max": "max", "pod/memory.high": "7"})
    assert memory_bytes(tmp_path / "cgroup", tmp_path / "sys") == machine


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"memory": "a lot"}, "memory"),
        ({"memory": "4G"}, "memory"),
        ({"threads": 0}, "threads"),
        ({"temporary_bytes": -1}, "temporary_bytes"),
        ({"cores": 2}, "cores"),
    ],
)
def test_wrong_resources_are_one_line(given: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=f"resources: .*'{field}'"):
        parse_config(Resources, given, where="resources")


@pytest.mark.parametrize("memory", ["", "512MB", "1.5 GiB", "4GB", "100000B"])
def test_memory_is_written_as_the_database_reads_it(memory: str) -> None:
    with working_database("assemble", Resources(memory=memory)) as database:
        assert setting(database, "memory_limit")
