"""The arithmetic of benchmarks/text_*.py: shares, labelled photographs, maps, speed."""

import io
import math
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from benchmarks import text_photos
from benchmarks.text_command import lay_out
from benchmarks.text_curve import curve_of
from benchmarks.text_detection import box_distance, check, core_hours
from benchmarks.text_heat import Panel, heat_map, percent, step
from benchmarks.text_labels import (
    check_names,
    half,
    ratio_interval,
    read_labels,
    read_photos,
    wilson,
)
from openmofi.errors import InputError, OpenMofiError
from openmofi.shards import index_tar, write_tar
from openmofi.textregions.boxes import Box
from openmofi.textregions.rule import TextRule

RULE = TextRule(min_confidence=0.5, min_area=0.001, max_area=0.2)


def corners(x: float, y: float, width: float, height: float) -> np.ndarray:
    return np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)])


# Shares, halves, labels.


@pytest.mark.parametrize(("hits", "total"), [(0, 10), (8, 10), (297, 300), (5, 5)])
def test_the_ends_of_wilsons_interval_are_just_not_refuted(hits: int, total: int):
    for end in wilson(hits, total):
        spread = 1.959964 * math.sqrt(end * (1 - end) / total)
        assert abs(hits / total - end) == pytest.approx(spread, abs=1e-9)


def test_wilson_by_the_book():
    assert wilson(8, 10) == pytest.approx((0.490, 0.943), abs=0.001)
    assert wilson(0, 0) == (0, 1)


def test_halves_follow_from_the_key_alone():
    halves = [half(f"{number:09}") for number in range(1000)]
    assert 430 < halves.count("A") < 570
    assert set(halves) == {"A", "B"}
    assert halves == [half(f"{number:09}") for number in range(1000)]


def test_labels_are_read_with_their_notes(tmp_path: Path):
    path = tmp_path / "list.tsv"
    path.write_text(
        "shard\tkey\ttext\tsure\n# by eye\n0\ta\ttext\tlikely\ta sign, 8 px\n0\tb\tnone\tsure\n"
    )
    labels = read_labels(path)
    assert labels["0", "a"] == (True, "likely", "a sign, 8 px")
    assert labels["0", "b"] == (False, "sure", "")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0\tb\tmaybe\tsure", "line 2 is not"),
        ("0\tb\ttext\tquite", "line 2 is not"),
        ("0\tb\ttext", "line 2 is not"),
        ("0\ta\ttext\tsure", "line 2 labels 0/a again"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, said: str):
    path = tmp_path / "list.tsv"
    path.write_text(f"0\ta\tnone\tsure\n{line}\n")
    with pytest.raises(InputError, match=said):
        read_labels(path)


def test_labels_of_other_photographs_are_refused(tmp_path: Path):
    path = tmp_path / "list.tsv"
    path.write_text("0\ta\tnone\tsure\n0\tb\tnone\tsure\n")
    with pytest.raises(InputError, match="1 labelled pictures are not in here; first: 0/b"):
        check_names(read_labels(path), {("0", "a"): None}, "here")


# Photographs: confidence after, confidence before, area; text or not; sureness.
PHOTOGRAPHS = {
    "a": ([0.9], [0.6], [0.01], "text", "sure"),
    "b": ([0.9], [0.3], [0.01], "text", "sure"),
    "c": ([0.1], [0.8], [0.01], "none", "sure"),
    "d": ([0.9], [0.9], [0.30], "text", "sure"),
    "e": ([], [], [], "text", "sure"),
    "f": ([0.2, 0.7], [0.2, 0.7], [0.01, 0.01], "none", "sure"),
    "g": ([0.9], [0.9], [0.01], "text", "likely"),
    "h": ([0.9], [0.9], [0.01], "none", "unsure"),
}


