"""Costs against sums by hand, and the heads of the configs against what is computed."""

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from openmofi.config import parse_config, read_yaml
from openmofi.models.backbones import create_backbone
from openmofi.training.config import TrainConfig
from openmofi.training.cost import GPU_PEAKS, RunCost, backbone_cost, describe, run_cost

CONFIGS = Path(__file__).parents[3] / "configs" / "training"
ENTITIES = 2_000_000  # of MOFI's vocabulary
PAPERS = ("mofi-b16", "mofi-l14", "mofi-h14", "clip-b16")
CERTAINTIES = (
    "stated by the paper",
    "reported by others",
    "recalled of the paper",
    "not published: our default",
)


def transformer_flops(*, tokens: int, width: int, layers: int) -> int:
    """Products of a forward pass: four of the attention's, two of its scores, two of the MLP's."""
    linear = 4 * width * width + 2 * 4 * width * width
    scores = 2 * tokens * width
    return layers * tokens * 2 * (linear + scores)


def test_a_vision_transformer_costs_what_its_products_do():
    cost = backbone_cost("ViT-B-16")
    patches, width = 14 * 14, 768
    wanted = transformer_flops(tokens=patches + 1, width=width, layers=12)
    wanted += 2 * patches * 3 * 16 * 16 * width + 2 * width * 512
    assert cost.image_flops == wanted
    text = transformer_flops(tokens=77, width=512, layers=12) + 2 * 512 * 512
    assert cost.text_flops == text


@pytest.mark.parametrize(
    ("name", "images", "texts"),
    [("ViT-B-16", 86, 63), ("ViT-L-14", 304, 124), ("ViT-H-14", 632, 354)],
)
def test_towers_have_as_many_weights_as_published(name, images, texts):
    cost = backbone_cost(name)
    assert round(cost.image_parameters / 1e6) == images
    assert round(cost.text_parameters / 1e6) == texts


def test_training_takes_three_passes():
    """Counted where the counter can, in a transformer."""
    with torch.device("meta"):
        model = create_backbone("ViT-B-16")
        with FlopCounterMode(display=False) as counter:
            model.encode_image(torch.empty(1, 3, 224, 224)).sum().backward()
    never_asked_for = 2 * 14 * 14 * 3 * 16 * 16 * 768  # the gradient on the pixels
    counted = counter.get_total_flops() + never_asked_for
    assert counted == 3 * backbone_cost("ViT-B-16").image_flops


def test_objectives_add_up():
    base = {"backbone": "tiny", "max_steps": 10, "batch_size": 64, "accumulate": 2}
    cost = {
        recipe: run_cost(
            parse_config(TrainConfig, {**base, "objectives": recipe}, where="train"), classes=1000
        )
        for recipe in ("clip", "supervised", "multitask")
    }
    tower = backbone_cost("tiny")
    image, text = 3 * tower.image_flops, 3 * tower.text_flops
    assert cost["clip"].samples == 10 * 64 * 2
    assert cost["clip"].flops / 1280 == image + text + 3 * 2 * 2 * 64 * 128
    assert cost["supervised"].flops / 1280 == image + 4 * 2 * 0.25 * 1000 * 128
    both = cost["clip"].flops + cost["supervised"].flops - 1280 * image
    assert cost["multitask"].flops == pytest.approx(both)


def test_hours_are_of_the_used_part_of_a_peak():
    cost = RunCost(samples=1, flops=GPU_PEAKS["A100"] * 3600)
    assert cost.gpu_hours("A100", 1.0) == pytest.approx(1)
    assert cost.gpu_hours("A100", 0.25) == pytest.approx(4)
    assert cost.gpu_hours("A100") == pytest.approx(2.5)


def test_counting_takes_no_memory_and_no_random_numbers():
    before = torch.get_rng_state()
    backbone_cost("ViT-H-14")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", [*PAPERS, "tiny"])
def test_a_configs_cost_line_is_what_is_computed(name):
    path = CONFIGS / f"{name}.yaml"
    settings = parse_config(TrainConfig, read_yaml(path), where=path.name)
    expected = describe(run_cost(settings, classes=ENTITIES if name in PAPERS else 0))
    head = " ".join(line.strip("# ") for line in path.read_text().splitlines() if line[:1] == "#")
    assert f"Cost: {expected}" in head


@pytest.mark.parametrize("name", [*PAPERS, "tiny"])
def test_every_value_says_how_certain_it_is(name):
    """Read as text: the comment is what a reader of the file has."""
    lines = (CONFIGS / f"{name}.yaml").read_text().splitlines()
    values = [line for line in lines if line.strip() and not line.startswith("#")]
    values = [line for line in values if not line.partition("#")[0].rstrip().endswith(":")]
    assert len(values) > 8
    for line in values:
        assert line.partition("# ")[2].startswith(CERTAINTIES), line
