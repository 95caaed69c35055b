"""`curate` as a user runs it: the real graph, the real library, a crawl of a dozen pictures."""

import json
import re
from pathlib import Path

import pytest

from openmofi.versions import read_manifest
from pipelines.__main__ import main
from support.toy_crawl import write_workplace

pytestmark = pytest.mark.slow

SHARDS, SAMPLES = 2, 6


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENMOFI_ROOT", raising=False)
    write_workplace(tmp_path, shards=SHARDS, samples=SAMPLES)


def run(capfd, name, *options):
    assert main(["run", "curate", "--config", "mine.yaml", "--run-name", name, *options]) == 0
    outputs = json.loads(Path(f"build/runs/{name}/outputs.json").read_text())
    return outputs, capfd.readouterr()


def of_step(outputs, step):
    return sorted(output["uri"] for output in outputs if output["step"] == step)


def test_curate_counts_every_sample_and_does_nothing_twice(workplace, capfd):
    outputs, shown = run(capfd, "first")
    [uri] = of_step(outputs, "assemble-dataset")
    dataset = read_manifest(uri, "dataset")
    assert sum(dataset.content["counts"].values()) == SHARDS * SAMPLES
    assert dataset.content["counts"]["corrupt_image"] == SHARDS
    assert dataset.content["counts"]["kept"] > 0
    assert len(of_step(outputs, "embed-images")) == 2
    assert f"{SHARDS * SAMPLES}    ok {SHARDS * (SAMPLES - 1)}, skipped {SHARDS}" in shown.out
    card = next(line for line in shown.out.splitlines() if line.startswith("data card"))
    assert Path(card.split()[-1]).is_file()

    assert "entity_texts: none ahead" in shown.err

    ahead = ("--set", "label.entities=all")  # changes no result, so no key
    again, shown = run(capfd, "again", "--set", "assemble.seed=1", *ahead)
    assert re.search(r"entity_texts: \d+ texts, [1-9]\d* reused, \d+ to encode", shown.err)
    assert of_step(again, "detect-text") == of_step(outputs, "detect-text")
    assert of_step(again, "assemble-dataset") != [uri]
    for stage in ("samples", "mentions", "image_embeddings", "entity_scores", "text_regions"):
        assert shown.err.count(f"{stage}: 1 shards, 1 reused, 0 to do") == SHARDS


def test_a_tar_cut_in_half_ends_the_run_in_one_line(workplace, capfd):
    path = Path("crawl/00001.tar")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    code = main(["run", "curate", "--config", "mine.yaml", "--run-name", "cut"])
    last = capfd.readouterr().err.splitlines()[-1]
    assert code == 2
    assert last.startswith("pipelines: ")
    assert "00001" in last
    assert not Path("build/runs/cut/outputs.json").exists()
