"""Zero-shot classification by prompts: normalise each, average, normalise again; highest cosine."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from openmofi.evaluation.retrieval import FloatArray, IntArray, unit_rows


def prompts(class_names: Sequence[str], templates: Sequence[str]) -> list[str]:
    """Every class in every template: class by class, templates in order."""
    return [template.replace("{}", name) for name in class_names for template in templates]


def class_vectors(
    embed_texts: Callable[[Sequence[str]], FloatArray],
    class_names: Sequence[str],
    templates: Sequence[str],
) -> FloatArray:
    """One unit vector [C, D] a class: the mean of its normalised prompts, normalised.

    Source: the CLIP notebook and CLIP_benchmark (order of the three steps).
    """
    vectors = unit_rows(embed_texts(prompts(class_names, templates)))
    grouped = vectors.reshape(len(class_names), len(templates), -1)
    return unit_rows(grouped.mean(axis=1))


def predict(images: FloatArray, classes: FloatArray) -> IntArray:
    """Index [N] of the class with the highest cosine; the smaller index of equal ones.

    Args:
        images: [N, D] of unit length.
        classes: [C, D] of unit length.
    """
    best: IntArray = np.argmax(images @ classes.T, axis=1).astype(np.int64)
    return best


def correct(predicted: IntArray, labels: IntArray) -> npt.NDArray[np.float64]:
    """1.0 for each image [N] whose predicted class is its own, else 0.0."""
    right: npt.NDArray[np.float64] = (predicted == labels).astype(np.float64)
    return right
