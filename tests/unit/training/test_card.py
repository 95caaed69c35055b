"""Scope: what the model card says, from what the run knows."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from openmofi import __version__
from openmofi.models.backbones import create_backbone
from openmofi.storage import open_store
from openmofi.training.card import Described, describe, model_card
from openmofi.training.config import TrainConfig
from openmofi.versions import write_manifest
from support.training import RUN_FACTS, SMALL_BACKBONE

DATASET = {
    "config": {"text": {"drop_text": True, "policy": "any_text", "min_masked_score": None}},
    "counts": {"corrupt_image": 3, "text_region": 20, "text_failed": 1, "kept": 76},
    "table_digests": {"samples": "1", "text_regions": "2"},
    "knowledge_base": "cafe",
    "checked_against": ["e1", "e2"],
}


def text_rule(**changes: Any) -> dict[str, Any]:
    return {**DATASET, "config": {"text": {**DATASET["config"]["text"], **changes}}}


def described(objectives: str = "multitask", **changes: Any) -> Described:
    config = TrainConfig(objectives=objectives, max_steps=1500, batch_size=64)
    whole = Described(
        facts={
            "recipe": "r1", "training_shards": "s1", "dataset": "d1", "samples": 2500,
            "classes": 84, "steps": 1500, "epochs": 38.4,
        },
        run_facts=RUN_FACTS,
        config=config.model_dump(mode="json"),
        model=SMALL_BACKBONE,
        parameters={"picture": 1_000_000, "text": 2_000_000},
        dataset=DATASET,
        licence="CC0",
        uri="file:///root/manifests/model/x.json",
        made={"date": "2026-11-28", "version": "0.1.0", "commit": ""},
    )  # fmt: skip
    return replace(whole, **changes)


def test_the_same_description_gives_the_same_card() -> None:
    assert model_card(described()) == model_card(described())


def test_the_parameters_are_those_of_each_tower() -> None:
    made = describe(
        create_backbone(SMALL_BACKBONE),
        SMALL_BACKBONE,
        {},
        facts={"dataset": "d"},
        run_facts={},
        uri="u",
    )
    # By hand: 49,408 words, 12 places, one block of width 16 (4 x as wide inside), a last norm, a
    # projection to 32, and the logit scale.
    block = 3 * 16 * 16 + 3 * 16 + 16 * 16 + 16 + 2 * (16 + 16) + 2 * 16 * 64 + 64 + 16
    assert made.parameters["text"] == 49408 * 16 + 12 * 16 + block + 32 + 16 * 32 + 1
    assert made.made["version"] == __version__


def test_objectives_stand_with_their_weights_and_settings() -> None:
    card = model_card(described())
    assert "| `supervised` | 0.1 | pictures with entities: margin softmax over 25%" in card
    assert "margin 0.15, scale 32 |" in card
    assert "| `contrastive` | 0.9 | " in card
    assert "alt text : name : name and description = 1 : 1 : 1" in card
    assert "1,500 steps of 64 samples: 96,000 in all, each sample 38.4 times on average" in card


def test_last_metrics_stand_on_the_card_and_where_all_are() -> None:
    card = model_card(described())
    assert "| `train/loss` | 1.25 |" in card
    assert "run `f00d`" in card
    resumed = {**RUN_FACTS, "metrics": {}}
    assert "ran no step" in model_card(described(run_facts=resumed))


def test_samples_that_were_dropped_stand_with_their_cause() -> None:
    card = model_card(described())
    rows = ["| seen | | 100 |", "| ingest | corrupt_image | -3 |", "| kept | | 76 |"]
    assert all(row in card for row in rows)
    assert "pictures of 2 evaluation sets were dropped" in card
    assert "(licence: CC0)" in card
    unchecked = {**DATASET, "checked_against": []}
    assert "**not** compared" in model_card(described(dataset=unchecked))


@pytest.mark.parametrize(
    ("dataset", "policy", "limit"),
    [
        (DATASET, "`any_text`: 21 samples with text", "were left out"),
        (text_rule(drop_text=False), "with text in them were kept", "Some of its pictures"),
        (
            text_rule(policy="text_dependent", min_masked_score=0.2),
            "`text_dependent`: 21 samples were dropped",
            "Some of its pictures",
        ),
        (
            {**DATASET, "table_digests": {"samples": "1"}},
            "Nobody looked for text",
            "Some of its pictures",
        ),
        (None, "manifest could not be read", "It may be that its pictures"),
    ],
)
def test_the_text_policy_and_what_follows_from_it(
    dataset: Mapping[str, Any] | None, policy: str, limit: str
) -> None:
    card = model_card(described(dataset=dataset))
    assert policy in card
    assert limit in card.partition("**Text in pictures.**")[2].partition("\n")[0]


def test_only_a_small_tower_is_called_small() -> None:
    assert "of 1.0 million parameters is small" in model_card(described())
    large = {"picture": 86_000_000, "text": 1}
    assert "is small" not in model_card(described(parameters=large))


def test_the_commit_is_told_where_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENMOFI_GIT_COMMIT", "abc123")
    made = describe(
        create_backbone(SMALL_BACKBONE), {}, {}, facts={"dataset": "d"}, run_facts={}, uri=""
    ).made
    assert ", commit `abc123` |" in model_card(described(made=made))
    assert "commit" not in model_card(described()).partition("## Use")[0]


@pytest.mark.parametrize(
    ("objectives", "told"),
    [("multitask", "weights and 80 of 84 class rows of"), ("clip", "weights of")],
)
def test_a_warm_start_is_told_in_one_line_with_the_model_it_began_with(
    objectives: str, told: str
) -> None:
    start = {"source": "s3://store/manifests/model/m1.json", "digest": "c1", "class_rows": 80}
    card = model_card(described(objectives, run_facts={**RUN_FACTS, "initial_model": start}))
    line = f"| begun with | a warm start: {told} `{start['source']}` (content `c1`) |"
    assert card.splitlines().count(line) == 1
    assert "warm start" not in model_card(described(objectives))


def test_the_data_set_is_read_by_its_uri_and_digest(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    write_manifest(store, "knowledge_base", "cafe", {"licence": "CC BY 4.0"})
    uri = write_manifest(store, "dataset", "d1", DATASET).uri
    backbone = create_backbone(SMALL_BACKBONE)

    def found(uri: str, digest: str) -> Described:
        facts, run_facts = {"dataset": digest}, {"dataset_uri": uri}
        return describe(backbone, {}, {}, facts=facts, run_facts=run_facts, uri="")

    assert found(uri, "d1").dataset["counts"] == DATASET["counts"]
    assert found(uri, "d1").licence == "CC BY 4.0"
    for other in (found(uri, "d2"), found("", "d1"), found(uri.replace("d1", "d3"), "d1")):
        assert (other.dataset, other.licence) == (None, "")
