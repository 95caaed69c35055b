"""Backbones of a few thousand weights, one batch for each, and its InfoNCE."""

from typing import Any

import torch
from torch import Tensor, nn

from openmofi.losses.contrastive import contrastive_loss
from openmofi.models.backbones import create_backbone
from support.training import SMALL_BACKBONE

TRANSFORMERS: dict[str, Any] = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 16, "layers": 2, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 100, "width": 16, "heads": 2, "layers": 2},
}
CONVOLUTIONS: dict[str, Any] = {
    **TRANSFORMERS,
    "custom_text": True,
    "vision_cfg": SMALL_BACKBONE["vision_cfg"],
}
BACKBONES: dict[str, Any] = {
    "CLIP": TRANSFORMERS,
    "CustomTextCLIP": {**TRANSFORMERS, "custom_text": True},
    "convolutions": CONVOLUTIONS,
    "tiny": "tiny",
}


def make_batch(name: str, rows: int = 6) -> tuple[Tensor, Tensor]:
    """Images and tokens for a backbone of `BACKBONES`; the last token is the greatest."""
    side, context = {"convolutions": (32, 12), "tiny": (64, 24)}.get(name, (16, 12))
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(rows, 3, side, side, generator=generator)
    tokens = torch.randint(1, 99, (rows, context), generator=generator)
    tokens[:, -1] = 99
    return images, tokens


def backward(backbone: Any, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss, and the gradients by the parameters' names."""
    images, tokens = batch
    loss = contrastive_loss(
        backbone.encode_image(images, normalize=True),
        backbone.encode_text(tokens, normalize=True),
        backbone.logit_scale,
    )
    backbone.zero_grad(set_to_none=True)
    loss.backward()
    gradients = {n: p.grad.clone() for n, p in backbone.named_parameters() if p.grad is not None}
    return loss.detach(), gradients


def backbone(name: str, seed: int = 0) -> nn.Module:
    return create_backbone(BACKBONES[name], seed=seed)
