"""How well alt texts fit images once the text in them is covered, as in T-MARS (2307.03132).

What loses its fit was about the rendered text; what keeps it shows what the alt text says. Scores
only: what is too low is assembly's to decide. Reads pixels of images with text alone.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.config import parse_config
from openmofi.errors import InputError
from openmofi.keys import hash_json
from openmofi.labeling.config import EmbedConfig, MaskConfig
from openmofi.labeling.embed import read_embeddings
from openmofi.labeling.open_shards import OpenShard, embedded_shards, open_encoder
from openmofi.models.device import check_device
from openmofi.records import MASKED_SCORES, Status, checked
from openmofi.stage import ShardInput, StageOutput, run_stage
from openmofi.textregions.rule import fitting_limit, flat_boxes, has_second_look
from openmofi.versions import TableVersion, read_manifest, read_table_versions
from openmofi.work import align

if TYPE_CHECKING:
    from openmofi.labeling.masking import Mask

STAGE_VERSION = 1

_TEXTS = 4096  # encoded at once, so that vectors of a large shard's texts are not all in memory

Scores = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


def score_masked_images(
    samples: Sequence[str],
    image_embeddings: Sequence[str],
    text_regions: Sequence[str],
    model: str,
    *,
    config: Mapping[str, Any] | None = None,
) -> str:
    """Cover the text in images, embed them again, and compare both with the alt text.

    Args:
        samples: Manifest URIs, one a group of shards: what is to be done.
        image_embeddings: Manifest URIs, made with ``model``; may hold more shards.
        text_regions: Manifest URIs; may hold more shards.
        model: URI of a ``model`` manifest.
        config: Of `MaskConfig`.

    Returns:
        URI of ``masked_scores``; its counts are ok, skipped (no region to cover, no alt text, or
        refused by ingest) and failed.

    Raises:
        InputError: The tables do not fit each other, or embeddings were made with another model.
    """
    options = parse_config(MaskConfig, config, where="mask")
    check_device(options.device)
    store, pool = read_table_versions(samples, "samples")
    images = _part(read_table_versions(image_embeddings, "image_embeddings")[1], pool)
    regions = _part(read_table_versions(text_regions, "text_regions")[1], pool)
    digest = read_manifest(model, "model").digest
    if images.digests.get("model") != digest:
        raise InputError(
            f"image_embeddings were made with model {images.digests.get('model')}, and {digest} is "
            "given here; mask with the model that embedded them"
        )
    if options.max_area is None:
        limit = fitting_limit(second_look=has_second_look(regions))
        options = options.model_copy(update={"max_area": limit})
    stage = MaskStage(
        model, digest, regions_recipe(regions), options, options.embedding(images.config)
    )
    tables = {"samples": pool, "image_embeddings": images, "text_regions": regions}
    return run_stage(stage, store, align(tables))


def regions_recipe(regions: TableVersion) -> str:
    """How text regions were made; assembly compares it with that of the regions it is given."""
    return hash_json([regions.stage_version, dict(regions.config), dict(regions.digests)])


def _part(table: TableVersion, pool: TableVersion) -> TableVersion:
    """The shards of ``table`` that are the pool's.

    Raises:
        InputError: A shard has another number of rows than its samples.
    """
    rows = {entry.shard: entry.rows for entry in pool.shards}
    kept = tuple(entry for entry in table.shards if entry.shard in rows)
    for entry in kept:
        if entry.rows != rows[entry.shard]:
            raise InputError(
                f"shard '{entry.shard}': {table.stage} has {entry.rows} rows and samples "
                f"{rows[entry.shard]}; they were made from different pools"
            )
    return replace(table, shards=kept)


@dataclass
class MaskStage:
    """Images with text to scores, in batches that run across shards.

    Args:
        model: URI of the ``model`` manifest.
        model_digest: Its digest.
        regions: Of `regions_recipe`.
        options: See `MaskConfig`.
        pixels: How images are embedded.
    """

    model: str
    model_digest: str
    regions: str
    options: MaskConfig
    pixels: EmbedConfig

    name: str = field(default="masked_scores", init=False)
    version: int = field(default=STAGE_VERSION, init=False)

    def semantic_config(self) -> Mapping[str, Any]:
        """Which regions are covered. How pixels are read stands in the embeddings' recipe."""
        return self.options.semantic()

    def digests(self) -> Mapping[str, str]:
        """Of the encoder, and of how the regions were found."""
        return {"model": self.model_digest, "text_regions": self.regions}

    def setup(self) -> None:
        """Load the encoder, while the workers' server starts."""
        self.encoder = open_encoder(self.model, self.pixels)

    def stream(
        self, shards: Sequence[ShardInput]
    ) -> Iterator[tuple[ShardInput, StageOutput | str]]:
        """Each shard's table, as soon as the last of its images is embedded."""
        opened = embedded_shards(self.encoder, shards, self._choose, self.pixels, name=self.name)
        for one in opened:
            yield one.shard, one.error or self._output(one)

    def _choose(self, shard: ShardInput) -> "_Masked":
        """The images with an alt text and a region that counts."""
        from openmofi.labeling.masking import Mask

        samples = shard.table("samples").select(
            ["status", "offset", "length", "width", "height", "alt_text"]
        )
        polygons, ends = regions_to_mask(shard.table("text_regions"), self.options)
        texts = [bool(text.strip()) for text in samples.column("alt_text").to_pylist()]
        usable = np.array(samples.column("status").to_pylist(), object) == Status.OK
        due = usable & np.array(texts, np.bool_) & (np.diff(ends, prepend=0) > 0)
        vectors, places = read_embeddings(shard.table("image_embeddings"))
        rows = np.flatnonzero(due & (places >= 0))
        starts = ends - np.diff(ends, prepend=0)
        sizes = [samples.column(name).to_numpy() for name in ("width", "height")]
        masks = [
            Mask(polygons[starts[row] : ends[row]], *(int(size[row]) for size in sizes))
            for row in rows.tolist()
        ]
        return _Masked(samples, rows, masks, vectors[places[rows]].astype(np.float16), due)

    def _output(self, shard: OpenShard["_Masked"]) -> StageOutput:
        wanted = shard.wanted
        assert wanted is not None, "it was opened"
        places = np.flatnonzero(shard.ok)
        rows = wanted.rows[places]
        texts = wanted.samples.column("alt_text").take(pa.array(rows)).to_pylist()
        vectors = np.stack([wanted.unmasked[places], shard.vectors[places]])
        scores, finite = self._cosines(texts, vectors)
        scores, areas, rows = scores[:, finite], shard.edited[places[finite]], rows[finite]
        statuses = np.where(wanted.due, str(Status.FAILED), str(Status.SKIPPED)).astype(object)
        statuses[rows] = str(Status.OK)
        table = _table(statuses, rows, (*scores, areas))
        return StageOutput(table, Counter(statuses.tolist()))

    def _cosines(
        self, texts: Sequence[str], vectors: npt.NDArray[np.float16]
    ) -> tuple[Scores, Flags]:
        """Of each text and its images ``[2, n, dim]``: ``[2, n]``, and which are numbers."""
        parts = [np.zeros((2, 0), np.float32)]
        size = self.pixels.images_per_pass(self.encoder.device)
        for start in range(0, len(texts), _TEXTS):
            part = slice(start, start + _TEXTS)
            encoded = self.encoder.encode_texts(texts[part], batch_size=size)
            parts.append(np.einsum("knd,nd->kn", vectors[:, part].astype(np.float32), encoded))
        scores = np.concatenate(parts, axis=1)
        return scores, np.asarray(np.isfinite(scores).all(axis=0))


