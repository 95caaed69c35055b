"""The decisions: each rule drops samples that are still in, and names its cause."""

from collections.abc import Iterator, Sequence

import duckdb
import numpy as np
import pyarrow as pa

from openmofi.database import first_row
from openmofi.dataset.causes import Cause
from openmofi.dataset.clusters import components
from openmofi.dataset.config import AssembleConfig, DuplicateRule
from openmofi.dataset.duplicates import first_wins, hash_pairs
from openmofi.dataset.embedding_pairs import Block, embedding_pairs
from openmofi.dataset.inputs import PoolTables
from openmofi.dataset.tombstones import Tombstones
from openmofi.dataset.vector_search import Pairs
from openmofi.labeling.embed import read_embeddings
from openmofi.progress import bar

Database = duckdb.DuckDBPyConnection

_REPEATS_NONE = "cause IS NULL AND cluster = id"
_FIRST_OF_IMAGE = (
    "cause IS NULL AND id IN (SELECT min(id) FROM samples WHERE cause IS NULL GROUP BY image_id)"
)


def drop(database: Database, cause: Cause, condition: str) -> None:
    """Drop what is still in and meets ``condition``."""
    database.execute(f"UPDATE samples SET cause = '{cause}' WHERE cause IS NULL AND ({condition})")


def drop_listed(
    database: Database,
    tombstones: Tombstones,
    evaluation_ids: Sequence[str],
    evaluation_hashes: Sequence[int],
    bits: int | None,
) -> None:
    """Drop what was taken down, and what an evaluation set holds too.

    Args:
        database: With the facts loaded.
        tombstones: Of the store.
        evaluation_ids: Image ids of the evaluation sets.
        evaluation_hashes: Their perceptual hashes.
        bits: How many of 64 bits may differ; None compares image ids alone.
    """
    _fill(database, "taken_down", "key", pa.array(sorted(tombstones.ids), pa.string()))
    _fill(database, "evaluation_images", "key", pa.array(evaluation_ids, pa.string()))
    taken = "SELECT key FROM taken_down"
    drop(database, Cause.TAKEN_DOWN, f"uid IN ({taken}) OR image_id IN ({taken})")
    held_out = "image_id IN (SELECT key FROM evaluation_images)"
    if bits is not None and evaluation_hashes:
        _fill(database, "held_out", "phash", pa.array(evaluation_hashes, pa.uint64()))
        _hashes_still_in(database, "in_pool")
        near = hash_pairs(database, "in_pool", "held_out", bits)
        held_out += f" OR phash IN (SELECT a FROM {near})"
    drop(database, Cause.EVALUATION_OVERLAP, held_out)


def drop_text(database: Database) -> None:
    """Drop pictures with text in them."""
    for cause in (Cause.TEXT_FAILED, Cause.TEXT_REGION, Cause.TEXT_DEPENDENT):
        drop(database, cause, f"text = '{cause}'")


def drop_held_out(database: Database) -> None:
    """Drop pictures that are near an evaluation set's by embedding."""
    drop(database, Cause.EVALUATION_OVERLAP, "held_out")


def drop_refused(database: Database) -> None:
    """Drop pictures that a head's bounds refuse."""
    drop(database, Cause.IMAGE_SCORE, "score_refused")


def drop_without_label(database: Database, cause: Cause) -> None:
    """Drop what has no label (left)."""
    drop(database, cause, "id NOT IN (SELECT id FROM labels)")


def settle_duplicates(database: Database, tables: PoolTables, rule: DuplicateRule) -> None:
    """Give every sample that is in its cluster.

    Later ones are dropped and leave their labels to the cluster's first; where the rule keeps
    them, a cluster is all that hangs together, for a split may not part any near pair.
    """
    database.execute(
        "UPDATE samples SET cluster = earliest FROM (SELECT image_id AS image, min(id) AS earliest "
        "FROM samples WHERE cause IS NULL GROUP BY image_id) WHERE cause IS NULL AND "
        "image_id = image"
    )
    _mark_duplicates(database, Cause.DUPLICATE_EXACT)
    near: list[Pairs] = []
    if rule.perceptual_bits is not None:
        _join_equal_hashes(database)
        near.append(_near_hashes(database, rule.perceptual_bits))
        _join(database, first_wins(near[-1]))
        _mark_duplicates(database, Cause.DUPLICATE_PERCEPTUAL)
    if rule.embedding_cosine is not None:
        # Whoever stays may be near another by embedding, whatever else it is near by hash.
        which = _REPEATS_NONE if rule.drop else _FIRST_OF_IMAGE
        near.append(
            embedding_pairs(
                lambda: _vectors(database, tables, which),
                _number(database, which),
                rule.embedding_cosine,
            )
        )
    if not rule.drop:
        _join_components(database, near)
        return
    if rule.embedding_cosine is not None:
        _join(database, first_wins(near[-1]))
        _mark_duplicates(database, Cause.DUPLICATE_EMBEDDING)
    database.execute(
        "UPDATE samples SET cause = duplicate WHERE cause IS NULL AND duplicate IS NOT NULL"
    )
    _pool_labels(database)


def limit_labels(database: Database, config: AssembleConfig) -> None:
    """Labels per image at most, images per entity at least, then at most."""
    _forget_labels_of_dropped(database)
    if config.max_labels_per_image is not None:
        database.execute(
            "CREATE OR REPLACE TABLE labels AS SELECT * FROM labels QUALIFY row_number() OVER "
            f"(PARTITION BY id ORDER BY score DESC, entity_id) <= {config.max_labels_per_image}"
        )
    database.execute(
        "DELETE FROM labels WHERE entity_id IN (SELECT entity_id FROM labels GROUP BY entity_id "
        f"HAVING count(*) < {config.min_images_per_entity})"
    )
    if config.require_entities:
        drop_without_label(database, Cause.RARE_ENTITY)
    if config.max_images_per_entity is not None:
        _cap_entities(database, config.max_images_per_entity, config.seed)
    _forget_labels_of_dropped(database)


