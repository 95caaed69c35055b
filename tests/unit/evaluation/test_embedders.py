import numpy as np
import pytest
from PIL import Image

from openmofi.evaluation.embedders import colour_histogram


def test_the_histogram_counts_colours_in_a_joint_cube():
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[0, 0] = (255, 0, 0)
    [vector] = colour_histogram().embed_images([Image.fromarray(pixels)])
    assert np.flatnonzero(vector).tolist() == [0, 7 * 64]
    assert vector[[0, 7 * 64]] == pytest.approx(np.sqrt([0.75, 0.25]))


def test_the_histogram_is_of_unit_length_and_knows_no_place_and_no_size():
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    upright, turned = Image.fromarray(noise), Image.fromarray(noise[::-1])
    large = Image.fromarray(np.kron(noise, np.ones((4, 4, 1), np.uint8)))
    vectors = colour_histogram().embed_images([upright, turned, large])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert vectors[0] @ vectors[2] > 0.8


def test_the_histogram_reads_no_text():
    assert colour_histogram().embed_texts is None