@pytest.fixture
def photographs(tmp_path: Path):
    floats = pa.list_(pa.float32())
    names = [*PHOTOGRAPHS, "broken", "unlabelled"]
    rows = [*PHOTOGRAPHS.values(), ([], [], [], "none", "sure"), ([0.9], [0.9], [0.1], "", "")]
    after, before, areas, text, sureness = zip(*rows, strict=True)
    table = {"shard": ["0"] * len(names), "key": names, "confidences": pa.array(after, floats)}
    table |= {"detector_confidences": pa.array(before, floats), "areas": pa.array(areas, floats)}
    table["status"] = ["failed" if name == "broken" else "ok" for name in names]
    pq.write_table(pa.table(table), tmp_path / "regions.parquet")
    lines = [f"0\t{n}\t{t}\t{s}\n" for n, t, s in zip(names, text, sureness, strict=True) if t]
    (tmp_path / "list.tsv").write_text("".join(lines))
    return text_photos.read(tmp_path / "regions.parquet", read_labels(tmp_path / "list.tsv"))


def test_precision_and_recall_by_hand(photographs):
    photos, notes = photographs
    flags = text_photos.ways(photos, RULE)

    def found(way: str, *sureness: str) -> tuple[int, int, int]:
        one = text_photos.counts(flags[way], photos.text, photos.chosen(sureness))
        return one.right, one.wrong, one.missed

    assert found("before", "sure") == (1, 2, 3)
    assert found("after", "sure") == (2, 1, 2)
    assert found("after", "sure", "likely") == (3, 1, 2)
    assert found("after, max_area 1", "sure") == (3, 1, 1)
    assert found("before, max_area 1", "sure") == (2, 2, 2)
    assert "after, max_area 0.2" not in flags
    assert notes == [
        "8 photographs, 5 with text",
        "left out: 1 without a label, 1 not decoded",
    ]


def test_halves_part_the_photographs(photographs):
    photos, _ = photographs
    parts = [photos.chosen(("sure",), halves) for halves in ("A", "B", "AB")]
    assert np.array_equal(parts[0] | parts[1], parts[2])
    assert not (parts[0] & parts[1]).any()


def test_the_report_of_photographs_prints_and_draws(
    photographs, tmp_path: Path, monkeypatch, capsys
):
    curve = tmp_path / "curve.svg"
    arguments = ["text_photos", "--regions", str(tmp_path / "regions.parquet"), "--labels"]
    arguments += [str(tmp_path / "list.tsv"), "--plot", str(curve)]
    monkeypatch.setattr("sys.argv", arguments)
    text_photos.main()
    said = capsys.readouterr().out
    assert "missed: 2" in said
    assert "false alarms: 2" in said
    ElementTree.fromstring(curve.read_text())


def test_regions_of_another_form_are_refused(photographs, tmp_path: Path):
    table = pq.read_table(tmp_path / "regions.parquet").drop_columns(["detector_confidences"])
    pq.write_table(table, tmp_path / "old.parquet")
    with pytest.raises(InputError, match="lacks the column detector_confidences"):
        text_photos.read(tmp_path / "old.parquet", {})


def test_regions_of_the_detector_alone_may_be_given(photographs, tmp_path: Path):
    regions, labels = tmp_path / "regions.parquet", read_labels(tmp_path / "list.tsv")
    table = pq.read_table(regions)
    none = pa.array([[]] * len(table), pa.list_(pa.float32()))
    at = table.column_names.index("confidences")
    alone = table.set_column(at, "confidences", none)
    alone = alone.set_column(alone.column_names.index("areas"), "areas", none)
    pq.write_table(alone, tmp_path / "alone.parquet")
    photos, _ = text_photos.read(regions, labels, tmp_path / "alone.parquet")
    flags = text_photos.ways(photos, RULE)
    assert not flags["before"].any()
    assert np.array_equal(flags["after"], text_photos.ways(photographs[0], RULE)["after"])
    pq.write_table(alone.slice(1), tmp_path / "other.parquet")
    with pytest.raises(InputError, match=r"other.parquet is not of the same photographs"):
        text_photos.read(regions, labels, tmp_path / "other.parquet")


