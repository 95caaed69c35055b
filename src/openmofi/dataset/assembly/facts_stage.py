"""Facts as a stage: made shard by shard, and found again when the pool has grown.

Recipe keys hold what decides a row and nothing else. Thresholds, bounds, rights and take-downs are
applied when the table is loaded, so that another one zips no shard again.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from openmofi.dataset.assembly.facts import RowRules, shard_facts
from openmofi.dataset.assembly.inputs import PoolTables
from openmofi.keys import hash_json
from openmofi.records import from_parquet
from openmofi.stage import ShardInput, StageOutput, run_stage
from openmofi.versions import TableVersion, read_table_version
from openmofi.work import align

NAME = "dataset_facts"
STAGE_VERSION = 1

# What is read of each table; of embeddings and text regions everything.
_COLUMNS = {
    "samples": ["uid", "image_id", "phash", "licence", "no_ai", "status", "url"],
    "mentions": ["row", "entity_id", "context_score"],
    "entity_scores": ["row", "entity_id", "clip_score", "settled"],
}


def make_facts(
    tables: PoolTables, rules: RowRules, evaluation_sets: Sequence[str], *, workers: int = 1
) -> TableVersion:
    """The facts of a whole pool; what was made before is not made again.

    Args:
        tables: Of the pool.
        rules: What decides.
        evaluation_sets: Digests of the sets behind ``rules``, if any.
        workers: Processes; 1 runs in this one.

    Raises:
        InputError: A head takes embeddings of another width.
        ShardError: Tables of a shard do not fit each other. The others are done.
    """
    if rules.images.heads:
        rules.images.known(tables.read("image_embeddings", tables.work[0]).slice(0, 1))
    stage = FactsStage(rules, tuple(evaluation_sets))
    versions = {kind: tables.versions[kind] for kind in stage.kinds(tables)}
    # Without their tars, which a store would have to send.
    work = [replace(one, tar_key="") for one in align(versions)]
    uri = run_stage(stage, tables.store, work, workers=workers)
    return read_table_version(uri, NAME)[1]


@dataclass
class FactsStage:
    """Zips the tables of a shard.

    Args:
        rules: What decides its rows.
        evaluation_sets: Digests of the sets behind them.
    """

    rules: RowRules
    evaluation_sets: tuple[str, ...] = ()

    name: str = field(default=NAME, init=False)
    version: int = field(default=STAGE_VERSION, init=False)

    def kinds(self, tables: PoolTables) -> list[str]:
        """The tables that it reads, of those given."""
        wanted = ["samples"]
        if self.rules.text is not None:
            wanted += ["text_regions", "masked_scores"]
        if self.rules.images.needed:
            wanted.append("image_embeddings")
        if tables.has("mentions") and tables.has("entity_scores"):
            wanted += ["mentions", "entity_scores"]
        return [kind for kind in wanted if tables.has(kind)]

    def semantic_config(self) -> Mapping[str, Any]:
        """The text rule, and how near to an evaluation set is too near."""
        text, images = self.rules.text, self.rules.images
        return {
            "text": None if text is None else text.model_dump(mode="json"),
            "evaluation_bits": self.rules.held_out.bits if self.evaluation_sets else None,
            "evaluation_cosine": None if images.held_out is None else images.cosine,
        }

    def digests(self) -> Mapping[str, str]:
        """Of the evaluation sets and the heads; the heads' bounds are not asked here."""
        heads = [[one.head.digest, one.output] for one in self.rules.images.heads]
        found = {"evaluation_sets": list(self.evaluation_sets), "heads": heads}
        return {name: hash_json(value) for name, value in found.items() if value}

    def setup(self) -> None:
        """Nothing to load: evaluation sets were embedded before."""

    def process(self, shard: ShardInput) -> StageOutput:
        """One shard's facts, counted by what ingest says."""

        def table(kind: str) -> pa.Table | None:
            key = shard.work.tables.get(kind)
            return None if key is None else from_parquet(shard.store.get(key), _COLUMNS.get(kind))

        facts = shard_facts(table, self.rules)
        return StageOutput(facts, Counter(facts["status"].to_pylist()))
