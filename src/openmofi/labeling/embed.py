"""Pixels to embeddings, once per image and model. Knows no entities."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from openmofi.config import parse_config
from openmofi.labeling.config import EmbedConfig
from openmofi.labeling.decoding import prepared_samples
from openmofi.models.device import check_device
from openmofi.records import Status, checked, image_embeddings_schema
from openmofi.stage import ShardInput, StageOutput, run_stage
from openmofi.versions import read_manifest, read_table_version
from openmofi.work import align

if TYPE_CHECKING:
    import torch

STAGE_VERSION = 1


class ImageEncoder(Protocol):
    """What the stage needs of an encoder; see `openmofi.models.encoder.ClipEncoder`."""

    @property
    def dim(self) -> int:
        """Width of an embedding."""

    def preprocess(self, image: Image.Image) -> "torch.Tensor":
        """``float32[3, H, W]`` of a decoded image."""

    def encode_images(self, images: "torch.Tensor") -> npt.NDArray[np.float32]:
        """Unit vectors ``[B, dim]``."""


def embed_images(
    samples: str, model: str, *, config: Mapping[str, Any] | None = None, workers: int = 1
) -> str:
    """Embed every usable image of ``samples``.

    Args:
        samples: URI of a ``samples`` manifest.
        model: URI of a ``model`` manifest.
        config: Of `EmbedConfig`.
        workers: Processes; the cores are shared out among their encoders.

    Returns:
        URI of the ``image_embeddings`` manifest.
    """
    options = parse_config(EmbedConfig, config, where="embed")
    check_device(options.device)
    store, version = read_table_version(samples, "samples")
    stage = EmbedStage(
        model=model,
        model_digest=read_manifest(model, "model").digest,
        options=options,
        threads=max(1, (os.cpu_count() or 1) // workers) if workers > 1 else None,
    )
    return run_stage(stage, store, align({"samples": version}), workers=workers)


@dataclass
class EmbedStage:
    """One shard's images to row-aligned float16 unit vectors.

    Args:
        model: URI of the ``model`` manifest.
        model_digest: Its digest.
        options: See `EmbedConfig`.
        threads: Of the encoder; ``None`` leaves torch's own number.
    """

    model: str
    model_digest: str
    options: EmbedConfig
    threads: int | None = None

    name: str = field(default="image_embeddings", init=False)
    version: int = field(default=STAGE_VERSION, init=False)

    def semantic_config(self) -> Mapping[str, Any]:
        """Nothing: batch size, device and threads cannot change the result."""
        return self.options.semantic()

    def digests(self) -> Mapping[str, str]:
        """Of the encoder."""
        return {"model": self.model_digest}

    def setup(self) -> None:
        """Load the encoder."""
        # Here, not above: seconds of imports, which a run that finds all shards done does not need.
        import torch

        from openmofi.models.encoder import load_encoder

        if self.threads is not None:
            torch.set_num_threads(self.threads)
        self.encoder: ImageEncoder = load_encoder(self.model, device=self.options.device)

    def process(self, shard: ShardInput) -> StageOutput:
        """Decode ahead, encode in batches, one row a sample."""
        import torch

        statuses: list[Status] = []

        def usable() -> "Iterator[tuple[int, torch.Tensor]]":
            size = self.options.batch_size
            prepared = prepared_samples(
                shard,
                self.encoder.preprocess,
                threads=self.options.decode_threads,
                ahead=2 * size,
            )
            for row, image, status in prepared:
                statuses.append(status)
                if image is not None:
                    yield row, image

        found: dict[int, npt.NDArray[np.float16]] = {}
        for batch in _batches(usable(), self.options.batch_size):
            # Always a full batch: small ones take kernels that round by the number of threads,
            # and so of workers.
            images = [image for _, image in batch]
            images += images[:1] * (self.options.batch_size - len(batch))
            vectors = self.encoder.encode_images(torch.stack(images))[: len(batch)]
            found.update(zip((row for row, _ in batch), vectors.astype(np.float16), strict=True))
        for row, vector in list(found.items()):
            if not np.isfinite(vector).all():  # an overflow in the encoder
                statuses[row] = Status.FAILED
                del found[row]
        table = embeddings_table(statuses, found, self.encoder.dim)
        return StageOutput(table, Counter(str(status) for status in statuses))


def embeddings_table(
    statuses: Sequence[Status], vectors: Mapping[int, npt.NDArray[np.float16]], dim: int
) -> pa.Table:
    """The row-aligned table: ``vectors[row]`` where the status is ok, zeros elsewhere."""
    values = np.zeros((len(statuses), dim), np.float16)
    for row, vector in vectors.items():
        values[row] = vector
    column = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), dim)
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


def _batches(
    items: "Iterable[tuple[int, torch.Tensor]]", size: int
) -> "Iterator[list[tuple[int, torch.Tensor]]]":
    batch: list[tuple[int, torch.Tensor]] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
