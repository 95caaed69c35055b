"""Where the weights of the second look come from: fitted on one half, tried on the other.

Run: python -m benchmarks.text_reading --pairs PHOTOS --labels LIST.tsv --crawl CRAWL

PHOTOS are labelled photographs (see text_labels), CRAWL is what `openmofi demo-crawl --seed 1`
made: not the seed of the demo, whose figures are for measuring. On half A of the photographs, on
words drawn on those of them that hold no text, and on the crawl, a logistic regression is fitted:
how likely is a region to be text, by the letters that can be read in it, whether there is one
alone, the map's log-odds and the logarithm of its area. Which region of a picture with text is the
text, nobody has labelled: the likeliest one of each picture stands for it. Half B then says what
the weights are worth.
"""

import argparse
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.optimize import minimize

from benchmarks.text_labels import Label, Name, Photo, half, read_labels, read_photos, share
from benchmarks.text_trials import is_word, overlap
from benchmarks.text_words import Style, draw_word, faces
from openmofi.errors import InputError
from openmofi.images import ImageProblemError, decode_image
from openmofi.progress import bar
from openmofi.textregions import reading
from openmofi.textregions.boxes import Pixels, Region, polygon_area
from openmofi.textregions.config import DetectConfig
from openmofi.textregions.detector import TextDetector, load_backend
from openmofi.textregions.rule import TextRule

Floats = npt.NDArray[np.float64]

WEIGHTS = {"photographs": 300.0, "words": 200.0, "letters": 40.0, "crawl": 200.0}
_FONTS = ("/usr/share/fonts/truetype/dejavu", "/usr/share/fonts/truetype/liberation")
_WORDS = (
    "Sale", "OPEN", "london", "Summer", "tiger", "1984", "Fresh", "music", "STOP", "hotel", "Exit",
    "flower", "coffee", "winter", "Photo", "www.example.com", "garden", "Ltd.",
)  # fmt: skip
_SIZES = (10, 12, 14, 16, 20, 24, 32, 48, 64, 90)
_ANGLES = (0, 0, 5, -10, 15, -20, 30, -45, 60, 90, 180)
_COLOURS = ("white", "black", "red", "yellow", "blue")
_DRAWN = 900
_NEAR = 0.05  # share of the word that a region may touch and still be none of its own
_PENALTY = 0.05  # on squared weights


class Bag(NamedTuple):
    """Regions of which the likeliest decides: ``[regions, 5]``, 1 and the four evidences."""

    evidence: Floats
    is_text: bool
    group: str


class Noted(NamedTuple):
    """A region with what was read in it."""

    corners: npt.NDArray[np.float32]
    reading: reading.Reading
    on_map: float
    area: float


class _Noting(reading.Reader):
    """Notes letters, and is never sure: so that every picture gets the closer look too."""

    def __init__(self, config: DetectConfig) -> None:
        super().__init__(config)
        self.noted: list[Noted] = []

    def confidences(self, picture: Pixels, regions: Sequence[Region]) -> list[float]:
        size = picture.shape[0] * picture.shape[1]
        least = TextRule().min_area
        for region in regions:
            area = polygon_area(region.corners) / size
            if area >= least:
                found = self.read(picture, region.corners)
                self.noted.append(Noted(region.corners, found, region.confidence, area))
        return [0.0] * len(regions)


def noted(detector: TextDetector, reader: _Noting, image: Image.Image) -> list[Noted]:
    """Every region of a picture that the rule's limits of area let count, in both looks."""
    reader.noted = []
    detector.detect(image)
    return reader.noted


def evidence(regions: Iterable[Noted]) -> Floats:
    rows = [
        (
            1.0,
            min(one.reading.letters, reading.MOST_LETTERS),
            one.reading.lone**4,
            _odds(one.on_map),
            np.log10(one.area),
        )
        for one in regions
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 5)


def _odds(share_: float) -> float:
    inside = min(max(share_, 0.01), 0.99)
    return float(np.log(inside / (1 - inside)))


def fit(bags: Sequence[Bag]) -> Floats:
    """Weights of the columns: least cross entropy, each group weighing what `WEIGHTS` says."""
    used = [bag for bag in bags if len(bag.evidence)]
    kinds = [(bag.group, bag.is_text) for bag in used]
    scale = [WEIGHTS[kind[0]] / 2 / kinds.count(kind) for kind in kinds]

    def cost(weights: Floats) -> float:
        values = np.array([(bag.evidence @ weights).max() for bag in used])
        signs = np.array([-1.0 if bag.is_text else 1.0 for bag in used])
        losses = np.logaddexp(0, signs * values)
        return float(losses @ np.array(scale) + _PENALTY * (weights[1:] ** 2).sum())

    found: Floats = minimize(cost, np.zeros(5), method="BFGS").x
    return found


