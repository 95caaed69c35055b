"""`recut` as a user runs it: the real graph over tables that are there, one small encoder."""

import json
import re
from pathlib import Path

import pytest
import yaml

from openmofi.labeling.embed import embed_images
from openmofi.models.importing import import_model
from openmofi.versions import read_manifest
from pipelines.__main__ import main
from support.models import write_model
from support.tables import labelled, write_pool

pytestmark = pytest.mark.slow

TEXT = [(0.9, 0.05)]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Two groups of a shard each; half of the pictures hold text."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENMOFI_ROOT", raising=False)
    shards = {
        name: [labelled(10 * place + row, boxes=TEXT * (row % 2)) for row in range(4)]
        for place, name in enumerate("ab")
    }
    whole = write_pool(tmp_path / "root", shards)  # its regions are of one recipe
    pools = [write_pool(tmp_path / "root", {name: pairs}) for name, pairs in shards.items()]
    model = import_model(pools[0].root, source=str(write_model(tmp_path / "model")))
    config = {
        "samples": [pool.samples[0] for pool in pools],
        # In another order: shards are found by their names.
        "image_embeddings": [embed_images(pool.samples[0], model) for pool in pools][::-1],
        "text_regions": whole.text_regions,
        "model": model,
        "assemble": {
            "require_entities": False,
            "validation_share": 0.0,
            "text": {"policy": "text_dependent", "min_masked_score": 1.0},
        },
    }
    Path("mine.yaml").write_text(yaml.safe_dump(config))


def run(capfd, name, *options):
    assert main(["run", "recut", "--config", "mine.yaml", "--run-name", name, *options]) == 0
    outputs = json.loads(Path(f"build/runs/{name}/outputs.json").read_text())
    return outputs, capfd.readouterr()


def test_a_recut_masks_each_group_and_another_cut_runs_assembly_alone(workplace, capfd):
    outputs, shown = run(capfd, "first")
    steps = sorted(output["step"] for output in outputs)
    assert steps == ["assemble-dataset", "build-shards", *["score-masked-images"] * 2]
    assert shown.err.count("masked_scores: 2 images") == 2
    assert re.search(r"score-masked-images +[\d.]+ +8 +ok 4, skipped 4", shown.out)
    [uri] = [o["uri"] for o in outputs if o["step"] == "assemble-dataset"]
    assert read_manifest(uri, "dataset").content["counts"] == {"kept": 4, "text_dependent": 4}

    again, shown = run(capfd, "again", "--set", "assemble.text.min_masked_score=-1")
    assert shown.err.count("masked_scores: 1 shards, 1 reused, 0 to do") == 2
    assert " images, " not in shown.err  # nothing was embedded
    [uri] = [o["uri"] for o in again if o["step"] == "assemble-dataset"]
    assert read_manifest(uri, "dataset").content["counts"] == {"kept": 8}
