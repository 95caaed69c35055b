import tracemalloc

import numpy as np
import pytest

from openmofi.errors import InputError
from openmofi.evaluation import retrieval
from openmofi.evaluation.arrays import evaluate_arrays
from openmofi.evaluation.retrieval import average_precisions, positive_ranks, unit_rows


def loop_ap(row, labels, query, *, leave_one_out):
    """The protocol read aloud: sort stably, walk down, add up precision at each class image."""
    order = [i for i in np.argsort(-row, kind="stable") if not (leave_one_out and i == query)]
    found, total = 0, 0.0
    for position, index in enumerate(order, start=1):
        if labels[index] == labels[query]:
            found += 1
            total += found / position
    return total / found if found else float("nan")


def oracle(vectors, labels, *, leave_one_out=False):
    """On the very similarities that the module compares: blocked products differ in last bits."""
    return np.array(
        [
            loop_ap(row, labels, start + offset, leave_one_out=leave_one_out)
            for start, block in retrieval.similarity_blocks(unit_rows(vectors))
            for offset, row in enumerate(block)
        ]
    )


def assert_like_the_oracle(vectors, labels):
    scores = average_precisions(vectors, labels)
    np.testing.assert_allclose(scores.ap, oracle(vectors, labels), rtol=1e-12)
    np.testing.assert_allclose(
        scores.ap_leave_one_out, oracle(vectors, labels, leave_one_out=True), rtol=1e-12
    )


def test_ap_of_every_query_equals_the_loop():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 12, 150)
    vectors = rng.standard_normal((150, 8), dtype=np.float32) + np.eye(12, 8)[labels]
    assert_like_the_oracle(vectors.astype(np.float32), labels)


def test_ties_stand_in_index_order():
    rng = np.random.default_rng(2)
    # Signs of four numbers: unit vectors with exact products, nearly all of them tied.
    vectors = rng.choice([-1.0, 1.0], (120, 4)).astype(np.float32)
    labels = rng.integers(0, 10, 120)
    assert_like_the_oracle(vectors, labels)
    unstable = [
        loop_ap(row[::-1], labels[::-1], 119 - i, leave_one_out=False)
        for i, row in enumerate(unit_rows(vectors) @ unit_rows(vectors).T)
    ]
    assert abs(np.mean(unstable) - average_precisions(vectors, labels).ap.mean()) > 1e-4


def test_copies_of_a_query_may_stand_before_it():
    vectors = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    scores = average_precisions(vectors, np.array([0, 1, 1]))
    # Query 1 finds its copy, image 0 of another class, first: hits at ranks 2 and 3.
    assert scores.ap[1] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert scores.ap_leave_one_out[1] == pytest.approx(1 / 2)


def test_exact_copies_are_ranked_like_the_oracle():
    """A tenth of the images are copies, of their own class and of others."""
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 15, 200)
    vectors = rng.standard_normal((200, 12), dtype=np.float32)
    vectors[rng.choice(200, 20, replace=False)] = vectors[rng.choice(200, 20, replace=False)]
    assert_like_the_oracle(vectors, labels)


def test_copies_of_one_image_only_stand_in_index_order():
    vectors = np.ones((6, 4), np.float32)  # unit vectors of exact products: all tie
    scores = average_precisions(vectors, np.array([0, 1, 0, 1, 0, 2]))
    first, second = (1 + 2 / 3 + 3 / 5) / 3, (1 / 2 + 2 / 4) / 2
    assert scores.ap == pytest.approx([first, second, first, second, first, 1 / 6])


