"""Judged samples from what people and programs hand in: truth by image, or an audit's answers."""

import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from openmofi.entities.lines import json_objects
from openmofi.errors import InputError
from openmofi.keys import hash_json
from openmofi.labeling.quality import fields
from openmofi.labeling.quality.judged import Judged
from openmofi.labeling.quality.labels import Labels

ANSWERS = "audit_answers"
_RIGHT, _UNSURE = "right", "unsure"
VERDICTS = (_RIGHT, "wrong", _UNSURE)

Image = tuple[str, str]  # shard and key


class Answer(NamedTuple):
    """What a person said of one label."""

    image: Image
    entity_id: str
    clip_score: float
    stratum: str
    weight: float
    verdict: str


@dataclass(frozen=True)
class Answers:
    """What was said on a sheet."""

    answers: tuple[Answer, ...]
    made_with: Mapping[str, Any]
    source: str

    def judged(self, unsure: bool | None = None) -> Judged:
        """The labels as a sample.

        Args:
            unsure: What answers of that kind are taken for; ``None`` leaves them out.

        Raises:
            InputError: None is left.
        """
        used = [one for one in self.answers if unsure is not None or one.verdict != _UNSURE]
        if not used:
            raise InputError(f"{self.source} holds no answer but 'unsure'")
        right = [one.verdict == _RIGHT or (one.verdict == _UNSURE and bool(unsure)) for one in used]
        return _judged(used, right, self.made_with)

    @property
    def unsure(self) -> int:
        """How many answers are neither right nor wrong."""
        return sum(one.verdict == _UNSURE for one in self.answers)


class LeftOut(NamedTuple):
    """What a sample does not hold."""

    without_label: int = 0  # images of the truth
    unsure: int = 0  # answers


def read_truth(path: Path) -> dict[Image, frozenset[str]]:
    """Which entities images show: JSONL, one image a line: ``shard``, ``key``, ``entity_ids``.

    Raises:
        InputError: The file is missing or empty, or a line is bad; the message names line and
            field.
    """
    if not path.is_file():
        raise InputError(f"truth file not found: {path}")
    shown: dict[Image, frozenset[str]] = {}
    lines: dict[Image, int] = {}
    try:
        for number, row in json_objects(path):
            where = f"{path}, line {number}"
            image = (fields.text(row, "shard", where), fields.text(row, "key", where))
            if image in lines:
                named = "/".join(image)
                raise InputError(f"{where}: image {named!r:.200} is also in line {lines[image]}")
            ids = fields.field(row, "entity_ids", list, where)
            if not all(isinstance(one, str) and one for one in ids):
                raise InputError(
                    f"{where}: 'entity_ids' must be a list of strings, got {reprlib.repr(ids)}"
                )
            lines[image], shown[image] = number, frozenset(ids)
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text") from None
    if not shown:
        raise InputError(f"{path} holds no image")
    return shown


def judge_by_truth(labels: Labels, truth: Mapping[Image, frozenset[str]]) -> tuple[Judged, LeftOut]:
    """The labels of the images that a truth knows; one is right if its entity is shown.

    Raises:
        InputError: They have no image in common, or the labels have one pair twice.
    """
    table = labels.table
    near = pc.and_(_is_in(table, 0, "shard", truth), _is_in(table, 1, "key", truth))
    found: dict[tuple[Image, str], Answer] = {}
    for row in table.filter(near).to_pylist():
        image = (row["shard"], row["key"])
        if image not in truth:
            continue
        pair = (image, row["entity_id"])
        if pair in found:
            raise InputError(
                f"{labels.source}: sample '{'/'.join(image)}' has '{row['entity_id']}' twice"
            )
        found[pair] = Answer(image, row["entity_id"], row["clip_score"], "", 1.0, "")
    if not found:
        first = table.slice(0, 1).to_pylist()[0]
        raise InputError(
            f"{labels.source} and the truth share no image (shard and key): "
            f"'{first['shard']}/{first['key']}' is the first in the labels, "
            f"'{'/'.join(next(iter(truth)))}' in the truth"
        )
    right = [one.entity_id in truth[one.image] for one in found.values()]
    judged = _judged(list(found.values()), right, labels.made_with)
    return judged, LeftOut(without_label=len(truth) - len(judged.strata))


