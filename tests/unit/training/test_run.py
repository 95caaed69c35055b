"""Whole runs on coloured shapes: they learn, they are found again, they survive being killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from safetensors.numpy import load_file

from openmofi.cli import main
from openmofi.errors import InputError
from openmofi.models.encoder import load_encoder
from openmofi.records import VOCABULARY
from openmofi.storage import local_folder, open_store
from openmofi.training.checkpoint import Checkpoints
from openmofi.training.run import train_model
from openmofi.versions import read_manifest
from support.mlflow_databases import new_database
from support.training import CLASSES, make_samples, write_backbone, write_training_shards


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """One MLflow database for all runs here: making one takes seconds."""
    folder = tmp_path_factory.mktemp("training")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", new_database(folder))
        patch.delenv("WORLD_SIZE", raising=False)
        yield folder


@pytest.fixture(scope="module")
def backbone(place) -> str:
    return write_backbone(place)


@pytest.fixture(scope="module")
def shards(place) -> str:
    return write_training_shards(place / "root", make_samples(120, seed=1))


def config(backbone: str, objectives: Any = "multitask", **changes: Any) -> dict[str, Any]:
    return {
        "backbone": backbone,
        "objectives": objectives,
        "max_steps": 40,
        "batch_size": 24,
        "learning_rate": 4e-3,
        "warmup_steps": 5,
        **changes,
    }


def history(model: str, metric: str) -> list[float]:
    import mlflow

    run_id = read_manifest(model, "model").content["origin"]["mlflow_run_id"]
    return [m.value for m in mlflow.MlflowClient().get_metric_history(run_id, metric)]


def vectors(model: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    samples = make_samples(80, seed=seed)
    found = load_encoder(model).encode_images([sample["image"] for sample in samples])
    return found, np.array([sample["labels"][0] for sample in samples])


def nearest_of_same_class(embeddings: np.ndarray, labels: np.ndarray) -> float:
    similarity = embeddings @ embeddings.T
    np.fill_diagonal(similarity, -2)
    return float((labels[similarity.argmax(1)] == labels).mean())


@pytest.mark.parametrize("recipe", ["clip", "supervised", "contrastive"])
def test_each_recipe_lowers_its_loss(recipe, backbone, shards):
    model = train_model(shards, config=config(backbone, recipe, max_steps=30), name=recipe)
    losses = history(model, f"train/{recipe}")
    assert len(losses) == 3
    assert losses[-1] < 0.93 * losses[0]


@pytest.fixture(scope="module")
def multitask(place, backbone, shards) -> str:
    return train_model(shards, config=config(backbone), name="multitask")


def test_multitask_lowers_both_losses(multitask):
    for name in ("supervised", "contrastive", "loss"):
        losses = history(multitask, f"train/{name}")
        assert losses[-1] < 0.9 * losses[0]


def test_multitask_finds_images_of_the_same_class(multitask):
    share = nearest_of_same_class(*vectors(multitask, seed=2))
    assert share > 0.5  # chance is 1/8


def test_class_rows_and_vocabulary_name_new_images(multitask):
    manifest = read_manifest(multitask, "model")
    assert (manifest.content["classes"], manifest.content["dim"]) == (8, 32)
    folder = local_folder(manifest.store, manifest.content["prefix"], manifest.digest)
    rows = load_file(folder / "class_rows.safetensors")["rows"]
    vocabulary = pq.read_table(folder / "vocabulary.parquet")
    assert vocabulary.schema.equals(VOCABULARY)
    assert vocabulary.column("name").to_pylist() == CLASSES
    embeddings, labels = vectors(multitask, seed=3)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert ((embeddings @ rows.T).argmax(1) == labels).mean() > 0.5


def test_the_run_names_its_data_in_mlflow(multitask, shards):
    import mlflow

    manifest = read_manifest(shards, "training_shards")
    origin = read_manifest(multitask, "model").content["origin"]
    run = mlflow.MlflowClient().get_run(origin["mlflow_run_id"])
    assert run.data.tags["openmofi.dataset"] == manifest.content["dataset"]
    assert run.data.params["objectives.supervised.margin"] == "0.15"
    assert float(run.data.params["epochs"]) == 40 * 24 / 120 == origin["epochs"]
    assert run.info.status == "FINISHED"
    folder = Path(read_manifest(multitask, "model").content["prefix"])
    facts = json.loads(manifest.store.get(f"{folder}/training.json"))
    assert facts["dataset"] == manifest.content["dataset"]
    assert facts["steps"] == 40
    assert facts["metrics"]["train/loss"] == history(multitask, "train/loss")[-1]


def test_the_same_recipe_is_trained_once(multitask, backbone, shards, capsys):
    again = train_model(shards, config=config(backbone, workers=1, log_every=3), name="other")
    assert again == multitask
    assert f"reused {multitask}" in capsys.readouterr().err
    store = open_store(shards.partition("/manifests/")[0])
    assert not list(store.list("checkpoints/"))


def test_a_run_killed_after_its_manifest_leaves_the_model_as_it_is(backbone, shards):
    short = {"config": config(backbone, max_steps=3), "name": "short"}
    manifest = read_manifest(train_model(shards, **short), "model")
    store = manifest.store
    found = (info.key for info in store.list("trained/"))
    [record] = [key for key in found if manifest.digest.encode() in store.get(key)]
    store.delete(record)
    before = {info.key: store.get(info.key) for info in store.list(f"models/{manifest.digest}/")}
    assert train_model(shards, **short) == manifest.uri
    assert read_manifest(manifest.uri, "model").content == manifest.content
    assert {key: store.get(key) for key in before} == before
    assert store.exists(record)


def test_after_sigterm_it_goes_on_to_the_same_bits(place, backbone, multitask, capsys):
    """The interrupted run stands in a root of its own and ends with the same digest."""
    shards = write_training_shards(place / "stopped", make_samples(120, seed=1))
    store = open_store(str(place / "stopped"))
    settings = config(backbone, checkpoint_every=7, workers=1)

    def stop_after_a_checkpoint() -> None:
        while not any(info.key.endswith("latest.json") for info in store.list("checkpoints/")):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop_after_a_checkpoint, daemon=True).start()
    with pytest.raises(SystemExit) as stopped:
        train_model(shards, config=settings, name="stopped")
    assert stopped.value.code == 143
    (latest,) = [i.key for i in store.list("checkpoints/") if i.key.endswith("latest.json")]
    step = json.loads(store.get(latest))["step"]
    assert 7 <= step < 40
    assert f"saved after step {step}" in capsys.readouterr().err
    assert not list(store.list("models/"))
    model = train_model(shards, config=settings, name="stopped")
    assert f"goes on after step {step}" in capsys.readouterr().err
    assert read_manifest(model, "model").digest == read_manifest(multitask, "model").digest


def test_after_sigkill_it_goes_on_to_the_same_bits(place, backbone, multitask, capsys):
    shards = write_training_shards(place / "killed", make_samples(120, seed=1))
    store = open_store(str(place / "killed"))
    settings = config(backbone, checkpoint_every=5)
    path = place / "killed.yaml"
    path.write_text(yaml.safe_dump(settings))
    arguments = ["train", "--training-shards", shards, "--config", str(path), "--name", "killed"]
    code = "import sys; from openmofi.cli import main; sys.exit(main(sys.argv[1:]))"
    with subprocess.Popen([sys.executable, "-c", code, *arguments]) as process:
        while not any(info.key.endswith("latest.json") for info in store.list("checkpoints/")):
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
    assert not list(store.list("models/"))
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert "goes on after step" in captured.err
    model = captured.out.strip()
    assert read_manifest(model, "model").digest == read_manifest(multitask, "model").digest


def test_a_run_stopped_after_its_last_step_is_published_from_its_checkpoint(
    place, backbone, multitask
):
    from openmofi.training.building import plan_run
    from openmofi.training.config import TrainConfig
    from openmofi.training.run import _fit
    from openmofi.training.shards import open_shards
    from openmofi.training.trainer import ALONE

    uri = write_training_shards(place / "last", make_samples(120, seed=1))
    manifest = read_manifest(uri, "training_shards")
    plan = plan_run(TrainConfig(**config(backbone)), manifest, "last")
    with open_shards(manifest) as opened:
        module = _fit(plan, opened, ALONE, lambda values, step: None)
    import torch

    optimizer = torch.optim.AdamW(module.backbone.parameters())
    Checkpoints(manifest.store, plan.recipe).save(module, optimizer)
    model = train_model(uri, config=config(backbone), name="last")
    assert read_manifest(model, "model").digest == read_manifest(multitask, "model").digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_step": 1}, "unknown key 'max_step'"),
        ({"batch_size": 1}, "InfoNCE needs a batch of at least 2"),
        ({"batch_size": 500}, "batch_size 500 is more than the data set's 120 samples"),
        ({"backbone": "no-such-net"}, "no-such-net"),
    ],
)
def test_bad_input_is_told_before_the_first_step(changes, message, backbone, shards):
    store = open_store(shards.partition("/manifests/")[0])
    before = [info.key for info in store.list()]
    with pytest.raises(InputError, match=message) as caught:
        train_model(shards, config={**config(backbone), **changes}, name="bad")
    assert "\n" not in str(caught.value)
    assert [info.key for info in store.list()] == before


def test_a_dry_run_checks_and_tells_and_trains_nothing(multitask, backbone, shards, place, capsys):
    path = place / "dry.yaml"
    arguments = ["train", "--training-shards", shards, "--config", str(path), "--name", "dry"]
    store = open_store(shards.partition("/manifests/")[0])
    before = [info.key for info in store.list()]
    path.write_text(yaml.safe_dump(config(backbone, max_steps=7)))
    assert main([*arguments, "--dry-run"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "120 samples, 8 classes, 7 steps, 1.4 epochs"
    assert told[1].startswith("168 samples, ")
    assert told[2].endswith(", 0 steps done")
    path.write_text(yaml.safe_dump(config(backbone)))
    assert main([*arguments, "--dry-run"]) == 0
    assert multitask in capsys.readouterr().out  # it has been trained
    path.write_text(yaml.safe_dump(config(backbone, batch_size=500)))
    assert main([*arguments, "--dry-run"]) == 2
    assert "more than the data set's" in capsys.readouterr().err
    assert [info.key for info in store.list()] == before


def test_another_kind_of_manifest_is_refused(multitask, backbone):
    with pytest.raises(InputError, match="'training_shards' is needed here"):
        train_model(multitask, config=config(backbone), name="wrong")
