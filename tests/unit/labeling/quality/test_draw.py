"""The draw of an audit: known chances, and a precision that they give back."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from openmofi.errors import InputError
from openmofi.labeling.quality.draw import allocate, draw_images
from openmofi.labeling.quality.judged import Judged
from openmofi.labeling.quality.labels import Labels
from openmofi.labeling.quality.samples import Answer, Answers
from support.label_quality import label


def pool(images: int = 1000, seed: int = 0) -> Labels:
    """One or two labels an image; a fifth of the images have the frequent entity alone."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(images):
        entities = ["often"] if number % 5 == 0 else [f"e{number}-{n}" for n in range(1, 3)]
        rows += [label(f"{number:05d}", e, float(rng.random() / 2)) for e in entities]
    names = ("shard", "key", "entity_id", "clip_score")
    types = {"clip_score": pa.float32()}
    columns = {name: pa.array([row[name] for row in rows], types.get(name)) for name in names}
    return Labels(pa.table(columns), {}, "pool")


def test_equal_shares_where_all_strata_are_large() -> None:
    assert allocate(np.array([100, 50, 80]), 30).tolist() == [10, 10, 10]


def test_a_small_stratum_gives_all_and_the_rest_share() -> None:
    assert allocate(np.array([100, 4, 80]), 30).tolist() == [13, 4, 13]


def test_the_last_few_go_to_those_with_most_left() -> None:
    assert allocate(np.array([20, 100, 50]), 11).tolist() == [3, 4, 4]


def test_a_small_pool_is_judged_whole() -> None:
    assert allocate(np.array([3, 0, 5]), 100).tolist() == [3, 0, 5]


@pytest.mark.parametrize("seed", range(20))
def test_any_allocation_adds_up_and_fits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes, images = rng.integers(0, 40, rng.integers(1, 25)), int(rng.integers(1, 600))
    given = allocate(sizes, images)
    assert given.sum() == min(images, sizes.sum())
    assert (given <= sizes).all()
    short = given < sizes
    assert not short.any() or given.max() - given[short].min() <= 1


def test_the_draw_is_the_seeds_alone() -> None:
    assert draw_images(pool(), 100, 1) == draw_images(pool(), 100, 1)
    assert draw_images(pool(), 100, 1) != draw_images(pool(), 100, 2)


def test_the_draw_does_not_hang_on_the_order_of_rows() -> None:
    labels = pool()
    order = np.random.default_rng(0).permutation(labels.table.num_rows)
    shuffled = Labels(labels.table.take(pa.array(order)), {}, "pool")
    assert draw_images(shuffled, 100, 1) == draw_images(labels, 100, 1)


def test_an_image_is_drawn_once_with_all_its_labels() -> None:
    labels = pool()
    wanted: dict[str, list[tuple[str, float]]] = {}
    for row in labels.table.to_pylist():
        wanted.setdefault(row["key"], []).append((row["entity_id"], row["clip_score"]))
    drawn = draw_images(labels, 200, 0)
    assert len({one.image for one in drawn}) == len(drawn) == 200
    for one in drawn:
        assert list(one.labels) == sorted(wanted[one.image[1]])


def test_strata_are_bands_of_the_best_score_and_how_frequent_its_entity_is() -> None:
    labels = pool()
    best: dict[str, tuple[float, str]] = {}
    for row in labels.table.to_pylist():
        best[row["key"]] = max(
            best.get(row["key"], (-1, "")), (row["clip_score"], row["entity_id"])
        )
    order = {
        key: place for place, (_, key) in enumerate(sorted((s, k) for k, (s, _) in best.items()))
    }
    drawn = draw_images(labels, 200, 0)
    for one in drawn:
        band = order[one.image[1]] * 10 // 1000 + 1
        kind = "frequent" if best[one.image[1]][1] == "often" else "rare"
        assert one.stratum == f"score {band:02d} of 10, {kind} entity"
    assert len({one.stratum for one in drawn}) == 20


def test_weights_are_the_strata_over_what_was_drawn_of_them() -> None:
    drawn = draw_images(pool(), 200, 0)
    assert sum(one.weight for one in drawn) == pytest.approx(1000)
    frequent = [one for one in drawn if "frequent" in one.stratum]
    assert len(frequent) == 100  # half of the images drawn, a fifth of the pool
    assert sum(one.weight for one in frequent) == pytest.approx(200)


def test_images_come_in_no_order_of_strata() -> None:
    strata = [one.stratum for one in draw_images(pool(), 200, 0)]
    assert len(set(strata[:20])) > 8


def test_a_few_images_make_fewer_strata() -> None:
    assert {one.stratum for one in draw_images(pool(), 20, 0)} == {
        "score 01 of 01, frequent entity",
        "score 01 of 01, rare entity",
    }


def test_too_few_images_are_refused() -> None:
    with pytest.raises(InputError, match="--images must be 20 or more, got 19"):
        draw_images(pool(), 19, 0)


def test_an_entity_that_an_image_has_twice_is_refused() -> None:
    labels = pool(images=25)
    twice = Labels(pa.concat_tables([labels.table] * 2), {}, "pool")
    with pytest.raises(InputError, match=r"pool: sample '00000/000.*' has an entity twice"):
        draw_images(twice, 25, 0)


def judged(labels: Labels, seed: int) -> Judged:
    """An audit in which the frequent entity is right in 40 %, others in 95 %."""
    rng = np.random.default_rng(99)
    right = {
        (row["key"], row["entity_id"]): bool(
            rng.random() < (0.4 if row["entity_id"] == "often" else 0.95)
        )
        for row in labels.table.to_pylist()
    }
    answers = [
        Answer(one.image, entity, score, one.stratum, one.weight,
               "right" if right[one.image[1], entity] else "wrong")
        for one in draw_images(labels, 200, seed)
        for entity, score in one.labels
    ]  # fmt: skip
    return Answers(tuple(answers), {}, "an audit").judged()


def test_the_weighted_precision_and_its_interval_are_those_of_the_pool() -> None:
    labels = pool()
    audits = [judged(labels, seed).precision(-1) for seed in range(100)]
    rows = labels.table.to_pylist()
    true = np.mean([0.4 if row["entity_id"] == "often" else 0.95 for row in rows])
    assert np.mean([one.estimate for one in audits]) == pytest.approx(true, abs=0.02)
    # A pool drawn once: its own precision differs from the chances by a percent at most.
    held = np.mean([one.low <= true <= one.high for one in audits])
    assert held > 0.88


def test_without_weights_it_would_not_be() -> None:
    sample = judged(pool(), 0)
    assert abs(sample.right.mean() - sample.precision(-1).estimate) > 0.05


def test_a_pool_smaller_than_asked_is_drawn_whole(tmp_path: Path) -> None:
    drawn = draw_images(pool(images=30), 500, 0)
    assert len(drawn) == 30
    assert {one.weight for one in drawn} == {1.0}
