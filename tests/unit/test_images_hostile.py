"""Scope: openmofi.images: damaged, disguised and oversized files; what is refused is told."""

import struct
import time
import zlib

import numpy as np
import pytest

from openmofi.images import ImageProblemError, decode_image
from openmofi.records import Status
from support.pictures import encoded, picture


def problem(data: bytes, **options: int) -> ImageProblemError:
    with pytest.raises(ImageProblemError) as caught:
        decode_image(data, **options)
    assert "\n" not in caught.value.reason
    return caught.value


@pytest.mark.parametrize("file_format", ["EPS", "PDF", "ICO"])
def test_other_formats_are_refused(file_format: str) -> None:
    # Pillow would start Ghostscript for the first.
    found = problem(encoded(picture(), file_format))
    assert found.status == Status.CORRUPT_IMAGE


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about the EXIF
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"]
)
def test_broken_exif_does_not_spoil_sound_pixels(exif: bytes) -> None:
    data = encoded(picture(), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    decoded = decode_image(data[:2] + segment + data[2:])
    np.testing.assert_array_equal(decoded, decode_image(data))


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_truncated_file_is_corrupt(file_format: str) -> None:
    data = encoded(picture((128, 128)), file_format)
    for share in (0.3, 0.6, 0.9):
        assert problem(data[: int(len(data) * share)]).status == Status.CORRUPT_IMAGE


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>404</html>",
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF1234WEBP",
    ],
)
def test_what_is_no_image_is_corrupt(data: bytes) -> None:
    assert problem(data).status == Status.CORRUPT_IMAGE


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_random_damage_is_an_image_or_a_problem_and_nothing_else() -> None:
    dice = np.random.default_rng(0)
    problems = 0
    for file_format in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"):
        data = np.frombuffer(encoded(picture(), file_format), np.uint8)
        for _ in range(60):
            damaged = data.copy()
            damaged[dice.integers(0, min(len(data), 300), 8)] = dice.integers(0, 256, 8)
            try:
                assert decode_image(damaged.tobytes(), max_pixels=10**6).mode == "RGB"
            except ImageProblemError:
                problems += 1
    assert problems > 60


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises ``width`` x ``height`` pixels and holds a megabyte of zeros."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1 << 20), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def test_a_bomb_is_refused_on_its_header_alone() -> None:
    started = time.monotonic()
    found = problem(png_header(100_000, 100_000))
    assert found.status == Status.TOO_MANY_PIXELS
    assert "100000 x 100000" in found.reason
    assert time.monotonic() - started < 0.5


def test_the_bound_on_pixels_is_exact() -> None:
    data = encoded(picture((20, 10)), "PNG")
    assert decode_image(data, max_pixels=200).size == (20, 10)
    assert problem(data, max_pixels=199).status == Status.TOO_MANY_PIXELS


def test_the_bound_on_pixels_is_on_the_whole_image() -> None:
    data = encoded(picture((640, 640)), "JPEG")
    with pytest.raises(ImageProblemError, match="640 x 640 pixels"):
        decode_image(data, max_pixels=100_000, least_side=80)
