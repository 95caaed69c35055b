"""The decisions that need the whole pool: who repeats whom, which entities stay, who is held back.

The database holds what no memory would; it is read in blocks, and no table is ever updated.
"""

from collections.abc import Iterator

import duckdb
import numpy as np
import pyarrow as pa

from openmofi.dataset.assembly.fates import Fates, Flags
from openmofi.dataset.causes import Cause
from openmofi.dataset.config import AssembleConfig

Database = duckdb.DuckDBPyConnection

_ROWS = 1_000_000  # of a result at a time


def limit_labels(database: Database, config: AssembleConfig, fates: Fates) -> None:
    """Labels per image at most, images per entity at least, then at most.

    Args:
        database: With labels of samples that are in only.
        config: The limits.
        fates: Of all samples; those that have lost their labels are dropped.
    """
    if config.max_labels_per_image is not None:
        _remake_tags(
            database,
            "SELECT * FROM tags QUALIFY row_number() OVER (PARTITION BY id ORDER BY score DESC, "
            f"entity) <= {config.max_labels_per_image}",
        )
    _remake_tags(
        database,
        "SELECT * FROM tags SEMI JOIN (SELECT entity FROM tags GROUP BY entity "
        f"HAVING count(*) >= {config.min_images_per_entity}) USING (entity)",
    )
    if config.require_entities:
        fates.drop(~among(database, "SELECT id FROM tags", fates), Cause.RARE_ENTITY)
    if config.max_images_per_entity is not None:
        _cap_entities(database, config.max_images_per_entity, config.seed, fates)


def split_samples(
    database: Database, validation_share: float, seed: int, fates: Fates, *, clusters: bool
) -> None:
    """Put each cluster whole into ``train`` or ``validation``, by a hash of its first image.

    Args:
        database: With the pictures.
        validation_share: Of the clusters.
        seed: Of the hash.
        fates: Of all samples.
        clusters: Whether duplicates have stayed, in the table ``clusters``.
    """
    limit = f"{int(validation_share * 2**32):08x}"
    image = "printf('%016x%016x', high, low)"
    query = (
        f"SELECT id FROM pictures WHERE substr(md5('{seed}/split/' || {image}), 1, 8) < '{limit}'"
    )
    held = among(database, query, fates)
    if clusters:
        found = database.execute("SELECT id, winner FROM clusters").fetchnumpy()
        held[found["id"]] = held[found["winner"]]
    fates.validation[:] = held


def among(database: Database, query: str, fates: Fates) -> Flags:
    """Which samples of the pool a query names by its only column."""
    found = np.zeros(len(fates), np.bool_)
    for (ids,) in blocks(database, query):
        found[ids] = True
    return found


def blocks(database: Database, query: str) -> Iterator[list[np.ndarray]]:
    """The columns of a result in blocks: there may be more rows than memory.

    Through a connection of its own, so that others may be asked in between.
    """
    with database.cursor() as cursor:
        reader: pa.RecordBatchReader = cursor.sql(query).to_arrow_reader(_ROWS)
        for batch in reader:
            yield [column.to_numpy(zero_copy_only=False) for column in batch.columns]


def _remake_tags(database: Database, query: str) -> None:
    database.execute(f"CREATE OR REPLACE TABLE tags AS {query}")


def _cap_entities(database: Database, cap: int, seed: int, fates: Fates) -> None:
    # An image goes only if it is beyond the cap for all of its entities: taking single labels away
    # would teach that an entity in the picture is not there.
    uid = "printf('%016x%016x', uid_high, uid_low)"
    database.execute(
        f"""
        CREATE TABLE within AS SELECT DISTINCT id FROM (
            SELECT id, row_number() OVER (
                PARTITION BY entity ORDER BY md5('{seed}/cap/' || {uid}), id
            ) AS place FROM tags JOIN pictures USING (id)
        ) WHERE place <= {cap}
        """
    )
    fates.drop(~among(database, "SELECT id FROM within", fates), Cause.ENTITY_CAP)
    _remake_tags(database, "SELECT * FROM tags SEMI JOIN within USING (id)")
