"""The stage ``link_entities``: mentions of a knowledge base's entities in alt texts and titles."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from openmofi import records
from openmofi.config import parse_config
from openmofi.entities.config import LinkConfig
from openmofi.entities.knowledge_base import (
    KIND,
    KnowledgeBase,
    load_knowledge_base,
)
from openmofi.entities.linker import EntityLinker, Links
from openmofi.entities.recognition.recognizer import load_recognizer
from openmofi.entities.words import words_digest
from openmofi.records import Status
from openmofi.stage import ShardInput, StageOutput, run_stage
from openmofi.versions import read_manifest, read_table_version
from openmofi.work import align

STAGE_VERSION = 2
NAME = "mentions"


def link_entities(
    samples: str, knowledge_base: str, *, config: dict[str, Any] | None = None, workers: int = 1
) -> str:
    """Link the texts of all usable samples to a knowledge base.

    Args:
        samples: URI of a ``samples`` table.
        knowledge_base: URI of a knowledge base.
        config: `LinkConfig` as plain values.
        workers: Processes.

    Returns:
        URI of the ``mentions`` table.
    """
    settings = parse_config(LinkConfig, config, where="link")
    digest = read_manifest(knowledge_base, KIND).digest
    store, version = read_table_version(samples, "samples")
    digests = {"knowledge_base": digest}
    if settings.recognizer:
        digests["recognizer"] = load_recognizer(settings.recognizer).digest
    stage = LinkStage(knowledge_base, digests, settings)
    return run_stage(stage, store, align({"samples": version}), workers=workers)


class LinkStage:
    """Makes `records.MENTIONS` of one shard's texts."""

    name = NAME
    version = STAGE_VERSION

    def __init__(
        self, knowledge_base: str, digests: Mapping[str, str], settings: LinkConfig
    ) -> None:
        self._uri = knowledge_base
        self._digests = digests
        self._settings = settings
        self._base: KnowledgeBase
        self._linker: EntityLinker

    def semantic_config(self) -> Mapping[str, Any]:
        """Everything: all of it can change a link, as can what is known of words."""
        return {**self._settings.model_dump(mode="json"), "words": words_digest()}

    def digests(self) -> Mapping[str, str]:
        """The knowledge base, with its encoder, and the recognizer if there is one."""
        return self._digests

    def setup(self) -> None:
        """Map the knowledge base."""
        self._base = load_knowledge_base(self._uri)
        self._linker = EntityLinker(self._base, self._settings)

    def process(self, shard: ShardInput) -> StageOutput:
        """Link one shard."""
        samples = shard.table("samples")
        rows, fields, texts = self._texts(samples)
        links = self._linker.link(texts, rows)
        table = self._table(links, rows, fields, texts)
        usable = sum(status == Status.OK for status in samples.column("status").to_pylist())
        linked = len(np.unique(np.asarray(rows, np.int64)[links.texts]))
        return StageOutput(
            table=table,
            counts={
                "linked": linked,
                "no_mention": usable - linked,
                "skipped": samples.num_rows - usable,
            },
            totals={
                "mentions": links.found,
                "candidates": len(links.ranks),
                "ambiguous": links.ambiguous,
                **{f"dropped_{rule}": count for rule, count in links.dropped_by_rule().items()},
            },
        )

    def _texts(self, samples: pa.Table) -> tuple[list[int], list[str], list[str]]:
        """Row, field and text of every text to link, by row."""
        columns = {name: samples.column(name).to_pylist() for name in self._settings.fields}
        found = [
            (row, name, columns[name][row])
            for row, status in enumerate(samples.column("status").to_pylist())
            if status == Status.OK
            for name in self._settings.fields
            if columns[name][row]
        ]
        return [f[0] for f in found], [f[1] for f in found], [f[2] for f in found]

    def _table(
        self, links: Links, rows: list[int], fields: list[str], texts: list[str]
    ) -> pa.Table:
        places = links.texts.tolist()
        owners = np.asarray(rows, np.int64)[links.texts]
        firsts = links.mentions[np.searchsorted(owners, owners)]
        spans = zip(places, links.starts.tolist(), links.ends.tolist(), strict=True)
        columns = {
            "row": [rows[place] for place in places],
            "field": [fields[place] for place in places],
            "mention": links.mentions - firsts,
            "start": links.starts,
            "end": links.ends,
            "surface": [texts[place][start:end] for place, start, end in spans],
            "entity_id": self._base.entity_ids(links.entities),
            "prior": links.priors,
            "agreement": links.agreements,
            "context_score": links.scores,
            "rank": links.ranks,
            "reasons": links.reason_names,
        }
        schema = records.MENTIONS
        arrays = [pa.array(columns[f.name]).cast(f.type, safe=False) for f in schema]
        return records.checked(pa.table(arrays, schema=schema), schema)
