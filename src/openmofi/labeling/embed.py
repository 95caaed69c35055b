"""Pixels to embeddings, once per image and model. Knows no entities."""

import contextlib
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.config import parse_config
from openmofi.errors import ShardError
from openmofi.labeling.config import EmbedConfig
from openmofi.models.device import check_device
from openmofi.records import Status, checked, image_embeddings_schema
from openmofi.stage import ShardInput, StageOutput, run_stage
from openmofi.stream import ahead
from openmofi.versions import read_manifest, read_table_version
from openmofi.work import align
from openmofi.workers import one_line

if TYPE_CHECKING:
    from openmofi.labeling.decoding import Picture
    from openmofi.labeling.encoding import Embedded, ImageEncoder

STAGE_VERSION = 2


def embed_images(samples: str, model: str, *, config: Mapping[str, Any] | None = None) -> str:
    """Embed every usable image of ``samples``.

    Args:
        samples: URI of a ``samples`` manifest.
        model: URI of a ``model`` manifest.
        config: Of `EmbedConfig`.

    Returns:
        URI of the ``image_embeddings`` manifest.
    """
    options = parse_config(EmbedConfig, config, where="embed")
    check_device(options.device)
    store, version = read_table_version(samples, "samples")
    stage = EmbedStage(model, read_manifest(model, "model").digest, options)
    return run_stage(stage, store, align({"samples": version}))


@dataclass
class EmbedStage:
    """Images to row-aligned float16 unit vectors, in batches that run across shards.

    Args:
        model: URI of the ``model`` manifest.
        model_digest: Its digest.
        options: See `EmbedConfig`.
    """

    model: str
    model_digest: str
    options: EmbedConfig

    name: str = field(default="image_embeddings", init=False)
    version: int = field(default=STAGE_VERSION, init=False)

    def semantic_config(self) -> Mapping[str, Any]:
        """How pixels are read and numbers rounded; not batch size, device and processes."""
        return self.options.semantic()

    def digests(self) -> Mapping[str, str]:
        """Of the encoder."""
        return {"model": self.model_digest}

    def setup(self) -> None:
        """Load the encoder, while the workers' server starts."""
        # Here, not above: seconds of imports, which a run that finds all shards done does not need.
        from openmofi.labeling.decoding import start_server
        from openmofi.models.encoder import load_encoder

        start_server()
        self.encoder: ImageEncoder = load_encoder(
            self.model,
            device=self.options.device,
            precision=self.options.precision,
            compiled=self.options.compiled,
        )

    def stream(
        self, shards: Sequence[ShardInput]
    ) -> Iterator[tuple[ShardInput, StageOutput | str]]:
        """Each shard's table, as soon as the last of its images is embedded."""
        from openmofi.labeling.encoding import Speed, encode_pictures

        waiting: deque[_OpenShard] = deque()
        speed = Speed()
        with contextlib.ExitStack() as tars:

            def pictures() -> "Iterator[Picture]":
                for shard in ahead(self._open, shards):
                    tars.callback(shard.tar.close)
                    waiting.append(shard)
                    yield from shard.pictures

            blocks = encode_pictures(
                self.encoder,
                pictures(),
                batch_size=self.options.images_per_pass(self.encoder.device),
                workers=self.options.processes(self.encoder.device),
                scaled=self.options.scaled_decoding,
                speed=speed,
            )
            for block in blocks:
                yield from _dealt(waiting, block)
            while waiting:  # shards at the end without a usable image
                yield _closed(waiting.popleft())
        speed.tell(self.name)

    def _open(self, shard: ShardInput) -> "_OpenShard":
        """Fetch a shard's tar and samples, or note why it cannot be; runs in a thread, ahead."""
        opened = _OpenShard(shard, self.encoder.dim)
        try:
            opened.open()
        except Exception as error:  # a bad shard must not take the others with it
            opened.error = one_line(error)
        return opened


