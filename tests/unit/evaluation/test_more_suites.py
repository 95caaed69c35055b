"""Scope: the suites beside retrieval, zero-shot and typographic, over a bench; what is cached."""

from dataclasses import replace

import numpy as np
import pytest

from openmofi.evaluation.embedders import Embedder
from openmofi.evaluation.suites import attacked_picture, image_vectors, read_image, score
from openmofi.evaluation.typographic import Writing
from openmofi.images import decode_image
from support.evaluation import COLOURS
from support.evaluation_benches import GRID, Counting, bench_of
from support.evaluation_layouts import (
    SYNSETS,
    colour_of,
    write_coco,
    write_imagenet,
    write_picture,
)


@pytest.mark.parametrize("suite", ["knn", "linear_probe"])
def test_probe_and_knn_learn_from_train_and_are_tested_on_val(imagenet, suite):
    model = Counting()
    scores = score(bench_of(imagenet, suite), model.embedder())
    column = scores.columns[f"{suite}/top1"]
    assert len(column) == 9
    assert column.mean() == 1
    assert model.images == 12 + 9


@pytest.mark.parametrize("suite", ["knn", "linear_probe"])
def test_images_taken_out_of_the_set_are_learned_from_and_not_tested_on(classes, suite):
    bench = bench_of(classes, suite, train_per_class=3)
    column = score(bench, Counting().embedder()).columns[f"{suite}/top1"]
    assert np.flatnonzero(np.isnan(column)).tolist() == bench.learned.tolist()
    assert len(bench.learned) == 9
    assert np.nanmean(column) == 1


def test_a_class_without_training_images_is_never_named(imagenet):
    for path in (imagenet / "train" / SYNSETS[2]).iterdir():
        path.unlink()
    columns = score(bench_of(imagenet, "knn", "linear_probe"), Counting().embedder()).columns
    for name in ("knn/top1", "linear_probe/top1"):
        assert columns[name].tolist() == [1] * 6 + [0] * 3


def test_a_probe_tells_the_penalty_that_it_chose_and_keeps_it(imagenet):
    bench = bench_of(imagenet, "linear_probe")
    first, again = (score(bench, Counting().embedder()) for _ in range(2))
    assert 1e-6 <= first.facts["linear_probe/c"] <= 1e6
    assert first.facts["linear_probe/validation_top1"] == 100
    assert again.facts == first.facts


def test_test_images_have_no_part_in_the_penalty(imagenet):
    """Other test images, however they look, leave the classifier as it was."""
    before = score(bench_of(imagenet, "linear_probe"), Counting().embedder()).facts
    write_picture(imagenet / "val" / SYNSETS[0] / "x.png", colour_of(2), seed=5)
    after = score(bench_of(imagenet, "linear_probe"), Counting().embedder())
    assert after.facts == before
    assert after.columns["linear_probe/top1"].mean() == pytest.approx(0.9)


def test_one_image_of_each_class_searches_the_rest_of_the_set(classes):
    bench = bench_of(classes, "query_index")
    scores = score(bench, Counting().embedder())
    assert np.bincount(bench.images.labels[bench.queries]).tolist() == [1, 1, 1]
    for name in ("query_index/map", "query_index/r1", "query_index/r5"):
        column = scores.columns[name]
        assert np.flatnonzero(~np.isnan(column)).tolist() == bench.queries.tolist()
        assert np.nanmean(column) == 1
    assert scores.facts == {"query_index/queries_without_positive": 0}


def test_a_query_is_not_in_its_own_index(classes):
    bench = bench_of(classes, "query_index")
    rng = np.random.default_rng(0)
    random = replace(
        Counting().embedder(), embed_images=lambda images: rng.standard_normal((len(images), 9))
    )
    column = score(bench, random).columns["query_index/r1"]
    vectors, labels = image_vectors(bench, random), bench.images.labels
    rest = np.setdiff1d(np.arange(12), bench.queries)
    nearest = rest[np.argmax(vectors[bench.queries] @ vectors[rest].T, axis=1)]
    expected = (labels[nearest] == labels[bench.queries]).tolist()
    assert column[bench.queries].tolist() == expected
    assert not all(expected)


