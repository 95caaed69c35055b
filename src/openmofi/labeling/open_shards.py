"""Images of shards through an encoder, in batches that run across shards."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.errors import ShardError
from openmofi.labeling.config import EmbedConfig
from openmofi.models.stored import model_folder
from openmofi.stage import ShardInput
from openmofi.store_wait import apart, blocked_on
from openmofi.stream import ahead
from openmofi.versions import read_manifest
from openmofi.workers import one_line

if TYPE_CHECKING:
    from openmofi.labeling.decoding import Edit, Picture
    from openmofi.labeling.encoding import Embedded, ImageEncoder
    from openmofi.models.encoder import ClipEncoder


def open_encoder(model: str, options: EmbedConfig) -> "ClipEncoder":
    """Load an encoder, while the server of the processes that decode starts.

    The store brings the model while seconds of imports go by.

    Args:
        model: URI of the ``model`` manifest.
        options: Its device, precision and whether it is compiled.
    """
    with ThreadPoolExecutor(1) as pool:
        brought = pool.submit(apart, _bring, model)
        # Here, not above, since a run that finds all shards done does not need them.
        from openmofi.labeling.decoding import start_server
        from openmofi.models.encoder import load_encoder

        start_server()
        blocked_on(brought)
    return load_encoder(
        model, device=options.device, precision=options.precision, compiled=options.compiled
    )


def _bring(model: str) -> None:
    """Put a model's files where this machine finds them; see `model_folder`."""
    manifest = read_manifest(model, "model")
    model_folder(manifest)


class Wanted(Protocol):
    """Which images of a shard are to be embedded; a stage may keep more in it."""

    @property
    def samples(self) -> pa.Table:
        """The shard's samples, with ``offset`` and ``length``."""

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """Of the images, in order."""

    @property
    def edits(self) -> "Sequence[Edit]":
        """What is done to each first; empty: nothing."""


WantedT = TypeVar("WantedT", bound=Wanted)


@dataclass
class OpenShard(Generic[WantedT]):
    """A shard whose images are being embedded.

    Args:
        shard: The shard.
        wanted: What is wanted of it; nothing where there is an error.
        vectors: ``float16[rows wanted, dim]``, filled in by and by; zeros where it failed.
        ok: ``bool[rows wanted]``.
        edited: ``float32[rows wanted]``, the share of each image that its edit has changed.
        error: In one line, why it has no table.
    """

    shard: ShardInput
    wanted: WantedT | None = None
    vectors: npt.NDArray[np.float16] = field(default_factory=lambda: np.zeros((0, 0), np.float16))
    ok: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    edited: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    error: str = ""
    tar: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    pictures: "Sequence[Picture]" = ()
    filled: int = 0

    def open(self, wanted: WantedT, dim: int) -> None:
        """Take what is wanted, and check that the tar holds it."""
        from openmofi.labeling.decoding import Picture

        self.wanted = wanted
        number = len(wanted.rows)
        self.vectors = np.zeros((number, dim), np.float16)
        self.ok, self.edited = np.zeros(number, np.bool_), np.zeros(number, np.float32)
        if not number:
            return
        path = self.tar.enter_context(self.shard.store.local_file(self.shard.work.tar_key))
        offsets, lengths = (
            wanted.samples.column(name).to_numpy()[wanted.rows] for name in ("offset", "length")
        )
        size = path.stat().st_size
        if (offsets + lengths).max() > size:
            raise ShardError(f"{self.shard.work.tar_key} is cut short at byte {size}")
        edits: Sequence[Edit | None] = wanted.edits or [None] * number
        places = zip(offsets.tolist(), lengths.tolist(), edits, strict=True)
        self.pictures = [Picture(str(path), *place) for place in places]

    @property
    def missing(self) -> int:
        """Images that are still to be embedded."""
        return len(self.pictures) - self.filled

    def fill(self, block: "Embedded", start: int, end: int) -> None:
        """Take the embeddings of the next images: those from ``start`` to ``end`` of a block."""
        part = slice(self.filled, self.filled + end - start)
        self.vectors[part] = block.vectors[start:end]
        self.ok[part], self.edited[part] = block.ok[start:end], block.edited[start:end]
        self.filled = part.stop


def embedded_shards(
    encoder: "ImageEncoder",
    shards: Sequence[ShardInput],
    choose: Callable[[ShardInput], WantedT],
    options: EmbedConfig,
    *,
    name: str,
) -> Iterator[OpenShard[WantedT]]:
    """Each shard, in order, as soon as the last of its images is embedded.

    Args:
        encoder: The encoder.
        shards: All that are to be done.
        choose: What is wanted of a shard; runs in a thread, ahead.
        options: How images are read and batched.
        name: The stage's, for what is said at the end.
    """
    from openmofi.labeling.encoding import Speed, encode_pictures

    waiting: deque[OpenShard[WantedT]] = deque()
    speed = Speed()
    with contextlib.ExitStack() as tars:

        def pictures() -> "Iterator[Picture]":
            for one in ahead(partial(_opened, choose, encoder.dim), shards):
                tars.callback(one.tar.close)
                waiting.append(one)
                yield from one.pictures

        for block in encode_pictures(
            encoder,
            pictures(),
            batch_size=options.images_per_pass(encoder.device),
            workers=options.processes(encoder.device),
            scaled=options.scaled_decoding,
            speed=speed,
        ):
            yield from _dealt(waiting, block)
        while waiting:  # shards at the end without an image that is wanted
            yield _closed(waiting.popleft())
    speed.tell(name)


def _opened(
    choose: Callable[[ShardInput], WantedT], dim: int, shard: ShardInput
) -> OpenShard[WantedT]:
    """A shard with its tar and what is wanted of it, or why it cannot be had."""
    one: OpenShard[WantedT] = OpenShard(shard)
    try:
        one.open(choose(shard), dim)
    except Exception as error:  # a bad shard must not take the others with it
        one.error = one_line(error)
    return one


def _dealt(waiting: deque[OpenShard[WantedT]], block: "Embedded") -> Iterator[OpenShard[WantedT]]:
    """Give a block's embeddings to the shards that they belong to; the shards that are full."""
    start = 0
    while waiting and (start < len(block.ok) or not waiting[0].missing):
        shard = waiting[0]
        end = min(len(block.ok), start + shard.missing)
        if end > start:
            shard.fill(block, start, end)
        start = end
        if shard.missing:
            return
        yield _closed(waiting.popleft())


def _closed(shard: OpenShard[WantedT]) -> OpenShard[WantedT]:
    shard.tar.close()
    return shard
