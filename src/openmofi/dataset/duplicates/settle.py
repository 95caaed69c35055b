"""Who repeats whom over the whole pool: by bytes, by perceptual hash, by embedding."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import duckdb
import numpy as np
import pyarrow as pa

from openmofi.database import registered
from openmofi.dataset.assembly.fates import Flags, Ids
from openmofi.dataset.assembly.inputs import PoolTables
from openmofi.dataset.assembly.loading import Loaded
from openmofi.dataset.causes import Cause
from openmofi.dataset.config import DuplicateRule
from openmofi.dataset.duplicates.clusters import components
from openmofi.dataset.duplicates.embedding_pairs import Block, embedding_pairs
from openmofi.dataset.duplicates.first_wins import first_wins
from openmofi.dataset.duplicates.hash_search import near_hashes
from openmofi.dataset.duplicates.vector_search import Pairs
from openmofi.labeling.embed import read_embeddings
from openmofi.progress import bar, timed
from openmofi.stream import ahead

Database = duckdb.DuckDBPyConnection

_REPEATED_IMAGES = """
CREATE OR REPLACE TEMP TABLE moves AS
SELECT id, earliest AS winner FROM pictures JOIN (
    SELECT high, low, min(id) AS earliest FROM pictures GROUP BY ALL HAVING count(*) > 1
) USING (high, low) WHERE id <> earliest
"""
_HEADS = """
CREATE TEMP TABLE heads AS SELECT phash, min(id) AS id, count(*) AS number
FROM pictures ANTI JOIN lost USING (id) WHERE phash IS NOT NULL GROUP BY phash
"""
_EQUAL_HASHES = """
CREATE OR REPLACE TEMP TABLE moves AS
SELECT p.id, h.id AS winner FROM pictures p ANTI JOIN lost USING (id)
JOIN (FROM heads WHERE number > 1) h USING (phash) WHERE p.id <> h.id
"""
# Whoever was lost to one that is lost now goes on to the new winner, and keeps its cause.
_LOSE = """
CREATE OR REPLACE TABLE lost AS
SELECT l.id, coalesce(m.winner, l.winner) AS winner, l.cause
FROM lost l LEFT JOIN moves m ON l.winner = m.id
UNION ALL SELECT id, winner, '{cause}' FROM moves
"""
# Most samples neither win nor lose: their labels stay as they are.
_POOL_LABELS = """
CREATE TEMP TABLE touched AS
SELECT id, winner FROM lost UNION ALL SELECT DISTINCT winner, winner FROM lost;
CREATE OR REPLACE TABLE tags AS
SELECT id, entity, score FROM tags ANTI JOIN touched USING (id)
UNION ALL
SELECT winner, entity, max(score) FROM tags JOIN touched USING (id) GROUP BY ALL;
DROP TABLE touched;
"""


def settle_duplicates(
    database: Database, tables: PoolTables, rule: DuplicateRule, loaded: Loaded
) -> None:
    """Later ones are dropped and leave their labels to the first of their cluster.

    Where the rule keeps them, the table ``clusters`` (id, winner) is made instead: a cluster is all
    that hangs together, for a split may not part any near pair.

    Args:
        database: With the facts loaded.
        tables: Of the pool, for embeddings.
        rule: What counts as the same.
        loaded: Fates, which lose the duplicates.
    """
    near: list[Pairs] = []
    database.execute("CREATE TABLE lost (id BIGINT, winner BIGINT, cause VARCHAR)")
    with timed("assemble: exact duplicates"):
        database.execute(_REPEATED_IMAGES)
        _lose(database, Cause.DUPLICATE_EXACT)
    # Whoever stays may be near another by embedding, whatever else it is near by hash.
    different = _still_in(database, loaded)
    if rule.perceptual_bits is not None:
        with timed("assemble: perceptual duplicates"):
            near.append(_near_by_hash(database, rule.perceptual_bits))
    if rule.embedding_cosine is not None:
        compared = _still_in(database, loaded) if rule.drop else different
        with timed("assemble: embedding duplicates"):
            near.append(_near_by_embedding(tables, loaded, compared, rule.embedding_cosine))
    if not rule.drop:
        _join_clusters(database, near)
        return
    if rule.embedding_cosine is not None:
        _move(database, first_wins(near[-1]), Cause.DUPLICATE_EMBEDDING)
    for cause in (Cause.DUPLICATE_EXACT, Cause.DUPLICATE_PERCEPTUAL, Cause.DUPLICATE_EMBEDDING):
        loaded.fates.drop(_lost(database, cause), cause)
    with timed("assemble: labels of duplicates"):
        database.execute(_POOL_LABELS)


def _near_by_hash(database: Database, bits: int) -> Pairs:
    """Pairs of samples; those that lose by them have moved."""
    database.execute(_HEADS)
    database.execute(_EQUAL_HASHES)
    _lose(database, Cause.DUPLICATE_PERCEPTUAL)
    near = near_hashes(database, "heads", "heads", bits)
    found = database.execute(
        f"SELECT l.id AS a, r.id AS b FROM {near} n JOIN heads l ON l.phash = n.a "
        "JOIN heads r ON r.phash = n.b WHERE l.id < r.id"
    ).fetchnumpy()
    database.execute(f"DROP TABLE heads; DROP TABLE {near}")
    pairs = np.stack([found["a"], found["b"]], axis=1)
    _move(database, first_wins(pairs), Cause.DUPLICATE_PERCEPTUAL)
    return pairs


def _near_by_embedding(tables: PoolTables, loaded: Loaded, which: Flags, cosine: float) -> Pairs:
    return embedding_pairs(
        lambda: _vectors(tables, loaded.starts, which), int(np.count_nonzero(which)), cosine
    )


def _vectors(tables: PoolTables, starts: Ids, which: Flags) -> Iterator[Block]:
    """Places and vectors of some samples, shard by shard."""
    edges = pairwise(starts.tolist())
    read = ahead(lambda work: tables.read("image_embeddings", work), tables.work)
    watched = bar(read, label="embeddings", total=len(tables.work), unit="shard")
    for table, (start, end) in zip(watched, edges, strict=True):
        rows = np.flatnonzero(which[start:end])
        vectors, places = read_embeddings(table)
        places = places[rows]
        embedded = places >= 0
        yield start + rows[embedded], vectors[places[embedded]].astype(np.float16)


def _still_in(database: Database, loaded: Loaded) -> Flags:
    """Samples that no row of their own and nobody else has dropped so far."""
    which = loaded.fates.left()
    which[_lost(database)] = False
    return which


def _lost(database: Database, cause: str = "") -> Ids:
    where = f"WHERE cause = '{cause}'" if cause else ""
    found = database.execute(f"SELECT id FROM lost {where}").fetchnumpy()
    return np.asarray(found["id"], np.int64)


def _move(database: Database, losers: Pairs, cause: Cause) -> None:
    _make(database, "CREATE OR REPLACE TEMP TABLE moves", losers)
    _lose(database, cause)


def _lose(database: Database, cause: Cause) -> None:
    database.execute(_LOSE.format(cause=cause))


def _join_clusters(database: Database, near: Sequence[Pairs]) -> None:
    found = database.execute("SELECT id, winner FROM lost").fetchnumpy()
    repeats = np.stack([found["id"], found["winner"]], axis=1)
    _make(database, "CREATE TABLE clusters", components(np.concatenate([repeats, *near])))


def _make(database: Database, create: str, pairs: Pairs) -> None:
    """Make a table of samples and their winners."""
    with registered(database, "pairs", pa.table({"id": pairs[:, 0], "winner": pairs[:, 1]})):
        database.execute(f"{create} AS SELECT * FROM pairs")
