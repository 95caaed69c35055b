"""All sources in one database: entities, candidates of each surface, edges of the graph."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from openmofi.database import first_row, registered, working_database
from openmofi.entities.config import KnowledgeBaseConfig
from openmofi.entities.kernels_hash import Ints
from openmofi.entities.kinds import KINDS
from openmofi.entities.priors import Postings, mix_priors
from openmofi.entities.select import resolve_redirects, select_types
from openmofi.entities.sources import Source
from openmofi.entities.text import MAX_KEY_BYTES, surface_keys
from openmofi.errors import InputError
from openmofi.progress import bar

Database = duckdb.DuckDBPyConnection

_TABLES = """
CREATE TABLE entities (
    source INT, entity_id VARCHAR, line BIGINT, name VARCHAR, description VARCHAR, popularity FLOAT,
    kind VARCHAR
);
CREATE TABLE aliases (
    source INT, entity_id VARCHAR, surface VARCHAR, weight DOUBLE, flags UTINYINT
);
CREATE TABLE edges (source INT, entity_id VARCHAR, parent_id VARCHAR, relation VARCHAR);
CREATE TABLE redirects (source INT, entity_id VARCHAR, target_id VARCHAR);
CREATE TABLE plurals (source INT, plural VARCHAR, singular VARCHAR, is_word BOOLEAN);
CREATE TABLE kinds (entity_id VARCHAR, number UTINYINT);
CREATE TABLE kind_names (number UTINYINT, kind VARCHAR);
"""

_REPEATED = """
SELECT entity_id, list(source ORDER BY source, line)[:2], list(line ORDER BY source, line)[:2]
FROM entities GROUP BY entity_id{by_source} HAVING count(*) > 1 ORDER BY entity_id LIMIT 1
"""

# Ids are compared by their bytes, as Python compares them.
_ROWS = """
CREATE TABLE numbered AS
SELECT row_number() OVER (ORDER BY entity_id) - 1 AS row, * EXCLUDE (source, line)
FROM (SELECT DISTINCT ON (entity_id) * FROM entities ORDER BY entity_id, source)
"""

_PAIRS = """
CREATE TABLE pairs AS
SELECT surface, row, source, max(weight) AS weight, bit_or(flags) AS flags
FROM aliases JOIN numbered USING (entity_id) GROUP BY ALL
"""

# The matcher itself knows words that are plurals of one word; others become aliases.
_PLURALS = """
INSERT INTO pairs
SELECT p.plural, q.row, q.source, max(q.weight), bit_or(q.flags)
FROM plurals p JOIN pairs q ON q.surface = p.singular AND q.source = p.source
WHERE NOT p.is_word
  AND (p.plural, p.source) NOT IN (SELECT (surface, source) FROM pairs)
