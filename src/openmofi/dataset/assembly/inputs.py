"""What assembly reads: tables of a pool, evaluation sets and take-downs, checked before work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec

import pyarrow as pa

from openmofi.dataset.config import AssembleConfig
from openmofi.errors import InputError
from openmofi.labeling.masked import regions_recipe
from openmofi.records import from_parquet
from openmofi.storage import Store
from openmofi.textregions.rule import TextRule
from openmofi.versions import TableVersion, read_table_versions
from openmofi.work import Work, align

ROW_ALIGNED = ("text_regions", "image_embeddings", "masked_scores")
_NEEDED_FOR_LABELS = ("mentions", "entity_scores")


@dataclass(frozen=True)
class PoolTables:
    """The tables of a pool, shard by shard."""

    store: Store
    versions: Mapping[str, TableVersion]
    work: Sequence[Work]

    def has(self, kind: str) -> bool:
        """Whether the table was given."""
        return kind in self.versions

    def read(self, kind: str, work: Work) -> pa.Table:
        """One shard's part of a table, in memory.

        Raises:
            InputError: A row-aligned table has another number of rows than ``samples``.
        """
        table = from_parquet(self.store.get(work.tables[kind]))
        self._check_length(kind, work.shard, table.num_rows)
        return table

    def check_lengths(self) -> None:
        """Refuse row-aligned tables of which an entry says another length than of ``samples``."""
        for kind in filter(self.has, ROW_ALIGNED):
            for entry in self.versions[kind].shards:
                self._check_length(kind, entry.shard, entry.rows)

    def _check_length(self, kind: str, shard: str, rows: int) -> None:
        if kind in ROW_ALIGNED and rows != self._rows[shard]:
            raise InputError(
                f"shard '{shard}': {kind} has {rows} rows and samples {self._rows[shard]}; they "
                "were made from different pools"
            )

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {entry.shard: entry.rows for entry in self.versions["samples"].shards}

    @property
    def digests(self) -> dict[str, dict[str, str]]:
        """Digests of the models and the knowledge base behind each table, by role."""
        return {kind: dict(version.digests) for kind, version in self.versions.items()}


def read_pool_tables(given: Mapping[str, Sequence[str]], config: AssembleConfig) -> PoolTables:
    """Open the tables that were given, and check that they fit each other and ``config``.

    Args:
        given: Manifest URIs by kind, one a group of shards; an empty list means not given.
        config: Says which tables are needed.
    """
    if not given.get("samples"):
        raise InputError("assemble: no samples were given")
    needed = list(_NEEDED_FOR_LABELS) if config.require_entities else []
    if config.require_entities and config.text.drop_text:
        needed.append("text_regions")
    if config.text.drop_text and config.text.policy == "text_dependent":
        needed += ["text_regions", "masked_scores"]
    cosines = (config.duplicates.embedding_cosine, config.evaluation_cosine)
    if config.heads or any(cosine is not None for cosine in cosines):
        needed.append("image_embeddings")
    if config.calibration and not config.require_entities:
        needed += _NEEDED_FOR_LABELS
    missing = [kind for kind in needed if not given.get(kind)]
    if missing:
        raise InputError(
            f"assemble: no {missing[0]} were given; give them, or turn off what needs them "
            "(require_entities, calibration, text.drop_text, text.policy, heads, "
            "duplicates.embedding_cosine, evaluation_cosine)"
        )
    opened = {kind: read_table_versions(uris, kind) for kind, uris in given.items() if uris}
    store = opened["samples"][0]
    for kind, (other, _) in opened.items():
        if other.uri != store.uri:
            raise InputError(f"{kind} lie in {other.uri} and samples in {store.uri}; use one root")
    versions = {kind: version for kind, (_, version) in opened.items()}
    tables = PoolTables(store, versions, align(versions))
    tables.check_lengths()
    return tables


def check_knowledge_base(tables: PoolTables, digest: str) -> None:
    """Refuse tables that were made with another knowledge base than the one given."""
    for kind in _NEEDED_FOR_LABELS:
        used = tables.digests.get(kind, {}).get("knowledge_base", digest)
        if used != digest:
            raise InputError(
                f"{kind} were made with knowledge base {used}, and {digest} was given; run "
                "linking and labeling again"
            )


def check_masked_scores(tables: PoolTables, rule: TextRule) -> None:
    """Refuse masked scores of other text regions, or where text that the rule counts was left.

    Raises:
        InputError: They say nothing about what the rule calls a picture with text.
    """
    if not (rule.drop_text and tables.has("masked_scores") and tables.has("text_regions")):
        return
    masked = tables.versions["masked_scores"]
    if masked.digests.get("text_regions") != regions_recipe(tables.versions["text_regions"]):
        raise InputError(
            "masked_scores were made with other text_regions than those given; mask again"
        )
    limits = masked.config
    for name, covers in (
        ("min_confidence", limits["min_confidence"] <= rule.min_confidence),
        ("min_area", limits["min_area"] <= rule.min_area),
        ("max_area", limits["max_area"] >= rule.area_limit),
    ):
        if not covers:
            raise InputError(
                f"masked_scores were made with {name} {limits[name]}, so they left regions that "
                f"text.{name} {getattr(rule, name)} counts as text; mask again with wider limits"
            )


def check_near_duplicate_search(config: AssembleConfig) -> None:
    """Refuse to compare embeddings where the search is not installed."""
    if config.duplicates.embedding_cosine is not None and find_spec("faiss") is None:
        raise InputError(
            "duplicates.embedding_cosine needs faiss; install openmofi with the extra 'curate'"
        )
