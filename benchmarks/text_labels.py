"""What the measurements of text detection share: labelled photographs, the rule, intervals.

A label list is text, a line a photograph, tab separated: shard, key, text or none, how sure (sure,
likely or unsure), and a note that is for people only.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from openmofi.config import parse_config, read_yaml
from openmofi.errors import InputError
from openmofi.keys import hash_bytes
from openmofi.shards import index_tar
from openmofi.textregions.rule import TextRule

WORDS = ("text", "none")
SURENESS = ("sure", "likely", "unsure")
IMAGES = ("jpg", "jpeg", "png", "webp")

# The rule as it was published, for the detector's own confidences: "before the second look".
PUBLISHED = TextRule(min_confidence=0.5, min_area=0.001, max_area=0.2)

Name = tuple[str, str]  # shard and key


class Label(NamedTuple):
    text: bool
    sureness: str
    note: str


class Photo(NamedTuple):
    """Where the bytes of a picture lie."""

    shard: str
    key: str
    path: str
    offset: int
    length: int
    caption: str

    def read(self) -> bytes:
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return file.read(self.length)


def read_labels(path: Path) -> dict[Name, Label]:
    """The labels of a list, in its order. A first line of column names and # lines are skipped."""
    if not path.is_file():
        raise InputError(f"label list not found: {path}")
    labels: dict[Name, Label] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fields = line.split("\t")
        if not line.strip() or line.startswith("#") or (number == 1 and fields[0] == "shard"):
            continue
        where = f"{path}, line {number}"
        if len(fields) < 4 or fields[2] not in WORDS or fields[3] not in SURENESS:
            raise InputError(
                f"{where} is not 'shard, key, text or none, {' or '.join(SURENESS)}' between tabs"
            )
        name = (fields[0], fields[1])
        if name in labels:
            raise InputError(f"{where} labels {fields[0]}/{fields[1]} again")
        labels[name] = Label(fields[2] == "text", fields[3], "\t".join(fields[4:]).strip())
    if not labels:
        raise InputError(f"{path} holds no label")
    return labels


def read_photos(pairs: Path) -> dict[Name, Photo]:
    """Every picture of a folder of tars, with the caption beside it."""
    tars = sorted(pairs.glob("*.tar"))
    if not tars:
        raise InputError(f"{pairs} is no folder with .tar files")
    photos = {}
    for path in tars:
        with path.open("rb") as file:
            for sample in index_tar(path):
                member = next((sample.members[e] for e in IMAGES if e in sample.members), None)
                if member is None:
                    continue
                caption = ""
                if text := sample.members.get("txt"):
                    file.seek(text.offset)
                    caption = file.read(text.length).decode("utf-8", "replace").strip()
                photos[path.stem, sample.key] = Photo(
                    path.stem, sample.key, str(path), member.offset, member.length, caption
                )
    return photos


def check_names(labels: Mapping[Name, Label], known: Mapping[Name, object], where: str) -> None:
    """Refuse labels of pictures that are not there: shares would be of other photographs."""
    missing = [name for name in labels if name not in known]
    if missing:
        first = "/".join(missing[0])
        raise InputError(f"{len(missing)} labelled pictures are not in {where}; first: {first}")


def read_rule(path: Path | None) -> TextRule:
    """The rule of a YAML file of its values, or the defaults."""
    if path is None:
        return TextRule()
    return parse_config(TextRule, read_yaml(path), where=str(path))


def half(key: str) -> str:
    """``A``, on which values may be chosen, or ``B``, on which they are then measured."""
    return "AB"[int(hash_bytes(key.encode())[:8], 16) % 2]


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share; nothing seen says nothing: 0 to 1."""
    if not total:
        return 0.0, 1.0
    share, z = hits / total, 1.959964
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    spread = z / (1 + z * z / total)
    spread *= math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, middle - spread), min(1.0, middle + spread)


def share(hits: int, total: int) -> str:
    """A share with its interval and its counts, in columns."""
    if not total:
        return f"{'-':>23} {'0 of 0':>12}"
    low, high = wilson(hits, total)
    return f"{hits / total:7.3f} ({low:.3f} to {high:.3f}) {f'{hits} of {total}':>12}"


def ratio_interval(one: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    """Ratio of medians, between its 2.5 % and 97.5 % points over resampled rounds."""
    first, second = np.array(one), np.array(other)
    places = np.random.default_rng(1).integers(0, len(first), (2000, len(first)))
    ratios = np.median(first[places], axis=1) / np.median(second[places], axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(np.median(first) / np.median(second)), float(high)