GROUP BY ALL
"""

_SEEDS = """
INSERT INTO kinds
SELECT entity_id, min(number) FROM entities JOIN kind_names USING (kind) WHERE number > 0
GROUP BY entity_id HAVING entity_id NOT IN (SELECT entity_id FROM kinds)
"""

# One step away from what has a kind; all edges count, also those of classes that are left out.
_INHERIT = """
INSERT INTO kinds
SELECT edges.entity_id, min(number) FROM edges JOIN kinds ON edges.parent_id = kinds.entity_id
WHERE edges.entity_id NOT IN (SELECT entity_id FROM kinds)
GROUP BY edges.entity_id
"""

_KINDLESS = "SELECT count(*) FROM numbered ANTI JOIN kinds USING (entity_id)"

_ENTITIES = """
SELECT entity_id, name, description, popularity, kind_names.kind
FROM (SELECT * EXCLUDE (kind) FROM numbered) LEFT JOIN kinds USING (entity_id)
JOIN kind_names ON kind_names.number = coalesce(kinds.number, 0) ORDER BY row
"""

# A source speaks of its own entities alone: what it left out may be another one's entity.
_EDGES = """
SELECT e.entity_id, e.parent_id, e.relation, c.row AS child, p.row AS parent
FROM (
    SELECT DISTINCT entity_id, parent_id, relation
    FROM edges SEMI JOIN entities USING (source, entity_id) WHERE entity_id <> parent_id
) e JOIN numbered c USING (entity_id) LEFT JOIN numbered p ON e.parent_id = p.entity_id
ORDER BY child, e.parent_id, relation
"""


@dataclass(frozen=True)
class Gathered:
    """What the files of a knowledge base are made from.

    Args:
        entities: entity_id, name, description, popularity, kind; sorted by id.
        surfaces: Distinct, in the order of their bytes.
        postings: The candidates of each surface.
        edges: ``[edges, 2]`` rows of child and parent, sorted.
        graph: entity_id, parent_id, relation; also of parents that are no entity here.
        plurals: Irregular plural to singular, folded, one word each.
        counts: For the manifest.
    """

    entities: pa.Table
    surfaces: pa.Array
    postings: Postings
    edges: Ints
    graph: pa.Table
    plurals: dict[str, str]
    counts: dict[str, int]


def gather(sources: Sequence[Source], settings: KnowledgeBaseConfig) -> Gathered:
    """Read all sources and put them together.

    Raises:
        InputError: A source is malformed, an id occurs twice, or there would be nothing to link to.
    """
    longest = settings.max_alias_tokens
    plurals: dict[str, str] = {}
    with working_database("kb") as database:
        database.execute(_TABLES)
        for number, source in enumerate(sources):
            folded = _fold_plurals(source, longest)
            plurals |= {plural: singular for plural, singular, is_word in folded if is_word}
            _load(database, number, source, folded)
            resolve_redirects(database, number)
            if source.selects:
                dropped = select_types(database, number, source.name, settings.wikidata)
                source.counts["not_selected"] += dropped
        _check_ids(database, sources, settings)
        database.execute(_ROWS)
        database.execute(_PAIRS)
        database.execute(_PLURALS)
        surfaces, postings = _postings(database, sources)
        graph = _fetch(database, _EDGES)
        known = graph.filter(graph["parent"].is_valid())
        without_kind = _find_kinds(database)
        return Gathered(
            entities=_fetch(database, _ENTITIES),
            surfaces=surfaces,
            postings=postings,
            edges=np.stack([_ints(known, "child"), _ints(known, "parent")], axis=1),
            graph=graph.select(["entity_id", "parent_id", "relation"]),
            plurals=plurals,
            counts={
                "parents": known.num_rows,
                "unknown_parents": graph.num_rows - known.num_rows,
                "entities_without_kind": without_kind,
            },
        )


def _load(
    database: Database, number: int, source: Source, plurals: Sequence[tuple[str, str, bool]]
) -> None:
    for part in bar(source.parts(), label=source.name, unit="part"):
        for name, table in part._asdict().items():
            _insert(database, name, number, table)
    if plurals:
        columns = zip(("plural", "singular", "is_word"), zip(*plurals, strict=True), strict=True)
        _insert(database, "plurals", number, pa.table(dict(columns)))
    for entity_id, kind in source.kinds.items():
        database.execute("INSERT INTO kinds VALUES (?, ?)", [entity_id, KINDS.index(kind)])


def _insert(database: Database, name: str, number: int, table: pa.Table) -> None:
    columns = ", ".join(table.column_names)
    query = f"INSERT INTO {name} (source, {columns}) SELECT {number}, {columns} FROM part"
    with registered(database, "part", table):
        database.execute(query)


def _fold_plurals(source: Source, longest: int) -> list[tuple[str, str, bool]]:
    """Plural and singular, folded, and whether both are one word."""
    written = source.plurals
    folded = [
        (key if tokens <= longest and len(key.encode()) <= MAX_KEY_BYTES else "", tokens)
        for key, tokens in surface_keys([*written.keys(), *written.values()])
    ]
    pairs = zip(folded[: len(written)], folded[len(written) :], strict=True)
    return [
        (plural, singular, words == other_words == 1)
        for (plural, words), (singular, other_words) in pairs
        if plural and singular
    ]


def _find_kinds(database: Database) -> int:
    """Give every entity without a kind that of its nearest class; return how many have none."""
    database.executemany("INSERT INTO kind_names VALUES (?, ?)", list(enumerate(KINDS)))
    database.execute(_SEEDS)
    while left := _count(database, _KINDLESS):
        if not _count(database, _INHERIT):
            break
    return left


def _check_ids(
    database: Database, sources: Sequence[Source], settings: KnowledgeBaseConfig
) -> None:
    by_source = ", source" if settings.same_id == "combine" else ""
    found = first_row(database, _REPEATED.format(by_source=by_source))
    if found:
        entity_id, (one, other), (line, again) = found
        if one == other:
            raise InputError(
                f"{sources[one].name}, line {again}: entity id '{entity_id}' is also in line {line}"
            )
        raise InputError(
            f"entity id '{entity_id}' is in {sources[one].name} and in {sources[other].name}: "
            "rename one, or set same_id to combine if both mean the same entity"
        )
    if not _count(database, "SELECT count(*) FROM entities"):
        names = ", ".join(source.name for source in sources)
        raise InputError(f"the knowledge base would have no entity: nothing is left of {names}")


def _postings(database: Database, sources: Sequence[Source]) -> tuple[pa.Array, Postings]:
    pairs = _fetch(database, "SELECT * FROM pairs ORDER BY surface, row, source")
    if not pairs.num_rows:
        names = ", ".join(source.name for source in sources)
        raise InputError(
            "the knowledge base would have no alias that the matcher can find: no name in "
            f"{names} has a letter or digit and at most max_alias_tokens words"
        )
    surface = pairs["surface"].cast(pa.large_string()).combine_chunks()
    begins = np.ones(len(surface), np.bool_)
    changed = pc.not_equal(surface[1:], surface[:-1])
    begins[1:] = changed.to_numpy(zero_copy_only=False)
    postings = mix_priors(
        np.cumsum(begins) - 1,
        _ints(pairs, "row"),
        _ints(pairs, "source"),
        pairs["weight"].to_numpy(),
        pairs["flags"].to_numpy(),
        np.array([source.priors for source in sources]),
    )
    return surface.filter(pa.array(begins)), postings


def _count(database: Database, statement: str) -> int:
    """The one number of a result: rows that are counted, or that a statement changed."""
    [count] = first_row(database, statement) or (0,)
    return int(count)


def _fetch(database: Database, query: str) -> pa.Table:
    table: pa.Table = database.sql(query).to_arrow_table()
    return table


def _ints(table: pa.Table, column: str) -> Ints:
    values: Ints = table[column].to_numpy().astype(np.int64)
    return values
