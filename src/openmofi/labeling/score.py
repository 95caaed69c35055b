"""Embeddings to scores: how well each candidate entity fits the image. Reads no pixels.

The entity's "name, description" is compared with the image by cosine, as in MOFI
(arXiv 2306.07952, section 2). The homonyms of a mention settle against each other by text and image
together (`openmofi.labeling.settle`). Every candidate of every mention keeps its scores; what is
kept is assembly's to decide.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from openmofi.config import parse_config
from openmofi.entities.knowledge_base import load_knowledge_base
from openmofi.errors import InputError, ShardError
from openmofi.labeling.config import LabelConfig
from openmofi.labeling.embed import read_embeddings
from openmofi.labeling.settle import settle
from openmofi.labeling.texts import (
    TextModel,
    embed_texts,
    read_entity_texts,
    write_entity_texts,
)
from openmofi.models.device import check_device
from openmofi.models.logit_scale import read_logit_scale
from openmofi.records import ENTITY_SCORES, Status, checked
from openmofi.stage import ShardInput, StageOutput, plan, run_stage
from openmofi.storage import Store
from openmofi.versions import TableVersion, read_manifest, read_table_version
from openmofi.work import Work, align

STAGE_VERSION = 2

_CHUNK = 65_536  # candidates gathered at once


def label_images(
    image_embeddings: str,
    mentions: str,
    knowledge_base: str,
    model: str,
    *,
    config: Mapping[str, Any] | None = None,
    workers: int = 1,
) -> str:
    """Score the candidate entities of every image.

    Args:
        image_embeddings: Manifest URI, made with ``model``.
        mentions: Manifest URI, made with ``knowledge_base``.
        knowledge_base: Manifest URI.
        model: Manifest URI.
        config: Of `LabelConfig`.
        workers: Processes.

    Returns:
        URI of ``entity_scores``; its counts are ok, no_candidates and skipped (no embedding), its
        totals candidates, mentions, and mentions in which the image overruled the text.

    Raises:
        InputError: A table was made with another model or knowledge base, or ``image_weight`` is
            not given and the model has no logit scale.
    """
    options = parse_config(LabelConfig, config, where="label")
    check_device(options.device)
    store, images = read_table_version(image_embeddings, "image_embeddings")
    _, linked = read_table_version(mentions, "mentions")
    digests = {
        "model": _digest_used(model, "model", images),
        "knowledge_base": _digest_used(knowledge_base, "knowledge_base", linked),
    }
    encoder = TextModel(model, digests["model"], options.device, options.batch_size)
    work = align({"image_embeddings": images, "mentions": linked})
    with tempfile.TemporaryDirectory(prefix="openmofi-entities-") as folder:
        stage = ScoreStage(options.semantic(), digests, Path(folder))
        todo = [one for one, _ in plan(stage, store, work).todo]
        if todo:
            stage.image_weight = options.image_weight
            if stage.image_weight is None:
                stage.image_weight = read_logit_scale(model)
            ids = _candidates(store, todo)
            texts = _entity_texts(knowledge_base, options, ids)
            write_entity_texts(stage.folder, ids, embed_texts(store, encoder, texts))
        return run_stage(stage, store, work, workers=int(workers))


def _digest_used(uri: str, kind: str, table: TableVersion) -> str:
    """The digest that a manifest names, which ``table`` must have been made with."""
    digest = read_manifest(uri, kind).digest
    made_with = table.digests.get(kind)
    if made_with != digest:
        raise InputError(
            f"the table '{table.stage}' was made with {kind} {made_with}, and {uri} is given here"
        )
    return digest


def _candidates(store: Store, todo: Sequence[Work]) -> list[str]:
    """Sorted ids of all entities that occur in the mentions of the given shards."""
    ids: set[str] = set()
    for work in todo:
        table = ShardInput(store, work, "").table("mentions")
        ids.update(table.column("entity_id").unique().to_pylist())
    return sorted(ids)


def _entity_texts(knowledge_base: str, options: LabelConfig, ids: Sequence[str]) -> list[str]:
    """What stands for each entity, in the order of ``ids``."""
    entities = load_knowledge_base(knowledge_base).entities
    known = entities.column("entity_id").combine_chunks()
    rows = pc.index_in(pa.array(ids, pa.string()), value_set=known)
    if rows.null_count:
        unknown = ids[rows.is_null().index(True).as_py()]
        raise InputError(f"entity '{unknown}' of the mentions is not in {knowledge_base}")
    names, descriptions = (entities.column(c).take(rows) for c in ("name", "description"))
    pairs = zip(names.to_pylist(), descriptions.to_pylist(), strict=True)
    return [options.text_of(name, description) for name, description in pairs]


@dataclass
class ScoreStage:
    """One shard's candidates to cosines.

    Args:
        config: What can change the result, as plain values.
        made_with: Digests of the model and the knowledge base.
        folder: The entities' vectors, for `read_entity_texts`.
        image_weight: Of a cosine, see `openmofi.labeling.settle.settle`; needed to process.
    """

    config: Mapping[str, Any]
    made_with: Mapping[str, str]
    folder: Path
    image_weight: float | None = None

    name: str = field(default="entity_scores", init=False)
    version: int = field(default=STAGE_VERSION, init=False)

    def semantic_config(self) -> Mapping[str, Any]:
        """The templates, and the weight; without one the model is what says it."""
        return self.config

    def digests(self) -> Mapping[str, str]:
        """Of the model and the knowledge base."""
        return self.made_with

    def setup(self) -> None:
        """Map the entities' vectors."""
        self.entities = read_entity_texts(self.folder)

    def process(self, shard: ShardInput) -> StageOutput:
        """Score the shard's candidates."""
        vectors, position = read_embeddings(shard.table("image_embeddings"))
        mentions = shard.table("mentions")
        rows = mentions.column("row").to_numpy().astype(np.int64)
        if len(rows) and rows.max() >= len(position):
            raise ShardError(f"mentions name row {rows.max()} of {len(position)} samples")
        usable = position[rows] >= 0
        mentions, rows = mentions.filter(pa.array(usable)), rows[usable]
        entities = self.entities.rows(mentions.column("entity_id").combine_chunks())
        if len(entities) and entities.min() < 0:
            raise ShardError("mentions name an entity whose text was not embedded")
        pairs = distinct_pairs(rows, entities)
        cosines = pair_cosines(vectors, position[pairs.rows], self.entities.vectors, pairs.entities)
        table, totals = self._table(mentions, pairs, cosines)
        scored, seen = len(np.unique(rows)), len(position)
        counts = {
            str(Status.OK): scored,
            "no_candidates": len(vectors) - scored,
            str(Status.SKIPPED): seen - len(vectors),
        }
        return StageOutput(
            table, {cause: count for cause, count in counts.items() if count}, totals=totals
        )

    def _table(
        self, mentions: pa.Table, pairs: "Pairs", cosines: npt.NDArray[np.float32]
    ) -> tuple[pa.Table, dict[str, int]]:
        """The table of all pairs, with what their mentions make of them, and its totals."""
        if self.image_weight is None:
            raise ValueError("the stage was given no image_weight")
        numbers = mentions.column("mention").to_numpy().astype(np.int64)
        numbers += pairs.rows[pairs.places] * (numbers.max(initial=0) + 1)
        ranks = mentions.column("rank").to_numpy()
        settled = settle(
            numbers,
            mentions.column("context_score").to_numpy(),
            cosines[pairs.places],
            ranks,
            pairs.entities[pairs.places],
            self.image_weight,
        )
        posteriors = np.zeros(len(cosines), np.float32)
        np.maximum.at(posteriors, pairs.places, settled.posterior)
        best = np.zeros(len(cosines), np.bool_)
        best[pairs.places[settled.best]] = True
        ids = self.entities.ids.take(pa.array(pairs.entities))
        totals = {
            "candidates": len(cosines),
            "mentions": int(settled.best.sum()),
            "overruled": int((settled.best & (ranks > 0)).sum()),
        }
        return rank_scores(pairs.rows, ids, cosines, posteriors, best), totals


