"""By hand, in processes, and killed in the middle."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from openmofi.cli import main
from openmofi.ingest.run import ingest_pairs, plan_groups
from support.ingest import crawl, ingest, read_samples


def test_plan_and_run_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, root = crawl(tmp_path / "s", shards=3), tmp_path / "root"
    config = tmp_path / "ingest.yaml"
    config.write_text("min_side: 30\n")
    plan = ["ingest", "plan", "--root", str(root), "--source", str(source), "--groups", "2"]
    assert main([*plan, "--config", str(config)]) == 0
    printed = capsys.readouterr()
    groups = printed.out.split()
    assert len(groups) == 2
    assert "2 shards to do" in printed.err
    assert main(["ingest", "run", *groups]) == 0
    first, second = capsys.readouterr().out.split()
    assert read_samples(first)[1].counts == {"too_small": 6}
    assert read_samples(second)[1].counts == {"too_small": 3}


def test_bad_input_is_one_line_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["ingest", "plan", "--root", str(tmp_path / "r"), "--source", str(tmp_path / "x")]
    assert main(arguments) == 2
    assert capsys.readouterr().err.strip() == f"openmofi: source not found: {tmp_path}/x"


def test_processes_make_the_same_table(tmp_path: Path) -> None:
    source = crawl(tmp_path / "s", shards=3)
    (group,) = plan_groups(str(tmp_path / "two"), source=str(source), groups=1)
    uri = ingest_pairs(group, workers=2)
    assert uri.split("/")[-1] == ingest(tmp_path / "one", source).split("/")[-1]


def test_a_second_run_reuses_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = crawl(tmp_path / "s")
    first = ingest(tmp_path / "root", source)
    capsys.readouterr()
    assert ingest(tmp_path / "root", source) == first
    assert "samples: 2 shards, 2 reused, 0 to do" in capsys.readouterr().err


def test_a_killed_run_is_taken_up_again(tmp_path: Path) -> None:
    source, root = crawl(tmp_path / "s", shards=12, samples=150), tmp_path / "root"
    (group,) = plan_groups(str(root), source=str(source), groups=1)
    process = subprocess.Popen(
        [sys.executable, "-c", "from openmofi.cli import main; main()", "ingest", "run", group],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    tables = root / "tables" / "samples"
    deadline = time.monotonic() + 60
    while not list(tables.glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(list(tables.glob("*.json")))
    assert 0 < done < 12
    assert not (root / "manifests" / "samples").exists()
    uri = ingest_pairs(group)
    assert uri.split("/")[-1] == ingest(tmp_path / "undisturbed", source).split("/")[-1]
    assert not [path for path in root.rglob(".writing-*") if path.suffix == ".json"]
