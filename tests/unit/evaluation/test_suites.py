from dataclasses import replace

import numpy as np
import pytest

from openmofi.config import parse_config
from openmofi.errors import InputError
from openmofi.evaluation import metrics
from openmofi.evaluation.config import EvaluateConfig
from openmofi.evaluation.embedders import Embedder, colour_histogram
from openmofi.evaluation.suites import prepare, read_image, read_scores, score
from openmofi.evaluation_data.class_folders import read_class_folders
from openmofi.storage import open_store
from support.evaluation import COLOURS, write_image_set


class MeanColour:
    """A ten-line embedder: an image is its mean colour, a text the colour that it names."""

    def __init__(self):
        self.images = 0

    def embed_images(self, images):
        self.images += len(images)
        return np.stack([np.asarray(i, np.float32).mean(axis=(0, 1)) for i in images]) - 90

    def embed_texts(self, texts):
        named = [next((c for n, c in COLOURS.items() if n in text), (1, 1, 1)) for text in texts]
        return np.array(named, np.float32) - 90


@pytest.fixture
def bench(tmp_path):
    images = read_class_folders(write_image_set(tmp_path / "set"))
    config = parse_config(EvaluateConfig, {"batch_size": 5}, where="test")
    return prepare(open_store(str(tmp_path / "store")), images, config)


def embedder(model, *, digest="mean-colour"):
    return Embedder("mean colour", digest, model.embed_images, model.embed_texts, batch_size=5)


def test_all_suites_on_a_model_that_sees_colours(bench):
    model = MeanColour()
    scores = score(bench, embedder(model))
    means = {name: float(np.nanmean(column)) for name, column in scores.columns.items()}
    assert means[metrics.RETRIEVAL] == 1
    assert means[metrics.LEAVE_ONE_OUT] == 1
    assert means["retrieval/map/sea"] == 1
    assert means[metrics.ZERO_SHOT] == 1
    assert means[metrics.CLEAN] == 1
    assert model.images == 24  # twelve clean, twelve attacked


def test_a_model_that_reads_the_writing_is_fooled(bench):
    model = MeanColour()
    colours = np.array(list(COLOURS.values()), np.float32) - 90
    clean = {read_image(bench, i).tobytes() for i in range(len(bench.images.paths))}

    def read(images):
        vectors = model.embed_images(images)
        for row, image in zip(vectors, images, strict=True):
            if image.tobytes() not in clean:
                label = np.argmin(np.abs(colours - row).sum(axis=1))
                row[:] = colours[bench.targets[label]]
        return vectors

    scores = score(bench, Embedder("reader", "reader", read, model.embed_texts))
    assert scores.columns[metrics.CLEAN].mean() == 1
    assert scores.columns[metrics.ATTACKED].mean() == 0
    assert scores.columns[metrics.FOOLED].mean() == 1


def test_scores_and_embeddings_are_kept(bench):
    model = MeanColour()
    first = score(bench, embedder(model))
    again = score(bench, embedder(model))
    assert model.images == 24
    for name, column in first.columns.items():
        np.testing.assert_array_equal(column, again.columns[name])
    np.testing.assert_array_equal(first.predicted_attacked, again.predicted_attacked)


def test_other_prompts_cost_no_forward_pass(bench):
    model = MeanColour()
    score(bench, embedder(model))
    other = parse_config(EvaluateConfig, {"templates": ["the {}"]}, where="test")
    score(prepare(bench.store, bench.images, other), embedder(model))
    assert model.images == 24


def test_another_model_or_protocol_never_meets_old_scores(bench):
    score(bench, embedder(MeanColour()))
    other = parse_config(EvaluateConfig, {"confusions": {"Red Land": "Blue Coast"}}, where="test")
    changed = prepare(bench.store, bench.images, other)
    assert changed.protocol != bench.protocol or bench.targets[0] == changed.targets[0]
    data = bench.images.digest
    assert read_scores(bench.store, "mean-colour", data, bench.protocol) is not None
    assert read_scores(bench.store, "another", data, bench.protocol) is None
    assert read_scores(bench.store, "mean-colour", "other data", bench.protocol) is None
    assert read_scores(bench.store, "mean-colour", data, "other protocol") is None


def test_the_histogram_has_retrieval_only(bench):
    scores = score(bench, colour_histogram())
    assert {name.partition("/")[0] for name in scores.columns} == {"retrieval"}
    assert scores.predicted is None


def test_an_image_that_does_not_open_is_named(bench):
    path = bench.images.paths[3]
    path.write_bytes(b"no picture")
    with pytest.raises(InputError, match=f"evaluation image {path} does not open"):
        score(bench, embedder(MeanColour()))


@pytest.mark.parametrize(
    ("vectors", "says"),
    [
        (lambda n: np.full((n, 3), np.nan), "mean colour: .*NaN"),
        (lambda n: np.ones(n), "mean colour gave vectors of shape"),
        (lambda n: np.ones((n + 1, 3)), "mean colour gave vectors of shape"),
    ],
)
def test_a_model_with_unusable_vectors_is_named(bench, vectors, says):
    broken = replace(embedder(MeanColour()), embed_images=lambda images: vectors(len(images)))
    with pytest.raises(InputError, match=says):
        score(bench, broken)


def test_scores_of_the_histogram_on_a_fixed_set_are_pinned(bench):
    """Raise SUITE_VERSION (scores) or EMBEDDING_VERSION (vectors) when this changes on purpose."""
    from openmofi.evaluation.suites import EMBEDDING_VERSION, SUITE_VERSION, image_vectors
    from openmofi.keys import hash_json

    vectors = image_vectors(bench, colour_histogram()).round(4).tolist()
    pinned = (SUITE_VERSION, EMBEDDING_VERSION, hash_json(vectors))
    assert pinned == PINNED


PINNED = (2, 1, "8c2557f6be3ef46c45750dce4da9dce7")
