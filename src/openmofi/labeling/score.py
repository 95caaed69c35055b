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
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from openmofi.config import parse_config
from openmofi.entities.knowledge_base import load_knowledge_base
from openmofi.errors import InputError
from openmofi.labeling.candidates import score_candidates
from openmofi.labeling.config import LabelConfig
from openmofi.labeling.embed import read_embeddings
from openmofi.labeling.texts import (
    TextModel,
    encode_texts,
    entity_texts_of,
    read_entity_texts,
    write_entity_texts,
)
from openmofi.models.device import check_device
from openmofi.models.logit_scale import read_logit_scale
from openmofi.records import Status
from openmofi.stage import ShardInput, StageOutput, plan, run_stage
from openmofi.storage import Store
from openmofi.versions import TableVersion, read_manifest, read_table_version
from openmofi.work import Work, align

STAGE_VERSION = 3


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
            texts = entity_texts_of(load_knowledge_base(knowledge_base), options, ids)
            keys = encode_texts(store, encoder, texts)
            write_entity_texts(stage.folder, ids, store, encoder.digest, keys)
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
        file = pq.ParquetFile(pa.BufferReader(store.get(work.tables["mentions"])))
        column = file.read(["entity_id"], use_threads=False).column(0)
        ids.update(column.unique().to_pylist())
    return sorted(ids)


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
        if self.image_weight is None:
            raise ValueError("the stage was given no image_weight")
        vectors, position = read_embeddings(shard.table("image_embeddings"))
        table, totals = score_candidates(
            shard.table("mentions"),
            vectors,
            position,
            self.entities,
            image_weight=self.image_weight,
        )
        scored = pc.sum(pc.equal(table.column("rank"), 0)).as_py() or 0
        counts = {
            str(Status.OK): scored,
            "no_candidates": len(vectors) - scored,
            str(Status.SKIPPED): len(position) - len(vectors),
        }
        return StageOutput(
            table, {cause: count for cause, count in counts.items() if count}, totals=totals
        )
