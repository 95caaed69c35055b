"""Scope: the suites beside retrieval, zero-shot and typographic, over a bench; what is cached."""

from dataclasses import replace

import numpy as np
import pytest

from openmofi.config import parse_config
from openmofi.errors import InputError
from openmofi.evaluation.bench import prepare
from openmofi.evaluation.config import EvaluateConfig
from openmofi.evaluation.embedders import Embedder, array_embedder, colour_histogram
from openmofi.evaluation.layouts import read_evaluation_data
from openmofi.evaluation.suites import attacked_picture, image_vectors, read_image, score
from openmofi.evaluation.typographic import Writing
from openmofi.images import decode_image
from openmofi.storage import open_store
from support.evaluation import COLOURS, write_image_set
from support.evaluation_layouts import (
    colour_of,
    write_coco,
    write_imagenet,
    write_json,
    write_picture,
)

SYNSETS = ["n01440764", "n01443537", "n02012849"]


class Counting:
    """An image is its mean colour; a text the colour of the class, or of the number, it names."""

    def __init__(self):
        self.images = self.texts = 0

    def embed_images(self, images):
        self.images += len(images)
        return np.stack([np.asarray(i, np.float32).mean(axis=(0, 1)) for i in images]) - 90

    def embed_texts(self, texts):
        self.texts += len(texts)
        return np.array([self.told(text) for text in texts], np.float32) - 90

    def told(self, text):
        if text.startswith("picture "):
            return colour_of(int(text.split(",")[0].removeprefix("picture ")))
        return next((c for n, c in COLOURS.items() if n in text), (1, 1, 1))

    def embedder(self, **more):
        return Embedder("counting", "counting", self.embed_images, self.embed_texts, 5, **more)


def bench_of(folder, *suites, store=None, **config):
    parsed = parse_config(EvaluateConfig, {"suites": suites, **config}, where="test")
    home = folder.parent / "store" if store is None else store
    return prepare(open_store(str(home)), read_evaluation_data(folder), parsed)


@pytest.fixture
def classes(tmp_path):
    return write_image_set(tmp_path / "set")


@pytest.fixture
def imagenet(tmp_path):
    return write_imagenet(tmp_path / "set", SYNSETS)


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


GRID = {"sizes": [25, 50], "positions": ["top_left", "centre"], "colours": ["red", "#0000ff"]}


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


def test_a_model_that_reads_no_text_is_left_out_of_what_needs_it(tmp_path, classes):
    suites = ("retrieval", "zero_shot", "typographic", "typographic_grid")
    scores = score(bench_of(classes, *suites, grid=GRID), colour_histogram())
    assert {name.partition("/")[0] for name in scores.columns} == {"retrieval"}
    folder = write_coco(tmp_path / "captions", 3)
    assert score(bench_of(folder, "image_text"), colour_histogram()).columns == {}


@pytest.mark.parametrize(
    ("suites", "config", "says"),
    [
        (["linear_probe"], {}, "learn from training images: set 'train_data'"),
        (["knn"], {"train_data": "/nowhere"}, "train_data not found: /nowhere"),
        (["query_index"], {"index_data": "/nowhere"}, "index_data not found: /nowhere"),
        (["image_text"], {}, "'image_text' needs captions"),
        (["knn"], {"train_data": "SET"}, "train_data .* holds images of the evaluation set alone"),
        (["query_index"], {"index_data": "SET"}, "index_data .* evaluation set alone"),
    ],
)
def test_a_suite_without_what_it_needs_is_told_before_any_work(classes, suites, config, says):
    config = {key: str(classes) if value == "SET" else value for key, value in config.items()}
    with pytest.raises(InputError, match=says) as caught:
        bench_of(classes, *suites, **config)
    assert "\n" not in str(caught.value)


def test_captions_serve_image_text_alone(tmp_path):
    folder = write_coco(tmp_path / "set", 3)
    with pytest.raises(InputError, match=r"'retrieval' needs classes.*\[image_text\]"):
        bench_of(folder, "image_text", "retrieval")


def test_classes_that_go_by_their_synsets_are_no_prompts(imagenet):
    bench_of(imagenet, "retrieval")
    with pytest.raises(InputError, match="class 'n01440764' goes by its synset"):
        bench_of(imagenet, "zero_shot")


def test_a_set_of_single_images_cannot_spare_any_to_learn_from(tmp_path):
    for number in range(3):
        write_picture(tmp_path / "set" / f"c{number}" / "1.png", colour_of(number), seed=number)
    with pytest.raises(InputError, match="no class of the evaluation set has an image to spare"):
        bench_of(tmp_path / "set", "knn", train_per_class=1)
    scores = score(bench_of(tmp_path / "set", "query_index"), Counting().embedder())
    assert np.isnan(scores.columns["query_index/map"]).all()


def test_a_single_class_is_found_whole_and_cannot_be_probed(tmp_path):
    for number in range(4):
        write_picture(tmp_path / "set" / "only" / f"{number}.png", (9, 200, 9), seed=number)
    suites = ("retrieval", "query_index", "knn", "zero_shot")
    columns = score(
        bench_of(tmp_path / "set", *suites, train_per_class=2), Counting().embedder()
    ).columns
    assert {float(np.nanmean(column)) for column in columns.values()} == {1}
    bench = bench_of(tmp_path / "set", "linear_probe", train_per_class=2)
    with pytest.raises(InputError, match="training images of at least two classes"):
        score(bench, Counting().embedder())


@pytest.mark.parametrize("suite", ["zero_shot", "typographic", "typographic_grid"])
def test_texts_of_another_width_than_images_are_told(classes, suite):
    model = Counting()
    wide = replace(model.embedder(), embed_texts=lambda texts: np.ones((len(texts), 5)))
    says = "counting gives images 3 numbers and texts 5: they are not of one space"
    with pytest.raises(InputError, match=says):
        score(bench_of(classes, suite), wide)


