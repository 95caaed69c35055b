"""Images decoded in worker processes, ahead of the encoder, in batches that run across shards.

What a worker does is geometry: decode, turn, resize, crop. It holds no model, and hands over bytes;
the encoder's device makes numbers of them.
"""

import multiprocessing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from openmofi.errors import ShardError
from openmofi.images import MAX_PIXELS, decode_image

_BATCHES_AHEAD = 2  # a worker


class Geometry(Protocol):
    """What is done to a decoded image; see `openmofi.models.preprocessing.Preprocess`."""

    @property
    def height(self) -> int:
        """Of the result, pixels."""

    @property
    def width(self) -> int:
        """Of the result, pixels."""

    @property
    def least_side(self) -> int:
        """The shorter side that an image needs so that nothing is enlarged."""

    def pixels(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """``uint8[height, width, 3]``."""


class Edit(Protocol):
    """What is done to a decoded image before its geometry; sent to the workers."""

    def __call__(self, image: Image.Image) -> tuple[Image.Image, float]:
        """The edited image, and which share of it was changed, 0 to 1.

        Args:
            image: RGB; a large JPEG may have been decoded at a fraction of its size.
        """


class Picture(NamedTuple):
    """Where an image file's bytes lie."""

    path: str  # a local file, such as a pool tar
    offset: int
    length: int
    edit: Edit | None = None


class Decoded(NamedTuple):
    """A batch, in the order in which its pictures were asked for."""

    pixels: torch.Tensor  # uint8[B, H, W, 3], zeros where it failed
    ok: torch.Tensor  # bool[B]
    edited: torch.Tensor  # float32[B], the share of each that its edit has changed


@dataclass(frozen=True)
class Decoder(Dataset[Decoded]):
    """Pictures to pixels; sent to the workers.

    Args:
        geometry: Of the encoder.
        scaled: Decode large JPEGs at a fraction of their size, see `least_side`.
    """

    geometry: Geometry
    scaled: bool

    @property
    def least_side(self) -> int | None:
        """What a decoded image keeps of its shorter side: twice what the encoder takes.

        So the last halving is still the resampling filter's. Against full decoding that changes
        less than storing the photograph again at quality 90 does (docs/experiments.md).
        """
        return 2 * self.geometry.least_side if self.scaled else None

    def __getitems__(self, pictures: list[Picture]) -> Decoded:
        """One batch."""
        shape = (len(pictures), self.geometry.height, self.geometry.width, 3)
        pixels = torch.zeros(shape, dtype=torch.uint8)
        ok = torch.zeros(len(pictures), dtype=torch.bool)
        edited = torch.zeros(len(pictures))
        rows = pixels.numpy()
        for row, picture in enumerate(pictures):
            data = _read(picture)
            try:
                rows[row], edited[row] = self._prepared(data, picture.edit)
                ok[row] = True
            except Exception:  # one bad sample is a row with a status
                continue
        return Decoded(pixels, ok, edited)

    def _prepared(
        self, data: bytes, edit: Edit | None = None
    ) -> tuple[npt.NDArray[np.uint8], float]:
        image = decode_image(data, least_side=self.least_side)
        # A line of pixels, resized until its shorter side is covered, would be gigabytes.
        aspect = max(image.size) / min(image.size)
        if aspect * self.geometry.least_side**2 > MAX_PIXELS:
            raise ValueError(f"an image of {image.width} x {image.height} cannot be resized")
        image, edited = edit(image) if edit else (image, 0.0)
        return self.geometry.pixels(image), edited


def _read(picture: Picture) -> bytes:
    with open(picture.path, "rb") as file:
        file.seek(picture.offset)
        return file.read(picture.length)


def decoded_batches(
    decoder: Decoder,
    pictures: Iterable[Picture],
    *,
    batch_size: int,
    workers: int,
    pinned: bool = False,
) -> Iterator[Decoded]:
    """All pictures, in order, in full batches but for the last one.

    Args:
        decoder: What is done to each.
        pictures: Asked for as far ahead as batches are decoded.
        batch_size: Pictures in a batch.
        workers: Processes.
        pinned: Hand over page-locked memory, from which a GPU copies by itself.

    Raises:
        ShardError: A worker was killed, or could not read a file.
    """
    loader = DataLoader(
        decoder,
        batch_sampler=_Batches(pictures, batch_size),
        num_workers=workers,
        prefetch_factor=_BATCHES_AHEAD,
        collate_fn=_as_it_is,
        multiprocessing_context=start_server(),
        pin_memory=pinned,
    )
    try:
        yield from loader
    except (RuntimeError, OSError) as error:
        # A worker's error comes with its traceback as text; of a killed one torch says the number.
        reason = str(error).strip().splitlines()[-1]
        raise ShardError(
            f"a process that decodes images failed, perhaps for want of memory: {reason}"
        ) from error


def start_server() -> multiprocessing.context.ForkServerContext:
    """Start the process from which workers are forked, if there is none, without waiting for it.

    It imports torch once, and has no threads of an encoder that a forked child would lack.
    """
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    forkserver.ensure_running()
    return context


@dataclass(frozen=True)
class _Batches:
    """Lists of pictures. Not a generator, which could be iterated once only."""

    pictures: Iterable[Picture]
    size: int

    def __iter__(self) -> Iterator[list[Picture]]:
        batch: list[Picture] = []
        for picture in self.pictures:
            batch.append(picture)
            if len(batch) == self.size:
                yield batch
                batch = []
        if batch:
            yield batch


def _as_it_is(batch: Any) -> Any:
    return batch