def test_the_curve_is_what_each_cut_gives():
    draw = np.random.default_rng(0)
    best = np.where(draw.random(60) < 0.2, -1, draw.integers(0, 12, 60) / 12).astype(np.float32)
    text = draw.random(60) < 0.5
    expected = []
    for cut in sorted(set(best[best >= 0].tolist()), reverse=True):
        flagged = best >= np.float32(cut)
        right = (flagged & text).sum()
        expected.append((right / text.sum(), right / flagged.sum()))
    np.testing.assert_allclose(curve_of(best, text), expected)
    assert curve_of(np.full(3, -1, np.float32), text[:3]) == []


# Maps and speed.


def test_percent_and_colour_never_round_up():
    assert percent(949, 1000) == 94
    assert step(949, 1000) == step(90, 100) != step(95, 100)
    assert (percent(57, 60), step(57, 60)) == (95, step(95, 100))


def test_a_heat_map_has_a_number_a_cell_and_frames_the_goal():
    cells = {("8", 0): (1, 2), ("8", 10): (0, 0), ("12 <px>", 0): (29, 30)}
    panel = Panel("a & b", ["8", "12 <px>"], [0, 10], cells, "size", "angle", frozenset({("8", 0)}))
    drawn = heat_map('Words "found"', ["some of them"], [panel, panel])
    root = ElementTree.fromstring(drawn)
    said = ["".join(one.itertext()) for one in root.iter() if one.tag.endswith("}g")]
    assert [one[-2:] for one in said] == ["50", "96"] * 2
    assert sum("goal" in one.get("class", "") for one in root.iter()) == 2
    assert "prefers-color-scheme:dark" in drawn


def test_boxes_are_compared_in_any_order():
    one, other = corners(0, 0, 10, 10), corners(50, 50, 10, 10)
    assert box_distance(np.stack([one, other]), np.stack([other, one + 0.5])) == 0.5
    assert box_distance(np.stack([one, other]), np.stack([one])) == math.inf
    assert box_distance(np.stack([one, one]), np.stack([one, other])) == math.inf
    assert box_distance(np.empty((0, 4, 2)), np.empty((0, 4, 2))) == 0


@pytest.mark.parametrize("shift", [0.5, 3.0])
def test_other_boxes_than_the_peers_are_no_race(shift: float):
    mine = corners(0, 0, 30, 10)
    race = SimpleNamespace(
        files=[b"a", b"b"],
        ours=lambda data: [Box(tuple(mine.ravel().tolist()), 0.9, 0.8)],
        public=lambda data: SimpleNamespace(boxes=(mine + shift)[None], scores=[0.75]),
    )
    if shift > 1:
        with pytest.raises(OpenMofiError, match="not the same work: same boxes on 0 of 2"):
            check(race)
    else:
        assert "on 2 of 2 pictures (at most 0.50 pixels apart, confidences at most 5.0e-02" in (
            check(race)
        )


def test_core_hours_of_a_billion():
    assert core_hours(0.036) == pytest.approx(10_000)


def test_a_ratio_of_rounds_lies_in_its_interval():
    low, ratio, high = ratio_interval([2.0, 2.2, 2.1], [1.0, 1.1, 1.0])
    assert ratio == pytest.approx(2.1)
    assert low <= ratio <= high
    assert ratio_interval([4.0] * 3, [2.0] * 3) == (2, 2, 2)


def test_tars_of_the_command_take_equally_many(tmp_path: Path):
    sink = io.BytesIO()
    Image.new("RGB", (32, 32)).save(sink, format="JPEG")
    write_tar(tmp_path / "00000.tar", [("0001", {"jpg": sink.getvalue(), "txt": b"a cat\n"})])
    (photo,) = read_photos(tmp_path).values()
    assert (photo.caption, photo.read()) == ("a cat", sink.getvalue())
    folder = lay_out([photo] * 12, tmp_path / "tars", 4)
    samples = [index_tar(path) for path in sorted(folder.glob("*.tar"))]
    assert [len(one) for one in samples] == [3] * 4
    assert len({sample.key for one in samples for sample in one}) == 12
