"""Whether a model reads the attack's words, or whether they are merely in the way.

Run: python -m benchmarks.claims.reading [--out build/claims] [--arms unfiltered text_free]

Three more drawings on the held-out images, at the attack's place, size and colour: the name of the
other class with its letters mixed up, the picture's own name, and its own name mixed up. Mixed-up
letters hide as much of a picture and say nothing. So what a model loses by reading is how far it
falls below the mixed-up letters under the other's name, and what it gains how far it is above them
under its own.
"""

import argparse
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.claims.arms import arm_of
from benchmarks.claims.config import ClaimsConfig
from benchmarks.claims.measured import Seeds
from benchmarks.claims.runs import plan, read_result, read_shards
from openmofi.config import parse_config, read_yaml
from openmofi.errors import InputError
from openmofi.evaluation import metrics
from openmofi.evaluation.bench import Bench, prepare, read_image
from openmofi.evaluation.config import EvaluateConfig
from openmofi.evaluation.embedders import model_embedder
from openmofi.evaluation.run import draws_of
from openmofi.evaluation.scores import Scores
from openmofi.evaluation.typographic import attack_jpeg
from openmofi.evaluation.vectors import Pictures, picture_vectors, text_vectors
from openmofi.evaluation.zero_shot import class_vectors, correct, predict
from openmofi.evaluation_data.layouts import read_evaluation_data
from openmofi.images import decode_image
from openmofi.keys import hash_json
from openmofi.versions import read_manifest

DRAWINGS = ("other", "other, mixed up", "own", "own, mixed up")


def mixed_up(text: str) -> str:
    """The letters of ``text`` in another order, the same for the same text; spaces stay.

    A word of one kind of letter alone, such as "aa", stays what it is.
    """
    letters = [c for c in text if not c.isspace()]
    rng = random.Random(text)
    for _ in range(20):
        rng.shuffle(letters)
        mixed = iter(letters)
        found = "".join(c if c.isspace() else next(mixed) for c in text)
        if found != text:
            return found
    return text


def word_on(bench: Bench, drawing: str, index: int) -> str:
    """What is written on an image."""
    label = bench.images.labels[index]
    assert bench.targets is not None
    place = label if drawing.startswith("own") else bench.targets[label]
    name = bench.images.class_names[place]
    return mixed_up(name) if drawing.endswith("mixed up") else name


def columns_of(bench: Bench, model: str) -> Scores:
    """Top-1 of every image under each drawing."""
    embedder = model_embedder(model)
    texts = partial(text_vectors, bench.store, embedder)
    classes = class_vectors(texts, bench.images.class_names, bench.config.templates)
    found = {}
    for drawing in DRAWINGS:
        digest = hash_json([bench.attacked_digest, "reading", drawing])
        indices = range(len(bench.images.paths))
        pictures = Pictures(digest, indices, _drawer(bench, drawing), drawing)
        predicted = predict(picture_vectors(bench.store, embedder, pictures), classes)
        found[drawing] = correct(predicted, bench.images.labels)
    return Scores(found, groups=bench.groups)


def _drawer(bench: Bench, drawing: str) -> Callable[[int], Image.Image]:
    def draw(index: int) -> Image.Image:
        word = word_on(bench, drawing, index)
        return decode_image(attack_jpeg(read_image(bench, index), word, bench.font))

    return draw


def tell(title: str, seeds: Seeds, config: EvaluateConfig) -> None:
    """Accuracies, and what reading costs and gains, with intervals over classes."""
    mean, groups, draws = seeds.mean, seeds.scores[0].groups, draws_of(config)
    print(title)
    for name, interval in metrics.summarise(mean, draws, groups).items():
        print(f"  {name:16} {interval.value:5.1f} ({interval.low:.1f} to {interval.high:.1f})")
    for name, words in (("other", "lost by reading"), ("own", "gained by reading")):
        sign = -1 if name == "other" else 1
        plain, mixed = {"x": sign * mean[name]}, {"x": sign * mean[f"{name}, mixed up"]}
        one = metrics.compare(plain, mixed, draws, groups)["x"]
        each = [
            100 * sign * float(np.mean(s.columns[name] - s.columns[f"{name}, mixed up"]))
            for s in seeds.scores
        ]
        shown = ", ".join(f"{value:+.1f}" for value in each)
        print(f"  {words:18} {one.value:+.1f} ({one.low:+.1f} to {one.high:+.1f}); seeds {shown}")


def main() -> None:
    options = _options()
    config = parse_config(ClaimsConfig, read_yaml(options.config), where=str(options.config))
    data = str(options.out.absolute() / "crawl" / "evaluation")
    tasks = plan(config, read_shards(options.out), data)
    evaluate = config.evaluate.model_copy(update={"suites": ("zero_shot", "typographic")})
    for arm in options.arms:
        found = [read_result(options.out / "arms", task) for task in tasks if task.arm == arm]
        models = [one["model"] for one in found if one is not None]
        if not models or len(models) < len(found):
            raise InputError(f"arm {arm} has no result yet; run `make claims` first")
        store = read_manifest(models[0], "model").store
        bench = prepare(store, read_evaluation_data(data), evaluate)
        tell(arm_of(arm).title, Seeds([columns_of(bench, model) for model in models]), evaluate)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--config", type=Path, default=Path("benchmarks/claims/claims.yaml"))
    parser.add_argument("--out", type=Path, default=Path("build/claims"))
    parser.add_argument("--arms", nargs="+", default=["unfiltered", "text_free"])
    return parser.parse_args()


if __name__ == "__main__":
    main()
