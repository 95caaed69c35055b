"""What a preview reads: text regions with their pictures, scanned in passes of bounded memory."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from openmofi.errors import InputError
from openmofi.records import TEXT_REGIONS

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

SCANNED = ("confidences", "areas", "status")  # what a scan needs; boxes are read of chosen rows
_OLDER_LACK = "detector_confidences"


class Regions(NamedTuple):
    """One picture's regions, as they were recorded."""

    row: int  # place among all rows of the source
    shard: str
    key: str
    polygons: Floats  # [boxes, 8] x0 y0 … x3 y3 in pixels of the picture
    confidences: Floats  # [boxes]
    detector_confidences: Floats  # [boxes]; the same where none were recorded
    areas: Floats  # [boxes] share of the picture
    status: str


class Source(Protocol):
    """Recorded regions and the pictures that they were found in."""

    name: str  # what messages call it
    second_look: bool  # whether every box was looked at again; see `TextRule.for_boxes`

    def tables(self) -> Iterator[pa.Table]:
        """All rows in order, in tables of at least the columns `SCANNED`."""

    def chosen(self, rows: Ints) -> Iterator[tuple[Regions, bytes | None]]:
        """The regions of ``rows``, and the bytes of their pictures where there are any.

        Args:
            rows: Places among all rows, ascending.

        Raises:
            InputError: The pictures are others than the regions were found in.
        """


def checked(table: pa.Table, name: str) -> pa.Table:
    """The table with the types of `records.TEXT_REGIONS`.

    Raises:
        InputError: Something in it cannot be a text region.
    """
    for one in table.column_names:
        if table.column(one).null_count:
            raise InputError(f"{name}: the column '{one}' has nulls")
    fields = [
        TEXT_REGIONS.field(one) if one in TEXT_REGIONS.names else table.schema.field(one)
        for one in table.column_names
    ]
    try:
        table = table.cast(pa.schema(fields))
    except (pa.ArrowException, ValueError) as error:
        raise InputError(f"{name} holds no text regions: {' '.join(str(error).split())}") from None
    _check_numbers(table, name)
    return table


def _check_numbers(table: pa.Table, name: str) -> None:
    lists = [one for one in TEXT_REGIONS.names if one in table.column_names and one != "status"]
    lengths = {one: pc.list_value_length(table.column(one)) for one in lists}
    for one, counted in lengths.items():
        if not counted.equals(lengths["confidences"]):
            raise InputError(f"{name}: a row has not as many {one} as confidences")
    for one, most in (("confidences", 1.0), (_OLDER_LACK, 1.0), ("areas", np.inf)):
        if one in lists:
            values = _flat(table, one)
            # Written so that a nan fails it too.
            bad = values[~((values >= 0) & (values <= most))]
            if len(bad):
                raise InputError(f"{name}: the column '{one}' holds {bad[0]:g}")
    if "boxes" in lists:
        corners = pc.list_flatten(pc.list_flatten(table.column("boxes"))).to_numpy()
        if not np.isfinite(corners).all():
            raise InputError(f"{name}: the column 'boxes' holds corners that are no numbers")


def _flat(table: pa.Table, name: str) -> Floats:
    values: Floats = pc.list_flatten(table.column(name)).to_numpy()
    return values


def regions_of(table: pa.Table, first: int) -> Iterator[Regions]:
    """The rows of a small table with shard and key; the first is row ``first`` of the source."""
    for place, row in enumerate(table.to_pylist()):
        numbers = {
            name: np.asarray(row.get(name, row["confidences"]), dtype=np.float32)
            for name in ("confidences", _OLDER_LACK, "areas")
        }
        yield Regions(
            row=first + place,
            shard=row["shard"],
            key=row["key"],
            polygons=np.asarray(row["boxes"], dtype=np.float32).reshape(-1, 8),
            status=row["status"],
            **numbers,
        )