def split_samples(database: Database, validation_share: float, seed: int) -> None:
    """Put each cluster whole into ``train`` or ``validation``, by a hash of its first image."""
    limit = f"{int(validation_share * 2**32):08x}"
    database.execute(
        f"""
        UPDATE samples SET split = CASE
            WHEN substr(md5('{seed}/split/' || first.image_id), 1, 8) < '{limit}'
            THEN 'validation' ELSE 'train' END
        FROM (SELECT id AS first_id, image_id FROM samples) AS first
        WHERE cause IS NULL AND cluster = first.first_id
        """
    )


def _cap_entities(database: Database, cap: int, seed: int) -> None:
    # An image goes only if it is beyond the cap for all of its entities: taking single labels away
    # would teach that an entity in the picture is not there.
    database.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE places AS SELECT id, row_number() OVER (
            PARTITION BY entity_id ORDER BY md5('{seed}/cap/' || uid), id
        ) AS place FROM labels JOIN samples USING (id) WHERE cause IS NULL
        """
    )
    within = f"SELECT id FROM places WHERE place <= {cap}"
    drop(database, Cause.ENTITY_CAP, f"id NOT IN ({within})")


def _forget_labels_of_dropped(database: Database) -> None:
    database.execute(
        "DELETE FROM labels WHERE id IN (SELECT id FROM samples WHERE cause IS NOT NULL)"
    )


def _pool_labels(database: Database) -> None:
    database.execute(
        "CREATE OR REPLACE TABLE labels AS SELECT cluster AS id, entity_id, max(score) AS score "
        "FROM labels JOIN samples USING (id) WHERE cluster IS NOT NULL GROUP BY ALL ORDER BY ALL"
    )


def _join_equal_hashes(database: Database) -> None:
    _hashes_still_in(database, "heads")
    database.execute(
        "UPDATE samples SET cluster = moved.winner FROM (SELECT s.id AS loser, h.id AS winner "
        "FROM samples s JOIN heads h ON s.phash = h.phash WHERE s.cause IS NULL "
        "AND s.cluster = s.id AND s.id <> h.id) AS moved WHERE cluster = moved.loser"
    )


def _near_hashes(database: Database, bits: int) -> Pairs:
    near = hash_pairs(database, "heads", "heads", bits)
    found = database.execute(
        f"SELECT l.id AS a, r.id AS b FROM {near} n JOIN heads l ON l.phash = n.a "
        "JOIN heads r ON r.phash = n.b WHERE l.id < r.id"
    ).fetchnumpy()
    return np.stack([found["a"], found["b"]], axis=1)


def _hashes_still_in(database: Database, table: str) -> None:
    """Make ``table`` of the hashes of pictures that are in, each with its first sample's id."""
    database.execute(
        f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT phash, min(id) AS id FROM samples WHERE "
        "cause IS NULL AND phash IS NOT NULL AND coalesce(cluster, id) = id GROUP BY phash"
    )


def _vectors(database: Database, tables: PoolTables, which: str) -> Iterator[Block]:
    """Numbers and vectors of the samples that meet a condition, shard by shard."""
    for number, work in enumerate(bar(tables.work, label="embeddings", unit="shard")):
        found: pa.Table = database.sql(
            f"SELECT id, row FROM samples WHERE shard = {number} AND {which} ORDER BY id"
        ).to_arrow_table()
        ids, rows = (column.to_numpy() for column in found.columns)
        vectors, places = read_embeddings(tables.read("image_embeddings", work))
        places = places[rows]
        embedded = places >= 0
        yield ids[embedded], vectors[places[embedded]].astype(np.float16)


def _number(database: Database, which: str) -> int:
    """How many samples meet a condition."""
    row = first_row(database, f"SELECT count(*) FROM samples WHERE {which}")
    return int(row[0]) if row else 0


def _join(database: Database, losers: Pairs) -> None:
    moves = pa.table({"loser": losers[:, 0], "winner": losers[:, 1]})
    database.register("moves", moves)
    database.execute("UPDATE samples SET cluster = winner FROM moves WHERE cluster = loser")
    database.unregister("moves")


def _join_components(database: Database, near: Sequence[Pairs]) -> None:
    found = database.execute(
        "SELECT id, cluster FROM samples WHERE cluster IS NOT NULL"
    ).fetchnumpy()
    repeats = np.stack([found["id"], found["cluster"]], axis=1)
    joined = components(np.concatenate([repeats, *near]))
    moves = pa.table({"one": joined[:, 0], "earliest": joined[:, 1]})
    database.register("moves", moves)
    database.execute("UPDATE samples SET cluster = earliest FROM moves WHERE id = one")
    database.unregister("moves")


def _mark_duplicates(database: Database, cause: Cause) -> None:
    database.execute(
        f"UPDATE samples SET duplicate = '{cause}' "
        "WHERE cause IS NULL AND duplicate IS NULL AND cluster <> id"
    )


def _fill(database: Database, table: str, column: str, values: pa.Array) -> None:
    database.register("filling", pa.table({column: values}))
    database.execute(f"CREATE TEMP TABLE {table} AS SELECT * FROM filling")
    database.unregister("filling")