@dataclass(frozen=True)
class _Masked:
    """The images of a shard that are covered, and what is known of them."""

    samples: pa.Table
    rows: npt.NDArray[np.int64]
    edits: "Sequence[Mask]"
    unmasked: npt.NDArray[np.float16]  # [rows, dim], the embeddings of the images as they are
    due: Flags  # [samples] those that should have scores


def regions_to_mask(
    regions: pa.Table, options: MaskConfig
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The regions that count.

    Args:
        regions: Of ``text_regions``: boxes, confidences and areas are read.
        options: The limits, all of them inclusive.

    Returns:
        ``float32[n, 4, 2]`` corners, row by row; ``int64[rows]`` where each row's regions end.
    """
    row, area, confidence = flat_boxes(regions)
    boxes = regions.column("boxes").combine_chunks().flatten().flatten()
    polygons = boxes.to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, 4, 2)
    # Compared as float32, the type of the table: 0.3 must not be below 0.3.
    counts = confidence >= np.float32(options.min_confidence)
    counts &= area >= np.float32(options.min_area)
    if options.max_area is not None:
        counts &= area <= np.float32(options.max_area)
    return polygons[counts], np.cumsum(np.bincount(row[counts], minlength=regions.num_rows))


def _table(
    statuses: npt.NDArray[np.object_], rows: npt.NDArray[np.int64], numbers: Sequence[Scores]
) -> pa.Table:
    """The row-aligned table: caption scores, masked scores and areas of the given rows."""
    columns = {}
    for name, values in zip(MASKED_SCORES.names, numbers, strict=False):
        column = np.zeros(len(statuses), np.float32)
        column[rows] = values
        columns[name] = pa.array(column, mask=statuses != Status.OK)
    return checked(
        pa.table({**columns, "status": pa.array(statuses.tolist(), pa.string())}), MASKED_SCORES
    )
