"""From facts to the working database: causes that a row decides are settled on the way.

What they leave enters as narrow numbers: 16 bytes for an image id, 4 for an entity. Tables are made
once and never updated, so that DuckDB can spill all of its work to disk.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.database import registered
from openmofi.dataset.assembly.fates import Fates, Flags, Ids
from openmofi.dataset.assembly.filling import Filling
from openmofi.dataset.assembly.row_causes import RowDecisions, row_causes
from openmofi.dataset.assembly.score_bins import Histograms, histogram, no_histograms
from openmofi.errors import InputError
from openmofi.progress import bar
from openmofi.records import from_parquet
from openmofi.storage import Store
from openmofi.stream import ahead
from openmofi.versions import TableVersion

_TABLES = """
CREATE TABLE pictures (  -- samples that their own rows do not drop
    id BIGINT,           -- place in the pool: shards by name, rows in tar order
    high UBIGINT, low UBIGINT,          -- the image id
    uid_high UBIGINT, uid_low UBIGINT,  -- the uid
    phash UBIGINT
);
CREATE TABLE found (id BIGINT, number INTEGER, score FLOAT);
"""
# Entities are numbered in the order of their ids from here on, which ties are broken by.
_TAGS = """
CREATE TABLE entities AS SELECT * FROM numbered;
CREATE TABLE tags AS SELECT id, entity, score FROM found JOIN entities USING (number);
DROP TABLE found;
"""


@dataclass(frozen=True)
class Loaded:
    """What the database does not hold.

    Args:
        facts: What was loaded.
        fates: Of all samples, as far as their own rows decide.
        starts: [shards + 1], the place of each shard's first sample, and the end.
        histograms: Of scores.
        texts: Pictures with text by what policies would do, ``large_text`` among them.
    """

    facts: TableVersion
    fates: Fates
    starts: Ids
    histograms: Histograms
    texts: Mapping[str, int]


def load_facts(
    database: duckdb.DuckDBPyConnection, store: Store, facts: TableVersion, decided: RowDecisions
) -> Loaded:
    """Fill the tables ``pictures``, ``tags`` (id, entity, score) and ``entities``.

    Args:
        database: Empty.
        store: Of the facts.
        facts: Of `facts_stage.make_facts`.
        decided: What makes causes and labels of them.

    Raises:
        InputError: A table is not what its entry says.
    """
    database.execute(_TABLES)
    starts = np.cumsum([0, *(entry.rows for entry in facts.shards)])
    loader = _Loader(decided, Fates(int(starts[-1])))
    tables = ahead(lambda entry: from_parquet(store.get(entry.table_key)), facts.shards)
    watched = bar(tables, label="facts", total=len(facts.shards), unit="shard")
    with Filling(database, "pictures") as pictures, Filling(database, "found") as found:
        for entry, start, table in zip(facts.shards, starts.tolist(), watched, strict=False):
            if table.num_rows != entry.rows:
                raise InputError(
                    f"shard '{entry.shard}': {store.uri}/{entry.table_key} has {table.num_rows} "
                    f"rows and its entry {entry.rows}; delete it, and assembly makes it anew"
                )
            new_pictures, new_found = loader.load(entry.shard, start, table)
            pictures.add(new_pictures)
            found.add(new_found)
    with registered(database, "numbered", loader.entities()):
        database.execute(_TAGS)
    return Loaded(facts, loader.fates, starts, loader.histograms, loader.texts)


class _Loader:
    """Takes one shard after the other."""

    def __init__(self, decided: RowDecisions, fates: Fates) -> None:
        self.fates, self.histograms = fates, no_histograms()
        self.texts = dict.fromkeys(
            ("large_text", "with_text", "text_dependent", "text_dependent_known"), 0
        )
        self._decided = decided
        self._numbers: dict[str, int] = {}

    def load(self, shard: str, start: int, facts: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Rows of ``pictures`` and of ``found``."""
        self._count(facts)
        rows, which, scores = self._labels(facts)
        labelled = np.zeros(facts.num_rows, np.bool_)
        labelled[rows] = True
        part = slice(start, start + facts.num_rows)
        for cause, where in row_causes(facts, labelled, self._decided):
            self.fates.drop(part, cause, where)
        left = self.fates.left(part)
        staying = left[rows]
        found = {
            "id": start + rows[staying],
            "number": self._numbered(which.filter(pa.array(staying))),
            "score": scores[staying],
        }
        return self._pictures(shard, start, facts, left), pa.table(found)

    def entities(self) -> pa.Table:
        """Numbers by first sight, and by the order of ids."""
        names = pa.array(list(self._numbers), pa.string())
        numbers = np.array(sorted(range(len(names)), key=list(self._numbers).__getitem__), np.int32)
        return pa.table(
            {
                "entity": np.arange(len(numbers), dtype=np.int32),
                "number": numbers,
                "entity_id": names.take(pa.array(numbers)),
            }
        )

    def _labels(self, facts: pa.Table) -> tuple[Ids, pa.Array, npt.NDArray[np.float32]]:
        """Rows, entity ids and scores of the labels that count, in the order of rows."""
        lists = {name: facts[name].combine_chunks() for name in ("entities", "scores", "contexts")}
        lengths = lists["entities"].value_lengths().to_numpy()
        scores, contexts = (lists[name].flatten().to_numpy() for name in ("scores", "contexts"))
        # Compared as float32, the type of the table: 0.3 must not be below 0.3.
        counts = scores >= np.float32(self._decided.min_score)
        counts &= contexts >= np.float32(self._decided.min_context)
        rows = np.repeat(np.arange(len(lengths)), lengths)[counts]
        return rows, lists["entities"].flatten().filter(pa.array(counts)), scores[counts]

    def _numbered(self, entities: pa.Array) -> npt.NDArray[np.int32]:
        encoded = entities.dictionary_encode()
        names = encoded.dictionary.to_pylist()
        here = [self._numbers.setdefault(name, len(self._numbers)) for name in names]
        numbers: npt.NDArray[np.int32] = np.array(here, np.int32)[encoded.indices.to_numpy()]
        return numbers

    def _pictures(self, shard: str, start: int, facts: pa.Table, left: Flags) -> pa.Table:
        facts = facts.filter(pa.array(left))
        high, low = words(facts["image_id"], shard)
        uid_high, uid_low = words(facts["uid"], shard)
        columns = {"high": high, "low": low, "uid_high": uid_high, "uid_low": uid_low}
        return pa.table({"id": start + np.flatnonzero(left), **columns, "phash": facts["phash"]})

    def _count(self, facts: pa.Table) -> None:
        flags = {
            name: np.asarray(facts[name].fill_null(False))
            for name in ("with_text", "large_text", "text_dependent")
        }
        self.texts["large_text"] += int((flags["large_text"] & ~flags["with_text"]).sum())
        self.texts["with_text"] += int(flags["with_text"].sum())
        self.texts["text_dependent"] += int(flags["text_dependent"].sum())
        self.texts["text_dependent_known"] += facts["text_dependent"].length() - int(
            facts["text_dependent"].null_count
        )
        bins = facts["candidates"].combine_chunks().flatten().to_numpy()
        counted = self.histograms.entities
        counted += np.bincount(bins, minlength=len(counted))
        masked = facts["masked_score"].drop_null().to_numpy()
        self.histograms.masked[:] += histogram(masked)


def words(ids: pa.ChunkedArray | pa.Array, shard: str) -> npt.NDArray[np.uint64]:
    """[2, rows]: ids of 32 hex digits as numbers, the first digits in the first."""
    texts = ids.to_pylist()
    try:
        data = bytes.fromhex("".join(texts))
    except (TypeError, ValueError):
        data = b""
    if len(data) != 16 * len(texts):
        raise InputError(
            f"shard '{shard}': a uid or an image id is not of 32 hex digits; ingest it again"
        )
    return np.frombuffer(data, ">u8").reshape(-1, 2).T.astype(np.uint64)
