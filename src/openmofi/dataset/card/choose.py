"""Which entities and which pictures stand on the page: all of a small set, a sample of a large one.

What is chosen does not depend on how the database ran: entities by their rank, pictures by a hash.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from openmofi.database import first_row, registered
from openmofi.dataset.causes import Cause

SHEET = 12  # pictures of one entity, at most
_SHARDS = 64  # a larger pool is sampled shard by shard, since of each a whole table is read


class Place(NamedTuple):
    """Where a sample lies."""

    id: int  # in the database
    shard: int
    row: int


def ranked_entities(vocabulary: pa.Table, most: int) -> pa.Table:
    """Rows of the vocabulary, those with the most training images first.

    Of more than ``most`` these are the upper half of ``most``, a quarter from the very end, and a
    quarter at even distances between.
    """
    keys = [("images", "descending"), ("class_index", "ascending")]
    order = pc.sort_indices(vocabulary, sort_keys=keys).to_numpy()
    if len(order) > most:
        first, last = most // 2, most // 4
        between = np.linspace(first, len(order) - last - 1, most - first - last).astype(np.int64)
        places = np.concatenate(
            [np.arange(first), between, np.arange(len(order) - last, len(order))]
        )
        order = order[places]
    return vocabulary.take(pa.array(order))


def sheet_sizes(images: Sequence[int], pictures: int) -> list[int]:
    """How many pictures each entity gets, by rank.

    All get 12, or what they have, where that is ``pictures`` in all or less; beyond that the sheets
    become smaller towards the end, and the last ones have none.

    Args:
        images: Of each entity, by rank.
        pictures: In all, at most.
    """
    # An entity of the validation split alone counts no training image, and has pictures.
    limit = np.minimum(np.maximum(np.asarray(images, dtype=np.int64), 1), SHEET)
    roots = np.sqrt(np.arange(1, len(limit) + 1))
    share = SHEET * float(roots[-1]) if len(limit) else 0.0
    while True:
        sizes = np.minimum(limit, (share / roots).astype(np.int64))
        if sizes.sum() <= pictures:
            found: list[int] = sizes.tolist()
            return found
        share *= 0.98


def samples_of_cause(database: duckdb.DuckDBPyConnection, cause: str, number: int) -> list[Place]:
    """Some samples of one cause, or some that are kept."""
    found = database.execute(
        f"SELECT id, shard, row FROM samples WHERE coalesce(cause, '{Cause.KEPT}') = ? "
        f"ORDER BY {_by_hash(database)} LIMIT {number}",
        [cause],
    ).fetchall()
    return [Place(*one) for one in found]


def samples_of_entities(
    database: duckdb.DuckDBPyConnection, sizes: Mapping[str, int]
) -> dict[str, list[Place]]:
    """Some kept samples of each entity, so many of each."""
    wanted = pa.table(
        {
            "entity_id": pa.array(sizes.keys(), pa.string()),
            "size": pa.array(sizes.values(), "int32"),
        }
    )
    order = _by_hash(database)
    with registered(database, "wanted_entities", wanted):
        found = database.execute(
            "SELECT entity_id, id, shard, row FROM labels JOIN samples USING (id) "
            "JOIN wanted_entities USING (entity_id) QUALIFY row_number() OVER "
            f"(PARTITION BY entity_id ORDER BY {order}) <= size ORDER BY entity_id, {order}"
        ).fetchall()
    places: dict[str, list[Place]] = {entity: [] for entity in sizes}
    for entity, *place in found:
        places[entity].append(Place(*place))
    return places


def labels_of(
    database: duckdb.DuckDBPyConnection, ids: Iterable[int]
) -> dict[int, list[tuple[str, float]]]:
    """Entity and score of the labels of some samples, best first."""
    chosen = sorted(set(ids))
    with registered(database, "wanted_samples", pa.table({"id": pa.array(chosen, pa.int64())})):
        found = database.execute(
            "SELECT id, entity_id, score FROM labels JOIN wanted_samples USING (id) "
            "ORDER BY id, score DESC, entity_id"
        ).fetchall()
    labels: dict[int, list[tuple[str, float]]] = {one: [] for one in chosen}
    for one, entity, score in found:
        labels[one].append((entity, score))
    return labels


def _by_hash(database: duckdb.DuckDBPyConnection) -> str:
    [shards] = first_row(database, "SELECT count(DISTINCT shard) FROM samples") or (0,)
    shard_first = "md5_number_lower('card/' || shard), " if shards > _SHARDS else ""
    return f"{shard_first}mark, id"
