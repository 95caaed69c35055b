"""The module under a real Trainer, with a backbone of two linear layers."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from openmofi.losses.contrastive import contrastive_loss
from openmofi.losses.margins import Margin
from openmofi.training.class_head import initial_rows
from openmofi.training.config import RECIPES, TrainConfig
from openmofi.training.data import Batch
from openmofi.training.module import EmbeddingModule, LossNotFiniteError
from openmofi.training.objectives import HeadPlan, build_objectives
from support.linear_training import (
    BATCH,
    CLASSES,
    DIM,
    MEAN,
    STD,
    STEPS,
    LinearBackbone,
    contrastive,
    make_batch,
    make_module,
    optimisation,
    run,
    supervised,
)
from support.losses import dense_margin_softmax


def fit(objectives: list[Any], steps: list[list[Batch]], **changes: Any) -> EmbeddingModule:
    module = make_module(objectives, **changes)
    run(module, steps)
    return module


def dense_training(clip_norm: float | None) -> tuple[LinearBackbone, torch.Tensor]:
    """The same multi-task run with class rows as an ordinary parameter, in plain PyTorch."""
    backbone = LinearBackbone()
    rows = nn.Parameter(initial_rows(range(CLASSES), DIM, seed=0))
    schedule = optimisation()
    matrices = [p for p in backbone.parameters() if p.ndim >= 2]
    vectors = [p for p in backbone.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": 0.1},
            {"params": vectors, "weight_decay": 0.0},
            {"params": [rows], "weight_decay": 0.0},
        ],
        betas=(0.9, 0.98),
    )
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    for step in range(STEPS):
        batch = make_batch(step)
        for group, factor in zip(optimizer.param_groups, (1, 1, 2), strict=True):
            group["lr"] = schedule.rate(step) * factor
        images = backbone.encode_image((batch.images / 255 - mean) / std, normalize=True)
        texts = backbone.encode_text(batch.tokens["contrastive"], normalize=True)
        loss = 0.1 * dense_margin_softmax(
            images, rows, batch.labels, margin=Margin(0.15), scale=8.0
        )
        loss = loss + 0.9 * contrastive_loss(images, texts, backbone.logit_scale, batch.labels)
        optimizer.zero_grad()
        loss.backward()
        if clip_norm:
            nn.utils.clip_grad_norm_([*backbone.parameters(), rows], clip_norm)
        optimizer.step()
    return backbone, rows.detach()


@pytest.mark.parametrize("clip_norm", [None, 0.3])
def test_rate_one_equals_a_dense_head_over_twenty_steps(clip_norm):
    objective = supervised(weight=0.1)
    steps = [[make_batch(step)] for step in range(STEPS)]
    module = fit([objective, contrastive()], steps, clip_norm=clip_norm)
    backbone, rows = dense_training(clip_norm)
    torch.testing.assert_close(objective.head.rows, rows, rtol=1e-4, atol=1e-5)
    for (name, ours), theirs in zip(
        module.backbone.named_parameters(), backbone.parameters(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5, msg=name)


def test_two_accumulated_halves_equal_the_whole():
    """With equally many labels in each half; a mean over labels is taken in each."""

    def labelled(step: int, rows: slice = slice(None)) -> Batch:
        batch = make_batch(step, rows)
        return replace(batch, labels=batch.labels.clamp(min=0))

    whole, halves = supervised(), supervised()
    first = fit([whole], [[labelled(step)] for step in range(STEPS)], clip_norm=0.3)
    half = BATCH // 2
    second = fit(
        [halves],
        [[labelled(s, slice(half)), labelled(s, slice(half, None))] for s in range(STEPS)],
        clip_norm=0.3,
    )
    torch.testing.assert_close(halves.head.rows, whole.head.rows, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        second.backbone.image.weight, first.backbone.image.weight, rtol=1e-4, atol=1e-5
    )


def test_one_image_forward_serves_all_objectives():
    module = fit([supervised(), contrastive()], [[make_batch(0)], [make_batch(1)]])
    assert module.backbone.image_calls == 2


def test_class_rows_are_no_parameters():
    module = make_module([supervised()])
    shapes = [tuple(p.shape) for p in module.parameters()]
    assert (CLASSES, DIM) not in shapes
    assert not [name for name in module.state_dict() if "row" in name]


def test_a_loss_that_is_not_finite_stops_with_step_and_uids():
    spoilt = make_batch(3)
    spoilt.tokens["contrastive"][:] = 49
    module = make_module([contrastive()])
    with torch.no_grad():
        module.backbone.text.weight[49] = float("nan")
    steps = [[make_batch(0)], [make_batch(1)], [spoilt]]
    for (batch,) in steps[:2]:
        batch.tokens["contrastive"].clamp_(max=48)
    with pytest.raises(LossNotFiniteError, match=r"at step 2 .*nan.*uid-3-0 uid-3-1 .*uid-3-7"):
        run(module, steps)
    assert module.backbone.image.weight.isfinite().all()


def test_the_schedule_rises_to_its_peak_and_falls_to_zero():
    schedule = optimisation(learning_rate=2.0, warmup_steps=4, max_steps=104)
    assert [schedule.rate(step) for step in range(4)] == [0.5, 1.0, 1.5, 2.0]
    assert schedule.rate(4) == 2.0
    assert schedule.rate(54) == pytest.approx(1.0)
    assert schedule.rate(104) == pytest.approx(0.0)
    rates = [schedule.rate(step) for step in range(4, 105)]
    assert rates == sorted(rates, reverse=True)


def test_recipes_become_objectives():
    for recipe, parts in RECIPES.items():
        config = TrainConfig(objectives=recipe)
        plan = HeadPlan(torch.ones(7), dim=3, seed=0, betas=config.betas)
        built = build_objectives(config.objectives, plan)
        assert [(o.name, o.weight) for o in built] == [
            (part["kind"], part.get("weight", 1.0)) for part in parts
        ]
        heads = [tuple(o.head.rows.shape) for o in built if o.head is not None]
        assert heads == ([(7, 3)] if recipe in ("supervised", "multitask") else [])


def test_clip_reads_alt_texts_and_masks_nothing():
    plan = HeadPlan(torch.ones(0), dim=3, seed=0, betas=(0.9, 0.98))
    (clip,) = build_objectives(TrainConfig(objectives="clip").objectives, plan)
    assert clip.text_mix == {"alt_text": 1.0}
    backbone, batch = LinearBackbone(), make_batch(0)
    images = functional.normalize(torch.randn(BATCH, DIM), dim=1)
    texts = backbone.encode_text(batch.tokens["clip"], normalize=True)
    expected = contrastive_loss(images, texts, backbone.logit_scale)
    torch.testing.assert_close(clip.loss(images, batch, backbone), expected)
