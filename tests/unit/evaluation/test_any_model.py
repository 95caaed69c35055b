"""Scope: evaluate_model with whatever embeds: folders, names, arrays; and with every layout."""

import json
import os

import numpy as np
import pytest

from openmofi.config import parse_config
from openmofi.errors import InputError
from openmofi.evaluation import metrics
from openmofi.evaluation.config import EvaluateConfig
from openmofi.evaluation.embedders import colour_histogram, find_model
from openmofi.evaluation.run import draws_of, evaluate_model, scores_for
from openmofi.storage import open_store
from openmofi.versions import read_manifest
from support.evaluation import publish_micro_model, write_image_set
from support.evaluation_layouts import (
    write_coco,
    write_gpr1200,
    write_imagenet,
    write_picture,
)
from support.mlflow_databases import new_database
from support.models import write_clip, write_model

RETRIEVAL = {"suites": ["retrieval"]}


@pytest.fixture(autouse=True)
def tracking(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new_database(tmp_path))
    for name in ("MLFLOW_RUN_ID", "OPENMOFI_ROOT"):
        monkeypatch.delenv(name, raising=False)


def content_of(uri):
    return read_manifest(uri, "evaluation").content


@pytest.mark.parametrize("write", [write_model, write_clip], ids=["open_clip", "transformers"])
def test_a_model_folder_of_either_layout_is_imported_and_measured(tmp_path, write):
    folder = write(tmp_path / "model")
    data = str(write_image_set(tmp_path / "set"))
    root = str(tmp_path / "store")
    content = content_of(evaluate_model(str(folder), data=data, root=root))
    model = read_manifest(content["candidate_uri"], "model")
    assert content["candidate"] == model.digest
    assert model.store.uri == open_store(root).uri
    assert {"retrieval/map", "zero_shot/top1", "typographic/retention"} <= set(
        content["intervals"]["candidate"]
    )


def test_an_export_of_ours_measures_the_same_by_uri_and_by_folder(tmp_path):
    root = str(tmp_path / "store")
    uri = publish_micro_model(root, seed=1)
    manifest = read_manifest(uri, "model")
    folder = tmp_path / "store" / manifest.content["prefix"]
    data = str(write_image_set(tmp_path / "set"))
    by_uri = content_of(evaluate_model(uri, data=data))
    by_folder = content_of(evaluate_model(str(folder), data=data, root=root))
    assert by_uri["metrics"] == by_folder["metrics"]


@pytest.mark.parametrize(
    ("source", "imported"),
    [
        ("ViT-B-32@laion2b_s34b_b79k", ("ViT-B-32", "laion2b_s34b_b79k")),
        ("hf-hub:org/name", ("hf-hub:org/name", "")),
        ("/no/such/folder", ("/no/such/folder", "")),  # import_model says that it is not there
    ],
)
def test_a_source_is_taken_apart_for_import(monkeypatch, source, imported):
    asked = []

    def fake(root, *, source, pretrained=""):
        asked.append((root, source, pretrained))
        return "uri"

    monkeypatch.setattr("openmofi.models.importing.import_model", fake)
    assert find_model(source, "file:///store") == "uri"
    assert asked == [("file:///store", *imported)]


def test_a_manifest_needs_no_import():
    uri = "file:///store/manifests/model/abc.json"
    assert find_model(uri, "file:///other") == uri


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("ViT-B-32", "'ViT-B-32' names no weights; write ViT-B-32@TAG"),
        ("/no/such/folder", "model folder not found: /no/such/folder"),
    ],
)
def test_an_unusable_source_is_told_in_one_line(tmp_path, source, says):
    with pytest.raises(InputError, match=says) as caught:
        find_model(source, str(tmp_path / "store"))
    assert "\n" not in str(caught.value)


def test_vectors_from_a_file_are_a_candidate_and_a_baseline(tmp_path):
    data = write_image_set(tmp_path / "set")
    paths = sorted(data.glob("c*/*.png"))
    from openmofi.images import decode_image

    rows = colour_histogram().embed_images([decode_image(p.read_bytes()) for p in paths])
    np.save(tmp_path / "good.npy", rows)
    noise = np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32)
    np.save(tmp_path / "noise.npy", noise)
    content = content_of(
        evaluate_model(
            str(tmp_path / "good.npy"),
            baseline=str(tmp_path / "noise.npy"),
            data=str(data),
            root=str(tmp_path / "store"),
        )
    )
    assert content["metrics"]["candidate"] == pytest.approx(content["metrics"]["colour_histogram"])
    assert content["paired"]["retrieval/map"]["value"] > 0
    assert content["candidate_uri"] == str(tmp_path / "good.npy")


