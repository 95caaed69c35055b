"""The stage: rows, statuses, counts, and the pinned output."""

import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from openmofi.errors import InputError
from openmofi.keys import hash_json
from openmofi.records import Status, from_parquet
from openmofi.storage import open_store
from openmofi.textregions.boxes import Box
from openmofi.textregions.config import DetectConfig
from openmofi.textregions.detect import STAGE_VERSION, detect_text
from openmofi.textregions.detector import detector_digests
from openmofi.textregions.rapidocr_backend import MODEL, in_wheel
from openmofi.textregions.reading import MODEL as READER
from openmofi.textregions.rows import region_rows
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
        [
            np.round(row["boxes"], 2).tolist(),
            *(np.round(row[name], 3).tolist() for name in ("confidences", "detector_confidences")),
            row["status"],
        ]
        for row in rows_of(detected[1])
    ]
    found = (STAGE_VERSION, hash_json(rounded))
    assert found == (2, "8e183a211d839825cd3808e91d02c48a"), (
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


def test_speed_and_places_are_not_in_the_recipe() -> None:
    assert set(DetectConfig.model_fields) - DetectConfig().semantic().keys() == {
        "device", "batch_size", "model", "reader",
    }  # fmt: skip


def test_the_same_weights_elsewhere_are_the_same_recipe(
    detected: tuple[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    samples, first = detected
    for name in (MODEL, READER):
        shutil.copy(in_wheel(name), tmp_path / name)
    places = {"model": str(tmp_path / MODEL), "reader": str(tmp_path / READER)}
    assert detect_text(samples, config=places) == first
    assert "1 reused, 0 to do" in capfd.readouterr().err
    with (tmp_path / READER).open("ab") as file:
        file.write(b"other weights")
    assert detector_digests(DetectConfig(**places)) != detector_digests(DetectConfig())


class Scripted:
    """Says what it was told to, picture by picture, and breaks where that is None."""

    def __init__(self, *answers: list[Box] | None) -> None:
        self._answers = {10 + number: answer for number, answer in enumerate(answers)}
        self.calls: list[int] = []

    def detect_all(self, images: Sequence[Image.Image]) -> list[list[Box]]:
        self.calls.append(len(images))
        found = [self._answers[image.width] for image in images]
        if None in found:
            raise RuntimeError("no")
        return found


def rows_from(detector: Scripted, pictures: int, **values: Any) -> list[dict[str, Any]]:
    images = [(Image.new("RGB", (10 + number, 4)), Status.OK) for number in range(pictures)]
    return list(region_rows(detector, [*images, (None, Status.FAILED)], DetectConfig(**values)))


BOX = Box((1, 0, 2, 1, 1, 2, 0, 1), 0.5, 0.7)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_detector_that_breaks_fails_its_sample_alone(device: str) -> None:
    first, broken, last, undecoded = rows_from(Scripted([BOX], None, [BOX]), 3, device=device)
    names = ("boxes", "confidences", "detector_confidences", "areas")
    nothing = {name: [] for name in names}
    assert broken == undecoded == {**nothing, "status": "failed"}
    assert first["status"] == last["status"] == "ok"
    assert len(first["boxes"]) == len(last["boxes"]) == 1


def test_area_is_the_polygons_share_of_the_image_and_no_more_than_all() -> None:
    whole = Box((0, 0, 12, 0, 12, 4.1, 0, 4.1), 0.5, 0.5)
    rows = rows_from(Scripted([BOX], [whole]), 2)
    assert rows[0]["areas"] == [pytest.approx(2 / 40)]
    assert rows[1]["areas"] == [1.0]
    assert (rows[0]["confidences"], rows[0]["detector_confidences"]) == ([0.5], [0.7])


def test_pictures_are_looked_at_one_by_one_on_a_cpu_and_together_on_a_gpu() -> None:
    answers: list[list[Box] | None] = [[BOX]] * 10
    one, many = Scripted(*answers), Scripted(*answers)
    rows = rows_from(one, 10)
    assert rows == rows_from(many, 10, device="cuda", batch_size=2)
    assert one.calls == [1] * 10
    assert many.calls == [8, 2]


def test_an_unknown_key_is_one_line(tmp_path: Path) -> None:
    pool = write_pool(tmp_path, {"a": [Pair(noise_jpeg(1))]})
    with pytest.raises(InputError, match=r"unknown key 'threshold'; known here: backend"):
        detect_text(pool.samples[0], config={"threshold": 1})
    assert not list(open_store(str(tmp_path)).list("tables/text_regions/x"))
