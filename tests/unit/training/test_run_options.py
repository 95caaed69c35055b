"""Whole runs with each option: what it must not change, and what it must."""

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from openmofi.errors import InputError
from openmofi.storage import local_folder, open_store
from openmofi.training.card import read_card
from openmofi.training.run import train_model
from openmofi.training.warm_start import find_start
from openmofi.versions import read_manifest
from support.mlflow_databases import new_database
from support.training import SMALL_TRANSFORMER, make_samples, write_training_shards

STEPS = 12


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("options")
    (folder / "backbone.json").write_text(json.dumps(SMALL_TRANSFORMER))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", new_database(folder))
        patch.delenv("WORLD_SIZE", raising=False)
        yield folder


@pytest.fixture(scope="module")
def shards(place) -> str:
    return write_training_shards(place / "root", make_samples(120, seed=1))


def train(place: Path, shards: str, name: str, **changes: Any) -> str:
    settings = {
        "backbone": str(place / "backbone.json"),
        "max_steps": STEPS,
        "batch_size": 24,
        "warmup_steps": 3,
        "learning_rate": 4e-3,
        "log_every": 4,
        **changes,
    }
    return train_model(shards, config=settings, name=name)


def weights(model: str) -> dict[str, torch.Tensor]:
    manifest = read_manifest(model, "model")
    folder = local_folder(manifest.store, manifest.content["prefix"], manifest.digest)
    found = load_file(folder / "open_clip_model.safetensors")
    rows = folder / "class_rows.safetensors"
    return {**found, **(load_file(rows) if rows.is_file() else {})}


def assert_close(model: str, other: str, **tolerance: float) -> None:
    ours, theirs = weights(model), weights(other)
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], msg=name, **tolerance)


def differs(model: str, other: str) -> bool:
    ours, theirs = weights(model), weights(other)
    return any(not value.allclose(theirs[name], atol=1e-4) for name, value in ours.items())


@pytest.fixture(scope="module")
def plain(place, shards) -> str:
    return train(place, shards, "plain")


@pytest.mark.parametrize(
    "changes",
    [
        {"activation_checkpointing": True},
        {"stream_shards": True},
        {"workers": 2},
    ],
)
def test_what_cannot_change_the_result_finds_the_model_of_the_same_recipe(
    changes, place, shards, plain
):
    assert train(place, shards, "again", **changes) == plain


@pytest.mark.parametrize(
    "changes",
    [{"activation_checkpointing": True}, {"stream_shards": True, "workers": 1}],
)
def test_what_cannot_change_the_result_does_not(changes, place, plain):
    """In a root of its own, where nothing is found."""
    shards = write_training_shards(place / next(iter(changes)), make_samples(120, seed=1))
    model = train(place, shards, "other", **changes)
    assert read_manifest(model, "model").digest == read_manifest(plain, "model").digest


def test_class_state_elsewhere_changes_nothing(place, plain, tmp_path):
    shards = write_training_shards(place / "state", make_samples(120, seed=1))
    objectives = [
        {"kind": "supervised", "weight": 0.1, "class_state": str(tmp_path)},
        {"kind": "contrastive", "weight": 0.9},
    ]
    model = train(place, shards, "state", objectives=objectives)
    assert read_manifest(model, "model").digest == read_manifest(plain, "model").digest


def test_contrastive_rows_in_chunks_change_nothing_but_rounding(place, shards, plain):
    objectives = [
        {"kind": "supervised", "weight": 0.1, "chunk": 3},
        {"kind": "contrastive", "weight": 0.9, "chunk": 5},
    ]
    assert_same_course(train(place, shards, "chunks", objectives=objectives), plain)


def test_soft_labels_and_frequent_negatives_train(place, shards, plain):
    objectives = [
        {"kind": "supervised", "labels": "soft", "negatives": "frequency", "sample_rate": 0.5}
    ]
    model = train(place, shards, "soft", objectives=objectives)
    assert read_manifest(model, "model").content["classes"] == 8
    assert metric(model, "train/supervised")[-1] < metric(model, "train/supervised")[0]


def assert_same_course(model: str, other: str) -> None:
    """Of the losses: Adam makes whole steps of rounding where a gradient is zero."""
    for name in ("train/supervised", "train/contrastive"):
        assert metric(model, name) == pytest.approx(metric(other, name), rel=1e-3)


def metric(model: str, name: str) -> list[float]:
    import mlflow

    run = read_manifest(model, "model").content["origin"]["mlflow_run_id"]
    return [m.value for m in mlflow.MlflowClient().get_metric_history(run, name)]


