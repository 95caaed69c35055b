"""Scope: whose images a gallery holds, what is said of them, and what is found in it."""

import numpy as np
import pyarrow as pa
import pytest

from openmofi.dataset.takedown.forget import forget
from openmofi.images import decode_image
from openmofi.models.encoder import load_encoder
from openmofi.records import read_parquet
from openmofi.registry import register
from openmofi.registry.config import RegisterConfig
from openmofi.registry.gallery import _first_labels, choose_gallery, write_gallery
from openmofi.registry.gallery_index import ENTRIES_FILE, VECTORS_FILE, Gallery, best
from openmofi.versions import read_manifest, write_manifest
from support import takedowns
from support.evaluation import publish_micro_model


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    return takedowns.filled_store(tmp_path_factory.mktemp("gallery"))


def model_of(filled):
    digest = read_manifest(filled.training_shards, "training_shards").digest
    origin = {"kind": "trained", "training_shards": digest}
    return read_manifest(publish_micro_model(str(filled.root), seed=1, origin=origin), "model")


def uids(chosen):
    return chosen.rows.column("uid").to_pylist()


def test_it_is_of_both_splits_bounded_and_the_same_in_every_run(filled):
    model = model_of(filled)
    every = choose_gallery(model, 100)
    rows = read_manifest(filled.training_shards, "training_shards").content["rows"]
    assert rows["validation"] > 0
    assert len(uids(every)) == rows["train"] + rows["validation"] == takedowns.SAMPLES
    few = choose_gallery(model, 5)
    assert uids(few) == uids(every)[:5]
    assert few.digest == choose_gallery(model, 5).digest != every.digest


def test_entries_and_vectors_are_those_of_the_images(filled, tmp_path):
    model = model_of(filled)
    chosen = choose_gallery(model, 7)
    digest = write_gallery(chosen, model, tmp_path)
    entries = read_parquet(tmp_path / ENTRIES_FILE).to_pylist()
    vectors = np.load(tmp_path / VECTORS_FILE)
    assert (vectors.shape, vectors.dtype) == ((7, 16), np.float16)

    numbers = {takedowns.uid_of(filled, n): n for n in range(takedowns.SAMPLES)}
    encoder = load_encoder(model.uri)
    for entry, vector in zip(entries, vectors, strict=True):
        number = numbers[entry["uid"]]
        assert entry["url"] == takedowns.url(number)
        assert (entry["licence"], entry["entity_id"], entry["name"]) == ("CC0", "peru", "Peru")
        image = decode_image(takedowns.picture(number))
        np.testing.assert_allclose(vector, encoder.encode_images([image])[0], atol=2e-3)

    again = tmp_path / "again"
    again.mkdir()
    assert write_gallery(chosen, model, again) == digest
    assert write_gallery(choose_gallery(model, 6), model, again) != digest


def test_what_was_taken_down_is_not_chosen(filled, tmp_path):
    gone = takedowns.copy_of(filled, tmp_path / "root")
    model = model_of(gone)
    before = choose_gallery(model, 100)
    uid = takedowns.uid_of(gone, takedowns.TAKEN)
    forget(str(gone.root), ids=[uid])
    after = choose_gallery(model, 100)
    assert sorted({*uids(after), uid}) == uids(before)
    assert after.digest != before.digest  # so the registration is another, too


def test_a_takedown_makes_another_registration(filled, tmp_path):
    gone = takedowns.copy_of(filled, tmp_path / "root")
    model = model_of(gone)
    evaluation = write_manifest(model.store, "evaluation", "e" * 32, {}).uri

    def key():
        return register._request(model.uri, evaluation, "m", RegisterConfig(), "").key

    before = key()
    assert key() == before
    forget(str(gone.root), ids=[takedowns.uid_of(gone, takedowns.TAKEN)])
    assert key() != before


def test_an_image_is_called_by_its_first_label():
    rows = pa.table({"uid": ["a", "b", "c"], "labels": [[3, 1], [], None]})
    assert _first_labels(rows).to_pydict() == {"uid": ["a", "b", "c"], "label": [3, None, None]}


@pytest.mark.parametrize("most", [0, 9])
def test_a_model_from_elsewhere_or_without_images_has_none(filled, most):
    model = model_of(filled)
    if most:
        model = read_manifest(publish_micro_model(str(filled.root), seed=2), "model")
    assert choose_gallery(model, most) is None


def test_neighbours_are_those_of_a_plain_search(filled, tmp_path):
    model = model_of(filled)
    write_gallery(choose_gallery(model, 12), model, tmp_path)
    vectors = np.load(tmp_path / VECTORS_FILE).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    entries = read_parquet(tmp_path / ENTRIES_FILE).column("uid").to_pylist()
    queries = np.random.default_rng(0).normal(size=(70, 16)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    found = Gallery(tmp_path).nearest(queries, 3)
    for query, neighbours in zip(queries, found, strict=True):
        order = sorted(range(12), key=lambda i: -float(vectors[i] @ query))
        assert [one["uid"] for one in neighbours] == [entries[i] for i in order[:3]]
        assert neighbours[0]["score"] == pytest.approx(float(vectors[order[0]] @ query), abs=1e-5)
    assert Gallery(tmp_path).nearest(queries, 0) == Gallery(None).nearest(queries, 3) == [[]] * 70


def test_the_best_of_many_are_in_order_and_ties_go_by_place():
    scores = np.random.default_rng(1).integers(0, 50, 200).astype(np.float32)
    for count in (0, 1, 7, 199, 200, 300):
        expected = sorted(range(200), key=lambda i: (-scores[i], i))[:count]
        assert best(scores, count).tolist() == expected
