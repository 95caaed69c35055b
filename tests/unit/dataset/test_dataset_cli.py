"""The commands of `openmofi dataset`, by hand."""

from pathlib import Path
from typing import Any

import pytest

from openmofi.cli import main
from openmofi.versions import read_manifest
from support.assembly import assemble
from support.tables import Pair, labelled, noise_jpeg, write_pool


def test_show_prints_the_funnel(
    root: Path, knowledge_base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = [labelled(seed, ("peru", 0.4 + seed / 100)) for seed in range(30)]
    pairs.append(Pair(noise_jpeg(31), boxes=[(0.9, 0.05)]))
    pairs.append(Pair(b"broken", "gone", status="corrupt_image"))
    made = assemble(write_pool(root, {"a": pairs}), knowledge_base, min_score=0.405)
    assert main(["dataset", "show", made.uri]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["seen", "32"]
    assert lines[1].split() == ["ingest", "corrupt_image", "-1", "31"]
    assert any(line.startswith("kept 29 = train") for line in lines)


def test_assemble_hands_its_workers_on(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(
        "openmofi.dataset.assemble.assemble_dataset", lambda **given: asked.update(given) or "URI"
    )
    assert main(["dataset", "assemble", "--samples", "a", "b", "--workers", "3"]) == 0
    assert (asked["samples"], asked["workers"]) == (["a", "b"], 3)
    assert capsys.readouterr().out == "URI\n"


def test_assemble_and_build_by_hand(
    root: Path, tmp_path: Path, knowledge_base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = write_pool(root, {"a": [labelled(seed, ("peru", 0.4)) for seed in range(6)]})
    config = tmp_path / "assemble.yaml"
    config.write_text("min_score: 0.3\nvalidation_share: 0.0\n")
    arguments = ["dataset", "assemble", "--config", str(config)]
    for kind, uris in pool.tables().items():
        arguments += [f"--{kind.replace('_', '-')}", *uris]
    assert main([*arguments, "--knowledge-base", knowledge_base]) == 0
    uri = capsys.readouterr().out.strip()
    assert read_manifest(uri, "dataset").content["counts"] == {"kept": 6}
    assert main(["dataset", "build-shards", "--dataset", uri]) == 0
    shards = read_manifest(capsys.readouterr().out.strip(), "training_shards")
    assert [shard["rows"] for shard in shards.content["splits"]["train"]] == [6]
    assert main(["dataset", "show", "nonsense"]) == 2
    assert "'nonsense' is not a manifest" in capsys.readouterr().err
