"""What suites refuse or leave out, in one line and before work; and what their protocol is of."""

from dataclasses import replace

import numpy as np
import pytest

from openmofi.errors import InputError
from openmofi.evaluation.embedders import array_embedder, colour_histogram
from openmofi.evaluation.suites import image_vectors, score
from support.evaluation_benches import GRID, Counting, bench_of
from support.evaluation_layouts import (
    SYNSETS,
    colour_of,
    write_coco,
    write_json,
    write_picture,
)


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
