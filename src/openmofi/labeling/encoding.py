"""Pictures to embeddings, in order, with an encoder that waits as little as can be."""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch

from openmofi.labeling.decoding import Decoded, Decoder, Geometry, Picture, decoded_batches
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
    edited: npt.NDArray[np.float32]  # [n], the share of each that its edit has changed


@dataclass
class Speed:
    """How an encoding goes, from when this was made."""

    images: int = 0
    waited: float = 0.0  # seconds in which no decoded batch was there, after the first
    _started: float = field(default_factory=time.monotonic)

    def timed(self, batches: Iterable[Decoded]) -> Iterator[Decoded]:
        """The batches; how long they were waited for is noted.

        Not for the first, whose workers are only starting: more of them would not mend that.
        """
        remaining = iter(batches)
        first = next(remaining, None)
        while first is not None:
            yield first
            asked = time.monotonic()
            first = next(remaining, None)
            self.waited += time.monotonic() - asked

    def counted(self, block: Embedded) -> Embedded:
        """The block; its images are counted."""
        self.images += len(block.ok)
        return block

    def tell(self, name: str) -> None:
        """One line; nothing if there was nothing to do."""
        if not self.images:
            return
        seconds = time.monotonic() - self._started
        say(
            f"{name}: {self.images} images, {self.images / seconds:.1f} a second; the encoder "
            f"waited for decoded images {100 * self.waited / seconds:.1f} % of the time at most"
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
    on_gpu = encoder.device.startswith("cuda")
    batches = decoded_batches(
        Decoder(encoder.preprocess, scaled),
        pictures,
        batch_size=batch_size,
        workers=workers,
        pinned=on_gpu,
    )
    # A GPU works through what is launched by itself. CPU cores get a batch each: threads that share
    # one wait for each other at every layer, the more so while other processes decode.
    streams = 1 if on_gpu else torch.get_num_threads()
    under_way: deque[Callable[[], Embedded]] = deque()
    with _encoding_threads(streams, on_gpu) as pool:
        for batch in speed.timed(batches):
            launched = pool.submit(encoder.launch, _full(batch.pixels, batch_size))
            under_way.append(partial(_finished, launched, batch.ok, batch.edited))
            if len(under_way) > streams:  # the next ones are at work while this one is read
                yield speed.counted(under_way.popleft()())
        while under_way:
            yield speed.counted(under_way.popleft()())


@contextlib.contextmanager
def _encoding_threads(streams: int, on_gpu: bool) -> Iterator[ThreadPoolExecutor]:
    """Threads that launch batches; on a CPU each computes on one core."""
    before = torch.get_num_threads()
    if on_gpu:
        with ThreadPoolExecutor(1) as pool:
            yield pool
        return
    torch.set_num_threads(1)  # of this thread, and of libraries that know one number for all
    try:
        with ThreadPoolExecutor(streams, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)


def _full(pixels: torch.Tensor, size: int) -> torch.Tensor:
    """A batch with its first image repeated up to ``size``.

    Small batches take other matrix kernels, which round otherwise, by the number of threads too.
    """
    missing = size - len(pixels)
    return pixels if not missing else torch.cat([pixels, pixels[:1].expand(missing, -1, -1, -1)])


def _finished(launched: "Future[torch.Tensor]", ok: torch.Tensor, edited: torch.Tensor) -> Embedded:
    found = launched.result()[: len(ok)].float().cpu().numpy()
    finite = np.isfinite(found).all(axis=1)  # an overflow in the encoder
    usable = ok.numpy() & finite
    vectors = np.where(usable[:, None], found, 0).astype(np.float16)
    return Embedded(vectors, usable, edited.numpy())