def test_gradient_norms_of_each_objective_are_logged(plain):
    for name in ("supervised", "contrastive"):
        values = metric(plain, f"train/gradient_norm/{name}")
        assert len(values) == STEPS // 4
        assert min(values) > 0


def test_the_average_is_what_is_published(place, shards, plain):
    slow = train(place, shards, "slow", ema_decay=0.999)
    assert differs(slow, plain)
    # An average that forgets at once is the model itself, but for its last steps.
    rows = weights(slow)["rows"]
    assert rows.equal(weights(plain)["rows"])  # class rows are not averaged


def test_an_average_goes_on_to_the_same_bits(place):
    settings = {"ema_decay": 0.9, "checkpoint_every": 5, "max_steps": 30}
    straight = write_training_shards(place / "straight", make_samples(120, seed=1))
    stopped = write_training_shards(place / "stopped", make_samples(120, seed=1))
    store = open_store(str(place / "stopped"))

    def stop_after_a_checkpoint() -> None:
        while not any(info.key.endswith("latest.json") for info in store.list("checkpoints/")):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop_after_a_checkpoint, daemon=True).start()
    with pytest.raises(SystemExit, match="143"):
        train(place, stopped, "stopped", **settings)
    models = [train(place, uri, "whole", **settings) for uri in (straight, stopped)]
    digests = {read_manifest(model, "model").digest for model in models}
    assert len(digests) == 1


def test_bfloat16_trains(place, shards, plain):
    model = train(place, shards, "half", precision="bfloat16", max_steps=30)
    losses = metric(model, "train/loss")
    assert losses[-1] < losses[0]
    assert all(value.dtype == torch.float32 for value in weights(model).values())


def test_compiled_towers_train_the_same(compiler, place, shards, plain):
    assert_same_course(train(place, shards, "compiled", compiled=True), plain)


def test_balanced_entities_change_the_order(place, shards, plain):
    samples = [s for i, s in enumerate(make_samples(160, seed=1)) if i % 8 < 2 or i < 32]
    uneven = write_training_shards(place / "uneven", samples)
    by_image = train(place, uneven, "by image")
    by_entity = train(place, uneven, "by entity", entity_balance=1.0)
    assert differs(by_image, by_entity)


def test_a_warm_start_goes_on_from_weights_and_class_rows(place, shards, plain):
    """After one step with a rate of nearly zero the model is still the initial one."""
    start = train(place, shards, "start", initial_model=plain, max_steps=1, learning_rate=1e-12)
    assert_close(start, plain, rtol=1e-5, atol=1e-6)
    colder = train(place, shards, "cold", max_steps=1, learning_rate=1e-12)
    assert differs(colder, plain)
    assert start != colder


def test_a_warm_started_models_manifest_and_card_say_what_it_began_with(place, plain):
    grown = write_training_shards(place / "root", make_samples(120, seed=1), extra_classes=3)
    start = train(place, grown, "told", initial_model=plain, max_steps=1, learning_rate=1e-12)
    classes = len(weights(plain)["rows"])
    found = read_manifest(start, "model").content["origin"]["initial_model"]
    assert found == {"source": plain, "digest": find_start(plain).digest, "class_rows": classes}
    assert f"weights and {classes} of {classes + 3} class rows of `{plain}`" in read_card(start)
    assert "initial_model" not in read_manifest(plain, "model").content["origin"]


def test_an_initial_model_of_another_shape_is_refused(place, shards, plain):
    wider = {**SMALL_TRANSFORMER, "embed_dim": 16}
    (place / "wider.json").write_text(json.dumps(wider))
    with pytest.raises(
        InputError, match=r"visual.proj is \[32, 32\] there and \[32, 16\] here"
    ) as caught:
        train(place, shards, "x", backbone=str(place / "wider.json"), initial_model=plain)
    assert "\n" not in str(caught.value)


def test_a_vocabulary_that_grew_keeps_the_rows_it_had(place, plain):
    grown = write_training_shards(place / "root", make_samples(120, seed=1), extra_classes=3)
    start = train(place, grown, "grown", initial_model=plain, max_steps=1, learning_rate=1e-12)
    rows, before = weights(start)["rows"], weights(plain)["rows"]
    assert len(rows) == len(before) + 3
    np.testing.assert_allclose(rows[: len(before)], before, atol=1e-6)
    folder = local_folder(
        read_manifest(start, "model").store,
        read_manifest(start, "model").content["prefix"],
        read_manifest(start, "model").digest,
    )
    assert pq.read_table(folder / "vocabulary.parquet").num_rows == len(before) + 3
