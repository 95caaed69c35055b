"""Which items of a Wikidata dump become entities: by class, through the subclass graph."""

import duckdb

from openmofi.database import first_row
from openmofi.entities.config import WikidataConfig
from openmofi.errors import InputError

Database = duckdb.DuckDBPyConnection

_MAX_REDIRECTS = 8  # one after the other; a circle of them ends here

# A redirect that is told twice must not depend on which of the two a thread meets first.
_SETTLE = """
DELETE FROM redirects WHERE source = {source} AND EXISTS (
    SELECT 1 FROM redirects other
    WHERE other.source = {source} AND other.entity_id = redirects.entity_id
      AND other.target_id < redirects.target_id
)
"""
_FOLLOW = """
UPDATE redirects SET target_id = next.target_id
FROM redirects next
WHERE redirects.source = {source} AND next.source = {source}
  AND redirects.target_id = next.entity_id AND next.entity_id <> redirects.entity_id
"""
_REDIRECTED = """
UPDATE edges SET parent_id = target_id
FROM redirects r
WHERE edges.source = {source} AND r.source = {source} AND edges.parent_id = r.entity_id
"""

# All classes below some classes, themselves included; UNION ends at circles.
_BELOW = """
CREATE OR REPLACE TEMP TABLE below AS
WITH RECURSIVE class(id) AS (
    SELECT unnest($ids) UNION
    SELECT entity_id FROM edges JOIN class ON parent_id = id
    WHERE source = {source} AND relation = 'subclass_of'
)
SELECT id FROM class
"""
_DROP = """
DELETE FROM entities WHERE source = {source} AND entity_id {negation} IN (
    SELECT id FROM below UNION ALL
    SELECT entity_id FROM edges JOIN below ON parent_id = id
    WHERE source = {source} AND relation = 'instance_of'
)
"""
_FORGET = """
DELETE FROM aliases WHERE source = {source}
AND entity_id NOT IN (SELECT entity_id FROM entities WHERE source = {source})
"""


def resolve_redirects(database: Database, source: int) -> None:
    """Let edges that lead to a redirect lead to the entity that it means."""
    count_all = f"SELECT count(*) FROM redirects WHERE source = {source}"
    if not _count(database, count_all):
        return
    database.execute(_SETTLE.format(source=source))
    for _ in range(_MAX_REDIRECTS):
        if not _count(database, _FOLLOW.format(source=source)):
            break
    database.execute(_REDIRECTED.format(source=source))


def select_types(database: Database, source: int, name: str, settings: WikidataConfig) -> int:
    """Keep the entities that the settings ask for; the graph stays whole.

    Returns:
        How many were dropped.

    Raises:
        InputError: A class to include is neither in the dump nor anything's class in it.
    """
    dropped = 0
    for ids, negation in ((settings.include, "NOT"), (settings.exclude, "")):
        if ids:
            targets = [_target(database, source, one) for one in ids]
            if negation:
                _check_known(database, source, name, targets)
            database.execute(_BELOW.format(source=source), {"ids": targets})
            dropped += _count(database, _DROP.format(source=source, negation=negation))
    least = settings.min_sitelinks + 1  # popularity is one more than the sitelinks
    unpopular = f"DELETE FROM entities WHERE source = {source} AND popularity < {least}"
    dropped += _count(database, unpopular)
    database.execute(_FORGET.format(source=source))
    return dropped


def _count(database: Database, statement: str) -> int:
    """The one number of a result: rows that a statement changed, or counted."""
    [count] = first_row(database, statement) or (0,)
    return int(count)


def _target(database: Database, source: int, entity_id: str) -> str:
    query = f"SELECT target_id FROM redirects WHERE source = {source} AND entity_id = ?"
    found = first_row(database, query, [entity_id])
    return str(found[0]) if found else entity_id


def _check_known(database: Database, source: int, name: str, classes: list[str]) -> None:
    for one in classes:
        known = first_row(
            database,
            f"SELECT 1 FROM edges WHERE source = {source} AND parent_id = $id UNION ALL "
            f"SELECT 1 FROM entities WHERE source = {source} AND entity_id = $id LIMIT 1",
            {"id": one},
        )
        if not known:
            raise InputError(f"wikidata.include: {one} is no class in {name}; check the id")
