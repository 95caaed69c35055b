"""benchmarks/attacked_photos.py: what is written on which photograph, and what counts as found."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from benchmarks import attacked_photos
from benchmarks.attacked_photos import Attack, Judged, is_framed, report, written_line
from openmofi.errors import InputError
from openmofi.evaluation.bench import prepare
from openmofi.evaluation.config import EvaluateConfig
from openmofi.evaluation.typographic import attack_jpeg, load_font
from openmofi.evaluation_data.layouts import read_evaluation_data
from openmofi.records import TEXT_REGIONS
from openmofi.shards import TarReader, index_tar, write_tar
from openmofi.storage import open_store
from openmofi.textregions.rule import TextRule
from support.fonts import FONT, needs_font

RULE = TextRule(min_confidence=0.5, min_area=0.001, max_area=1.0)
PHOTOS = (
    ("00000", "b", "n00000001", "tabby cat"),
    ("00000", "a", "n00000002", "tiger cat"),
    ("00001", "c", "n00000001", "tabby cat"),
)


def jpeg(shade: int) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (320, 240), (shade, 130, 140)).save(sink, format="JPEG")
    return sink.getvalue()


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    shards: dict[str, list[tuple[str, dict[str, bytes]]]] = {}
    for number, (shard, key, synset, caption) in enumerate(PHOTOS):
        truth = json.dumps({"wordnet_id": synset}).encode()
        members = {"jpg": jpeg(40 * number), "txt": f"{caption}\n".encode(), "json": truth}
        shards.setdefault(shard, []).append((key, members))
    (tmp_path / "pairs").mkdir()
    for shard, samples in shards.items():
        write_tar(tmp_path / "pairs" / f"{shard}.tar", samples)
    return tmp_path / "pairs"


@needs_font
def test_each_photograph_gets_another_classs_name_and_keeps_place_and_caption(
    pairs: Path, tmp_path: Path
):
    names = attacked_photos.sort_into_classes(pairs, tmp_path / "classes")
    data = read_evaluation_data(tmp_path / "classes")
    config = EvaluateConfig(suites=("typographic",), font=FONT)
    bench = prepare(open_store(str(tmp_path / "store")), data, config)
    attacks = attacked_photos.write_attacked(bench, names, tmp_path / "attacked")
    told = {one.name: (one.true, one.written, one.size) for one in attacks}
    assert [one.key for one in index_tar(tmp_path / "attacked" / "00000.tar")] == ["a", "b"]
    assert told == {
        ("00000", "a"): ("tiger cat", "tabby cat", (320, 240)),
        ("00000", "b"): ("tabby cat", "tiger cat", (320, 240)),
        ("00001", "c"): ("tabby cat", "tiger cat", (320, 240)),
    }
    font = load_font(FONT)
    for number, (shard, key, _, caption) in enumerate(PHOTOS):
        path = tmp_path / "attacked" / f"{shard}.tar"
        with TarReader(path) as tar:
            found = {one.key: members for one, members in tar.members(index_tar(path))}
        written = "tabby cat" if caption == "tiger cat" else "tiger cat"
        image = Image.open(io.BytesIO(jpeg(40 * number)))
        # No truth travels along.
        assert found[key] == {"jpg": attack_jpeg(image, written, font), "txt": caption.encode()}


def test_a_folder_that_is_there_is_left_alone(pairs: Path, tmp_path: Path):
    (tmp_path / "classes").mkdir()
    with pytest.raises(InputError, match="classes is there already"):
        attacked_photos.sort_into_classes(pairs, tmp_path / "classes")


def test_a_photograph_without_a_class_is_named(tmp_path: Path):
    members = {"jpg": jpeg(0), "txt": b"cat", "json": b"{}"}
    write_tar(tmp_path / "0.tar", [("a", members)])
    with pytest.raises(InputError, match=r"0\.tar, 'a' has no wordnet_id"):
        attacked_photos.sort_into_classes(tmp_path, tmp_path / "classes")
    write_tar(tmp_path / "0.tar", [("a", {"jpg": jpeg(0), "txt": b"cat"})])
    with pytest.raises(InputError, match=r"0\.tar, 'a' has no json"):
        attacked_photos.sort_into_classes(tmp_path, tmp_path / "other")


@needs_font
@pytest.mark.parametrize("size", [(600, 400), (320, 240), (150, 112)])
def test_the_line_is_the_ink_that_lies_in_the_picture(size: tuple[int, int]):
    font = load_font(FONT)
    line = written_line(size, "Egyptian cat", font)
    grey = Image.new("RGB", size, (90, 90, 90))
    pixels = np.asarray(Image.open(io.BytesIO(attack_jpeg(grey, "Egyptian cat", font)))).astype(int)
    red = [
        (x, y)
        for y in range(size[1])
        for x in range(size[0])
        if pixels[y, x, 0] - pixels[y, x, 1] > 120
    ]
    x, y = zip(*red, strict=True)
    assert np.abs(line[0] - (min(x), min(y))).max() <= 2
    assert np.abs(line[2] - (max(x) + 1, max(y) + 1)).max() <= 2
    assert line[2][0] <= size[0]


def row(*boxes: tuple[float, float, float, float, float, float]) -> dict[str, list[object]]:
    """Left, top, width, height, confidence, share of the picture."""
    return {
        "boxes": [[x, y, x + w, y, x + w, y + h, x, y + h] for x, y, w, h, _, _ in boxes],
        "confidences": [one[4] for one in boxes],
        "areas": [one[5] for one in boxes],
    }


LINE = np.array([(50, 50), (150, 50), (150, 70), (50, 70)], dtype=float)  # 2,000 square pixels


@pytest.mark.parametrize(
    ("found", "framed"),
    [
        (row((50, 50, 50, 20, 0.9, 0.01)), True),  # half
        (row((50, 50, 49, 20, 0.9, 0.01)), False),
        (row((50, 50, 30, 20, 0.9, 0.01), (120, 50, 30, 20, 0.9, 0.01)), True),  # two words
        (row((50, 50, 100, 20, 0.49, 0.01)), False),  # not sure
        (row((50, 50, 100, 20, 0.9, 0.0009)), False),  # too small for the rule
        (row((0, 0, 200, 60, 0.9, 0.1)), True),  # six times as large
        (row((0, 0, 200, 61, 0.9, 0.1)), False),  # has framed a half of the picture
        (row((0, 200, 100, 20, 0.9, 0.01)), False),  # elsewhere
        (row(), False),
    ],
)
def test_the_writing_is_framed_by_sure_boxes_that_cover_half_of_it(found, framed: bool):
    assert is_framed(found, LINE, RULE) is framed


def regions(path: Path, rows: dict[str, dict[str, list[object]]]) -> Path:
    columns = {name: [one[name] for one in rows.values()] for name in row()}
    table = pa.table(
        {
            "shard": ["0"] * len(rows),
            "key": list(rows),
            **{name: pa.array(columns[name], TEXT_REGIONS.field(name).type) for name in columns},
        }
    )
    made_with = json.dumps({"config": {"second_look": True}}).encode()
    pq.write_table(table.replace_schema_metadata({"openmofi": made_with}), path)
    return path


def test_pictures_are_judged_by_their_names_whatever_the_order(tmp_path: Path):
    sure, unsure = (row((50, 50, 100, 20, one, 0.3)) for one in (0.9, 0.4))
    elsewhere = row((0, 200, 100, 20, 0.8, 0.01))
    clean = {"a": row(), "b": row(), "c": elsewhere}
    attacked = {"c": elsewhere, "b": unsure, "a": sure}
    attacks = [Attack(("0", key), "cat", "dog", (320, 240), LINE) for key in clean]
    found = attacked_photos.judged(
        attacks,
        regions(tmp_path / "clean.parquet", clean),
        regions(tmp_path / "attacked.parquet", attacked),
    )
    assert [(one.flagged, one.framed, one.clean) for one in found] == [
        (True, True, False),
        (False, False, False),
        (True, False, True),
    ]
    assert [one.surest for one in found] == pytest.approx([0.9, 0.4, 0.8])


def test_the_report_says_who_was_missed_and_which_groups_they_are_of():
    def one(key: str, written: str, size: tuple[int, int], **said: bool) -> Judged:
        said = {"flagged": True, "framed": True, "clean": False} | said
        attack = Attack(("0", key), "cat", written, size, LINE)
        return Judged(attack, surest=0.25, **said)

    told = list(
        report(
            [
                one("a", "dog", (500, 375)),
                one("b", "tiger cat", (300, 223), flagged=False, framed=False),
                one("c", "tiger cat", (300, 224), framed=False, clean=True),
                one("d", "d" * 19, (400, 400)),
            ]
        )
    )
    shares = [re.match(r"(.*?)  .* (\d+ of \d+)", line.strip()) for line in told]
    hits = {one[1]: one[2] for one in shares if one}
    assert hits["attacked, flagged"] == "3 of 4"
    assert hits["written 50 pixels high, not less"] == "3 of 3"
    assert hits["and not flagged without it"] == "2 of 3"
    assert hits["the writing itself framed"] == "2 of 4"
    assert hits["without the attack, flagged"] == "1 of 4"
    assert (hits["1 to 6"], hits["7 to 12"], hits["19 and more"]) == ("1 of 1", "1 of 2", "1 of 1")
    assert (hits["1 to 223"], hits["224 to 299"]) == ("0 of 1", "1 of 1")
    assert (hits["300 to 399"], hits["400 and more"]) == ("1 of 1", "1 of 1")
    assert "missed: 1" in told
    assert "  0/b 300 x 223     0.25  'tiger cat' on cat" in told
    assert "flagged, but not for half of the writing: 1" in told
