"""`assemble_dataset`: from tables to a version of the data set. All decisions are taken here."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from openmofi.config import parse_config
from openmofi.database import working_database
from openmofi.dataset import rules
from openmofi.dataset.card import write_card
from openmofi.dataset.causes import Cause
from openmofi.dataset.config import AssembleConfig
from openmofi.dataset.facts import Histograms, load_facts
from openmofi.dataset.inputs import evaluation_hashes
from openmofi.dataset.job import KIND, Job, prepare
from openmofi.dataset.vocabulary import grow_vocabulary, read_vocabulary
from openmofi.errors import InputError
from openmofi.progress import say
from openmofi.records import to_parquet
from openmofi.stage import describe_counts
from openmofi.versions import Manifest, write_manifest

KEPT = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("uid", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),  # "train" or "validation"
        pa.field("labels", pa.list_(pa.int32()), nullable=False),  # class indices, best first
    ]
)
DROPPED = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("uid", pa.string(), nullable=False),
        pa.field("cause", pa.string(), nullable=False),
    ]
)


def assemble_dataset(
    *,
    samples: Sequence[str],
    mentions: Sequence[str],
    image_embeddings: Sequence[str],
    entity_scores: Sequence[str],
    text_regions: Sequence[str],
    knowledge_base: str,
    config: Mapping[str, Any] | None = None,
    parent: str = "",
    masked_scores: Sequence[str] = (),
) -> str:
    """Decide which samples are in, with which labels, and publish the version.

    Args:
        samples: Manifest URIs of the pool, one a group of shards, as all lists here. An empty
            list means that the table is not given.
        mentions: Of `link_entities`.
        image_embeddings: Of `embed_images`; needed only to compare embeddings and for heads.
        entity_scores: Of `label_images`.
        text_regions: Of `detect_text`.
        knowledge_base: Manifest URI of the one that linking used; empty without entities.
        config: Values of `AssembleConfig`.
        parent: Manifest URI of the data set whose class indices are carried on.
        masked_scores: Of `score_masked_images`; needed only for the policy ``text_dependent``.

    Returns:
        Manifest URI of kind ``dataset``.

    Raises:
        InputError: Tables do not fit each other or the config, or no sample is left.
    """
    parsed = parse_config(AssembleConfig, config, where="assemble config")
    given = {
        "samples": samples,
        "mentions": mentions,
        "image_embeddings": image_embeddings,
        "entity_scores": entity_scores,
        "text_regions": text_regions,
        "masked_scores": masked_scores,
    }
    job = prepare(given, knowledge_base, parsed, parent)
    digest = job.recipe()
    if job.tables.store.exists(f"manifests/{KIND}/{digest}.json"):
        say(f"assemble: reused data set {digest}")
        return Manifest(job.tables.store, KIND, digest).uri
    return _assemble(job, digest)


def _assemble(job: Job, digest: str) -> str:
    images = job.image_rules()
    with working_database("assemble") as database:
        histograms = load_facts(database, job.tables, job.config, job.cut.value, images)
        _apply_rules(database, job)
        counts = _counts(database, job)
        say(f"assemble: {describe_counts(counts)}")
        if not counts.get(Cause.KEPT):
            raise InputError(
                f"assemble: no sample is left ({describe_counts(counts)}); see min_score, "
                "min_images_per_entity and the text, head and duplicate rules"
            )
        return _publish(database, job, digest, counts, histograms)


def _apply_rules(database: rules.Database, job: Job) -> None:
    config = job.config
    ids = sorted({one for images in job.evaluation_sets for one in images.image_ids})
    bits = config.evaluation_bits
    hashes = evaluation_hashes(job.evaluation_sets) if bits is not None else []
    rules.drop_listed(database, job.tombstones, ids, hashes, bits)
    rules.drop_held_out(database)
    rules.drop_text(database)
    rules.drop_refused(database)
    if config.require_entities:
        rules.drop_without_label(database, Cause.NO_ENTITY)
    rules.settle_duplicates(database, job.tables, config.duplicates)
    rules.limit_labels(database, config)
    rules.split_samples(database, config.validation_share, config.seed)


def _counts(database: rules.Database, job: Job) -> dict[str, int]:
    found = database.execute(
        f"SELECT coalesce(cause, '{Cause.KEPT}') AS c, count(*) FROM samples GROUP BY c ORDER BY c"
    ).fetchall()
    counts = {str(cause): int(number) for cause, number in found}
    seen = sum(entry.rows for entry in job.tables.versions["samples"].shards)
    assert sum(counts.values()) == seen, f"{counts} do not add up to {seen} samples"
    return counts


def _publish(
    database: rules.Database,
    job: Job,
    digest: str,
    counts: Mapping[str, int],
    histograms: Histograms,
) -> str:
    """Tables, vocabulary and card first, the manifest last."""
    store, prefix = job.tables.store, f"datasets/{digest}"
    vocabulary = _vocabulary(database, job)
    vocabulary_key = f"{prefix}/vocabulary.parquet"
    _put_table(job, vocabulary_key, vocabulary)
    content = {
        "parent": job.parent.uri if job.parent else "",
        "config": job.config.model_dump(mode="json"),
        "min_score": job.cut.value,
        "counts": dict(counts),
        "totals": _totals(database, job, vocabulary),
        "vocabulary": vocabulary_key,
        "splits": _splits(database),
        "shards": _write_shards(database, job, prefix, vocabulary),
        "table_digests": {kind: v.digest for kind, v in job.tables.versions.items()},
        "digests": job.tables.digests,
        "model": job.tables.digests.get("entity_scores", {}).get("model", ""),
        "card": f"{prefix}/card.html",
        **{k: v for k, v in job.provenance().items() if k != "parent"},
    }
    write_card(database, job.tables, content, vocabulary, histograms)
    return write_manifest(store, KIND, digest, content).uri


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
) -> list[dict[str, Any]]:
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
        entry = {
            "shard": work.shard,
            "kept": kept.num_rows,
            "kept_key": f"{prefix}/kept/{work.shard}.parquet",
            "dropped_key": f"{prefix}/dropped/{work.shard}.parquet",
            "tar_key": work.tar_key,
            "samples_key": work.tables["samples"],
        }
        _put_table(job, entry["kept_key"], kept.cast(KEPT))
        _put_table(job, entry["dropped_key"], dropped.cast(DROPPED))
        shards.append(entry)
    database.unregister("vocabulary")
    return shards


def _put_table(job: Job, key: str, table: pa.Table) -> None:
    job.tables.store.put(key, to_parquet(table))
