"""Agreement with other people's evaluators. Those that are not installed: make test-agreement."""

import numpy as np
import pytest

from openmofi.evaluation import retrieval
from openmofi.evaluation.image_text import CUTS, TO_IMAGE, TO_TEXT, recall_columns
from openmofi.evaluation.retrieval import average_precisions, unit_rows
from openmofi.evaluation.zero_shot import class_vectors, correct, predict

TEMPLATES = ("{}", "a photo of a {}.", "art of the {}.")


@pytest.fixture
def labelled():
    """160 unit vectors of 14 classes of one to many images, a mAP near 60 %.

    All similarities are positive: torchmetrics takes a score of zero or less for no answer. No two
    of a query are equal: its order of ties is any.
    """
    rng = np.random.default_rng(2)
    labels = np.concatenate([rng.integers(0, 13, 159), [13]])
    centres = np.abs(rng.standard_normal((14, 32)))
    vectors = centres[labels] + 1.5 * np.abs(rng.standard_normal((160, 32)))
    return unit_rows(vectors.astype(np.float32)), labels


def test_every_ap_is_that_of_torchmetrics(labelled):
    functional = pytest.importorskip("torchmetrics.functional.retrieval")
    import torch

    vectors, labels = labelled
    found = average_precisions(vectors, labels)
    [(_, similarities)] = retrieval.similarity_blocks(unit_rows(vectors))
    assert all(len(np.unique(row)) == len(row) for row in similarities)
    assert 0.4 < found.ap.mean() < 0.8
    for query, row in enumerate(torch.from_numpy(similarities)):
        same = torch.from_numpy(labels == labels[query])
        others = torch.arange(len(row)) != query
        ap = functional.retrieval_average_precision(row, same).item()
        assert found.ap[query] == pytest.approx(ap, rel=1e-5)
        without = functional.retrieval_average_precision(row[others], same[others]).item()
        assert np.nan_to_num(found.ap_leave_one_out[query]) == pytest.approx(without, rel=1e-5)


def test_the_map_is_that_of_torchmetrics_which_skips_the_same_queries(labelled):
    torchmetrics = pytest.importorskip("torchmetrics")
    import torch

    vectors, labels = labelled
    found = average_precisions(vectors, labels)
    [(_, similarities)] = retrieval.similarity_blocks(unit_rows(vectors))
    query, other = np.nonzero(~np.eye(len(labels), dtype=bool))
    metric = torchmetrics.RetrievalMAP(empty_target_action="skip")
    metric.update(
        torch.from_numpy(similarities[query, other]),
        torch.from_numpy(labels[query] == labels[other]),
        indexes=torch.from_numpy(query),
    )
    assert found.queries_without_positive == 1
    mean = np.nanmean(found.ap_leave_one_out)
    assert mean == pytest.approx(metric.compute().item(), rel=1e-5)


@pytest.mark.parametrize("itself", [True, False])
def test_the_map_is_that_of_pytorch_metric_learning(labelled, itself):
    accuracy = pytest.importorskip("pytorch_metric_learning.utils.accuracy_calculator")
    import torch
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.inference import CustomKNN

    vectors, labels = labelled
    calculator = accuracy.AccuracyCalculator(
        include=("mean_average_precision",),
        k=len(labels) if itself else len(labels) - 1,
        knn_func=CustomKNN(CosineSimilarity()),
    )
    query, names = torch.from_numpy(vectors), torch.from_numpy(labels)
    expected = calculator.get_accuracy(
        query, names, query.clone(), names, ref_includes_query=not itself
    )["mean_average_precision"]
    found = average_precisions(vectors, labels)
    ours = found.ap.mean() if itself else np.nanmean(found.ap_leave_one_out)
    assert ours == pytest.approx(expected, abs=1e-5)


class TwoTowers:
    """Vectors of a few texts and images by table, as an open_clip model would give them."""

    def __init__(self, *, images, dim=16):
        rng = np.random.default_rng(1)
        self._texts = {}
        self.vectors = 3 * rng.standard_normal((500, dim), dtype=np.float32)
        self.images = 2 * rng.standard_normal((images, dim), dtype=np.float32)

    def tokens(self, texts):
        import torch

        return torch.tensor([self._texts.setdefault(text, len(self._texts)) for text in texts])

    def encode_text(self, tokens):
        import torch

        return torch.from_numpy(self.vectors[tokens.numpy()])

    def encode_image(self, images):
        return images

    def embed_texts(self, texts):
        return self.vectors[self.tokens(texts).numpy()]


def test_zero_shot_is_that_of_clip_benchmark():
    theirs = pytest.importorskip("clip_benchmark.metrics.zeroshot_classification")
    import torch

    names = [f"thing {i}" for i in range(12)]
    model = TwoTowers(images=150)
    classes = class_vectors(model.embed_texts, names, TEMPLATES)
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 12, 150)
    model.images += 4 * classes[labels]
    right = correct(predict(unit_rows(model.images), classes), labels)

    prompts = [template.replace("{}", "{c}") for template in TEMPLATES]
    weights = theirs.zero_shot_classifier(model, model.tokens, names, prompts, "cpu", amp=False)
    np.testing.assert_allclose(weights.numpy().T, classes, atol=1e-6)
    batches = [
        (torch.from_numpy(model.images[part]), torch.from_numpy(labels[part]))
        for part in (slice(0, 64), slice(64, None))
    ]
    # Not its `evaluate`: that makes a number of an array, which numpy 2.4 refuses.
    logits, target = theirs.run_classification(model, weights, batches, "cpu", amp=False)
    assert 0.3 < right.mean() < 0.95
    assert right.tolist() == (logits.argmax(1) == target).tolist()


def test_image_text_recall_is_that_of_clip_benchmark():
    theirs = pytest.importorskip("clip_benchmark.metrics.zeroshot_retrieval")
    import torch

    rng = np.random.default_rng(3)
    captions = [[f"picture {i}, told {j}" for j in range(rng.integers(1, 7))] for i in range(60)]
    owners = np.repeat(np.arange(60), [len(texts) for texts in captions])
    model = TwoTowers(images=60)
    told = [text for texts in captions for text in texts]
    model.tokens(told)  # numbers the texts from zero
    model.vectors[: len(told)] += 1.5 * model.images[owners]
    texts = model.embed_texts(told)
    ours = recall_columns(unit_rows(model.images), unit_rows(texts), owners)

    batches = [
        (torch.from_numpy(model.images[part]), captions[part])
        for part in (slice(0, 40), slice(40, None))
    ]
    found = theirs.evaluate(
        model, batches, model.tokens, "cpu", amp=False, recall_k_list=list(CUTS)
    )
    for cut in CUTS:
        for name, their_name in ((TO_TEXT, "text"), (TO_IMAGE, "image")):
            mean = ours[f"{name}_r{cut}"].mean()
            assert mean == pytest.approx(found[f"{their_name}_retrieval_recall@{cut}"], abs=1e-6)
    assert 0.2 < ours[f"{TO_TEXT}_r1"].mean() < ours[f"{TO_TEXT}_r5"].mean() < 1
