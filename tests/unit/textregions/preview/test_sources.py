"""Regions and pictures, the same from a file and from a store; what does not fit is named."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openmofi import records
from openmofi.errors import InputError
from openmofi.shards import write_tar
from openmofi.stage import run_stage
from openmofi.storage import open_store
from openmofi.textregions.preview.pictures import read_shown
from openmofi.textregions.preview.region_file import RegionFile
from openmofi.textregions.preview.region_tables import RegionTables
from openmofi.versions import read_table_version
from openmofi.work import align
from support.tables import HandMade, Pair, _write_samples
from support.text_previews import (
    Found,
    picture_of,
    row,
    square,
    table_of,
    write_pairs,
    write_regions,
)

BOX = Found(0.75, (10, 20, 60, 40), detector=0.5)
ROWS = [
    row("00000", [BOX, square(0.25, 0.01)], shard="s0"),
    row("00001", shard="s0", status="failed"),
    row("00000", [square(0.5, 0.5)], shard="s1"),
]
PICTURES = {"s0": [picture_of((200, 0, 0)), b"no picture"], "s1": [picture_of((0, 0, 200))]}


def file_of(folder: Path, rows: Sequence[dict[str, Any]] = ROWS, *without: str) -> RegionFile:
    named = {s: {f"{n:05d}": data for n, data in enumerate(p)} for s, p in PICTURES.items()}
    pairs = write_pairs(folder / "pairs", named)
    return RegionFile(write_regions(folder / "regions.parquet", rows, *without), pairs)


def uris_of(
    folder: Path, rows: Sequence[dict[str, Any]] = ROWS, name: str = "root"
) -> tuple[list[str], list[str]]:
    store = open_store(str(folder / name))
    pairs = {
        shard: [Pair(image=data, status="ok" if len(data) > 99 else "corrupt_image") for data in of]
        for shard, of in PICTURES.items()
    }
    samples = _write_samples(store, pairs)
    work = align({"samples": read_table_version(samples, "samples")[1]})
    tables = {
        shard: table_of([one for one in rows if one["shard"] == shard])
        .select(records.TEXT_REGIONS.names)
        .cast(records.TEXT_REGIONS)
        for shard in PICTURES
    }
    return [run_stage(HandMade("text_regions", tables), store, work)], [samples]


def tables_of(folder: Path, rows: Sequence[dict[str, Any]] = ROWS) -> RegionTables:
    return RegionTables(*uris_of(folder, rows))


@pytest.mark.parametrize("make", [file_of, tables_of])
def test_a_file_and_a_store_give_the_same(tmp_path: Path, make: Callable[..., Any]) -> None:
    source = make(tmp_path)
    scanned = pa.concat_tables(table.select(["areas", "status"]) for table in source.tables())
    assert scanned.column("status").to_pylist() == ["ok", "failed", "ok"]
    found = list(source.chosen(np.array([0, 1, 2])))
    assert [(r.row, r.shard, r.key, r.status) for r, _ in found] == [
        (0, "s0", "00000", "ok"), (1, "s0", "00001", "failed"), (2, "s1", "00000", "ok"),
    ]  # fmt: skip
    assert [data for _, data in found] == [*PICTURES["s0"], *PICTURES["s1"]]
    regions = found[0][0]
    assert regions.polygons[0].tolist() == [10, 20, 60, 20, 60, 40, 10, 40]
    assert regions.confidences.tolist() == [0.75, 0.25]
    assert regions.detector_confidences.tolist() == [0.5, 0.25]
    assert regions.areas.tolist() == pytest.approx([0.1, 0.01])


@pytest.mark.parametrize("make", [file_of, tables_of])
@pytest.mark.parametrize("wanted", [[0], [2], [0, 2]])
def test_only_the_pictures_chosen_are_read(
    tmp_path: Path, make: Callable[..., Any], wanted: list[int]
) -> None:
    shown = read_shown(make(tmp_path), wanted)
    assert sorted(shown) == wanted
    assert all(one.thumbnail for one in shown.values())


@pytest.mark.parametrize("make", [file_of, tables_of])
def test_a_picture_that_does_not_decode_is_shown_without(
    tmp_path: Path, make: Callable[..., Any]
) -> None:
    assert read_shown(make(tmp_path), [1])[1].thumbnail is None


@pytest.mark.parametrize("make", [file_of, tables_of])
def test_pictures_of_another_size_are_other_pictures(
    tmp_path: Path, make: Callable[..., Any]
) -> None:
    rows = [row("00000", [BOX], size=(200, 100)), *ROWS[1:]]
    with pytest.raises(InputError, match=r"'s0/00000' has 100 x 100 pixels.*other pairs"):
        read_shown(make(tmp_path, rows), [0])


def test_rows_of_any_order_and_grouping_keep_their_places(tmp_path: Path) -> None:
    rows = [ROWS[2], ROWS[0], ROWS[1]]
    source = file_of(tmp_path, rows)
    pq.write_table(table_of(rows), tmp_path / "regions.parquet", row_group_size=1)
    found = {r.row: (r.shard, r.key) for r, _ in source.chosen(np.array([0, 2]))}
    assert found == {0: ("s1", "00000"), 2: ("s0", "00001")}


def test_batches_within_a_group_keep_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openmofi.textregions.preview.region_file._ROWS", 1)
    source = file_of(tmp_path)
    found = {r.row: (r.shard, r.key) for r, _ in source.chosen(np.array([1, 2]))}
    assert found == {1: ("s0", "00001"), 2: ("s1", "00000")}
    assert [table.num_rows for table in source.tables()] == [1, 1, 1]


def test_boxes_are_measured_in_the_turned_picture(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "p", {"s0": {"a": picture_of(size=(100, 50), turned=True)}})
    rows = [row("a", [Found(0.9, (0, 50, 50, 100))], size=(50, 100))]
    source = RegionFile(write_regions(tmp_path / "r.parquet", rows), pairs)
    thumbnail = read_shown(source, [0])[0].thumbnail
    assert thumbnail is not None
    assert (thumbnail.width, thumbnail.height) == (50, 100)


def test_older_files_lack_the_detectors_own_confidence(tmp_path: Path) -> None:
    source = file_of(tmp_path, ROWS, "detector_confidences")
    ((regions, _),) = source.chosen(np.array([0]))
    assert regions.detector_confidences.tolist() == regions.confidences.tolist() == [0.75, 0.25]


def test_a_sample_without_an_image_has_no_picture(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    write_tar(tmp_path / "p" / "s0.tar", [("a", {"txt": b"text alone"})])
    rows = [row("a", status="missing_image")]
    source = RegionFile(write_regions(tmp_path / "r.parquet", rows), tmp_path / "p")
    assert read_shown(source, [0])[0].thumbnail is None
    rows = [row("a")]
    source = RegionFile(write_regions(tmp_path / "r.parquet", rows), tmp_path / "p")
    with pytest.raises(InputError, match="has no picture 'a'"):
        read_shown(source, [0])


def test_of_several_pictures_it_is_the_one_that_detection_picks(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    samples = [("a", {"png": b"another", "jpg": PICTURES["s0"][0]})]
    write_tar(tmp_path / "p" / "s0.tar", samples)
    source = RegionFile(write_regions(tmp_path / "r.parquet", [row("a")]), tmp_path / "p")
    assert [data for _, data in source.chosen(np.array([0]))] == [PICTURES["s0"][0]]


@pytest.mark.parametrize("missing", [["boxes"], ["boxes", "status"], ["shard"]])
def test_missing_columns_are_named(tmp_path: Path, missing: list[str]) -> None:
    with pytest.raises(InputError, match=f"lacks the columns? {', '.join(missing)}; --regions"):
        file_of(tmp_path, ROWS, *missing)


def test_regions_of_other_pairs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no s7.tar, and .* names pictures in it"):
        file_of(tmp_path, [*ROWS, row("a", shard="s7")])
    source = file_of(tmp_path, [row("99999")])
    with pytest.raises(InputError, match=r"s0.tar has no picture '99999'.*other pairs"):
        read_shown(source, [0])


def test_what_is_no_regions_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="regions file not found"):
        RegionFile(tmp_path / "r.parquet", tmp_path)
    (tmp_path / "r.parquet").write_text("no Parquet")
    with pytest.raises(InputError, match="is no readable Parquet file"):
        RegionFile(tmp_path / "r.parquet", tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        RegionFile(tmp_path / "r.parquet", tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("confidences", [0.5], "not as many"),
        ("confidences", [0.5, 1.5], "the column 'confidences' holds 1.5"),
        ("confidences", [0.5, float("nan")], "the column 'confidences' holds nan"),
        ("areas", [0.5, -1.0], "the column 'areas' holds -1"),
        ("areas", None, "the column 'areas' has nulls"),
        ("status", None, "the column 'status' has nulls"),
    ],
)
def test_numbers_that_no_detector_gives_are_refused(
    tmp_path: Path, column: str, value: object, message: str
) -> None:
    source = file_of(tmp_path, [{**ROWS[0], column: value}])
    with pytest.raises(InputError, match=message):
        list(source.tables())


@pytest.mark.parametrize("corner", [None, float("nan"), float("inf")])
def test_corners_that_are_no_numbers_are_refused(tmp_path: Path, corner: float | None) -> None:
    boxes = [[*ROWS[0]["boxes"][0][:7], corner], ROWS[0]["boxes"][1]]
    source = file_of(tmp_path, [{**ROWS[0], "boxes": boxes}])
    with pytest.raises(InputError, match="the column 'boxes' holds corners that are no numbers"):
        list(source.chosen(np.array([0])))


def test_columns_of_another_type_are_refused(tmp_path: Path) -> None:
    source = file_of(tmp_path)
    table = table_of(ROWS)
    texts = pa.array(["a", "b", "c"])
    pq.write_table(
        table.set_column(table.column_names.index("areas"), "areas", texts),
        tmp_path / "regions.parquet",
    )
    with pytest.raises(InputError, match="holds no text regions") as refused:
        list(source.tables())
    assert "\n" not in str(refused.value)


def test_tables_of_other_pools_are_refused(tmp_path: Path) -> None:
    regions, _ = uris_of(tmp_path)
    _, elsewhere = uris_of(tmp_path, name="other")
    with pytest.raises(InputError, match="use one root"):
        RegionTables(regions, elsewhere)
    short, samples = uris_of(tmp_path, [ROWS[0], ROWS[2]], name="short")
    with pytest.raises(InputError, match=r"shard 's0': text_regions have 1 rows and samples 2"):
        RegionTables(short, samples)