def _is_in(table: pa.Table, place: int, name: str, truth: Mapping[Image, Any]) -> pa.ChunkedArray:
    """Which rows have a shard, or a key, that some image of the truth has."""
    values = pa.array({image[place] for image in truth}, pa.string())
    return pc.is_in(table.column(name), value_set=values)


def _judged(pairs: list[Answer], right: list[bool], made_with: Mapping[str, Any]) -> Judged:
    images: dict[Image, int] = {}
    strata: dict[str, int] = {}
    stratum_of: dict[int, int] = {}
    for one in pairs:
        number = images.setdefault(one.image, len(images))
        stratum_of[number] = strata.setdefault(one.stratum, len(strata))
    verdicts = sorted(
        [*one.image, one.entity_id, said] for one, said in zip(pairs, right, strict=True)
    )
    return Judged(
        scores=np.array([one.clip_score for one in pairs], np.float64),
        right=np.array(right, np.bool_),
        weights=np.array([one.weight for one in pairs], np.float64),
        images=np.array([images[one.image] for one in pairs], np.int64),
        strata=np.array([stratum_of[number] for number in range(len(images))], np.int64),
        digest=hash_json(verdicts),
        made_with=made_with,
    )


def read_answers(path: Path) -> Answers:
    """The answers that an audit sheet saved.

    Raises:
        InputError: The file is missing or empty, or an answer is bad; the message names it.
    """
    if not path.is_file():
        raise InputError(f"answers file not found: {path}")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise InputError(f"{path} holds no answers: it is not JSON") from None
    if not isinstance(content, dict) or content.get("kind") != ANSWERS:
        raise InputError(f"{path} holds no answers: save one from a sheet of `labeling audit`")
    rows = fields.field(content, "answers", list, str(path))
    answers = tuple(_answer(row, f"{path}, answer {n}") for n, row in enumerate(rows, start=1))
    if not answers:
        raise InputError(f"{path} holds no answer; judge some labels and save again")
    _check_images(answers, path)
    return Answers(answers, fields.field(content, "made_with", dict, str(path)), str(path))


def _answer(row: Any, where: str) -> Answer:
    if not isinstance(row, dict):
        raise InputError(f"{where} must be a JSON object, got {reprlib.repr(row)}")
    verdict = fields.text(row, "answer", where)
    if verdict not in VERDICTS:
        raise InputError(f"{where}: 'answer' must be {', '.join(VERDICTS)}; got {verdict!r:.40}")
    weight = fields.field(row, "weight", float, where)
    if weight <= 0:
        raise InputError(f"{where}: 'weight' must be above 0, got {weight:g}")
    return Answer(
        image=(fields.text(row, "shard", where), fields.text(row, "key", where)),
        entity_id=fields.text(row, "entity_id", where),
        clip_score=fields.number_between(row, "clip_score", -1, 1, where),
        stratum=fields.text(row, "stratum", where),
        weight=weight,
        verdict=verdict,
    )


def _check_images(answers: tuple[Answer, ...], path: Path) -> None:
    """A label is judged once, and an image lies in one stratum."""
    labels: set[tuple[Image, str]] = set()
    drawn: dict[Image, tuple[str, float]] = {}
    for number, one in enumerate(answers, start=1):
        named = f"{path}, answer {number}: image '{'/'.join(one.image):.200}'"
        if (one.image, one.entity_id) in labels:
            raise InputError(f"{named} has '{one.entity_id}' twice")
        labels.add((one.image, one.entity_id))
        if drawn.setdefault(one.image, (one.stratum, one.weight)) != (one.stratum, one.weight):
            raise InputError(f"{named} has another 'stratum' or 'weight' than before")
