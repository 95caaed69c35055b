"""Publishing a version: tables, vocabulary and card first, the manifest last."""

from collections.abc import Mapping
from importlib.metadata import version as installed
from typing import Any

import numpy as np
import pyarrow as pa

from openmofi.database import first_row, registered
from openmofi.dataset.assembly.job import STAGE_VERSION, Job
from openmofi.dataset.assembly.loading import Loaded
from openmofi.dataset.assembly.rules import Database, blocks
from openmofi.dataset.assembly.write_shards import write_shards
from openmofi.dataset.card import write_card
from openmofi.dataset.versions.changes import write_changes
from openmofi.dataset.versions.version import (
    FORMAT,
    KIND,
    Dataset,
    digest_of,
    write_index,
    write_version,
)
from openmofi.dataset.vocabulary import grow_vocabulary, read_vocabulary
from openmofi.progress import timed
from openmofi.records import to_parquet
from openmofi.versions import Manifest, TableVersion, manifest_key, write_table_version

# As the card knows them.
_LABELS = "CREATE VIEW labels AS SELECT id, entity_id, score FROM tags JOIN entities USING (entity)"


def publish_tables(database: Database, job: Job, digest: str, loaded: Loaded) -> str:
    """Write what the rules have settled, and return the manifest's URI.

    Args:
        database: With all rules applied.
        job: What it was made from.
        digest: Of the recipe, which names the version.
        loaded: What became of each sample.
    """
    store, prefix = job.tables.store, f"datasets/{digest}"
    images = _images(database, loaded)
    vocabulary = _vocabulary(job, images)
    store.put(f"{prefix}/vocabulary.parquet", to_parquet(vocabulary))
    _make_classes(database, vocabulary)
    with timed("assemble: write"):
        shards = write_shards(database, store, job.tables.work, loaded, prefix)
    for table in job.tables.versions.values():
        write_table_version(store, table)  # of all groups: none of their manifests names the whole
    content = {
        **_made_from(job, loaded),
        "content_digest": digest_of(shards, vocabulary),
        "min_score": job.cut.value,
        "counts": loaded.fates.counts(),
        "totals": _totals(database, job, loaded, len(images), vocabulary),
        "vocabulary": f"{prefix}/vocabulary.parquet",
        "splits": loaded.fates.splits(),
        "shards": len(shards),
        "index": write_index(store, prefix, shards),
        "card": f"{prefix}/card.html",
    }
    version = Dataset(Manifest(store, KIND, digest, content))
    content["changes"] = write_changes(version, Dataset(job.parent)) if job.parent else ""
    database.execute(_LABELS)
    with timed("assemble: card"):
        write_card(database, job.tables, content, vocabulary, loaded.histograms)
    return write_version(store, digest, content)


def _made_from(job: Job, loaded: Loaded) -> dict[str, Any]:
    """What a manifest says of its inputs and decisions."""
    base = job.knowledge_base_uri
    return {
        **job.provenance(),
        "format": FORMAT,
        "stage_version": STAGE_VERSION,
        "lineage": job.lineage(),
        "made_with": {name: installed(name) for name in ("openmofi", "duckdb")},
        "parent": job.parent.uri if job.parent else "",
        "config": job.config.model_dump(mode="json"),
        "stages": {kind: _stage(table) for kind, table in job.tables.versions.items()},
        "table_digests": {kind: v.digest for kind, v in job.tables.versions.items()},
        "facts": manifest_key(loaded.facts.stage, loaded.facts.digest),
        "digests": job.tables.digests,
        # In this root it is found by its digest, wherever the root is copied to.
        "knowledge_base_uri": (
            "" if base.startswith(f"{job.tables.store.uri}/manifests/") else base
        ),
        "model": job.tables.digests.get("entity_scores", {}).get("model", ""),
    }


def _images(database: Database, loaded: Loaded) -> dict[str, int]:
    """Training images of every entity that is a label."""
    names = database.execute("SELECT entity_id FROM entities ORDER BY entity").fetchall()
    entity_ids = [str(name) for (name,) in names]
    train, seen = np.zeros((2, len(entity_ids)), np.int64)
    for ids, entities in blocks(database, "SELECT id, entity FROM tags"):
        seen += np.bincount(entities, minlength=len(seen))
        trained = entities[~loaded.fates.validation[ids]]
        train += np.bincount(trained, minlength=len(train))
    return {entity_ids[one]: int(train[one]) for one in np.flatnonzero(seen)}


def _vocabulary(job: Job, images: Mapping[str, int]) -> pa.Table:
    before = read_vocabulary(job.parent) if job.parent else None
    return grow_vocabulary(before, images, job.knowledge_base)


def _make_classes(database: Database, vocabulary: pa.Table) -> None:
    with registered(database, "vocabulary", vocabulary.select(["entity_id", "class_index"])):
        database.execute(
            "CREATE TABLE classes AS SELECT entity, class_index FROM entities "
            "JOIN vocabulary USING (entity_id)"
        )


def _totals(
    database: Database, job: Job, loaded: Loaded, entities: int, vocabulary: pa.Table
) -> dict[str, int]:
    [labels] = first_row(database, "SELECT count(*) FROM tags") or (0,)
    return {
        "large_text": loaded.texts["large_text"],
        "labels": int(labels),
        "entities": entities,
        "classes": vocabulary.num_rows,
        **_text_totals(job, loaded.texts),
    }


def _text_totals(job: Job, texts: Mapping[str, int]) -> dict[str, int]:
    """How many pictures hold text by the rule, and how many of them each policy drops.

    Over the whole pool, whatever else drops them; a policy that cannot be tried is left out.
    """
    if not (job.config.text.drop_text and job.tables.has("text_regions")):
        return {}
    totals = {"with_text": texts["with_text"], "dropped_by_any_text": texts["with_text"]}
    if texts["text_dependent_known"]:
        totals["dropped_by_text_dependent"] = texts["text_dependent"]
    return totals


def _stage(table: TableVersion) -> dict[str, Any]:
    """What a stage says of itself: counts add up to the samples that it saw."""
    return {
        "version": table.stage_version,
        "config": dict(table.config),
        "counts": table.counts,
        "totals": table.totals,
    }
