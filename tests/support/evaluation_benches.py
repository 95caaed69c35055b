"""Benches over small made sets, and a model that counts its passes."""

import numpy as np

from openmofi.config import parse_config
from openmofi.evaluation.bench import prepare
from openmofi.evaluation.config import EvaluateConfig
from openmofi.evaluation.embedders import Embedder
from openmofi.evaluation_data.layouts import read_evaluation_data
from openmofi.storage import open_store
from support.evaluation import COLOURS
from support.evaluation_layouts import (
    colour_of,
)

GRID = {"sizes": [25, 50], "positions": ["top_left", "centre"], "colours": ["red", "#0000ff"]}


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