class _OpenShard:
    """A shard whose images are being embedded."""

    def __init__(self, shard: ShardInput, dim: int) -> None:
        self.shard = shard
        self.tar = contextlib.ExitStack()
        self.error = ""
        self.pictures: list[Picture] = []
        self._dim = dim
        self._filled = 0

    def open(self) -> None:
        """Read which images there are, and check that the tar holds them."""
        from openmofi.labeling.decoding import Picture

        samples = self.shard.table("samples").select(["status", "offset", "length"])
        usable = np.array(samples.column("status").to_pylist(), object) == Status.OK
        self.rows = np.flatnonzero(usable)
        self.vectors = np.zeros((len(usable), self._dim), np.float16)
        self.ok = np.zeros(len(usable), np.bool_)
        if not len(self.rows):
            return
        path = self.tar.enter_context(self.shard.store.local_file(self.shard.work.tar_key))
        offsets = samples.column("offset").to_numpy()[usable]
        lengths = samples.column("length").to_numpy()[usable]
        size = path.stat().st_size
        if (offsets + lengths).max() > size:
            raise ShardError(f"{self.shard.work.tar_key} is cut short at byte {size}")
        places = zip(offsets.tolist(), lengths.tolist(), strict=True)
        self.pictures = [Picture(str(path), offset, length) for offset, length in places]

    @property
    def missing(self) -> int:
        """Images that are still to be embedded."""
        return len(self.pictures) - self._filled

    def fill(self, vectors: npt.NDArray[np.float16], ok: npt.NDArray[np.bool_]) -> None:
        """Take the embeddings of the next images."""
        rows = self.rows[self._filled : self._filled + len(ok)]
        self.vectors[rows], self.ok[rows] = vectors, ok
        self._filled += len(ok)

    def output(self) -> StageOutput:
        """The shard's table."""
        statuses = np.full(len(self.ok), str(Status.SKIPPED), object)
        statuses[self.rows] = str(Status.FAILED)
        statuses[self.ok] = str(Status.OK)
        table = embeddings_table(statuses, self.vectors)
        return StageOutput(table, Counter(statuses.tolist()))


def _dealt(
    waiting: "deque[_OpenShard]", block: "Embedded"
) -> Iterator[tuple[ShardInput, StageOutput | str]]:
    """Give a block's embeddings to the shards that they belong to; the shards that are full."""
    start = 0
    while waiting and (start < len(block.ok) or not waiting[0].missing):
        shard = waiting[0]
        end = min(len(block.ok), start + shard.missing)
        if end > start:
            shard.fill(block.vectors[start:end], block.ok[start:end])
        start = end
        if shard.missing:
            return
        yield _closed(waiting.popleft())


def _closed(shard: _OpenShard) -> tuple[ShardInput, StageOutput | str]:
    shard.tar.close()
    return shard.shard, shard.error or shard.output()


def embeddings_table(
    statuses: Sequence[str] | npt.NDArray[np.object_], vectors: npt.NDArray[np.float16]
) -> pa.Table:
    """The row-aligned table of ``vectors`` [rows, dim], which hold zeros where it is not ok."""
    dim = vectors.shape[1]
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dim)
    names = pa.array([str(status) for status in statuses], pa.string())
    table = pa.table({"embedding": column, "status": names})
    return checked(table, image_embeddings_schema(dim))


def read_embeddings(
    table: pa.Table,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Vectors of a row-aligned table, and where they are.

    Returns:
        ``float32[ok rows, dim]``, and per row of the table the index into it, or -1.
    """
    ok = np.asarray(table.column("status").to_pylist(), object) == Status.OK
    column = table.column("embedding").combine_chunks()
    dim = table.schema.field("embedding").type.list_size
    flat = column.filter(pa.array(ok)).flatten().to_numpy(zero_copy_only=False)
    vectors = flat.astype(np.float32).reshape(-1, dim)
    return vectors, np.where(ok, np.cumsum(ok) - 1, -1)
