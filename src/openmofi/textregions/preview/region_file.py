"""Regions in a Parquet file, pictures in a folder of tars: a source without a store."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from openmofi.errors import InputError
from openmofi.ingest.sources import IMAGE_EXTENSIONS
from openmofi.records import Status
from openmofi.shards import Member, TarReader, TarSample, index_tar
from openmofi.textregions.pairs import file_has_second_look
from openmofi.textregions.preview.source import SCANNED, Ints, Regions, checked, regions_of

_NEEDED = ("shard", "key", "boxes", "confidences", "areas", "status")
_OPTIONAL = ("detector_confidences",)
_ROWS = 1 << 14  # of a batch: a file of one row group is never whole in memory


class RegionFile:
    """A file of ``openmofi textregions detect``.

    Args:
        path: The file.
        pairs: Folder with the tars that it names.

    Raises:
        InputError: A file, a tar or a column is not there.
    """

    def __init__(self, path: Path, pairs: Path) -> None:
        self.name = str(path)
        self._path, self._pairs = path, pairs
        if not path.is_file():
            raise InputError(f"regions file not found: {path}")
        if not pairs.is_dir():
            raise InputError(f"pairs not found: {pairs} is not a folder")
        try:
            with pq.ParquetFile(path) as file:
                names = file.schema_arrow.names
                self.second_look = file_has_second_look(file.schema_arrow)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(path, error) from None
        missing = [name for name in _NEEDED if name not in names]
        if missing:
            raise InputError(
                f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; "
                "--regions takes a file of `openmofi textregions detect`"
            )
        self._columns = [*_NEEDED, *(name for name in _OPTIONAL if name in names)]
        self._check_tars()

    def tables(self) -> Iterator[pa.Table]:
        """All rows in order, without boxes."""
        for table in self._batches(SCANNED):
            yield checked(table, self.name)

    def chosen(self, rows: Ints) -> Iterator[tuple[Regions, bytes | None]]:
        """The regions of ``rows`` with the bytes of their pictures, tar by tar."""
        found = sorted(self._rows(rows), key=attrgetter("shard", "row"))
        for shard, group in groupby(found, key=attrgetter("shard")):
            yield from self._pictures(shard, list(group))

    def _check_tars(self) -> None:
        named: set[str | None] = set()
        for table in self._batches(["shard"]):
            named.update(pc.unique(table.column("shard")).to_pylist())
        for shard in sorted(str(one) for one in named):
            if not (self._pairs / f"{shard}.tar").is_file():
                raise InputError(
                    f"{self._pairs} has no {shard}.tar, and {self.name} names pictures in it"
                )

    def _batches(
        self, columns: Sequence[str], groups: list[int] | None = None
    ) -> Iterator[pa.Table]:
        try:
            # Threads of Arrow are left out for the reason that records tells.
            with pq.ParquetFile(self._path) as file:
                for batch in file.iter_batches(
                    _ROWS, row_groups=groups, columns=list(columns), use_threads=False
                ):
                    yield pa.Table.from_batches([batch])
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(self._path, error) from None

    def _rows(self, rows: Ints) -> Iterator[Regions]:
        with pq.ParquetFile(self._path) as file:
            metadata = file.metadata
            sizes = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
        first = 0
        for group, size in enumerate(sizes):
            if np.any((rows >= first) & (rows < first + size)):
                start = first
                for table in self._batches(self._columns, [group]):
                    yield from self._picked(table, rows, start)
                    start += table.num_rows
            first += size

    def _picked(self, table: pa.Table, rows: Ints, start: int) -> Iterator[Regions]:
        inside = rows[(rows >= start) & (rows < start + table.num_rows)] - start
        if not len(inside):
            return
        picked = checked(table.take(pa.array(inside)), self.name)
        for row, regions in zip(inside.tolist(), regions_of(picked, 0), strict=True):
            yield regions._replace(row=start + row)

    def _pictures(
        self, shard: str, wanted: list[Regions]
    ) -> Iterator[tuple[Regions, bytes | None]]:
        path = self._pairs / f"{shard}.tar"
        samples = {one.key: one for one in index_tar(path)}
        with TarReader(path) as tar:
            for regions in wanted:
                member = self._member(path, samples, regions)
                yield regions, tar.read(member.offset, member.length) if member else None

    def _member(
        self, path: Path, samples: Mapping[str, TarSample], regions: Regions
    ) -> Member | None:
        members = samples[regions.key].members if regions.key in samples else None
        # In the order of extensions, as detection picks it, whatever the order in the tar.
        found = next((e for e in IMAGE_EXTENSIONS if members and e in members), None)
        if members is None or (found is None and regions.status == Status.OK):
            raise InputError(
                f"{path} has no picture '{regions.key}', which {self.name} names; the regions "
                "were made from other pairs"
            )
        return None if found is None else members[found]


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = " ".join(str(error).split())
    return InputError(f"{path} is no readable Parquet file: {reason:.200}")
