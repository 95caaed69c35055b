"""Regions and pictures of a store: its tables of text regions beside its samples.

Of what was taken down neither is read: such a sample counts as one that no detector looked at.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from openmofi.dataset.takedown.compact_tables import without_rows
from openmofi.errors import InputError
from openmofi.records import from_parquet
from openmofi.textregions.preview.source import Ints, Regions, checked, regions_of
from openmofi.textregions.rule import has_second_look
from openmofi.tombstones import read_tombstones
from openmofi.versions import read_table_versions
from openmofi.work import Work, align


class RegionTables:
    """The tables of all groups of shards.

    Args:
        regions: Manifest URIs of text_regions, one for each group of shards.
        samples: Manifest URIs of the samples of the same shards.

    Raises:
        InputError: The tables are of different shards or roots.
        StorageError: The store cannot be read.
    """

    def __init__(self, regions: Sequence[str], samples: Sequence[str]) -> None:
        self.name = ", ".join(regions)
        self._store, found = read_table_versions(regions, "text_regions")
        self.second_look = has_second_look(found)
        other, sampled = read_table_versions(samples, "samples")
        if other.uri != self._store.uri:
            raise InputError(
                f"text_regions lie in {self._store.uri}, samples in {other.uri}; use one root"
            )
        self._tombstones = read_tombstones(self._store)
        self._work = align({"samples": sampled, "text_regions": found})
        rows = {entry.shard: entry.rows for entry in found.shards}
        for entry in sampled.shards:
            if entry.rows != rows[entry.shard]:
                raise InputError(
                    f"shard '{entry.shard}': text_regions have {rows[entry.shard]} rows and "
                    f"samples {entry.rows}; they were made from different pools"
                )
        self._ends = np.cumsum([rows[work.shard] for work in self._work], dtype=np.int64)

    def tables(self) -> Iterator[pa.Table]:
        """All rows in order, a shard at a time."""
        for work in self._work:
            yield self._table(work)

    def chosen(self, rows: Ints) -> Iterator[tuple[Regions, bytes | None]]:
        """The regions of ``rows``, each with one ranged get of its picture."""
        start = 0
        for work, end in zip(self._work, self._ends.tolist(), strict=True):
            inside = rows[(rows >= start) & (rows < end)]
            if len(inside):
                yield from self._of_shard(work, inside, start)
            start = end

    def _table(self, work: Work) -> pa.Table:
        table = from_parquet(self._store.get(work.tables["text_regions"]))
        if self._tombstones:
            gone = self._tombstones.rows(self._samples(work))
            table = without_rows("text_regions", table, gone)
        return checked(table, f"text_regions of shard '{work.shard}'")

    def _of_shard(
        self, work: Work, rows: Ints, start: int
    ) -> Iterator[tuple[Regions, bytes | None]]:
        places = pa.array(rows - start)
        samples = self._samples(work).take(places)
        gone = self._tombstones.rows(samples).tolist()
        table = self._table(work).take(places)
        table = table.append_column("shard", pa.array([work.shard] * len(rows), pa.string()))
        table = table.append_column("key", samples.column("key"))
        members = (samples.column(name).to_pylist() for name in ("offset", "length"))
        for row, regions, offset, length, hidden in zip(
            rows.tolist(), regions_of(table, start), *members, gone, strict=True
        ):
            data = None
            if offset >= 0 and not hidden:
                data = self._store.get_range(work.tar_key, offset, length)
            yield regions._replace(row=row), data

    def _samples(self, work: Work) -> pa.Table:
        return from_parquet(self._store.get(work.tables["samples"]))
