"""Scope: openmofi.images: odd files to upright RGB, once and the same way; ids and hashes."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from openmofi import records
from openmofi.images import (
    decode_image,
    decoded_samples,
    image_id,
    perceptual_hash,
    sample_uid,
)
from openmofi.records import Status
from openmofi.shards import write_tar
from openmofi.stage import ShardInput
from openmofi.storage import open_store
from openmofi.work import Work
from support.pictures import encoded, picture

ORIENTATION = 0x0112


def corners() -> Image.Image:
    """4 x 2 pixels: red top left, blue bottom right, black between."""
    image = Image.new("RGB", (4, 2))
    image.putpixel((0, 0), (255, 0, 0))
    image.putpixel((3, 1), (0, 0, 255))
    return image


@pytest.mark.parametrize(
    ("file_format", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("PPM", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("JPEG2000", {"irreversible": False}, 0),
        ("JPEG", {"quality": 95}, 6),
        ("JPEG", {"quality": 95, "progressive": True}, 6),
        ("AVIF", {"quality": 95}, 6),
    ],
)
def test_formats_of_the_web_are_read(
    file_format: str, options: dict[str, Any], tolerance: int
) -> None:
    image = picture()
    decoded = decode_image(encoded(image, file_format, **options))
    assert (decoded.mode, decoded.size) == ("RGB", image.size)
    difference = np.abs(np.asarray(decoded).astype(int) - np.asarray(image))
    assert difference.mean() <= tolerance


# The eight EXIF orientations, as the operations that undo them.
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a.transpose(1, 0, 2), 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_exif_turns_are_applied(orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = corners()
    decoded = decode_image(encoded(stored, "PNG", exif=exif))
    np.testing.assert_array_equal(decoded, TURNS[orientation](np.asarray(stored)))


def test_cmyk_becomes_the_colours_it_shows() -> None:
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan, all magenta and yellow: red
    red, green, blue = np.asarray(decode_image(encoded(cmyk, "JPEG"))).mean(axis=(0, 1))
    assert red > 200
    assert max(green, blue) < 60


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    decoded = decode_image(encoded(Image.fromarray(values), "PNG"))
    assert np.asarray(decoded)[0].tolist() == [[v, v, v] for v in (0, 1, 128, 255)]


def test_transparency_is_laid_on_white() -> None:
    image = Image.new("RGBA", (3, 1))
    for x, pixel in enumerate([(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 128)]):
        image.putpixel((x, 0), pixel)
    wanted = [[255, 0, 0], [255, 255, 255], [127, 127, 127]]
    assert np.asarray(decode_image(encoded(image, "PNG")))[0].tolist() == wanted


@pytest.mark.parametrize("mode", ["P", "L", "LA", "1"])
def test_transparency_of_other_modes_is_laid_on_white_too(mode: str) -> None:
    image = Image.new(mode, (2, 1), (0, 0) if mode == "LA" else 0)
    options = {} if mode == "LA" else {"transparency": 0}
    decoded = decode_image(encoded(image, "PNG", **options))
    assert np.asarray(decoded).tolist() == [[[255, 255, 255]] * 2]


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_counts(file_format: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:], duration=50)
    assert getattr(Image.open(io.BytesIO(data)), "n_frames", 1) == 3
    red, green, blue = np.asarray(decode_image(data)).mean(axis=(0, 1))
    assert red > 250
    assert max(green, blue) < 5


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "WEBP"])
def test_one_pixel_is_an_image(file_format: str) -> None:
    decoded = decode_image(encoded(Image.new("RGB", (1, 1), "white"), file_format))
    assert decoded.size == (1, 1)
    assert 0 <= perceptual_hash(decoded) < 2**64


def test_an_image_is_known_by_its_bytes_and_a_sample_by_its_texts_too() -> None:
    one, other = encoded(picture(), "PNG"), encoded(picture(), "BMP")
    assert len({image_id(one), image_id(one), image_id(other)}) == 2
    uids = {
        sample_uid(image, text, title)
        for image in (image_id(one), image_id(other), None)
        for text in ("a", "b")
        for title in (None, "", "t")
    }
    assert len(uids) == 18
    assert all(len(uid) == 32 for uid in uids)


def test_near_duplicates_have_near_hashes() -> None:
    image = Image.new("L", (96, 64), 40)
    for box, grey in [((5, 5, 40, 30), 220), ((50, 10, 90, 60), 130), ((20, 35, 45, 60), 10)]:
        image.paste(grey, box)
    recoded = decode_image(encoded(image.resize((72, 48)), "JPEG", quality=60))
    other = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert (perceptual_hash(image) ^ perceptual_hash(recoded)).bit_count() <= 6
    assert (perceptual_hash(image) ^ perceptual_hash(other)).bit_count() >= 16


def test_samples_of_a_shard_come_decoded_in_order_with_their_status(tmp_path: Path) -> None:
    images = [encoded(picture(), "JPEG"), b"refused by ingest", b"went bad since"]
    tar = tmp_path / "root" / "pool" / "0.tar"
    tar.parent.mkdir(parents=True)
    written = write_tar(tar, [(str(i), {"jpg": data}) for i, data in enumerate(images)])
    rows = [
        {
            "uid": str(row), "key": str(row), "alt_text": "t", "width": 1, "height": 1,
            "offset": sample.members["jpg"].offset, "length": sample.members["jpg"].length,
            "status": status,
        }
        for row, (sample, status) in enumerate(
            zip(written, [Status.OK, Status.CORRUPT_IMAGE, Status.OK], strict=True)
        )
    ]  # fmt: skip
    store = open_store(str(tmp_path / "root"))
    store.put("samples.parquet", records.to_parquet(records.from_rows(rows, records.SAMPLES)))
    work = Work("0", (), tables={"samples": "samples.parquet"}, tar_key="pool/0.tar")
    found = list(decoded_samples(ShardInput(store, work, "key")))
    assert [(row, status) for row, _, status in found] == [
        (0, Status.OK),
        (1, Status.SKIPPED),
        (2, Status.FAILED),
    ]
    assert found[0][1] is not None
    assert found[0][1].size == (48, 32)
    assert [image for _, image, _ in found[1:]] == [None, None]


# Scaled decoding


@pytest.mark.parametrize(
    ("least", "width"), [(1, 80), (100, 160), (160, 160), (161, 320), (321, 640), (9999, 640)]
)
def test_a_large_jpeg_is_decoded_at_the_smallest_fraction_that_is_large_enough(
    least: int, width: int
) -> None:
    data = encoded(picture((640, 640)), "JPEG")
    assert decode_image(data, least_side=least).size == (width, width)


def test_it_is_the_shorter_side_that_keeps_enough() -> None:
    data = encoded(picture((640, 320)), "JPEG")
    assert decode_image(data, least_side=100).size == (320, 160)


def test_other_formats_are_decoded_whole() -> None:
    assert decode_image(encoded(picture((640, 640)), "PNG"), least_side=80).size == (640, 640)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_scaled_image_shows_what_the_whole_one_shows(mode: str) -> None:
    data = encoded(picture((640, 480)).convert(mode), "JPEG", quality=95)
    scaled = decode_image(data, least_side=120)
    whole = decode_image(data).resize(scaled.size, Image.Resampling.BOX)
    difference = np.abs(np.asarray(scaled, int) - np.asarray(whole, int))
    assert scaled.size == (160, 120)
    assert difference.mean() < 1


def test_a_scaled_image_is_turned_too() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    data = encoded(picture((640, 320)), "JPEG", exif=exif)
    assert decode_image(data, least_side=100).size == (160, 320)