def test_captions_of_another_width_are_told(tmp_path):
    folder = write_coco(tmp_path / "set", 3)
    wide = replace(Counting().embedder(), embed_texts=lambda texts: np.ones((len(texts), 5)))
    with pytest.raises(InputError, match="images 3 numbers and texts 5"):
        score(bench_of(folder, "image_text"), wide)


def test_vectors_that_change_their_width_are_told(classes):
    widths = iter((3, 4, 3))
    odd = replace(
        Counting().embedder(), embed_images=lambda images: np.ones((len(images), next(widths)))
    )
    with pytest.raises(InputError, match="counting gave vectors of 3 numbers, then of 4"):
        score(bench_of(classes, "retrieval"), odd)


def test_nothing_broken_is_kept(classes):
    bench = bench_of(classes, "retrieval")
    nan = replace(
        Counting().embedder(), embed_images=lambda images: np.full((len(images), 3), np.nan)
    )
    with pytest.raises(InputError, match="NaN"):
        score(bench, nan)
    model = Counting()
    score(bench, model.embedder())
    assert model.images == 12


def test_a_training_image_that_does_not_open_is_named(imagenet):
    path = imagenet / "train" / SYNSETS[0] / f"{SYNSETS[0]}_2.JPEG"
    path.write_bytes(b"no picture")
    with pytest.raises(InputError, match=f"evaluation image {path} does not open"):
        score(bench_of(imagenet, "knn"), Counting().embedder())


def test_a_captioned_image_that_does_not_open_is_named(tmp_path):
    folder = write_coco(tmp_path / "set", 3)
    path = folder / "val2014" / "COCO_val2014_000000000001.jpg"
    path.write_bytes(b"no picture")
    with pytest.raises(InputError, match=f"evaluation image {path} does not open"):
        score(bench_of(folder, "image_text"), Counting().embedder())


def test_vectors_from_a_file_score_as_those_that_a_model_makes(tmp_path, classes):
    suites = ("retrieval", "query_index", "knn", "linear_probe")
    bench = bench_of(classes, *suites, train_per_class=2)
    expected = score(bench, Counting().embedder())
    np.save(tmp_path / "e.npy", image_vectors(bench, Counting().embedder()) * 7)
    found = score(bench, array_embedder(tmp_path / "e.npy"))
    for name, column in expected.columns.items():
        np.testing.assert_array_equal(found.columns[name], column)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (np.ones((5, 3), np.float32), r"e\.npy has 5 rows, and the evaluation set 9 images"),
        (np.full((9, 3), np.nan, np.float32), r"e\.npy: 9 of 9 embeddings hold NaN"),
    ],
)
def test_vectors_that_do_not_fit_the_set_are_told(tmp_path, imagenet, rows, says):
    np.save(tmp_path / "e.npy", rows)
    with pytest.raises(InputError, match=says):
        score(bench_of(imagenet, "retrieval"), array_embedder(tmp_path / "e.npy"))


def test_vectors_from_a_file_cannot_stand_for_training_images(tmp_path, imagenet):
    np.save(tmp_path / "e.npy", np.random.default_rng(0).standard_normal((9, 3)))
    with pytest.raises(InputError, match="vectors of the evaluation set alone"):
        score(bench_of(imagenet, "knn"), array_embedder(tmp_path / "e.npy"))


@pytest.mark.parametrize(
    "change",
    [
        {"train_per_class": 2},
        {"knn_neighbours": 7},
        {"knn_temperature": 0.5},
        {"queries_per_class": 2},
        {"grid": {**GRID, "sizes": [26]}},
        {"grid": {**GRID, "images": 5}},
    ],
)
def test_what_changes_a_score_changes_the_protocol(classes, change):
    suites = ("knn", "query_index", "typographic_grid")
    usual = {"train_per_class": 1, "grid": GRID}
    before = bench_of(classes, *suites, **usual).protocol
    assert bench_of(classes, *suites, **usual).protocol == before
    assert bench_of(classes, *suites, **{**usual, **change}).protocol != before


def test_other_training_index_or_caption_texts_are_another_protocol_or_other_data(
    tmp_path, imagenet
):
    index = tmp_path / "index"
    write_picture(index / SYNSETS[0] / "1.png", (1, 2, 3))
    before = bench_of(imagenet, "knn", "query_index", index_data=str(index)).protocol
    write_picture(index / SYNSETS[0] / "2.png", (4, 5, 6))
    middle = bench_of(imagenet, "knn", "query_index", index_data=str(index)).protocol
    write_picture(imagenet / "train" / SYNSETS[0] / "more.png", (7, 8, 9))
    after = bench_of(imagenet, "knn", "query_index", index_data=str(index)).protocol
    assert len({before, middle, after}) == 3
    folder = write_coco(tmp_path / "captions", 3)
    plain = bench_of(folder, "image_text").protocol
    assert bench_of(folder, "image_text", caption_prefix="a photo of ").protocol != plain


def test_the_protocol_of_the_first_suites_is_what_it_was(classes):
    """Scores of earlier releases stay known: options of other suites do not enter."""
    plain = bench_of(classes, "retrieval")
    other = bench_of(classes, "retrieval", knn_neighbours=3, queries_per_class=2)
    assert plain.protocol == other.protocol


def test_an_image_without_captions_and_one_json_of_nothing(tmp_path):
    write_json(tmp_path / "set" / "dataset_coco.json", [])
    with pytest.raises(InputError, match="no image of the split 'test'"):
        bench_of(tmp_path / "set", "image_text")
