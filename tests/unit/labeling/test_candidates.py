"""Candidates to the table of scores: each piece against a loop."""

import numpy as np
import pyarrow as pa
import pytest

from openmofi.errors import ShardError
from openmofi.labeling.candidates import pair_cosines, score_candidates
from openmofi.labeling.texts import EntityTexts

IDS = ["a", "b", "c", "d"]
SIGNS = np.array([[1, 1, 1, 1], [1, 1, 1, -1], [1, 1, -1, -1], [-1, -1, -1, -1]])
TEXTS = EntityTexts(pa.array(IDS), (SIGNS / 2).astype(np.float16))


def unit(generator, count, dim, kind=np.float32):
    vectors = generator.normal(size=(count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(kind)


def mentions_of(*rows):
    """(row, mention, entity, context, rank) as columns."""
    names = ("row", "mention", "entity_id", "context_score", "rank")
    kinds = (pa.int32(), pa.int32(), pa.string(), pa.float32(), pa.int32())
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    arrays = [pa.array(list(c), k) for c, k in zip(columns, kinds, strict=True)]
    return pa.table(arrays, names=list(names))


def score(mentions, images=1, weight=0.0):
    """Every image is the vector of entity a: cosines are 1, 0.5, 0 and -1."""
    vectors = np.full((images, 4), 0.5, np.float32)
    table, totals = score_candidates(
        mentions, vectors, np.arange(images), TEXTS, image_weight=weight
    )
    return table.to_pylist(), totals


@pytest.mark.parametrize("dim", [1, 5, 63, 64, 65, 128, 200, 512])
def test_cosines_equal_a_loop(dim):
    generator = np.random.default_rng(dim)
    images, texts = unit(generator, 6, dim), unit(generator, 9, dim, np.float16)
    rows, entities = generator.integers(0, 6, 40), generator.integers(0, 9, 40)
    expected = [
        sum(float(a) * float(b) for a, b in zip(images[r], texts[e], strict=True))
        for r, e in zip(rows, entities, strict=True)
    ]
    found = pair_cosines(images, rows, texts, entities)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.clip(expected, -1, 1), atol=1e-6)


def test_every_finite_half_counts_as_what_it_is():
    halves = np.arange(65_536, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)].reshape(-1, 1)
    images = np.array([[2.0**-16]], np.float32)  # so that none is cut at 1
    rows = np.zeros(len(halves), np.int64)
    found = pair_cosines(images, rows, halves, np.arange(len(halves)))
    np.testing.assert_array_equal(found, halves[:, 0].astype(np.float32) * np.float32(2.0**-16))


def test_a_cosine_is_at_most_one():
    long = np.full((1, 4), 0.6, np.float32)
    texts = np.array([[0.5] * 4, [-0.5] * 4], np.float16)
    found = pair_cosines(long, np.array([0, 0]), texts, np.array([0, 1]))
    assert found.tolist() == [1, -1]


def test_mapped_texts_are_read_where_they_lie(tmp_path):
    texts = unit(np.random.default_rng(0), 3, 64, np.float16)
    np.save(tmp_path / "texts.npy", texts)
    mapped = np.load(tmp_path / "texts.npy", mmap_mode="r")
    images, rows = unit(np.random.default_rng(1), 2, 64), np.array([0, 1, 1])
    found = pair_cosines(images, rows, mapped, np.array([2, 0, 1]))
    np.testing.assert_array_equal(found, pair_cosines(images, rows, texts, np.array([2, 0, 1])))


def test_vectors_of_two_widths_are_refused():
    one = np.array([0])
    with pytest.raises(ShardError, match="images have vectors of 5 numbers, entity texts of 4"):
        pair_cosines(np.zeros((1, 5), np.float32), one, TEXTS.vectors, one)


@pytest.mark.parametrize(("row", "entity"), [(1, 0), (0, 4)])
def test_a_pair_beyond_the_vectors_is_refused(row, entity):
    images = np.full((1, 4), 0.5, np.float32)
    with pytest.raises(IndexError, match="a row that is not there"):
        pair_cosines(images, np.array([row]), TEXTS.vectors, np.array([entity]))