def photo_bags(
    detector: TextDetector, reader: _Noting, photos: Sequence[tuple[Photo, Label]]
) -> list[Bag]:
    found = []
    for photo, label in bar(photos, label="photographs", unit="image"):
        regions = noted(detector, reader, decode_image(photo.read()))
        found.append(Bag(evidence(regions), label.text, "photographs"))
    return found


def word_bags(
    detector: TextDetector, reader: _Noting, photos: Sequence[Photo], count: int
) -> Iterator[Bag]:
    """Words and single letters on pictures without text; regions elsewhere are no text."""
    draw = random.Random(1)
    fonts = faces(_FONTS)
    for number in bar(range(count), label="drawn words", total=count, unit="image"):
        single = number % 10 == 0
        text = draw.choice("ABCDEFGHKLMNPRSTXYZ2345789" if single else _WORDS)
        style = Style(
            draw.choice(fonts), draw.choice(_SIZES), draw.choice(_ANGLES), draw.choice(_COLOURS),
            draw.random() < 0.5, "anywhere",
        )  # fmt: skip
        drawn = draw_word(decode_image(draw.choice(photos).read()), text, style, draw)
        if drawn is None or drawn.seen != "clear" or (single and style.size < 16):
            continue
        regions = noted(detector, reader, drawn.image)
        word = drawn.polygon
        own = [one for one in regions if is_word(one.corners, word)]
        apart = [
            one
            for one in regions
            if overlap(one.corners, word) < _NEAR * polygon_area(word.ravel().tolist())
        ]
        yield Bag(evidence(own), True, "letters" if single else "words")
        yield Bag(evidence(apart), False, "words")


def crawl_bags(detector: TextDetector, reader: _Noting, crawl: Path) -> Iterator[Bag]:
    truth = {}
    for line in (crawl / "truth" / "crawl.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        truth[row["shard"], row["key"]] = bool(row["has_text"])
    photos = read_photos(crawl / "crawl")
    for name, photo in bar(photos.items(), label="crawl", total=len(photos), unit="image"):
        try:
            image = decode_image(photo.read())
        except ImageProblemError:
            continue
        yield Bag(evidence(noted(detector, reader, image)), truth[name], "crawl")


def report(name: str, bags: Sequence[Bag], weights: Floats) -> None:
    flagged = [len(bag.evidence) > 0 and (bag.evidence @ weights).max() >= 0 for bag in bags]
    both = sum(flag and bag.is_text for flag, bag in zip(flagged, bags, strict=True))
    print(f"{name:<24} precision {share(both, sum(flagged))}")
    print(f"{'':<24} recall    {share(both, sum(bag.is_text for bag in bags))}")


def main() -> None:
    options = _options()
    labels = read_labels(options.labels)
    photos = read_photos(options.pairs)
    chosen = {name: one for name, one in labels.items() if one.sureness != "unsure"}
    halves: dict[str, list[Name]] = {"A": [], "B": []}
    for name in chosen:
        halves[half(name[1])].append(name)
    config = DetectConfig()
    reader = _Noting(config)
    detector = TextDetector(config, load_backend(config), reader)
    on = {
        part: photo_bags(detector, reader, [(photos[name], chosen[name]) for name in names])
        for part, names in halves.items()
    }
    clean = [
        photos[name]
        for name in halves["A"]
        if not chosen[name].text and chosen[name].sureness == "sure"
    ]
    bags = [
        *on["A"],
        *word_bags(detector, reader, clean, options.words),
        *crawl_bags(detector, reader, options.crawl),
    ]
    weights = fit(bags)
    names = ("INTERCEPT", "PER_LETTER", "PER_LONE", "PER_MAP", "PER_AREA")
    print(*(f"{name} {value:.2f}" for name, value in zip(names, weights, strict=True)))
    rounded = weights.round(1)
    for part, of_part in on.items():
        report(f"photographs, half {part}", of_part, rounded)
    report("crawl", [bag for bag in bags if bag.group == "crawl"], rounded)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else "")
    parser.add_argument("--pairs", type=Path, required=True, help="folder of tars: photographs")
    parser.add_argument(
        "--labels", type=Path, required=True, help="label list of those photographs"
    )
    parser.add_argument("--crawl", type=Path, required=True, help="folder of a demo crawl")
    parser.add_argument("--words", type=int, default=_DRAWN, help="how many to draw")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(f"text_reading: {error}") from None