class Pairs(NamedTuple):
    """Distinct pairs of sample and entity, sorted by both: one however often it is mentioned."""

    rows: npt.NDArray[np.int64]
    entities: npt.NDArray[np.int64]  # rows of the sorted ids
    places: npt.NDArray[np.int64]  # of each candidate, its pair


def distinct_pairs(rows: npt.NDArray[np.int64], entities: npt.NDArray[np.int64]) -> Pairs:
    """The pairs of candidates that are given by row and entity."""
    base = int(entities.max(initial=0)) + 1
    found, places = np.unique(rows * base + entities, return_inverse=True)
    return Pairs(found // base, found % base, places)


def pair_cosines(
    images: npt.NDArray[np.float32],
    image_rows: npt.NDArray[np.int64],
    entities: npt.NDArray[np.float16],
    entity_rows: npt.NDArray[np.int64],
) -> npt.NDArray[np.float32]:
    """Cosines of pairs.

    Args:
        images: Unit vectors ``[I, dim]``.
        image_rows: ``[pairs]``.
        entities: Unit vectors ``[E, dim]``, may be memory mapped.
        entity_rows: ``[pairs]``.

    Returns:
        ``float32[pairs]``, within -1 and 1.
    """
    used, local = np.unique(entity_rows, return_inverse=True)
    texts = entities[used].astype(np.float32)
    scores = np.empty(len(image_rows), np.float32)
    for start in range(0, len(image_rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        scores[part] = np.einsum("pd,pd->p", images[image_rows[part]], texts[local[part]])
    return scores.clip(-1, 1)


def rank_scores(
    rows: npt.NDArray[np.int64],
    ids: pa.Array,
    cosines: npt.NDArray[np.float32],
    posteriors: npt.NDArray[np.float32],
    settled: npt.NDArray[np.bool_],
) -> pa.Table:
    """The ``entity_scores`` table, best first in each row; the pairs are sorted by row and id."""
    order = np.lexsort((np.arange(len(rows)), -cosines, rows))
    rows = rows[order]
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    first = np.repeat(starts, np.diff(starts, append=len(rows)))
    columns = {
        "row": rows,
        "entity_id": ids.take(pa.array(order)),
        "clip_score": cosines[order],
        "rank": np.arange(len(rows)) - first,
        "posterior": posteriors[order],
        "settled": settled[order],
    }
    return checked(pa.table(columns), ENTITY_SCORES)
