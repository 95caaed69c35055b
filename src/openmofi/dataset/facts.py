"""From tables to facts: one shard at a time, what each sample is known to be, into DuckDB.

The database holds narrow rows only (ids, hashes, entity ids), and spills to disk.
"""

from typing import NamedTuple, cast

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.dataset.config import AssembleConfig
from openmofi.dataset.image_rules import ImageRules
from openmofi.dataset.inputs import PoolTables
from openmofi.dataset.text_policies import TextFacts, text_facts
from openmofi.progress import bar
from openmofi.textregions.rule import TextRule
from openmofi.work import Work

SCORE_BINS = np.linspace(-1, 1, 201)

Counts = npt.NDArray[np.int64]

_TABLES = """
CREATE TABLE samples (
    id BIGINT,            -- place in the pool: shards by name, rows in tar order
    shard INTEGER, row INTEGER, uid VARCHAR, image_id VARCHAR, phash UBIGINT,
    text VARCHAR,         -- the cause for which the text rule would drop it
    with_text BOOLEAN,    -- by the text rule, whatever its policy
    text_dependent BOOLEAN,  -- with text, and that policy would drop it; null: not known
    large_text BOOLEAN,
    held_out BOOLEAN,     -- near an image of an evaluation set, by embedding
    score_refused BOOLEAN,  -- by a head's bounds
    cause VARCHAR,        -- null: still in
    cluster BIGINT,       -- id of the picture that it repeats, its own if none
    duplicate VARCHAR,    -- the kind of duplicate it is
    split VARCHAR
);
CREATE TABLE labels (id BIGINT, entity_id VARCHAR, score FLOAT);
"""

_INSERT_SAMPLES = """
INSERT INTO samples
SELECT {base} + row, {shard}, row, uid, image_id, phash, text, with_text, text_dependent,
       large_text, held_out, score_refused,
       CASE WHEN status <> 'ok' THEN status END, NULL, NULL, NULL
FROM shard_samples ORDER BY row
"""

# What the text and the image have settled on may still be too weak to be kept. An entity of several
# mentions is as likely by the text as in the best of them.
_INSERT_LABELS = """
INSERT INTO labels
SELECT {base} + row, entity_id, clip_score FROM shard_scores s
WHERE settled AND clip_score >= {min_score}::FLOAT AND EXISTS (
    FROM shard_mentions m WHERE m.row = s.row AND m.entity_id = s.entity_id
    AND m.context_score >= {min_context}::FLOAT
)
ORDER BY row, entity_id
"""


class Histograms(NamedTuple):
    """Counts by `SCORE_BINS`, each ``int64[200]``, for the card."""

    entities: Counts  # of all entity scores
    masked: Counts  # of the masked scores of pictures with text


def load_facts(
    database: duckdb.DuckDBPyConnection,
    tables: PoolTables,
    config: AssembleConfig,
    min_score: float,
    images: ImageRules,
) -> Histograms:
    """Fill the tables ``samples`` and ``labels``.

    Args:
        database: Empty.
        tables: The pool.
        config: The rules.
        min_score: Cosine from which a label counts.
        images: What is decided by embedding.
    """
    database.execute(_TABLES)
    histograms = Histograms(*np.zeros((2, len(SCORE_BINS) - 1), dtype=np.int64))
    base = 0
    for number, work in enumerate(bar(tables.work, label="assemble", unit="shard")):
        samples, masked = _with_text(tables, work, config.text)
        histograms.masked[:] += _histogram(masked)
        samples = _with_embedding(samples, tables, work, images)
        database.register("shard_samples", samples)
        database.execute(_INSERT_SAMPLES.format(base=base, shard=number))
        database.unregister("shard_samples")
        if tables.has("mentions") and tables.has("entity_scores"):
            histograms.entities[:] += _load_labels(
                database, tables, work, base, min_score, config.min_context_score or 0
            )
        base += samples.num_rows
    return histograms


def _with_text(
    tables: PoolTables, work: Work, rule: TextRule
) -> tuple[pa.Table, npt.NDArray[np.float32]]:
    """The samples with what their text says of them; masked scores of those with text."""
    samples = tables.read("samples", work).select(["uid", "image_id", "phash", "status"])
    rows = samples.num_rows
    none = np.zeros(rows, dtype=bool)
    found = TextFacts(np.full(rows, None, object), none, None, none, np.zeros(0, np.float32))
    if rule.drop_text and tables.has("text_regions"):
        masked = tables.read("masked_scores", work) if tables.has("masked_scores") else None
        found = text_facts(tables.read("text_regions", work), masked, rule)
    columns = {
        "row": pa.array(np.arange(rows, dtype=np.int32)),
        "text": pa.array(found.cause, pa.string()),
        "with_text": pa.array(found.with_text),
        "text_dependent": pa.array([None] * rows if found.dependent is None else found.dependent),
        "large_text": pa.array(found.large),
    }
    for name, column in columns.items():
        samples = samples.append_column(name, column)
    return samples, found.scores


def _with_embedding(
    samples: pa.Table, tables: PoolTables, work: Work, images: ImageRules
) -> pa.Table:
    near = refused = np.zeros(samples.num_rows, dtype=bool)
    if images.needed:
        near, refused = images.flags(tables.read("image_embeddings", work))
    return samples.append_column("held_out", pa.array(near)).append_column(
        "score_refused", pa.array(refused)
    )


def _load_labels(
    database: duckdb.DuckDBPyConnection,
    tables: PoolTables,
    work: Work,
    base: int,
    min_score: float,
    min_context: float,
) -> Counts:
    scores = tables.read("entity_scores", work)
    database.register("shard_mentions", tables.read("mentions", work))
    database.register("shard_scores", scores)
    query = _INSERT_LABELS.format(base=base, min_score=min_score, min_context=min_context)
    database.execute(query)
    database.unregister("shard_mentions")
    database.unregister("shard_scores")
    return _histogram(scores.column("clip_score").to_numpy())


def _histogram(scores: npt.NDArray[np.float32]) -> Counts:
    return cast("Counts", np.histogram(np.clip(scores, -1, 1), SCORE_BINS)[0])
