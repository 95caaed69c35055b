import numpy as np
import pytest

from openmofi.evaluation import image_text
from openmofi.evaluation.image_text import image_ranks, recall_columns, text_ranks
from openmofi.evaluation.retrieval import unit_rows


def loop_recalls(images, texts, owners, cut):
    """Sort each list stably and look at its first few: both directions, the usual way."""
    similarities = images @ texts.T
    to_text = [
        any(owners[t] == i for t in np.argsort(-row, kind="stable")[:cut])
        for i, row in enumerate(similarities)
    ]
    to_image = [
        owners[t] in np.argsort(-column, kind="stable")[:cut]
        for t, column in enumerate(similarities.T)
    ]
    return np.mean(to_text), np.mean(to_image)


@pytest.mark.parametrize("owners", [np.arange(60) // 5, np.array([0, 0, 0, 1, 2, 2, 3, 3, 3, 3])])
def test_recalls_equal_the_loop_whether_or_not_images_have_as_many_captions(owners):
    rng = np.random.default_rng(0)
    count = int(owners.max()) + 1
    images = unit_rows(rng.standard_normal((count, 6)))
    texts = unit_rows(images[owners] + rng.standard_normal((len(owners), 6)))
    columns = recall_columns(images, texts, owners)
    for cut in (1, 5, 10):
        to_text, to_image = loop_recalls(images, texts, owners, cut)
        assert columns[f"image_text/image_to_text_r{cut}"].mean() == pytest.approx(to_text)
        assert columns[f"image_text/text_to_image_r{cut}"].mean() == pytest.approx(to_image)
        assert len(columns[f"image_text/text_to_image_r{cut}"]) == count
    assert columns["image_text/text_to_image_r1"].mean() < 1


def test_any_of_an_images_captions_is_a_hit():
    images = np.eye(2, dtype=np.float32)
    texts = np.array([[0, 1], [1, 0], [0.6, 0.8], [0.8, 0.6]], np.float32)
    # Image 0 owns texts 0 and 1: its first caption is nobody's best, its second is on the spot.
    owners = np.array([0, 0, 1, 1])
    assert text_ranks(images, texts, owners).tolist() == [1, 2]
    assert image_ranks(images, texts, owners).tolist() == [2, 1, 1, 2]


def test_captions_need_not_come_image_by_image():
    rng = np.random.default_rng(1)
    images, texts = unit_rows(rng.standard_normal((4, 3))), unit_rows(rng.standard_normal((9, 3)))
    owners = np.array([3, 0, 1, 2, 0, 3, 1, 1, 2])
    order = np.argsort(owners, kind="stable")
    np.testing.assert_array_equal(
        text_ranks(images, texts, owners), text_ranks(images, texts[order], owners[order])
    )


def test_equal_similarities_stand_in_index_order():
    same = np.array([[1, 0], [1, 0], [1, 0]], np.float32)
    assert text_ranks(same, same, np.arange(3)).tolist() == [1, 2, 3]
    assert image_ranks(same, same, np.arange(3)).tolist() == [1, 2, 3]


def test_blocks_do_not_change_the_ranks(monkeypatch):
    rng = np.random.default_rng(2)
    images, texts = unit_rows(rng.standard_normal((12, 3))), unit_rows(rng.standard_normal((24, 3)))
    owners = np.arange(24) // 2
    whole = text_ranks(images, texts, owners)
    monkeypatch.setattr(image_text, "_BLOCK_BYTES", 4 * 24 * 5)
    np.testing.assert_array_equal(whole, text_ranks(images, texts, owners))
