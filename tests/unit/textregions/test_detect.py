"""The stage: rows, statuses, counts, and the pinned output."""

import io
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from openmofi.errors import InputError
from openmofi.keys import hash_json
from openmofi.records import Status, from_parquet
from openmofi.storage import open_store
from openmofi.textregions.config import DetectConfig
from openmofi.textregions.detect import STAGE_VERSION, detect_text, regions_of
from openmofi.textregions.detector import Box
from openmofi.versions import read_table_version
from support.tables import Pair, noise_jpeg, write_pool

_STROKES = {  # left, top, right, bottom: a font would bring its own version into the pin
    "H": [(0, 0, 2, 17), (9, 0, 11, 17), (0, 8, 11, 10)],
    "T": [(0, 0, 11, 2), (5, 0, 7, 17)],
    "L": [(0, 0, 2, 17), (0, 15, 10, 17)],
    "E": [(0, 0, 2, 17), (0, 0, 10, 2), (0, 8, 9, 10), (0, 15, 10, 17)],
}


def word_png(text: str = "HTLE") -> bytes:
    image = Image.new("RGB", (96, 64), (205, 215, 225))
    draw = ImageDraw.Draw(image)
    for place, letter in enumerate(text):
        for left, top, right, bottom in _STROKES[letter]:
            x, y = 12 + 16 * place, 22
            draw.rectangle((x + left, y + top, x + right, y + bottom), fill="black")
    sink = io.BytesIO()
    image.save(sink, "PNG")
    return sink.getvalue()


@pytest.fixture(scope="module")
def detected(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A shard: a word, plain blue, a sample that ingest refused."""
    plain = io.BytesIO()
    Image.new("RGB", (64, 64), "blue").save(plain, "PNG")
    pairs = [
        Pair(word_png(), "a flag", extension="png"),
        Pair(plain.getvalue(), "a flag", extension="png"),
        Pair(b"no image", "a flag", status="corrupt_image"),
    ]
    pool = write_pool(tmp_path_factory.mktemp("store"), {"a": pairs})
    return pool.samples[0], detect_text(pool.samples[0])


def rows_of(uri: str) -> list[dict]:
    store, version = read_table_version(uri, "text_regions")
    return from_parquet(store.get(version.shards[0].table_key)).to_pylist()


def test_one_row_a_sample_with_paired_lists(detected: tuple[str, str]) -> None:
    word, plain, refused = rows_of(detected[1])
    assert len(word["boxes"]) == len(word["confidences"]) == len(word["areas"]) == 1
    assert 0.02 < word["areas"][0] < 0.6
    assert (plain["boxes"], plain["status"]) == ([], "ok")
    assert (refused["boxes"], refused["status"]) == ([], "skipped")


def test_counts_add_up(detected: tuple[str, str]) -> None:
    _, version = read_table_version(detected[1], "text_regions")
    assert version.counts == {"ok": 2, "skipped": 1}
    assert version.totals == {"boxes": 1, "images_with_boxes": 1}


def test_the_output_is_pinned_to_the_stage_version(detected: tuple[str, str]) -> None:
    # Confidences to three digits: onnxruntime's last bits differ from processor to processor.
    rounded = [
        [row["boxes"], [round(c, 3) for c in row["confidences"]], row["status"]]
        for row in rows_of(detected[1])
    ]
    found = (STAGE_VERSION, hash_json(rounded))
    assert found == (1, "d4448efb1dbe68a1b6c4c3aa239b093b"), (
        "raise STAGE_VERSION when the output changes on purpose"
    )


def test_a_second_run_and_other_thresholds(
    detected: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    samples, first = detected
    assert detect_text(samples) == first
    assert "1 reused, 0 to do" in capfd.readouterr().err
    other = detect_text(samples, config={"min_confidence": 0.95})
    assert other != first
    assert rows_of(other)[0]["boxes"] == []


def test_every_value_of_the_config_changes_the_recipe() -> None:
    assert set(DetectConfig.model_fields) == {
        "backend", "input_limit", "pixel_threshold", "min_confidence", "unclip_ratio", "max_pixels",
    }  # fmt: skip


def test_a_detector_that_breaks_fails_its_sample_alone() -> None:
    class Broken:
        def detect(self, image: Image.Image) -> list[Box]:
            raise RuntimeError("no")

    row = regions_of(Broken(), Image.new("RGB", (8, 8)), Status.OK)
    assert row == {"boxes": [], "confidences": [], "areas": [], "status": "failed"}


def test_area_is_the_polygons_share_of_the_image() -> None:
    class Square:
        def detect(self, image: Image.Image) -> list[Box]:
            return [Box((1, 0, 2, 1, 1, 2, 0, 1), 0.5)]

    row = regions_of(Square(), Image.new("RGB", (10, 4)), Status.OK)
    assert row["areas"] == [pytest.approx(2 / 40)]


def test_an_unknown_key_is_one_line(tmp_path: Path) -> None:
    pool = write_pool(tmp_path, {"a": [Pair(noise_jpeg(1))]})
    with pytest.raises(InputError, match=r"unknown key 'threshold'; known here: backend"):
        detect_text(pool.samples[0], config={"threshold": 1})
    assert not list(open_store(str(tmp_path)).list("tables/text_regions/x"))