def test_another_folder_can_be_searched_and_queries_without_a_positive_are_counted(tmp_path):
    folder = write_imagenet(tmp_path / "set", SYNSETS, train=0)
    index = tmp_path / "index"
    for number, synset in enumerate(SYNSETS[:2]):
        write_picture(index / synset / "1.png", colour_of(number), seed=77 + number)
    scores = score(bench_of(folder, "query_index", index_data=str(index)), Counting().embedder())
    column = scores.columns["query_index/map"]
    assert column[:6].tolist() == [1] * 6
    assert np.isnan(column[6:]).all()
    assert scores.facts == {"query_index/queries_without_positive": 3}


def test_captions_are_found_by_their_images_and_images_by_their_captions(tmp_path):
    folder = write_coco(tmp_path / "set", 6)
    bench = bench_of(folder, "image_text")
    scores = score(bench, Counting().embedder())
    assert bench.groups is None
    assert len(scores.columns) == 6
    for column in scores.columns.values():
        assert column.tolist() == [1] * 6


def test_the_prefix_stands_before_every_caption(tmp_path):
    folder = write_coco(tmp_path / "set", 3)
    model = Counting()
    seen = []
    embed = replace(
        model.embedder(), embed_texts=lambda texts: seen.extend(texts) or model.embed_texts(texts)
    )
    score(bench_of(folder, "image_text", caption_prefix="a photo of "), embed)
    assert len(seen) == 15
    assert seen[0] == "a photo of picture 0, told 0"


def test_a_second_suite_costs_no_forward_pass(imagenet):
    model = Counting()
    score(bench_of(imagenet, "retrieval"), model.embedder())
    assert model.images == 9
    score(bench_of(imagenet, "knn"), model.embedder())
    assert model.images == 9 + 12
    score(bench_of(imagenet, "linear_probe", "query_index"), model.embedder())
    assert model.images == 9 + 12


def test_another_model_and_other_images_are_embedded(classes):
    first, second = Counting(), Counting()
    score(bench_of(classes, "retrieval"), first.embedder())
    other = replace(second.embedder(), digest="other")
    score(bench_of(classes, "retrieval"), other)
    assert second.images == 12
    write_picture(classes / "c0" / "more.png", (200, 30, 30))
    score(bench_of(classes, "retrieval"), first.embedder())
    assert first.images == 12 + 13


def test_every_cell_of_the_grid_is_measured_on_the_same_spread_of_images(classes):
    bench = bench_of(classes, "typographic_grid", grid={**GRID, "images": 6})
    model = Counting()
    scores = score(bench, model.embedder())
    cells = [f"typographic_grid/{s}/{p}/{c}" for s in (25, 50) for p in ("top_left", "centre")
             for c in ("red", "0000ff")]  # fmt: skip
    assert list(scores.columns) == ["typographic_grid/clean", *cells]
    judged = [np.flatnonzero(~np.isnan(column)).tolist() for column in scores.columns.values()]
    assert judged == [[0, 2, 4, 7, 9, 11]] * 9
    assert set(bench.images.labels[judged[0]].tolist()) == {0, 1, 2}
    assert model.images == 12 + 8 * 6
    score(bench, replace(model.embedder(), digest="counting"))
    assert model.images == 12 + 8 * 6


def test_a_cell_is_what_the_model_says_of_the_pictures_so_drawn(classes):
    """A model that is wrong wherever there is blue writing, and only there."""
    bench = bench_of(classes, "typographic_grid", grid=GRID)
    model = Counting()
    clean = {read_image(bench, i).tobytes() for i in range(12)}
    blue = {
        decode_image(attacked_picture(bench, i, Writing(size, position, (0, 0, 255)))).tobytes()
        for i in range(12)
        for size in (25, 50)
        for position in ("top_left", "centre")
    }
    colours = np.array(list(COLOURS.values()), np.float32) - 90

    def fooled(images):
        rows = np.stack([colours[0]] * len(images))
        for row, image in zip(rows, images, strict=True):
            mean = model.embed_images([image])[0]
            label = int(np.argmin(np.abs(colours - mean).sum(axis=1)))
            row[:] = colours[(label + 1) % 3 if image.tobytes() in blue else label]
        return rows

    assert not clean & blue
    columns = score(bench, Embedder("fooled", "fooled", fooled, model.embed_texts)).columns
    means = {name: column.mean() for name, column in columns.items()}
    assert {mean for name, mean in means.items() if name.endswith("0000ff")} == {0}
    assert {mean for name, mean in means.items() if name.endswith(("red", "clean"))} == {1}
