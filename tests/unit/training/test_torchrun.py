"""``torchrun … -m openmofi train``: the model of one process, and a run that goes on elsewhere."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from openmofi.storage import local_folder, open_store
from openmofi.training.run import train_model
from openmofi.versions import read_manifest
from support.mlflow_databases import new_database
from support.training import SMALL_TRANSFORMER, make_samples, write_training_shards

STEPS = 24


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("torchrun")
    (folder / "backbone.json").write_text(json.dumps(SMALL_TRANSFORMER))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", new_database(folder))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield folder


def settings(place: Path, **changes: Any) -> dict[str, Any]:
    return {
        "backbone": str(place / "backbone.json"),
        "max_steps": STEPS,
        "batch_size": 24,
        "accumulate": 2,
        "clip_norm": 0.5,
        "warmup_steps": 5,
        "checkpoint_every": 6,
        **changes,
    }


def torchrun(place: Path, shards: str, ranks: int, **changes: Any) -> subprocess.Popen[str]:
    config = place / "config.yaml"
    config.write_text(yaml.safe_dump(settings(place, **changes)))
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks),
        "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0",
        "-m", "openmofi", "train", "--training-shards", shards, "--config", str(config),
        "--name", "ranks",
    ]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def weights(model: str) -> dict[str, torch.Tensor]:
    manifest = read_manifest(model, "model")
    folder = local_folder(manifest.store, manifest.content["prefix"], manifest.digest)
    rows = load_file(folder / "class_rows.safetensors")
    return {**load_file(folder / "open_clip_model.safetensors"), **rows}


@pytest.fixture(scope="module")
def alone(place: Path) -> str:
    shards = write_training_shards(place / "alone", make_samples(120, seed=1))
    return train_model(shards, config=settings(place), name="alone")


def assert_same(model: str, other: str) -> None:
    ours, theirs = weights(model), weights(other)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-3, atol=2e-4, msg=name)


def test_two_ranks_publish_the_model_of_one(place: Path, alone: str):
    shards = write_training_shards(place / "two", make_samples(120, seed=1))
    with torchrun(place, shards, 2, workers=1) as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    (model,) = out.split()
    assert_same(model, alone)
    assert err.count(f"step {STEPS}/{STEPS}") == 1  # the first rank speaks for all
    assert not list(open_store(str(place / "two")).list("checkpoints/"))
    with torchrun(place, shards, 2, workers=1) as process:
        again, err = process.communicate(timeout=300)
    assert again.split() == [model]  # found, and told once


def test_ranks_that_are_told_to_stop_save_together_and_one_process_goes_on(
    place: Path, alone: str, capsys: pytest.CaptureFixture[str]
):
    shards = write_training_shards(place / "stopped", make_samples(120, seed=1))
    store = open_store(str(place / "stopped"))
    with torchrun(place, shards, 2) as process:
        while not any(info.key.endswith("latest.json") for info in store.list("checkpoints/")):
            assert process.poll() is None, process.communicate()[1][-3000:]
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGTERM)
        _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "told to stop; saved after step" in err, err[-3000:]
    (latest,) = [i.key for i in store.list("checkpoints/") if i.key.endswith("latest.json")]
    step = json.loads(store.get(latest))["step"]
    assert f"saved after step {step}" in err
    assert 6 <= step < STEPS
    model = train_model(shards, config=settings(place), name="goes on")
    assert f"goes on after step {step}" in capsys.readouterr().err
    assert_same(model, alone)
