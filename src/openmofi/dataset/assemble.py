"""`assemble_dataset`: from tables to a version of the data set. All decisions are taken here."""

from collections.abc import Mapping, Sequence
from typing import Any

from openmofi.config import parse_config
from openmofi.database import working_database
from openmofi.dataset import rules
from openmofi.dataset.causes import Cause
from openmofi.dataset.config import AssembleConfig
from openmofi.dataset.facts import load_facts
from openmofi.dataset.inputs import evaluation_hashes
from openmofi.dataset.job import Job, prepare
from openmofi.dataset.publish_tables import publish_tables
from openmofi.dataset.version import KIND
from openmofi.errors import InputError
from openmofi.progress import say
from openmofi.stage import describe_counts
from openmofi.versions import Manifest


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
        return publish_tables(database, job, digest, counts, histograms)


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
