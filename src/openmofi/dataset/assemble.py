"""`assemble_dataset`: from tables to a version of the data set. All decisions are taken here."""

from collections.abc import Mapping, Sequence
from typing import Any

from openmofi.config import parse_config
from openmofi.database import Resources, working_database
from openmofi.dataset.assembly import rules
from openmofi.dataset.assembly.facts_stage import make_facts
from openmofi.dataset.assembly.job import Job, prepare
from openmofi.dataset.assembly.loading import Loaded, load_facts
from openmofi.dataset.assembly.publish_tables import publish_tables
from openmofi.dataset.config import AssembleConfig
from openmofi.dataset.duplicates.settle import settle_duplicates
from openmofi.dataset.versions.published import version_key
from openmofi.dataset.versions.version import KIND
from openmofi.errors import InputError
from openmofi.progress import say, timed
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
    workers: int = 1,
    resources: Mapping[str, Any] | None = None,
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
        parent: The data set whose class indices are carried on, as
            `openmofi.dataset.versions.parent.find_parent` takes it; empty for none.
        masked_scores: Of `score_masked_images`; needed only for the policy ``text_dependent``.
        workers: Processes that zip tables, shard by shard; 1 does it in this one.
        resources: Values of `database.Resources`, for what needs the whole pool. They change no
            result.

    Returns:
        Manifest URI of kind ``dataset``: the parent's where nothing is new since.

    Raises:
        InputError: Tables do not fit each other or the config, or no sample is left.
        ShardError: A shard's tables do not fit each other; the other shards are done.
        StorageError: There is no room for temporary files.
    """
    parsed = parse_config(AssembleConfig, config, where="assemble config")
    allowed = parse_config(Resources, resources, where="assemble resources")
    given = {
        "samples": samples,
        "mentions": mentions,
        "image_embeddings": image_embeddings,
        "entity_scores": entity_scores,
        "text_regions": text_regions,
        "masked_scores": masked_scores,
    }
    job = prepare(given, knowledge_base, parsed, parent)
    if job.parent and job.parent.content["lineage"] == job.lineage():
        say(f"assemble: nothing is new since the parent {job.parent.digest}")
        return job.parent.uri
    digest = job.recipe()
    if job.tables.store.exists(version_key(digest)):
        say(f"assemble: reused data set {digest}")
        return Manifest(job.tables.store, KIND, digest).uri
    return assemble_job(job, digest, workers=workers, resources=allowed)


def assemble_job(
    job: Job, digest: str, *, workers: int = 1, resources: Resources | None = None
) -> str:
    """Decide and publish under ``digest``, whether that was done before or not; return the URI."""
    with timed("assemble: facts"):
        facts = make_facts(job.tables, job.row_rules(), job.checked_against(), workers=workers)
    with working_database("assemble", resources) as database:
        with timed("assemble: load"):
            loaded = load_facts(database, job.tables.store, facts, job.row_decisions())
        _apply_rules(database, job, loaded)
        told = describe_counts(loaded.fates.counts())
        say(f"assemble: {told}")
        if not loaded.fates.left().any():
            raise InputError(
                f"assemble: no sample is left ({told}); see min_score, min_images_per_entity and "
                "the text, head, rights and duplicate rules"
            )
        return publish_tables(database, job, digest, loaded)


def _apply_rules(database: rules.Database, job: Job, loaded: Loaded) -> None:
    config, fates = job.config, loaded.fates
    settle_duplicates(database, job.tables, config.duplicates, loaded)
    with timed("assemble: labels"):
        rules.limit_labels(database, config, fates)
    share, stayed = config.validation_share, not config.duplicates.drop
    with timed("assemble: splits"):
        rules.split_samples(database, share, config.seed, fates, clusters=stayed)
