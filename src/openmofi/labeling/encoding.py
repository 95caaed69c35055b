"""Pictures to embeddings, in order, with an encoder that waits as little as can be."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch

from openmofi.labeling.decoding import Decoder, Geometry, Picture, decoded_batches
from openmofi.progress import say


class ImageEncoder(Protocol):
    """What is needed of an encoder; see `openmofi.models.encoder.ClipEncoder`."""

    @property
    def dim(self) -> int:
        """Width of an embedding."""

    @property
    def device(self) -> str:
        """Where it runs."""

    @property
    def preprocess(self) -> Geometry:
        """Of its images."""

    def launch(self, pixels: torch.Tensor) -> torch.Tensor:
        """``float32[B, dim]`` unit vectors on its device, of ``uint8[B, H, W, 3]``."""


class Embedded(NamedTuple):
    """Embeddings of consecutive pictures."""

    vectors: npt.NDArray[np.float16]  # [n, dim]
    ok: npt.NDArray[np.bool_]  # [n], False: undecodable, or not finite


@dataclass
class Speed:
    """How an encoding went."""

    images: int = 0
    seconds: float = 0.0
    waited: float = 0.0  # seconds in which no decoded batch was there

    def tell(self, name: str) -> None:
        """One line; nothing if there was nothing to do."""
        if not self.images:
            return
        say(
            f"{name}: {self.images} images, {self.images / self.seconds:.1f} a second; the encoder "
            f"waited for decoded images {100 * self.waited / self.seconds:.1f} % of the time"
        )


def encode_pictures(
    encoder: ImageEncoder,
    pictures: Iterable[Picture],
    *,
    batch_size: int,
    workers: int,
    scaled: bool,
    speed: Speed | None = None,
) -> Iterator[Embedded]:
    """Embed pictures, in blocks that follow their order.

    Args:
        encoder: The encoder.
        pictures: Asked for ahead of time.
        batch_size: Images per forward pass. Every pass has as many, so that no image's vector
            depends on how many it is encoded with.
        workers: Processes that decode.
        scaled: See `openmofi.labeling.decoding.Decoder`.
        speed: Filled in while it goes on.
    """
    speed = speed or Speed()
    batches = decoded_batches(
        Decoder(encoder.preprocess, scaled),
        pictures,
        batch_size=batch_size,
        workers=workers,
        pinned=encoder.device.startswith("cuda"),
    )
    under_way: tuple[torch.Tensor, torch.Tensor] | None = None
    last = time.monotonic()
    while True:
        asked = time.monotonic()
        batch = next(batches, None)
        # The first batch waits for the workers to start: nothing to be mended by more of them.
        speed.waited += (time.monotonic() - asked) if speed.images or under_way else 0.0
        launched = (
            None if batch is None else (encoder.launch(_full(batch.pixels, batch_size)), batch.ok)
        )
        if under_way is not None:  # a GPU is busy with the next batch while this one is read
            yield _finished(*under_way)
            speed.images += len(under_way[1])
        now = time.monotonic()
        speed.seconds, last = speed.seconds + now - last, now
        if launched is None:
            return
        under_way = launched


def _full(pixels: torch.Tensor, size: int) -> torch.Tensor:
    """A batch with its first image repeated up to ``size``.

    Small batches take other matrix kernels, which round otherwise, by the number of threads too.
    """
    missing = size - len(pixels)
    return pixels if not missing else torch.cat([pixels, pixels[:1].expand(missing, -1, -1, -1)])


def _finished(vectors: torch.Tensor, ok: torch.Tensor) -> Embedded:
    found = vectors[: len(ok)].float().cpu().numpy()
    finite = np.isfinite(found).all(axis=1)  # an overflow in the encoder
    usable = ok.numpy() & finite
    return Embedded(np.where(usable[:, None], found, 0).astype(np.float16), usable)
