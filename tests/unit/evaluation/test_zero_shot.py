import numpy as np
import pytest

from openmofi.config import parse_config
from openmofi.errors import InputError
from openmofi.evaluation.config import EvaluateConfig
from openmofi.evaluation.zero_shot import class_vectors, predict

NAMES = ["kite", "crane", "seal"]
TEMPLATES = ("{}", "a photo of a {}.")
LONG = {"kite": [3.0, 4.0], "a photo of a kite.": [0.0, 100.0]}


def embed(texts):
    return np.array([LONG.get(text, [1.0, len(text) / 10]) for text in texts], np.float32)


def test_prompts_are_normalised_then_averaged_then_normalised():
    expected = []
    for name in NAMES:
        total = np.zeros(2)
        for template in TEMPLATES:
            vector = embed([template.replace("{}", name)])[0].astype(float)
            total += vector / np.sqrt((vector**2).sum())
        expected.append(total / np.sqrt((total**2).sum()))
    found = class_vectors(embed, NAMES, TEMPLATES)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    # Averaging before normalising would let the long vector of one prompt win.
    assert found[0] == pytest.approx([0.3162278, 0.9486833])


def test_the_class_with_the_highest_cosine_wins_and_the_first_of_equals():
    classes = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    images = np.array([[1, 0], [0.6, 0.8]], np.float32)
    assert predict(images, classes).tolist() == [0, 2]


@pytest.mark.parametrize("template", ["a photo", "{} and {}"])
def test_a_template_holds_the_gap_once(template):
    with pytest.raises(InputError, match=r"templates\.0.*holds \{\} once"):
        parse_config(EvaluateConfig, {"templates": [template]}, where="evaluation config")
