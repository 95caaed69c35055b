"""Pixels to embeddings, once per image and model. Knows no entities."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.config import parse_config
from openmofi.labeling.config import EmbedConfig
from openmofi.labeling.open_shards import OpenShard, embedded_shards, open_encoder
from openmofi.models.device import check_device
from openmofi.records import Status, checked, image_embeddings_schema
from openmofi.stage import ShardInput, StageOutput, run_stage
from openmofi.versions import read_manifest, read_table_version
from openmofi.work import align

if TYPE_CHECKING:
    from openmofi.labeling.decoding import Edit

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
        self.encoder = open_encoder(self.model, self.options)

    def stream(
        self, shards: Sequence[ShardInput]
    ) -> Iterator[tuple[ShardInput, StageOutput | str]]:
        """Each shard's table, as soon as the last of its images is embedded."""
        opened = embedded_shards(self.encoder, shards, _usable, self.options, name=self.name)
        for one in opened:
            yield one.shard, one.error or _output(one)


@dataclass(frozen=True)
class _Usable:
    """The images that ingest has accepted."""

    samples: pa.Table
    rows: npt.NDArray[np.int64]
    edits: "Sequence[Edit]" = ()


def _usable(shard: ShardInput) -> _Usable:
    samples = shard.table("samples").select(["status", "offset", "length"])
    statuses = np.array(samples.column("status").to_pylist(), object)
    return _Usable(samples, np.flatnonzero(statuses == Status.OK))


def _output(shard: OpenShard[_Usable]) -> StageOutput:
    assert shard.wanted is not None, "it was opened"
    number, rows = shard.wanted.samples.num_rows, shard.wanted.rows
    vectors = np.zeros((number, shard.vectors.shape[1]), np.float16)
    vectors[rows] = shard.vectors
    statuses = np.full(number, str(Status.SKIPPED), object)
    statuses[rows] = np.where(shard.ok, str(Status.OK), str(Status.FAILED))
    return StageOutput(embeddings_table(statuses, vectors), Counter(statuses.tolist()))


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
