"""The stage ``link_entities``: mentions of a knowledge base's entities in alt texts and titles."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from openmofi import records
from openmofi.config import parse_config
from openmofi.entities.config import LinkConfig
from openmofi.entities.disambiguate import Scoring
from openmofi.entities.knowledge_base import (
    KIND,
    KnowledgeBase,
    load_knowledge_base,
)
from openmofi.entities.linker import EntityLinker, Links
from openmofi.records import Status
from openmofi.stage import ShardInput, StageOutput, run_stage
from openmofi.versions import read_manifest, read_table_version
from openmofi.work import align

STAGE_VERSION = 1
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
    stage = LinkStage(
        knowledge_base,
        digest,
        fields=settings.fields,
        scoring=scoring_of(settings),
        max_candidates=settings.max_candidates,
    )
    return run_stage(stage, store, align({"samples": version}), workers=workers)


def scoring_of(settings: LinkConfig) -> Scoring:
    """The part of the configuration that says how prior and text are weighed."""
    return Scoring(
        prior_weight=settings.prior_weight,
        context_weight=settings.context_weight,
        mention_weight=settings.mention_weight,
        rounds=settings.rounds,
    )


class LinkStage:
    """Makes `records.MENTIONS` of one shard's texts."""

    name = NAME
    version = STAGE_VERSION

    def __init__(
        self,
        knowledge_base: str,
        digest: str,
        *,
        fields: Sequence[str],
        scoring: Scoring,
        max_candidates: int,
    ) -> None:
        self._uri = knowledge_base
        self._digest = digest
        self._fields = tuple(fields)
        self._scoring = scoring
        self._max_candidates = max_candidates
        self._base: KnowledgeBase
        self._linker: EntityLinker

    def semantic_config(self) -> Mapping[str, Any]:
        """Everything: all of it can change a link."""
        return {
            "fields": list(self._fields),
            "max_candidates": self._max_candidates,
            **vars(self._scoring),
        }

    def digests(self) -> Mapping[str, str]:
        """The knowledge base."""
        return {"knowledge_base": self._digest}

    def setup(self) -> None:
        """Map the knowledge base."""
        self._base = load_knowledge_base(self._uri)
        self._linker = EntityLinker(self._base, self._scoring, max_candidates=self._max_candidates)

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
            },
        )

    def _texts(self, samples: pa.Table) -> tuple[list[int], list[str], list[str]]:
        """Row, field and text of every text to link, by row."""
        columns = {name: samples.column(name).to_pylist() for name in self._fields}
        found = [
            (row, name, columns[name][row])
            for row, status in enumerate(samples.column("status").to_pylist())
            if status == Status.OK
            for name in self._fields
            if columns[name][row]
        ]
        return [f[0] for f in found], [f[1] for f in found], [f[2] for f in found]

    def _table(
        self, links: Links, rows: list[int], fields: list[str], texts: list[str]
    ) -> pa.Table:
        places = links.texts.tolist()
        spans = zip(places, links.starts.tolist(), links.ends.tolist(), strict=True)
        columns = {
            "row": [rows[place] for place in places],
            "field": [fields[place] for place in places],
            "start": links.starts,
            "end": links.ends,
            "surface": [texts[place][start:end] for place, start, end in spans],
            "entity_id": self._base.entity_ids(links.entities),
            "prior": links.priors,
            "context_score": links.scores,
            "rank": links.ranks,
        }
        schema = records.MENTIONS
        arrays = [pa.array(columns[f.name]).cast(f.type, safe=False) for f in schema]
        return records.checked(pa.table(arrays, schema=schema), schema)
