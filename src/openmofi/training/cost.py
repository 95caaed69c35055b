"""What a run costs before it is started: operations of the model, hours of named GPUs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from openmofi.models.backbones import create_backbone, read_backbone_config
from openmofi.training.config import SupervisedConfig, TrainConfig

# Dense bfloat16 operations a second, from the makers' data sheets (H100: the SXM board).
GPU_PEAKS = {"H100": 989e12, "A100": 312e12, "L40S": 362e12}
UTILISATION = 0.4  # of the peak: a plan, not a measurement

# A backward pass takes two products for each of the forward pass. Not counted by running it: the
# counter of torch 2.14 knows no groups there, and makes a depthwise convolution a full one.
_PASSES = 3
_SECONDS_AN_HOUR = 3600


@dataclass(frozen=True)
class BackboneCost:
    """A backbone's size.

    Args:
        image_flops: Of one image's forward pass; an addition and a multiplication are two.
        text_flops: Of one text's, at full context length.
        image_parameters: Weights of the image tower, projection included.
        text_parameters: All others.
    """

    image_flops: float
    text_flops: float
    image_parameters: int
    text_parameters: int


@dataclass(frozen=True)
class RunCost:
    """A whole run's.

    Args:
        samples: Seen, repeats included.
        flops: Of the model: what is computed a second time to save memory does not count.
    """

    samples: int
    flops: float

    def gpu_hours(self, gpu: str, utilisation: float = UTILISATION) -> float:
        """Hours of one GPU of `GPU_PEAKS`, at a share (0 to 1) of its peak."""
        return self.flops / (GPU_PEAKS[gpu] * utilisation) / _SECONDS_AN_HOUR


def backbone_cost(backbone: Mapping[str, Any] | str) -> BackboneCost:
    """Count a backbone's operations and weights, without memory for them.

    Args:
        backbone: See `openmofi.models.backbones.read_backbone_config`.

    Raises:
        InputError: There is no such backbone.
    """
    config, preprocess = read_backbone_config(backbone)
    size = preprocess["size"]
    height, width = (size, size) if isinstance(size, int) else size
    with torch.device("meta"):
        model: Any = create_backbone(config)
        images = torch.empty(2, 3, height, width)
        tokens = torch.zeros(2, config["text_cfg"].get("context_length", 77), dtype=torch.int64)
        image_flops = _count(model.encode_image, images)
        text_flops = _count(model.encode_text, tokens)
    of_images = _parameters(model.visual)
    return BackboneCost(image_flops, text_flops, of_images, _parameters(model) - of_images)


def run_cost(settings: TrainConfig, *, classes: int) -> RunCost:
    """What a run costs.

    Args:
        settings: Of the run.
        classes: Of the vocabulary.

    Raises:
        InputError: See `backbone_cost`.
    """
    backbone = backbone_cost(settings.backbone)
    dim = int(read_backbone_config(settings.backbone)[0]["embed_dim"])
    flops = _PASSES * backbone.image_flops
    for objective in settings.objectives:
        if isinstance(objective, SupervisedConfig):
            # Cosines with the sampled rows: forward, once more, and two products back.
            flops += 4 * 2 * objective.sample_rate * classes * dim
        else:
            # Cosines with the whole batch in both directions.
            flops += _PASSES * (backbone.text_flops + 2 * 2 * settings.batch_size * dim)
    samples = settings.max_steps * settings.batch_size * settings.accumulate
    return RunCost(samples, samples * flops)


def describe(cost: RunCost) -> str:
    """One line for the head of a config; hours where there are some."""
    flops = f"{cost.flops:.1e}".replace("e+", "e")
    line = f"{_count_of(cost.samples)} samples, {flops} FLOP"
    if cost.gpu_hours("H100") < 1:
        return line
    hours = " or ".join(f"{_two_digits(cost.gpu_hours(g))} {g} hours" for g in ("H100", "A100"))
    return f"{line}: {hours} at {UTILISATION * 100:.0f} % of the bfloat16 peak"


def _count(encode: Callable[[torch.Tensor], torch.Tensor], batch: torch.Tensor) -> float:
    """Operations for one of the batch's rows."""
    with FlopCounterMode(display=False) as counter:
        encode(batch)
    operations: int = counter.get_total_flops()
    return operations / len(batch)


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _count_of(samples: int) -> str:
    return f"{samples / 1e9:.1f} billion" if samples >= 1e9 else f"{samples:,}"


def _two_digits(value: float) -> str:
    return f"{int(float(f'{value:.2g}')):,}"
