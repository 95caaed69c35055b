"""Covering regions: the pixels and the colour against loops, the geometry against the decoder."""

import io

import numpy as np
import pytest
from PIL import Image

from openmofi.labeling.decoding import Decoder, decoded_batches
from openmofi.labeling.masking import Mask, cover_regions
from openmofi.models.preprocessing import Preprocess
from support.labeling import ToyGeometry, quarters_png
from support.labeling_pictures import written


def box(left, top, right, bottom):
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


def picture(height=40, width=60, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def covered(pixels, *polygons):
    image, share = cover_regions(Image.fromarray(pixels), np.stack(polygons))
    return np.asarray(image), share


@pytest.mark.parametrize(("high", "band"), [(8, 3), (12, 3), (40, 10)])
def test_a_region_gets_the_mean_of_a_band_a_quarter_of_its_height_wide(high, band):
    pixels = np.zeros((80, 100, 3), np.uint8)
    around = []
    for y in range(80):
        for x in range(100):
            dx, dy = max(20 - x, 0, x - 79), max(20 - y, 0, y - (20 + high))
            pixels[y, x] = min(10 * max(dx, dy), 255)  # the further out, the brighter
            if 0 < np.hypot(dx, dy) <= band:
                around.append(pixels[y, x])
    found, _ = covered(pixels, box(20, 20, 79, 20 + high))
    assert np.abs(found[24, 30] - np.mean(around, axis=0)).max() <= 1
    assert len(np.unique(found[20 : 21 + high, 20:80].reshape(-1, 3), axis=0)) == 1


def test_nothing_else_changes_and_the_share_counts_what_does():
    pixels = picture()
    found, share = covered(pixels, box(20, 10, 39, 19), box(5, 30, 14, 33))
    inside = np.zeros((40, 60), bool)
    inside[10:20, 20:40] = inside[30:34, 5:15] = True
    np.testing.assert_array_equal(found[~inside], pixels[~inside])
    assert share == pytest.approx(240 / 2400)


def test_the_colour_is_read_off_by_hand():
    pixels = np.full((40, 60, 3), (10, 60, 110), np.uint8)
    pixels[10:20, 20:40] = 255  # the letters
    pixels[:, 50:] = 0  # far away
    found, _ = covered(pixels, box(20, 10, 39, 19))
    assert found[15, 30].tolist() == [10, 60, 110]


def test_the_colour_between_two_grounds_is_their_mean():
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, 30:] = 200
    found, _ = covered(pixels, box(20, 10, 39, 19))
    assert np.abs(found[15, 30].astype(int) - 100).max() <= 4


def test_a_neighbouring_region_lends_no_colour():
    pixels = np.full((40, 60, 3), 50, np.uint8)
    pixels[10:20, 20:30], pixels[10:20, 30:40] = 255, 180
    first, second = box(20, 10, 29, 19), box(30, 10, 39, 19)
    found, _ = covered(pixels, first, second)
    assert np.unique(found).tolist() == [50]


def test_a_region_enclosed_by_others_takes_what_is_outside_of_all():
    pixels = np.full((40, 60, 3), 70, np.uint8)
    pixels[5:35, 5:55] = 255
    rim = [box(5, 5, 54, 14), box(5, 25, 54, 34), box(5, 15, 24, 24), box(35, 15, 54, 24)]
    found, _ = covered(pixels, box(25, 15, 34, 24), *rim)
    assert np.unique(found).tolist() == [70]


def test_a_picture_that_is_all_region_gets_its_own_mean():
    pixels = picture()
    found, share = covered(pixels, box(-5, -5, 70, 50))
    assert share == 1
    assert found[0, 0].tolist() == pixels.reshape(-1, 3).mean(axis=0).round().tolist()
    assert len(np.unique(found.reshape(-1, 3), axis=0)) == 1


def test_a_region_beyond_the_picture_covers_nothing():
    pixels = picture()
    found, share = covered(pixels, box(100, 100, 120, 110), box(-50, 0, -20, 10))
    np.testing.assert_array_equal(found, pixels)
    assert share == 0


def test_a_turned_region_covers_its_inside_and_no_more_than_its_rim():
    corners = np.array([[30, 5], [50, 20], [32, 35], [12, 20]], np.float32)
    pixels = picture()
    found, share = covered(pixels, corners)
    changed = (found != pixels).any(axis=-1)
    for y in range(40):
        for x in range(60):
            distances = []  # to each edge, positive inside
            for one, other in zip(corners, np.roll(corners, -1, axis=0), strict=True):
                along = (other - one) / np.linalg.norm(other - one)
                distances.append(along[0] * (y - one[1]) - along[1] * (x - one[0]))
            if min(distances) >= 0:
                assert changed[y, x] or found[y, x].tolist() == pixels[y, x].tolist()
            if min(distances) < -1.5:
                assert not changed[y, x]
    assert changed.mean() == pytest.approx(share, abs=0.001)
    assert share == pytest.approx(570 / 2400, abs=0.03)  # half of 38 x 30


def test_regions_shrink_with_the_picture():
    mask = Mask(box(40, 20, 79, 39)[None], width=120, height=80)
    pixels = picture(40, 60)
    image, share = mask(Image.fromarray(pixels))
    changed = (np.asarray(image) != pixels).any(axis=-1)
    y, x = np.nonzero(changed)
    assert (x.min(), y.min()) == (20, 10)
    assert (x.max(), y.max()) == (40, 20)
    assert share == pytest.approx(21 * 11 / 2400)


def jpeg(pixels, **options):
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "JPEG", quality=95, **options)
    return sink.getvalue()


@pytest.mark.parametrize("scaled", [True, False])
def test_the_decoder_covers_in_pixels_of_the_turned_original(tmp_path, scaled):
    shown = np.full((400, 600, 3), 40, np.uint8)
    shown[50:100, 300:500] = 250  # letters, at the top right
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    stored = jpeg(np.rot90(shown), exif=exif)
    mask = Mask(box(295, 45, 505, 105)[None], width=600, height=400)
    geometry = Preprocess(40, 60, (0, 0, 0), (1, 1, 1), "bicubic", "shortest")
    pictures = [
        one._replace(edit=edit)
        for one in written(tmp_path / "a", [stored])
        for edit in (mask, None)
    ]
    decoder = Decoder(geometry, scaled)
    (batch,) = decoded_batches(decoder, pictures, batch_size=2, workers=1)
    hidden, seen = batch.pixels.numpy()
    assert hidden.max() < 60 < 200 < seen.max()
    assert batch.edited.tolist() == [pytest.approx(211 * 61 / 240_000, rel=0.1), 0]


class Refuses:
    def __call__(self, image):
        raise ValueError("no such region")


def test_a_picture_whose_edit_fails_is_not_ok_and_its_neighbours_are(tmp_path):
    pictures = written(tmp_path / "a", [quarters_png(0)] * 3)
    pictures[1] = pictures[1]._replace(edit=Refuses())
    decoder = Decoder(ToyGeometry(), False)
    (batch,) = decoded_batches(decoder, pictures, batch_size=3, workers=1)
    assert batch.ok.tolist() == [True, False, True]
