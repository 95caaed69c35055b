import io
import os
import signal
import time
import zlib
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from openmofi.errors import ShardError
from openmofi.images import decode_image
from openmofi.labeling.decoding import Decoder, Picture, decoded_batches
from openmofi.models.preprocessing import Preprocess
from support.labeling import ToyGeometry, quarters_png
from support.labeling_pictures import written
from support.tables import noise_jpeg


@dataclass(frozen=True)
class Widths:
    """The image's width as a picture of one pixel; what a test says happens on the way."""

    height: int = 1
    width: int = 1
    least_side: int = 1
    slow: int = 0  # images of this width take long
    deadly: int = 0  # images of this width kill the process

    def pixels(self, image: Image.Image) -> np.ndarray:
        if image.width == self.slow:
            time.sleep(0.3)
        if image.width == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return np.full((1, 1, 3), image.width, np.uint8)


def widths_of(pictures, geometry, **options):
    batches = decoded_batches(Decoder(geometry, scaled=False), pictures, **options)
    return [(batch.pixels[:, 0, 0, 0].tolist(), batch.ok.tolist()) for batch in batches]


def of_widths(path, *widths):
    return written(path, [quarters_png(side=width) for width in widths])


def test_batches_are_full_and_in_order_however_long_each_takes(tmp_path):
    pictures = of_widths(tmp_path / "a", 4, 6, 8, 10, 12, 14, 16)
    found = widths_of(pictures, Widths(slow=4), batch_size=2, workers=2)
    assert [widths for widths, _ in found] == [[4, 6], [8, 10], [12, 14], [16]]


def test_what_does_not_decode_is_not_ok_and_its_neighbours_are(tmp_path):
    images = [quarters_png(side=4), b"no image", quarters_png(side=6)]
    found = widths_of(written(tmp_path / "a", images), Widths(), batch_size=3, workers=1)
    assert found == [([4, 0, 6], [True, False, True])]


def test_pictures_are_asked_for_ahead_but_not_all_at_once(tmp_path):
    pictures = of_widths(tmp_path / "a", *[4] * 60)
    asked = []

    def counted():
        for picture in pictures:
            asked.append(picture)
            yield picture

    batches = decoded_batches(Decoder(Widths(), False), counted(), batch_size=2, workers=1)
    next(batches)
    assert 4 <= len(asked) <= 8
    assert len(list(batches)) == 29


def test_no_picture_is_no_batch():
    assert widths_of([], Widths(), batch_size=2, workers=1) == []


def test_a_killed_worker_is_told_in_one_line(tmp_path):
    pictures = of_widths(tmp_path / "a", 4, 6)
    with pytest.raises(ShardError, match="a process that decodes images failed") as caught:
        widths_of(pictures, Widths(deadly=6), batch_size=1, workers=1)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_gone_is_told_by_name(tmp_path):
    with pytest.raises(ShardError, match="nowhere"):
        widths_of([Picture(str(tmp_path / "nowhere"), 0, 1)], Widths(), batch_size=1, workers=1)


def test_a_line_of_pixels_is_refused_before_it_is_resized_to_gigabytes():
    line = io.BytesIO()
    Image.new("RGB", (20_000, 1)).save(line, "PNG")
    decoder = Decoder(Preprocess(224, 224, (0, 0, 0), (1, 1, 1), "bicubic", "shortest"), False)
    with pytest.raises(ValueError, match="20000 x 1 cannot be resized"):
        decoder._prepared(line.getvalue())


@pytest.mark.parametrize(("scaled", "width"), [(True, 100), (False, 800)])
def test_large_jpegs_are_decoded_at_twice_what_is_needed(tmp_path, scaled, width):
    geometry = Widths(least_side=50)
    data = noise_jpeg(0, side=800)
    assert Decoder(geometry, scaled).least_side == (100 if scaled else None)
    decoded = decode_image(data, least_side=Decoder(geometry, scaled).least_side)
    assert decoded.width == width


def test_a_decoder_says_the_same_of_a_picture_as_its_geometry(tmp_path):
    (picture,) = written(tmp_path / "a", [quarters_png(1, 2)])
    (batch,) = decoded_batches(Decoder(ToyGeometry(), True), [picture], batch_size=4, workers=1)
    expected = ToyGeometry().pixels(decode_image(quarters_png(1, 2)))
    np.testing.assert_array_equal(batch.pixels[0].numpy(), expected)


GEOMETRY = Preprocess(32, 32, (0, 0, 0), (1, 1, 1), "bicubic", "shortest")


def upright() -> Image.Image:
    """Smooth, and the same in no other orientation."""
    y, x = np.mgrid[0:96, 0:128]
    return Image.fromarray(np.stack([x * 2, y * 2, x + y], axis=-1).clip(0, 255).astype(np.uint8))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    return saved(upright().rotate(90, expand=True), "JPEG", quality=95, exif=exif)


def sixteen_bit() -> bytes:
    grey = np.asarray(upright().convert("L")).astype(np.uint16) * 257
    return saved(Image.fromarray(grey), "PNG")


def with_alpha() -> bytes:
    image = upright().convert("RGBA")
    image.putalpha(Image.new("L", image.size, 255))
    return saved(image, "PNG")


def bomb() -> bytes:
    """A few bytes that say they are 100,000 pixels wide and high."""
    data = bytearray(saved(Image.new("L", (8, 8)), "PNG"))
    data[16:24] = (100_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (turned(), upright()),
        (saved(upright().convert("CMYK"), "JPEG", quality=95), upright()),
        (sixteen_bit(), upright().convert("L")),
        (with_alpha(), upright()),
        (saved(upright(), "GIF", save_all=True, append_images=[Image.new("RGB", (128, 96))]), None),
        (saved(Image.new("RGB", (1, 1), "red"), "PNG"), Image.new("RGB", (1, 1), "red")),
    ],
    ids=["exif", "cmyk", "sixteen_bit", "alpha", "animated", "one_pixel"],
)
def test_odd_files_show_what_they_are_meant_to(tmp_path, data, shown):
    pictures = written(tmp_path / "a", [data])
    (batch,) = decoded_batches(Decoder(GEOMETRY, True), pictures, batch_size=1, workers=1)
    shown = shown or upright().convert("P", palette=Image.Palette.ADAPTIVE)
    expected = GEOMETRY.pixels(shown.convert("RGB")).astype(int)
    assert batch.ok.tolist() == [True]
    assert np.abs(batch.pixels[0].numpy() - expected).mean() < 6


@pytest.mark.parametrize(
    "data",
    [saved(upright(), "JPEG")[:-400], bomb(), b"", b"<svg/>"],
    ids=["truncated", "bomb", "empty", "svg"],
)
def test_what_is_no_whole_image_is_not_ok(tmp_path, data):
    pictures = written(tmp_path / "a", [saved(upright(), "PNG"), data, saved(upright(), "PNG")])
    (batch,) = decoded_batches(Decoder(GEOMETRY, True), pictures, batch_size=3, workers=1)
    assert batch.ok.tolist() == [True, False, True]