def test_the_store_is_the_candidates_own_the_one_named_or_the_usual_one(tmp_path, monkeypatch):
    data = str(write_image_set(tmp_path / "set"))
    uri = publish_micro_model(str(tmp_path / "own"), seed=1)
    folder = str(write_model(tmp_path / "model"))
    monkeypatch.chdir(tmp_path)
    assert evaluate_model(uri, data=data, config=RETRIEVAL).startswith((tmp_path / "own").as_uri())
    assert evaluate_model(folder, data=data, config=RETRIEVAL).startswith(
        (tmp_path / "openmofi-data").as_uri()
    )
    monkeypatch.setenv("OPENMOFI_ROOT", (tmp_path / "named").as_uri())
    assert evaluate_model(folder, data=data, config=RETRIEVAL).startswith(
        (tmp_path / "named").as_uri()
    )


def test_data_that_is_not_there_is_told_before_a_model_is_imported(tmp_path):
    folder = str(write_model(tmp_path / "model"))
    with pytest.raises(InputError, match="evaluation set not found"):
        evaluate_model(folder, data="/nowhere", root=str(tmp_path / "store"))
    assert not (tmp_path / "store").exists()


def test_captions_are_evaluated_and_reported(tmp_path):
    uri = publish_micro_model(str(tmp_path / "store"), seed=1)
    data = str(write_coco(tmp_path / "coco", 6) / "dataset_coco.json")
    content = content_of(evaluate_model(uri, data=data, config={"suites": ["image_text"]}))
    assert set(content["metrics"]["candidate"]) == {
        f"image_text/{way}_r{cut}"
        for way in ("image_to_text", "text_to_image")
        for cut in (1, 5, 10)
    }
    assert content["metrics"]["colour_histogram"] == {}
    assert content["intervals"]["candidate"]["image_text/image_to_text_r10"]["queries"] == 6


def test_gpr1200_is_evaluated_with_its_domains(tmp_path):
    uri = publish_micro_model(str(tmp_path / "store"), seed=1)
    data = str(write_gpr1200(tmp_path / "images", [0, 1, 1000, 1001], images=3))
    content = content_of(evaluate_model(uri, data=data, config=RETRIEVAL))
    assert {"retrieval/map/landmarks", "retrieval/map/faces"} <= set(
        content["metrics"]["candidate"]
    )


def test_imagenet_is_evaluated_whole_and_again_for_another_model(tmp_path, monkeypatch):
    root = str(tmp_path / "store")
    first, second = (publish_micro_model(root, seed=seed) for seed in (1, 2))
    data = write_imagenet(tmp_path / "set", ["tench", "goldfish", "crane"])
    index = tmp_path / "index"
    for number, name in enumerate(("tench", "goldfish", "crane")):
        write_picture(index / name / "1.png", (9, 9 * number, 99), seed=number)
    suites = ["retrieval", "query_index", "knn", "linear_probe", "zero_shot", "typographic_grid"]
    grid = {"sizes": [50], "positions": ["centre"], "colours": ["#ff0000"]}
    config = {"suites": suites, "grid": grid, "index_data": "index"}
    monkeypatch.chdir(tmp_path)
    evaluation = read_manifest(
        evaluate_model(first, data="set", baseline=second, config=config), "evaluation"
    )
    content = evaluation.content
    found = set(content["metrics"]["candidate"])
    assert {"query_index/map", "knn/top1", "linear_probe/top1", "typographic_grid/clean",
            "typographic_grid/50/centre/ff0000"} <= found  # fmt: skip
    assert set(content["facts"]["candidate"]) == {
        "linear_probe/c", "linear_probe/validation_top1", "query_index/queries_without_positive",
    }  # fmt: skip
    report = json.loads(evaluation.store.get(content["report_json"]))
    assert report["facts"] == content["facts"]
    assert report["shown"]["images"] == 9

    one, other = (scores_for(evaluation, model) for model in (first, second))
    draws = draws_of(parse_config(EvaluateConfig, content["config"], where="test"))
    groups = np.repeat([0, 1, 2], 3)
    alone = metrics.summarise(one.columns, draws, groups)
    assert content["intervals"]["candidate"] == metrics.plain(alone)
    paired = metrics.compare(one.columns, other.columns, draws, groups)
    assert content["paired"] == metrics.plain(paired)

    # From another folder, as the gate measures a champion long after.
    monkeypatch.chdir(os.path.dirname(tmp_path))
    third = publish_micro_model(root, seed=3)
    scores = scores_for(evaluation, third)
    assert set(scores.columns) == set(one.columns)
    np.testing.assert_array_equal(scores.groups, groups)

    write_picture(data / "train" / "tench" / "more.png", (1, 1, 1))
    fourth = publish_micro_model(root, seed=4)
    with pytest.raises(InputError, match="training or index images"):
        scores_for(evaluation, fourth)


def test_other_training_images_are_another_evaluation(tmp_path):
    uri = publish_micro_model(str(tmp_path / "store"), seed=1)
    data = write_imagenet(tmp_path / "set", ["tench", "goldfish"])
    config = {"suites": ["knn"]}
    first = evaluate_model(uri, data=str(data), config=config)
    assert evaluate_model(uri, data=str(data), config=config) == first
    write_picture(data / "train" / "tench" / "more.png", (1, 1, 1))
    assert evaluate_model(uri, data=str(data), config=config) != first