def test_large_and_small_classes_together_equal_the_loop():
    rng = np.random.default_rng(8)
    labels = np.concatenate([np.zeros(retrieval._SORT_FROM + 10, int), np.arange(1, 60) // 3])
    rng.shuffle(labels)
    vectors = rng.standard_normal((len(labels), 6), dtype=np.float32)
    assert_like_the_oracle(vectors, labels)


def test_parts_of_a_block_do_not_change_the_result(monkeypatch):
    rng = np.random.default_rng(9)
    vectors = rng.standard_normal((90, 4), dtype=np.float32)
    labels = rng.integers(0, 9, 90)
    whole = average_precisions(vectors, labels)
    monkeypatch.setattr(retrieval, "_RANK_CELLS", 25)
    parts = average_precisions(vectors, labels)
    np.testing.assert_array_equal(whole.ap, parts.ap)
    np.testing.assert_array_equal(whole.ap_leave_one_out, parts.ap_leave_one_out)


@pytest.mark.parametrize("labels", [np.arange(4000) // 10, np.zeros(4000, int)])
def test_memory_is_a_copy_and_a_block_whatever_the_classes(labels):
    vectors = np.random.default_rng(10).standard_normal((4000, 64), dtype=np.float32)
    average_precisions(vectors[:50], labels[:50])
    tracemalloc.start()
    try:
        average_precisions(vectors, labels)
        extra = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # All similarities would take 64 MB, and their sorted lists 128 more.
    allowed = vectors.nbytes + retrieval._BLOCK_BYTES + 12 * 8 * retrieval._RANK_CELLS
    assert extra < allowed < 4 * 4000 * 4000


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_rows_are_scaled_piece_by_piece_as_they_would_be_at_once(monkeypatch, kind):
    monkeypatch.setattr(retrieval, "_UNIT_ROWS", 7)
    vectors = np.random.default_rng(11).standard_normal((30, 5)).astype(kind)
    found = unit_rows(vectors)
    lengths = np.linalg.norm(vectors.astype(np.float32), axis=1, keepdims=True)
    np.testing.assert_array_equal(found, (vectors / lengths).astype(np.float32))
    assert found.dtype == np.float32
    with pytest.raises(InputError, match=r"1 of 30 .*NaN.*row 29"):
        unit_rows(np.where(np.arange(30)[:, None] == 29, np.nan, vectors))


def test_large_classes_take_the_sorting_way_and_agree(monkeypatch):
    rng = np.random.default_rng(3)
    row = rng.integers(0, 9, 400).astype(np.float32)
    positives = np.flatnonzero(rng.random(400) < 0.5)
    assert len(positives) >= retrieval._SORT_FROM
    sorted_way = positive_ranks(row, positives)
    monkeypatch.setattr(retrieval, "_SORT_FROM", 10_000)
    np.testing.assert_array_equal(sorted_way, positive_ranks(row, positives))


def test_blocks_do_not_change_the_result(monkeypatch):
    rng = np.random.default_rng(4)
    vectors = rng.choice([-1.0, 1.0], (90, 4)).astype(np.float32)
    labels = np.arange(90) // 5
    whole = average_precisions(vectors, labels)
    monkeypatch.setattr(retrieval, "_BLOCK_BYTES", 4 * 90 * 7)
    monkeypatch.setattr(retrieval, "_BLOCK_ROWS", 1)
    parts = average_precisions(vectors, labels)
    np.testing.assert_array_equal(whole.ap, parts.ap)
    np.testing.assert_array_equal(whole.ap_leave_one_out, parts.ap_leave_one_out)


def test_random_features_sit_on_the_floor_and_class_features_at_the_top():
    labels = np.arange(12_000) // 10
    rng = np.random.default_rng(5)
    wanted = rng.choice(12_000, 300, replace=False)
    vectors = unit_rows(rng.standard_normal((12_000, 32), dtype=np.float32))
    ap = []
    for query in wanted:
        ranks = positive_ranks(vectors[query] @ vectors.T, np.flatnonzero(labels == labels[query]))
        ap.append(np.mean(np.arange(1, 11) / np.sort(ranks)))
    assert 100 * np.mean(ap) == pytest.approx(10.2, abs=0.2)
    perfect = average_precisions(
        np.eye(120, dtype=np.float32)[np.arange(1200) // 10], labels[:1200]
    )
    assert perfect.ap.mean() == 1
    assert perfect.ap_leave_one_out.mean() == 1


def test_an_image_alone_in_its_class_is_left_out_and_counted():
    vectors = np.array([[1, 0], [0.9, 0.1], [0, 1]], dtype=np.float32)
    scores = average_precisions(vectors, np.array([7, 7, 3]))
    assert scores.queries_without_positive == 1
    np.testing.assert_array_equal(np.isnan(scores.ap_leave_one_out), [False, False, True])
    assert scores.ap[2] == 1


def test_one_class_is_found_whole():
    vectors = np.random.default_rng(6).standard_normal((5, 3)).astype(np.float32)
    assert average_precisions(vectors, np.zeros(5, int)).ap.tolist() == [1.0] * 5


GOOD = np.ones((3, 2), np.float32)
LABELS = np.zeros(3, np.int64)


@pytest.mark.parametrize(
    ("embeddings", "labels", "says"),
    [
        (GOOD * np.array([[1], [np.nan], [1]], np.float32), LABELS, "1 of 3 .*NaN.*row 1"),
        (GOOD * np.array([[1], [np.inf], [1]], np.float32), LABELS, "infinite.*row 1"),
        (GOOD * np.array([[1], [1], [0]], np.float32), LABELS, "all zero.*row 2"),
        (GOOD[0], LABELS, r"shape N x D, got float32 \(2,\)"),
        (GOOD[:0], LABELS[:0], "shape N x D"),
        (GOOD.astype(int), LABELS, "must be floats"),
        (GOOD, LABELS[:2], "3 embeddings and 2 labels"),
        (GOOD, LABELS.astype(np.float32), "labels must be N integers, got float32"),
        (GOOD, LABELS[:, None], "labels must be N integers"),
    ],
)
def test_unusable_arrays_are_told_in_one_line(embeddings, labels, says):
    with pytest.raises(InputError, match=says) as caught:
        average_precisions(embeddings, labels)
    assert "\n" not in str(caught.value)


def test_arrays_from_files(tmp_path):
    np.save(tmp_path / "e.npy", np.eye(4, dtype=np.float32)[np.arange(12) // 3])
    np.save(tmp_path / "l.npy", np.arange(12) // 3)
    found = evaluate_arrays(tmp_path / "e.npy", tmp_path / "l.npy")
    assert (found["map"], found["map_leave_one_out"], found["n"]) == (100, 100, 12)
    assert (found["classes"], found["dim"], found["queries_without_positive"]) == (4, 4, 0)


def test_no_query_with_a_positive_gives_no_leave_one_out(tmp_path):
    np.save(tmp_path / "e.npy", np.eye(3, dtype=np.float32))
    np.save(tmp_path / "l.npy", np.arange(3))
    found = evaluate_arrays(tmp_path / "e.npy", tmp_path / "l.npy")
    assert found["map_leave_one_out"] is None
    assert found["queries_without_positive"] == 3


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00cut"])
def test_files_that_are_no_arrays(tmp_path, content):
    (tmp_path / "e.npy").write_bytes(content)
    np.save(tmp_path / "l.npy", np.arange(3))
    with pytest.raises(InputError, match=r"e\.npy is not a \.npy array"):
        evaluate_arrays(tmp_path / "e.npy", tmp_path / "l.npy")


def test_pickled_objects_are_refused(tmp_path):
    np.save(tmp_path / "e.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "l.npy", np.arange(1))
    with pytest.raises(InputError, match=r"is not a \.npy array"):
        evaluate_arrays(tmp_path / "e.npy", tmp_path / "l.npy")
    with pytest.raises(InputError, match="file not found"):
        evaluate_arrays(tmp_path / "missing.npy", tmp_path / "l.npy")
