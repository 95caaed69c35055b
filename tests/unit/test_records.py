"""Scope: openmofi.records: schemas are enforced and survive Parquet."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from openmofi import records
from openmofi.keys import content_digest
from openmofi.records import Status

SCHEMAS: dict[str, pa.Schema] = {
    "samples": records.SAMPLES,
    "mentions": records.MENTIONS,
    "entity_scores": records.ENTITY_SCORES,
    "text_regions": records.TEXT_REGIONS,
    "masked_scores": records.MASKED_SCORES,
    "training_samples": records.TRAINING_SAMPLES,
    "vocabulary": records.VOCABULARY,
    "image_embeddings": records.image_embeddings_schema(3),
}


def value(kind: pa.DataType, seed: int) -> Any:
    """Some value of the type."""
    if pa.types.is_fixed_size_list(kind):
        return [value(kind.value_type, seed + i) for i in range(kind.list_size)]
    if pa.types.is_list(kind):
        return [value(kind.value_type, seed + i) for i in range(seed % 3)]
    if pa.types.is_floating(kind):
        return seed / 4
    if pa.types.is_boolean(kind):
        return bool(seed % 2)
    return f"schön {seed}" if pa.types.is_string(kind) else seed


def rows_of(schema: pa.Schema, count: int) -> list[dict[str, Any]]:
    """Rows in which every nullable column has a null and a value."""
    return [
        {
            field.name: None if field.nullable and row % 2 else value(field.type, row + column)
            for column, field in enumerate(schema)
        }
        for row in range(count)
    ]


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_table_survives_parquet(name: str, count: int) -> None:
    table = records.from_rows(rows_of(SCHEMAS[name], count), SCHEMAS[name])
    again = records.from_parquet(records.to_parquet(table))
    assert again.schema.names == table.schema.names
    assert again.to_pylist() == table.to_pylist()
    assert content_digest(again) == content_digest(table)
    records.checked(again, SCHEMAS[name])


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_same_table_gives_the_same_file(name: str) -> None:
    rows = rows_of(SCHEMAS[name], 7)
    files = {records.to_parquet(records.from_rows(rows, SCHEMAS[name])) for _ in range(2)}
    assert len(files) == 1


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_null_where_none_may_be_is_refused(name: str) -> None:
    schema = SCHEMAS[name]
    required = [field.name for field in schema if not field.nullable]
    assert required
    for column in required:
        rows = rows_of(schema, 2)
        rows[1][column] = None
        with pytest.raises(ValueError, match=column):
            records.from_rows(rows, schema)
        del rows[1][column]
        with pytest.raises(ValueError, match=column):
            records.from_rows(rows, schema)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.drop_columns(["status"]),
        lambda t: t.append_column("more", pa.array([1, 1])),
        lambda t: t.select(list(reversed(t.column_names))),
    ],
    ids=["missing", "extra", "reordered"],
)
def test_other_columns_are_refused(change: Any) -> None:
    table = records.from_rows(rows_of(records.SAMPLES, 2), records.SAMPLES)
    with pytest.raises(ValueError, match="columns are"):
        records.checked(change(table), records.SAMPLES)


def test_values_that_do_not_fit_are_refused() -> None:
    table = records.from_rows(rows_of(records.MENTIONS, 1), records.MENTIONS)
    text = table.set_column(0, "row", pa.array(["first"]))
    with pytest.raises(ValueError, match="first"):
        records.checked(text, records.MENTIONS)


def test_wider_columns_are_narrowed_when_they_fit() -> None:
    table = records.from_rows(rows_of(records.MENTIONS, 1), records.MENTIONS)
    wide = table.set_column(0, "row", table["row"].cast(pa.int64()))
    assert records.checked(wide, records.MENTIONS).schema.equals(records.MENTIONS)
    too_wide = table.set_column(0, "row", pa.array([1 << 40]))
    with pytest.raises(ValueError, match=r"out of bounds|not in range"):
        records.checked(too_wide, records.MENTIONS)


def test_an_empty_table_has_the_schema() -> None:
    table = records.empty(records.SAMPLES)
    assert table.num_rows == 0
    assert table.schema.equals(records.SAMPLES)


def test_statuses_are_plain_words() -> None:
    # They are written to tables and compared with strings.
    assert Status.OK == "ok"
    assert all(str(status) == status.value for status in Status)
    assert len({status.value for status in Status}) == len(Status)


READER = """
import sys
from pathlib import Path
from openmofi.records import from_parquet
for _ in range(4):
    from_parquet(Path(sys.argv[1]).read_bytes())
"""


def test_a_process_that_has_read_a_table_ends_in_peace(tmp_path: Path) -> None:
    # With pyarrow's own read_table on bytes, one such process in three aborts when it ends.
    table = records.from_rows(rows_of(records.TEXT_REGIONS, 5), records.TEXT_REGIONS)
    (tmp_path / "t.parquet").write_bytes(records.to_parquet(table))
    command = [sys.executable, "-c", READER, str(tmp_path / "t.parquet")]
    for _ in range(10):
        assert subprocess.run(command, check=False).returncode == os.EX_OK
