"""Tables without what was taken down: rows stay where others are counted by them."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from openmofi.errors import ShardError
from openmofi.records import Status
from openmofi.tombstones import TAKEN_DOWN

Rows = npt.NDArray[np.bool_]

# What is kept of a sample: who it was, and where the tar has the place of its files.
_KEPT = ("uid", "key")
FACTS = "dataset_facts"
# Of tables that say what became of the sample itself; in others it was passed over.
_OF_SAMPLES = ("samples", FACTS)


def without_rows(kind: str, table: pa.Table, gone: Rows) -> pa.Table:
    """A shard's table of some stage, without what it says of some samples.

    Args:
        kind: The stage's name.
        table: With a row for each sample, or with the sample's number in a column ``row``.
        gone: bool [samples].

    Raises:
        ShardError: It is neither.
    """
    if "row" in table.column_names:
        rows = table.column("row").to_numpy()
        return table.filter(pa.array(~gone[rows]))
    if table.num_rows != len(gone):
        raise ShardError(f"{kind} has {table.num_rows} rows for {len(gone)} samples")
    status = Status.TAKEN_DOWN if kind in _OF_SAMPLES else Status.SKIPPED
    table = blank_rows(table, gone, status)
    if kind != "samples":
        return table
    table = _set(table, "offset", gone, pa.scalar(-1, pa.int64()))
    return _set(table, "reason", gone, pa.scalar(TAKEN_DOWN))


def blank_rows(table: pa.Table, gone: Rows, status: Status) -> pa.Table:
    """Rows of no content with a status: null where a column may be, else empty, 0 or False."""
    if not gone.any():
        return table
    for field in table.schema:
        if field.name not in _KEPT:
            value = pa.scalar(str(status)) if field.name == "status" else _nothing(field)
            table = _set(table, field.name, gone, value)
    return table


def _nothing(field: pa.Field) -> pa.Scalar:
    kind = field.type
    if pa.types.is_fixed_size_list(kind):
        zeros = np.zeros(kind.list_size, kind.value_type.to_pandas_dtype())
        return pa.scalar(list(zeros), kind)
    if pa.types.is_list(kind):
        return pa.scalar([], kind)
    if field.nullable:
        return pa.scalar(None, kind)
    if pa.types.is_string(kind):
        return pa.scalar("", kind)
    return pa.scalar(False if pa.types.is_boolean(kind) else 0).cast(kind)


def _set(table: pa.Table, name: str, gone: Rows, value: pa.Scalar) -> pa.Table:
    """The table with one value in some rows of a column."""
    place = table.schema.get_field_index(name)
    field = table.schema.field(place)
    column = table.column(name).combine_chunks()
    if pa.types.is_nested(field.type):  # for which if_else may have no kernel
        one = pa.array([value.as_py()], field.type)
        both = pa.concat_arrays([_array(column), one])
        places = np.where(gone, len(column), np.arange(len(column)))
        changed = both.take(pa.array(places))
    else:
        changed = compute.if_else(pa.array(gone), value.cast(field.type), column)
    return table.set_column(place, field, changed)


def _array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column if isinstance(column, pa.Array) else pa.concat_arrays(column.chunks)
