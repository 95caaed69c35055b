"""Oracles: a loop over pairs; one process against two gloo processes."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from openmofi.losses.contrastive import cap_logit_scale_, contrastive_loss
from support.losses import assert_same_gradients

BATCH, DIM = 10, 6


def unit_rows(seed: int, rows: int = BATCH) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(rows, DIM, generator=generator), dim=1)


def loop_loss(images, texts, scale, groups):
    """InfoNCE pair by pair, leaving out negatives of the same group."""

    def one_way(queries, keys):
        losses = []
        for i in range(len(queries)):
            own = torch.exp(scale * queries[i] @ keys[i])
            total = own
            for j in range(len(keys)):
                same = groups[i] >= 0 and groups[i] == groups[j]
                if i != j and not same:
                    total = total + torch.exp(scale * queries[i] @ keys[j])
            losses.append(-torch.log(own / total))
        return torch.stack(losses).mean()

    return (one_way(images, texts) + one_way(texts, images)) / 2


def test_masked_loss_and_gradients_equal_a_loop():
    images, texts = (unit_rows(s).requires_grad_() for s in (0, 1))
    log_scale = torch.tensor(1.2, requires_grad=True)
    groups = torch.tensor([0, 1, 0, -1, -1, 2, 1, 1, 3, -1])
    ours = contrastive_loss(images, texts, log_scale, groups)
    expected = loop_loss(images, texts, log_scale.exp(), groups.tolist())
    torch.testing.assert_close(ours, expected)
    inputs = (images, texts, log_scale)
    assert_same_gradients(ours, expected, inputs)


def test_without_groups_it_is_plain_clip():
    images, texts, log_scale = unit_rows(2), unit_rows(3), torch.tensor(2.0)
    logits = log_scale.exp() * images @ texts.T
    targets = torch.arange(BATCH)
    expected = (
        functional.cross_entropy(logits, targets) + functional.cross_entropy(logits.T, targets)
    ) / 2
    torch.testing.assert_close(contrastive_loss(images, texts, log_scale), expected)


def test_all_of_one_group_leaves_no_negative():
    images, texts = unit_rows(4), unit_rows(5)
    loss = contrastive_loss(images, texts, torch.tensor(0.0), torch.zeros(BATCH, dtype=torch.int64))
    assert loss == 0


def test_half_precision_input_gives_a_float32_loss():
    loss = contrastive_loss(unit_rows(0).bfloat16(), unit_rows(1).bfloat16(), torch.tensor(1.0))
    assert loss.dtype == torch.float32


def test_the_logit_scale_is_held_and_can_come_down_again():
    log_scale = torch.nn.Parameter(torch.tensor(9.0))
    cap_logit_scale_(log_scale)
    assert math.isclose(log_scale.exp().item(), 100.0, rel_tol=1e-5)
    # Pairs that fit badly: a smaller scale is better, and the gradient says so.
    contrastive_loss(unit_rows(6), unit_rows(7), log_scale).backward()
    assert log_scale.grad > 0


def test_two_ranks_equal_one_process(tmp_path):
    """Each rank's gradients, averaged as DDP does, are those of the whole batch."""
    script = Path(__file__).parents[2] / "support" / "two_rank_contrastive.py"
    procs = [
        subprocess.Popen([sys.executable, str(script), str(rank), str(tmp_path)])
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in procs] == [0, 0]
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    images, texts = (unit_rows(s).requires_grad_() for s in (0, 1))
    log_scale = torch.tensor(1.5, requires_grad=True)
    groups = torch.arange(BATCH) % 4 - 1
    loss = contrastive_loss(images, texts, log_scale, groups)
    loss.backward()
    torch.testing.assert_close((parts[0]["loss"] + parts[1]["loss"]) / 2, loss.detach())
    for name, whole in (("images", images.grad), ("texts", texts.grad)):
        # A rank holds the gradient of its own rows; averaging over ranks halves it.
        got = torch.cat([part[name] for part in parts]) / 2
        torch.testing.assert_close(got, whole)
    scale = (parts[0]["log_scale"] + parts[1]["log_scale"]) / 2
    torch.testing.assert_close(scale, log_scale.grad)


@pytest.mark.parametrize("chunk", [1, 3, 9, 10])
def test_chunks_of_rows_change_neither_loss_nor_gradients(chunk):
    inputs = unit_rows(0).requires_grad_(), unit_rows(1).requires_grad_(), torch.tensor(1.2)
    inputs[2].requires_grad_()
    groups = torch.tensor([0, 1, 0, -1, -1, 2, 1, 1, 3, -1])
    ours = contrastive_loss(*inputs, groups, chunk=chunk)
    whole = contrastive_loss(*inputs, groups)
    torch.testing.assert_close(ours, whole)
    assert_same_gradients(ours, whole, inputs, rtol=1e-5, atol=1e-7)
