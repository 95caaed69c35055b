import numpy as np
import pytest

from openmofi.errors import InputError
from openmofi.evaluation import linear_probe
from openmofi.evaluation.linear_probe import (
    fit,
    fit_probe,
    probe_columns,
    sweep,
    validation_split,
)
from openmofi.evaluation.retrieval import unit_rows


def clouds(per_class, *, classes=4, noise=0.6, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes) * 3, per_class)  # not 0, 1, 2, …
    centres = np.random.default_rng(99).standard_normal((classes, 8))
    noisy = centres[labels // 3] + noise * rng.standard_normal((len(labels), 8))
    return unit_rows(noisy), labels


def loss(flat, vectors, labels, c):
    """The objective written out, row by row: scikit-learn's over c T."""
    classes = sorted(set(labels.tolist()))
    solution = flat.reshape(len(classes), -1)
    total = 0.0
    for vector, label in zip(vectors.astype(float), labels, strict=True):
        logits = solution[:, :-1] @ vector + solution[:, -1]
        total -= logits[classes.index(label)] - np.log(np.exp(logits).sum())
    penalty = 0.5 * (solution[:, :-1] ** 2).sum()
    return (c * total + penalty) / (c * len(vectors))


def test_the_objective_is_the_one_written_out_and_its_gradient_is_the_slope():
    vectors, labels = clouds(5)
    _, targets = np.unique(labels, return_inverse=True)
    objective = linear_probe._objective(vectors, targets, 4, c=2.0, device="cpu")
    flat = np.random.default_rng(1).standard_normal(4 * 9)
    value, gradient = objective(flat)
    assert value == pytest.approx(loss(flat, vectors, labels, 2.0), rel=1e-5)
    steps = 1e-5 * np.eye(len(flat))
    slopes = [
        (loss(flat + s, vectors, labels, 2.0) - loss(flat - s, vectors, labels, 2.0)) / 2e-5
        for s in steps
    ]
    np.testing.assert_allclose(gradient, slopes, rtol=1e-3, atol=1e-5)


def test_blocks_do_not_change_the_objective(monkeypatch):
    vectors, labels = clouds(10)
    _, targets = np.unique(labels, return_inverse=True)
    flat = np.random.default_rng(1).standard_normal(4 * 9)
    whole = linear_probe._objective(vectors, targets, 4, c=1.0, device="cpu")(flat)
    monkeypatch.setattr(linear_probe, "_ROWS", 7)
    parts = linear_probe._objective(vectors, targets, 4, c=1.0, device="cpu")(flat)
    assert whole[0] == pytest.approx(parts[0], rel=1e-6)
    np.testing.assert_allclose(whole[1], parts[1], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("c", [0.01, 1.0, 100.0])
def test_the_fit_is_scikit_learns(c):
    linear_model = pytest.importorskip("sklearn.linear_model")
    vectors, labels = clouds(30)
    found = fit(vectors, labels, c=c)
    expected = linear_model.LogisticRegression(C=c, max_iter=5000, tol=1e-8).fit(vectors, labels)
    np.testing.assert_array_equal(found.classes, expected.classes_)
    scale = np.abs(expected.coef_).max()
    np.testing.assert_allclose(found.weights, expected.coef_, atol=2e-3 * scale)
    test_vectors, _ = clouds(50, seed=1)
    agreement = (found.predict(test_vectors) == expected.predict(test_vectors)).mean()
    assert agreement >= 0.995


def test_separable_classes_are_told_apart():
    vectors, labels = clouds(10, noise=0.05)
    probe = fit_probe(vectors, labels)
    test_vectors, test_labels = clouds(10, noise=0.05, seed=1)
    assert (probe.classifier.predict(test_vectors) == test_labels).all()
    assert probe.validation == 1


def test_the_sweep_starts_coarse_and_closes_in_on_the_peak():
    tried = []

    def accuracy(c):
        tried.append(np.log10(c))
        return -abs(np.log10(c) - 2.6)

    c, best = sweep(accuracy)
    assert tried[:7] == pytest.approx([-6, -4, -2, 0, 2, 4, 6])
    assert np.log10(c) == pytest.approx(2.625)  # eight steps a decade
    assert best == pytest.approx(-0.025)
    assert len(tried) == len(set(tried)) <= 15


def test_of_equally_good_penalties_the_strongest_is_taken_and_the_range_is_kept():
    tried = []
    c, _ = sweep(lambda value: tried.append(value) or 0.5)
    assert c == pytest.approx(1e-6)
    assert min(tried) >= 0.99e-6
    assert sweep(lambda value: float(value > 1e5))[0] == pytest.approx(10**5.125)


def test_a_fifth_of_each_class_chooses_the_penalty_and_every_class_keeps_one():
    labels = np.array([0] * 10 + [1] * 2 + [2])
    chosen = validation_split(labels)
    assert [int(chosen[labels == label].sum()) for label in range(3)] == [2, 1, 0]
    np.testing.assert_array_equal(chosen, validation_split(labels))


def test_the_penalty_is_chosen_on_training_images_alone(monkeypatch):
    """Every image that is fitted to or looked at while sweeping comes from the training set."""
    vectors, labels = clouds(10)
    seen = []
    real = linear_probe.fit

    def spy(given, given_labels, **options):
        seen.append(len(given))
        return real(given, given_labels, **options)

    monkeypatch.setattr(linear_probe, "fit", spy)
    probe = fit_probe(vectors, labels)
    assert set(seen[:-1]) == {32}  # four fifths
    assert seen[-1] == 40  # all of them, with the penalty that was chosen
    np.testing.assert_allclose(
        probe.classifier.weights, real(vectors, labels, c=probe.c).weights, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("labels", "says"),
    [([0] * 4, "at least two classes"), ([0, 1, 2, 3], "at least two training images")],
)
def test_too_little_to_learn_from_is_told(labels, says):
    with pytest.raises(InputError, match=says):
        fit_probe(np.eye(4, dtype=np.float32), np.array(labels))


def test_the_mean_over_classes_is_the_mean_of_their_recalls():
    labels = np.array([0, 0, 0, 0, 1, 1, 2])
    predicted = np.array([0, 0, 0, 1, 1, 0, 1])
    tested = np.array([True] * 4 + [True, True, False])
    columns = probe_columns(predicted, labels, tested)
    assert np.nanmean(columns["linear_probe/top1"]) == pytest.approx(4 / 6)
    assert np.nanmean(columns["linear_probe/mean_per_class"]) == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert [np.isnan(column[6]) for column in columns.values()] == [True, True]
