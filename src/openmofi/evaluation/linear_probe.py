"""Linear probe: logistic regression by L-BFGS on frozen vectors.

The vectors are the ones that all suites use: after the projection, of unit length, neither
standardised nor augmented. The strength of the L2 penalty is swept on a validation split of the
training images; test images have no part in it. Then the classifier is fitted to all training
images once more. The sweep is CLIP's: seven values of C from 1e-6 to 1e6, then bisection around
the best down to eight steps a decade. C is scikit-learn's: 0.5 * |W|^2 + C * sum of log losses;
the intercept carries no penalty.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from openmofi.errors import InputError
from openmofi.evaluation.retrieval import FloatArray, IntArray

TOP1 = "linear_probe/top1"
PER_CLASS = "linear_probe/mean_per_class"
C = "linear_probe/c"
VALIDATION = "linear_probe/validation_top1"

VALIDATION_SHARE = 0.2  # of a class's training images, as VTAB splits its thousand

_ITERATIONS = 1000
_ROWS = 65_536  # a pass over the data in blocks: logits of 1,000 classes take 260 MB
_COARSE = np.arange(-6.0, 7.0, 2.0)  # decades
_STEPS = (1.0, 0.5, 0.25, 0.125)


@dataclass(frozen=True)
class Classifier:
    """Logits are ``vectors @ weights.T + intercept``.

    Attributes:
        weights: [K, D].
        intercept: [K].
        classes: [K] what the rows stand for.
    """

    weights: FloatArray
    intercept: FloatArray
    classes: IntArray

    def predict(self, vectors: FloatArray) -> IntArray:
        """The class [N] of the highest logit; the smaller of equal ones."""
        best = np.argmax(vectors @ self.weights.T + self.intercept, axis=1)
        named: IntArray = self.classes[best]
        return named


@dataclass(frozen=True)
class Probe:
    """A classifier, and how its penalty was chosen."""

    classifier: Classifier
    c: float
    validation: float  # accuracy on the validation split, 0 to 1


def fit_probe(vectors: FloatArray, labels: IntArray, *, device: str = "cpu") -> Probe:
    """Sweep the penalty, then fit to all training images.

    Args:
        vectors: [T, D] of unit length.
        labels: [T] class of each.
        device: Where the products are computed.

    Raises:
        InputError: There is one class only, or no class has two images.
    """
    if len(np.unique(labels)) < 2:
        raise InputError("linear_probe needs training images of at least two classes")
    held_out = validation_split(labels)
    if not held_out.any():
        raise InputError("linear_probe needs at least two training images of some class")
    kept = ~held_out

    def accuracy(c: float) -> float:
        found = fit(vectors[kept], labels[kept], c=c, device=device)
        return float(np.mean(found.predict(vectors[held_out]) == labels[held_out]))

    c, validation = sweep(accuracy)
    return Probe(fit(vectors, labels, c=c, device=device), c, validation)


def validation_split(labels: IntArray) -> npt.NDArray[np.bool_]:
    """Which training images [T] choose the penalty: a fifth of each class, by a fixed draw.

    A class keeps at least one image to be fitted to; one of two images or more gives at least one.
    """
    chosen = np.zeros(len(labels), dtype=bool)
    rng = np.random.default_rng(0)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        wanted = min(max(1, round(VALIDATION_SHARE * len(members))), len(members) - 1)
        chosen[members[:wanted]] = True
    return chosen


def sweep(accuracy: Callable[[float], float]) -> tuple[float, float]:
    """The C of highest ``accuracy``, and that accuracy; of equal ones the smallest C."""
    tried: dict[float, float] = {}

    def best() -> float:
        return max(tried, key=lambda decade: (tried[decade], -decade))

    def attempt(decade: float) -> None:
        if decade not in tried and _COARSE[0] <= decade <= _COARSE[-1]:
            tried[decade] = accuracy(10.0**decade)

    for decade in _COARSE:
        attempt(float(decade))
    for step in _STEPS:
        peak = best()
        attempt(peak - step)
        attempt(peak + step)
    return 10.0 ** best(), tried[best()]


def fit(vectors: FloatArray, labels: IntArray, *, c: float, device: str = "cpu") -> Classifier:
    """Minimise the penalised loss from zero, by SciPy's L-BFGS over torch's products.

    Args:
        vectors: [T, D].
        labels: [T] class of each.
        c: Weight of the log losses against the penalty.
        device: Where the products are computed.
    """
    from scipy.optimize import minimize

    classes, targets = np.unique(labels, return_inverse=True)
    shape = (len(classes), vectors.shape[1] + 1)
    found = minimize(
        _objective(vectors, targets, len(classes), c=c, device=device),
        np.zeros(shape[0] * shape[1]),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _ITERATIONS, "maxfun": 2 * _ITERATIONS, "ftol": 1e-9, "gtol": 1e-6},
    )
    solution = found.x.reshape(shape).astype(np.float32)
    return Classifier(np.ascontiguousarray(solution[:, :-1]), solution[:, -1], classes)


def _objective(
    vectors: FloatArray, targets: IntArray, classes: int, *, c: float, device: str
) -> Callable[[npt.NDArray[np.float64]], tuple[float, npt.NDArray[np.float64]]]:
    """Mean log loss plus |W|^2 / (2 c T), and its gradient.

    That is scikit-learn's objective over c T, so that tolerances mean the same for every c.
    """
    import torch

    rows = torch.tensor(vectors, dtype=torch.float32, device=device)
    right = torch.tensor(targets, dtype=torch.int64, device=device)
    penalty = 1.0 / (c * len(vectors))

    @torch.inference_mode()
    def objective(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        solution = flat.reshape(classes, -1)
        weights = torch.tensor(solution, dtype=torch.float32, device=device)
        loss, gradient = 0.0, torch.zeros(weights.shape, dtype=torch.float64, device=device)
        for start in range(0, len(rows), _ROWS):
            part, own = rows[start : start + _ROWS], right[start : start + _ROWS, None]
            logits = part @ weights[:, :-1].T + weights[:, -1]
            logs = torch.log_softmax(logits, dim=1)
            loss -= logs.gather(1, own).double().sum().item()
            slope = logs.exp_().scatter_add_(1, own, -torch.ones_like(own, dtype=logs.dtype))
            gradient[:, :-1] += (slope.T @ part).double()
            gradient[:, -1] += slope.sum(dim=0).double()
        slopes = gradient.cpu().numpy() / len(rows)
        slopes[:, :-1] += penalty * solution[:, :-1]
        loss = loss / len(rows) + 0.5 * penalty * float(np.sum(solution[:, :-1] ** 2))
        return loss, slopes.ravel()

    return objective


def probe_columns(
    predicted: IntArray, labels: IntArray, tested: npt.NDArray[np.bool_]
) -> dict[str, npt.NDArray[np.float64]]:
    """Top-1 of the tested images [N], and their share in the mean over classes; NaN elsewhere.

    The second is scaled so that its mean over images is the mean of the classes' recalls.
    """
    right = (predicted == labels).astype(np.float64)
    names, position, sizes = np.unique(labels[tested], return_inverse=True, return_counts=True)
    share = np.full(len(labels), np.nan)
    share[tested] = right[tested] * tested.sum() / (len(names) * sizes[position])
    return {TOP1: np.where(tested, right, np.nan), PER_CLASS: share}
