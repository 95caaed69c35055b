from pathlib import Path

import pytest

from openmofi.config import parse_config, read_yaml
from openmofi.errors import InputError
from openmofi.training.config import RECIPES, TrainConfig

CONFIGS = sorted((Path(__file__).parents[3] / "configs" / "training").rglob("*.yaml"))


def parse(**values):
    return parse_config(TrainConfig, values, where="train")


def test_recipes_are_lists_of_objectives():
    kinds = {
        recipe: [objective.kind for objective in parse(objectives=recipe).objectives]
        for recipe in ("clip", "supervised", "contrastive", "multitask")
    }
    assert kinds == {
        "clip": ["clip"],
        "supervised": ["supervised"],
        "contrastive": ["contrastive"],
        "multitask": ["supervised", "contrastive"],
    }
    assert [o.weight for o in parse(objectives="multitask").objectives] == [0.1, 0.9]


def test_objectives_may_be_written_out():
    config = parse(objectives=[{"kind": "supervised", "margin": 0.3, "weight": 2}])
    assert config.objectives[0].margin == 0.3
    assert config.objectives[0].scale == 32


def test_numbers_may_come_as_floats():
    assert parse(max_steps=300.0, batch_size=64.0).max_steps == 300


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_step": 3}, "unknown key 'max_step'.*max_steps"),
        ({"objectives": "mofi"}, "unknown recipe; one of clip, supervised, contrastive, multitask"),
        ({"objectives": []}, "at least one objective"),
        ({"objectives": [{"kind": "clip"}, {"kind": "clip"}]}, "each kind once"),
        ({"objectives": [{"kind": "arcface"}]}, "objectives.0.*arcface"),
        ({"objectives": [{"kind": "supervised", "margn": 1}]}, "unknown key .*margn"),
        (
            {"objectives": "clip", "batch_size": 1},
            "'batch_size'.*InfoNCE needs a batch of at least",
        ),
        ({"augmentation": {"crop_area": [0.9, 0.2]}}, "augmentation.crop_area"),
        ({"augmentation": {"crop_area": [0.9, 1.2]}}, "at most 1"),
        (
            {
                "objectives": [
                    {
                        "kind": "contrastive",
                        "text_mix": {"alt_text": 0, "name": 0, "name_and_description": 0},
                    }
                ]
            },
            "must be above 0",
        ),
        ({"precision": "float16"}, "'precision'"),
    ],
)
def test_bad_values_are_told_in_one_line(values, message):
    with pytest.raises(InputError, match=message) as caught:
        parse(**values)
    assert "\n" not in str(caught.value)


def test_one_sample_is_enough_for_the_supervised_objective():
    assert parse(objectives="supervised", batch_size=1).batch_size == 1


def test_what_cannot_change_the_result_is_not_semantic():
    base = parse()
    other = parse(workers=4, image_cache_mb=0, checkpoint_every=7, log_every=1)
    assert base.semantic() == other.semantic()
    assert base.semantic() != parse(seed=1).semantic()


def test_named_configs_parse():
    assert {path.stem for path in CONFIGS} >= {f"demo-{recipe}" for recipe in RECIPES}
    for path in CONFIGS:
        parse_config(TrainConfig, read_yaml(path), where=str(path))


def test_the_demos_arms_differ_in_their_objectives_alone():
    arms = [
        parse_config(TrainConfig, read_yaml(path), where=path.name).model_dump(
            exclude={"objectives"}
        )
        for path in CONFIGS
        if path.name.startswith("demo-")
    ]
    assert len(arms) == len(RECIPES)
    assert all(arm == arms[0] for arm in arms)
