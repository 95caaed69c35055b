"""A decoded image to what an encoder takes, in two halves.

Geometry (resize and crop, in bytes) is for the processes that decode, which hold no model;
normalisation is for the encoder's device, so that a quarter of the bytes has to move there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from openmofi.errors import InputError

if TYPE_CHECKING:
    import torch

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
_RESIZE_MODES = ("shortest", "longest", "squash")


@dataclass(frozen=True)
class Preprocess:
    """How a decoded image becomes an encoder's input. Picklable, and it needs no torch.

    Attributes:
        height: Of the result, pixels.
        width: Of the result, pixels.
        mean: Per channel, of values from 0 to 1; see `normalized`.
        std: The same.
        interpolation: nearest, lanczos, bilinear, bicubic, box or hamming.
        resize_mode: "shortest" keeps the aspect ratio and covers ``resize_to``, "longest" keeps it
            and fits within, "squash" does not keep it.
        resize_to: (height, width) before the centre crop, where it is not that of the result.
        fill_color: 0 to 255, of what is padded.
        crop_rounds_down: When the margin is odd, the crop begins before the middle, as in
            transformers; else where torchvision has it, which rounds to even numbers.
    """

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    resize_mode: str
    resize_to: tuple[int, int] | None = None
    fill_color: int = 0
    crop_rounds_down: bool = False

    def __post_init__(self) -> None:
        """Refuse an unknown name here, and not at the first image.

        Raises:
            InputError: The interpolation or the resize mode is unknown.
        """
        if self.interpolation not in _FILTERS:
            known = ", ".join(_FILTERS)
            raise InputError(f"interpolation {self.interpolation!r} is unknown; known: {known}")
        if self.resize_mode not in _RESIZE_MODES:
            known = ", ".join(_RESIZE_MODES)
            raise InputError(f"resize_mode {self.resize_mode!r} is unknown; known: {known}")

    @classmethod
    def from_open_clip(cls, config: Mapping[str, Any]) -> Self:
        """That of open_clip's ``image_transform_v2(PreprocessCfg(**config), is_train=False)``.

        Args:
            config: ``model.visual.preprocess_cfg``; what is missing has open_clip's default.

        Raises:
            InputError: Open_clip has no such interpolation or resize mode.
        """
        from open_clip.transform import PreprocessCfg, merge_preprocess_dict

        full = merge_preprocess_dict(PreprocessCfg(), dict(config))
        height, width = _pair(full["size"])
        interpolation = full["interpolation"]
        if interpolation not in ("bilinear", "bicubic", "random"):
            raise InputError(f"interpolation {interpolation!r} is unknown to open_clip")
        # "random" is for training; and open_clip resizes to oblong inputs with its default.
        if interpolation == "random" or (full["resize_mode"] == "shortest" and height != width):
            interpolation = "bicubic"
        return cls(
            height=height,
            width=width,
            mean=_three(full["mean"]),
            std=_three(full["std"]),
            interpolation=interpolation,
            resize_mode=full["resize_mode"],
            fill_color=full["fill_color"],
        )

    @classmethod
    def from_transformers(cls, config: Mapping[str, Any]) -> Self:
        """That of an image processor of transformers, in its PIL form.

        Args:
            config: ``preprocessor_config.json`` as an image processor's ``to_dict`` gives it: old
                files leave sizes to the class.

        Raises:
            InputError: Its results have no fixed size.
        """
        size = dict(config.get("size") or {})
        crop = dict(config.get("crop_size") or {}) if config.get("do_center_crop") else None
        if size.keys() == {"shortest_edge"} and crop is not None:
            resize_to, mode = (size["shortest_edge"], size["shortest_edge"]), "shortest"
        elif size.keys() == {"height", "width"}:
            resize_to, mode = (size["height"], size["width"]), "squash"
        else:
            resize_to, mode = (0, 0), ""
        if not mode or not config.get("do_resize"):
            kind = config.get("image_processor_type", "image processor")
            raise InputError(
                f"{kind} with size {size} gives images of no fixed size; needed are do_resize and "
                "height and width, or shortest_edge with do_center_crop"
            )
        mean, std = _folded(config)
        height, width = (crop["height"], crop["width"]) if crop else resize_to
        return cls(
            height=height,
            width=width,
            mean=mean,
            std=std,
            interpolation=Image.Resampling(config.get("resample", 2)).name.lower(),
            resize_mode=mode,
            resize_to=resize_to,
            crop_rounds_down=True,
        )

    @property
    def least_side(self) -> int:
        """The shorter side that an image needs so that `pixels` enlarges nothing.

        A JPEG may be decoded at a fraction of its size as long as it keeps that.
        """
        target = self.resize_to or (self.height, self.width)
        return min(target) if self.resize_mode == "longest" else max(target)

    def pixels(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """Resize and centre crop: ``uint8[height, width, 3]``, C-contiguous.

        Args:
            image: Of any size; modes other than RGB are converted before anything else.
        """
        height, width = self._resized(image.height, image.width)
        rgb = image if image.mode == "RGB" else image.convert("RGB")  # which would copy it
        resized = rgb.resize((width, height), _FILTERS[self.interpolation])
        left, top = self._start(width, self.width), self._start(height, self.height)
        if width >= self.width and height >= self.height:
            return np.array(resized.crop((left, top, left + self.width, top + self.height)))
        canvas = Image.new("RGB", (self.width, self.height), (self.fill_color,) * 3)
        canvas.paste(resized, (-left, -top))
        return np.array(canvas)

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) after the resize."""
        target_height, target_width = self.resize_to or (self.height, self.width)
        if self.resize_mode == "squash":
            return target_height, target_width
        if self.resize_mode == "shortest" and target_height == target_width:
            # Rounded down, not to the nearest as below: both libraries do.
            if width <= height:
                return int(target_width * height / width), target_width
            return target_height, int(target_height * width / height)
        ratios = height / target_height, width / target_width
        ratio = max(ratios) if self.resize_mode == "longest" else min(ratios)
        # At least 1, which a line of pixels would miss; open_clip fails there.
        return max(1, round(height / ratio)), max(1, round(width / ratio))

    def _start(self, size: int, crop: int) -> int:
        """Where the crop begins; negative where the image is padded instead."""
        if self.crop_rounds_down:
            return (size - crop) // 2
        return round((size - crop) / 2) if size >= crop else -((crop - size) // 2)


def normalized(pixels: "torch.Tensor", preprocess: Preprocess) -> "torch.Tensor":
    """Bytes to what the image tower takes, on the device where they are.

    Args:
        pixels: ``uint8[B, height, width, 3]``.
        preprocess: Whose mean and std are meant.

    Returns:
        ``float32[B, 3, height, width]`` in channels-last memory.
    """
    import torch

    # In this order and precision it is open_clip's to the bit, on a CPU.
    values = pixels.contiguous().permute(0, 3, 1, 2).to(torch.float32).div_(255)
    mean = _per_channel(preprocess.mean, values.device)
    std = _per_channel(preprocess.std, values.device)
    return values.sub_(mean).div_(std)


@cache
def _per_channel(values: tuple[float, ...], device: "torch.device") -> "torch.Tensor":
    # Kept: a copy of three numbers to a GPU would wait for all that is under way there.
    import torch

    return torch.tensor(values, dtype=torch.float32, device=device).view(1, -1, 1, 1)


def _folded(
    config: Mapping[str, Any],
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and std that do all of what transformers does to values: rescale, shift, normalise."""
    scale = config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 1.0
    shift = 1.0 if config.get("rescale_offset") else 0.0  # ALIGN's: from -1 to 1
    normalizes = config.get("do_normalize", True)
    mean = _three(config["image_mean"]) if normalizes else (0.0, 0.0, 0.0)
    std = _three(config["image_std"]) if normalizes else (1.0, 1.0, 1.0)
    factor = round(255 * scale, 12)  # exactly 1 for the usual 1/255
    return (
        _three([(one + shift) / factor for one in mean]),
        _three([one / factor for one in std]),
    )


def _pair(size: Any) -> tuple[int, int]:
    if isinstance(size, int | float):
        return int(size), int(size)
    height, width = (*size, *size)[:2]  # one number stands for both
    return int(height), int(width)


def _three(values: Any) -> tuple[float, float, float]:
    if isinstance(values, int | float):
        values = [values] * 3
    red, green, blue = values
    return float(red), float(green), float(blue)
