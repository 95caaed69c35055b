import numpy as np
import pytest
from PIL import Image

from openmofi.training.augmentation import DRAWS, Augmentation

SIZE = (12, 16)


def augmentation(**changes):
    options = {"crop_area": (0.3, 1.0), "crop_aspect": (0.75, 4 / 3), "flip": False, **changes}
    return Augmentation(SIZE, **options)


def gradient(width=40, height=30):
    """Red grows to the right, green downwards."""
    x = np.linspace(0, 255, width)[None].repeat(height, 0)
    y = np.linspace(0, 255, height)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([x, y, 0 * x], 2).astype(np.uint8))


def test_crops_keep_to_the_image_and_to_the_bounds():
    rng = np.random.default_rng(0)
    for _ in range(500):
        width, height = (int(n) for n in rng.integers(8, 100, 2))
        left, top, right, bottom = augmentation().crop_box(width, height, rng.random(5).tolist())
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert (right - left) * (bottom - top) <= width * height * 1.0001


def test_a_square_image_gets_area_and_aspect_as_drawn():
    left, top, right, bottom = augmentation().crop_box(100, 100, [0.5, 1.0, 0.0, 0.0, 0.0])
    area = (right - left) * (bottom - top) / 100**2
    assert area == pytest.approx(0.65)
    assert (right - left) / (bottom - top) == pytest.approx(4 / 3)
    assert (left, top) == (0, 0)


def test_the_whole_image_is_a_plain_resize():
    image = gradient(32, 24)
    whole = augmentation(crop_area=(1.0, 1.0), crop_aspect=(4 / 3, 4 / 3))
    expected = np.asarray(image.resize((SIZE[1], SIZE[0]), Image.Resampling.BICUBIC))
    result = whole(image, [0.2] * DRAWS)
    assert result.shape == (*SIZE, 3)
    assert np.abs(result.astype(int) - expected.astype(int)).max() <= 1


def test_no_flip_unless_asked_for():
    low, high = [0.5] * 4 + [0.1], [0.5] * 4 + [0.9]
    image = gradient()
    plain, mirrored = augmentation(), augmentation(flip=True)
    assert (plain(image, low) == plain(image, high)).all()
    assert (mirrored(image, high) == plain(image, high)).all()
    assert (mirrored(image, low) == plain(image, low)[:, ::-1]).all()


def test_equal_draws_give_equal_pixels_and_others_do_not():
    image = gradient()
    first = augmentation()(image, [0.1, 0.2, 0.3, 0.4, 0.5])
    assert (first == augmentation()(image, [0.1, 0.2, 0.3, 0.4, 0.5])).all()
    assert (first != augmentation()(image, [0.1, 0.2, 0.9, 0.4, 0.5])).any()
