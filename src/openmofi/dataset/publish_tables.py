"""Publishing a version: tables, vocabulary and card first, the manifest last."""

from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version as installed
from typing import Any

import pyarrow as pa

from openmofi.dataset import rules
from openmofi.dataset.card import write_card
from openmofi.dataset.causes import Cause
from openmofi.dataset.changes import write_changes
from openmofi.dataset.facts import Histograms
from openmofi.dataset.job import STAGE_VERSION, Job
from openmofi.dataset.version import (
    DROPPED,
    FORMAT,
    KEPT,
    KIND,
    Dataset,
    DatasetShard,
    digest_of,
    write_index,
    write_version,
)
from openmofi.dataset.vocabulary import grow_vocabulary, read_vocabulary
from openmofi.keys import content_digest
from openmofi.records import to_parquet
from openmofi.versions import Manifest, TableVersion, write_table_version
from openmofi.work import Work


def publish_tables(
    database: rules.Database,
    job: Job,
    digest: str,
    counts: Mapping[str, int],
    histograms: Histograms,
) -> str:
    """Write what the rules have settled, and return the manifest's URI.

    Args:
        database: With all rules applied.
        job: What it was made from.
        digest: Of the recipe, which names the version.
        counts: Samples by cause.
        histograms: Of scores, for the card.
    """
    store, prefix = job.tables.store, f"datasets/{digest}"
    vocabulary = _vocabulary(database, job)
    vocabulary_key = f"{prefix}/vocabulary.parquet"
    _put_table(job, vocabulary_key, vocabulary)
    shards = _write_shards(database, job, prefix, vocabulary)
    for table in job.tables.versions.values():
        write_table_version(store, table)  # of all groups: none of their manifests names the whole
    content = {
        "format": FORMAT,
        "stage_version": STAGE_VERSION,
        "lineage": job.lineage(),
        "content_digest": digest_of(shards, vocabulary),
        "made_with": {name: installed(name) for name in ("openmofi", "duckdb")},
        "parent": job.parent.uri if job.parent else "",
        "config": job.config.model_dump(mode="json"),
        "min_score": job.cut.value,
        "counts": dict(counts),
        "totals": _totals(database, job, vocabulary),
        "vocabulary": vocabulary_key,
        "splits": _splits(database),
        "shards": len(shards),
        "index": write_index(store, prefix, shards),
        "stages": {kind: _stage(table) for kind, table in job.tables.versions.items()},
        "table_digests": {kind: v.digest for kind, v in job.tables.versions.items()},
        "digests": job.tables.digests,
        "knowledge_base_uri": job.knowledge_base_uri,
        "model": job.tables.digests.get("entity_scores", {}).get("model", ""),
        "card": f"{prefix}/card.html",
        **{k: v for k, v in job.provenance().items() if k != "parent"},
    }
    version = Dataset(Manifest(store, KIND, digest, content))
    content["changes"] = write_changes(version, Dataset(job.parent)) if job.parent else ""
    write_card(database, job.tables, content, vocabulary, histograms)
    return write_version(store, digest, content)


def _vocabulary(database: rules.Database, job: Job) -> pa.Table:
    found = database.execute(
        "SELECT entity_id, count(*) FILTER (WHERE split = 'train') FROM labels JOIN samples "
        "USING (id) GROUP BY entity_id"
    ).fetchall()
    images = {str(entity): int(number) for entity, number in found}
    before = read_vocabulary(job.parent) if job.parent else None
    return grow_vocabulary(before, images, job.knowledge_base)


def _totals(database: rules.Database, job: Job, vocabulary: pa.Table) -> dict[str, int]:
    query = (
        "SELECT count(*) FILTER (WHERE large_text AND NOT with_text), (SELECT count(*) FROM "
        "labels), (SELECT count(DISTINCT entity_id) FROM labels) FROM samples"
    )
    row = database.execute(query).fetchone()
    assert row is not None
    names = ("large_text", "labels", "entities")
    totals = {name: int(value) for name, value in zip(names, row, strict=True)}
    return {**totals, "classes": vocabulary.num_rows, **_text_totals(database, job)}


def _text_totals(database: rules.Database, job: Job) -> dict[str, int]:
    """How many pictures hold text by the rule, and how many of them each policy drops.

    Over the whole pool, whatever else drops them; a policy that cannot be tried is left out.
    """
    if not (job.config.text.drop_text and job.tables.has("text_regions")):
        return {}
    row = database.execute(
        "SELECT count(*) FILTER (WHERE with_text), count(text_dependent), "
        "count(*) FILTER (WHERE text_dependent) FROM samples"
    ).fetchone()
    assert row is not None
    with_text, known, dependent = map(int, row)
    totals = {"with_text": with_text, "dropped_by_any_text": with_text}
    return {**totals, "dropped_by_text_dependent": dependent} if known else totals


def _splits(database: rules.Database) -> dict[str, int]:
    found = database.execute(
        "SELECT split, count(*) FROM samples WHERE cause IS NULL GROUP BY split"
    ).fetchall()
    return {"train": 0, "validation": 0, **{str(name): int(number) for name, number in found}}


def _write_shards(
    database: rules.Database, job: Job, prefix: str, vocabulary: pa.Table
) -> list[DatasetShard]:
    database.register("vocabulary", vocabulary.select(["entity_id", "class_index"]))
    shards = []
    for number, work in enumerate(job.tables.work):
        kept: pa.Table = database.sql(
            f"""
            SELECT row, uid, split, coalesce(list(class_index ORDER BY score DESC, entity_id)
                FILTER (WHERE class_index IS NOT NULL), []) AS labels
            FROM samples LEFT JOIN (labels JOIN vocabulary USING (entity_id)) USING (id)
            WHERE shard = {number} AND cause IS NULL GROUP BY row, uid, split ORDER BY row
            """
        ).to_arrow_table()
        dropped: pa.Table = database.sql(
            f"SELECT row, uid, cause FROM samples WHERE shard = {number} AND cause IS NOT NULL "
            "ORDER BY row"
        ).to_arrow_table()
        shards.append(_put_shard(job, prefix, work, kept.cast(KEPT), dropped.cast(DROPPED)))
    database.unregister("vocabulary")
    return shards


def _put_shard(
    job: Job, prefix: str, work: Work, kept: pa.Table, dropped: pa.Table
) -> DatasetShard:
    counts = Counter(dropped.column("cause").to_pylist())
    if kept.num_rows:
        counts[str(Cause.KEPT)] = kept.num_rows
    entry = DatasetShard(
        shard=work.shard,
        rows=kept.num_rows + dropped.num_rows,
        kept=kept.num_rows,
        kept_key=f"{prefix}/kept/{work.shard}.parquet",
        kept_digest=content_digest(kept),
        dropped_key=f"{prefix}/dropped/{work.shard}.parquet",
        dropped_digest=content_digest(dropped),
        samples_key=work.tables["samples"],
        tar_key=work.tar_key,
        counts=dict(sorted(counts.items())),
    )
    _put_table(job, entry.kept_key, kept)
    _put_table(job, entry.dropped_key, dropped)
    return entry


def _stage(table: TableVersion) -> dict[str, Any]:
    """What a stage says of itself: counts add up to the samples that it saw."""
    return {
        "version": table.stage_version,
        "config": dict(table.config),
        "counts": table.counts,
        "totals": table.totals,
    }


def _put_table(job: Job, key: str, table: pa.Table) -> None:
    job.tables.store.put(key, to_parquet(table))