def test_what_its_mention_settled_on_stands_before_what_the_image_likes_better():
    # The text decides: b of one mention, d of the other, while a fits the image best.
    rows, totals = score(
        mentions_of(
            (0, 0, "b", 0.75, 0), (0, 0, "a", 0.25, 1), (0, 1, "d", 0.5, 0), (0, 1, "c", 0.25, 1)
        )
    )
    assert [(r["entity_id"], r["rank"], r["settled"], r["clip_score"]) for r in rows] == [
        ("b", 0, True, 0.5),
        ("d", 1, True, -1.0),
        ("a", 2, False, 1.0),
        ("c", 3, False, 0.0),
    ]
    assert totals == {"candidates": 4, "mentions": 2, "overruled": 0}


def test_ranks_begin_anew_in_each_image():
    rows, _ = score(mentions_of((0, 0, "b", 1, 0), (2, 0, "c", 1, 0), (2, 1, "a", 1, 0)), images=3)
    assert [(r["row"], r["entity_id"], r["rank"]) for r in rows] == [
        (0, "b", 0),
        (2, "a", 0),
        (2, "c", 1),
    ]


def test_equal_cosines_go_by_id():
    texts = EntityTexts(TEXTS.ids, np.full((4, 4), 0.5, np.float16))
    mentions = mentions_of(*((0, n, one, 1, 0) for n, one in enumerate("dbca")))
    image = np.full((1, 4), 0.5, np.float32)
    table, _ = score_candidates(mentions, image, np.array([0]), texts, image_weight=0)
    assert table.column("entity_id").to_pylist() == IDS


def test_an_entity_of_several_mentions_is_one_row():
    rows, totals = score(
        mentions_of((0, 0, "a", 0.5, 0), (0, 0, "b", 0.5, 1), (0, 1, "b", 1, 0), (0, 2, "b", 1, 0))
    )
    assert [(r["entity_id"], r["posterior"]) for r in rows] == [("a", 0.5), ("b", 1.0)]
    assert totals == {"candidates": 2, "mentions": 3, "overruled": 0}


@pytest.mark.parametrize("seed", range(3))
def test_mentions_in_any_order_give_the_same_table(seed):
    generator = np.random.default_rng(seed)
    given = [
        (row, mention, IDS[entity], float(generator.integers(1, 5)) / 4, rank)
        for row in range(12)
        for mention in range(generator.integers(0, 4))
        for rank, entity in enumerate(generator.permutation(4)[: generator.integers(1, 5)])
    ]
    position = np.where(np.arange(12) % 3 == 0, -1, np.arange(12))
    vectors = unit(generator, 12, 4)
    shuffled = [given[i] for i in generator.permutation(len(given))]
    found = [
        score_candidates(mentions_of(*rows), vectors, position, TEXTS, image_weight=3.0)
        for rows in (given, shuffled)
    ]
    one, other = (table.to_pandas() for table, _ in found)
    assert found[0][1] == found[1][1]
    exact = ["row", "entity_id", "clip_score", "rank", "settled"]
    assert one[exact].equals(other[exact])
    np.testing.assert_allclose(one["posterior"], other["posterior"], rtol=1e-6)
    assert not set(one["row"]) & {0, 3, 6, 9}


def test_a_row_beyond_the_samples_is_refused():
    with pytest.raises(ShardError, match="mentions name row 1 of 1 samples"):
        score(mentions_of((1, 0, "a", 1, 0)))


def test_an_entity_without_a_text_is_named():
    with pytest.raises(ShardError, match="mentions name entity 'x', whose text was not embedded"):
        score(mentions_of((0, 0, "a", 1, 0), (0, 1, "x", 1, 0)))


def test_no_mention_is_no_row():
    assert score(mentions_of()) == ([], {"candidates": 0, "mentions": 0, "overruled": 0})
