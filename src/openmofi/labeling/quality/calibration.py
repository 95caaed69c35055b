"""A calibration: the score from which labels are kept, with how good they were when judged.

``openmofi labeling calibrate`` writes it; assembly takes its cut from it. It holds no label, only
what was measured and with which model, so it can go from one run to the next.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from openmofi.errors import InputError
from openmofi.files import write_text
from openmofi.keys import hash_json
from openmofi.labeling.quality import fields
from openmofi.storage import open_store

KIND = "calibration"
CURVE = ("cut", "kept", "precision", "low", "high", "recall")


@dataclass(frozen=True)
class Interval:
    """A share, 0 to 1, with its two-sided 95 % interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """Where labels are cut, and what was measured there on a judged sample.

    Args:
        cut: A label is kept if its ``clip_score`` is at least this; cosine, -1 to 1.
        precision_wished: Least precision that was asked for, 0 to 1.
        confidence: With which a true precision of at least that was to be reached, 0 to 1.
        precision: Share of right pairs among those that the cut keeps.
        recall: Share of the right pairs that the cut keeps.
        without_cut: Precision of all pairs.
        pairs: Judged pairs of image and entity.
        right: Right pairs among them.
        kept: Pairs that the cut keeps.
        kept_right: Right pairs among those.
        images: Judged images.
        made_with: Digests of ``model`` and ``knowledge_base`` and the options ``label`` behind the
            scores; empty if the scores did not say.
        sample: Digest of the judged pairs.
        curve: For some cuts, the lowest first, the numbers of `CURVE`.
    """

    cut: float
    precision_wished: float
    confidence: float
    precision: Interval
    recall: Interval
    without_cut: Interval
    pairs: int
    right: int
    kept: int
    kept_right: int
    images: int
    made_with: Mapping[str, Any]
    sample: str
    curve: tuple[tuple[float, ...], ...]

    @property
    def digest(self) -> str:
        """32 hex digits of all that the file says."""
        return hash_json(as_json(self))


def as_json(calibration: Calibration) -> dict[str, Any]:
    """The file's content."""
    content = asdict(calibration)
    content["without_cut"] = {"precision": content["without_cut"]}
    content["curve"] = [list(point) for point in calibration.curve]
    return {"kind": KIND, **content}


def read_calibration(location: str) -> Calibration:
    """The calibration in a file.

    Args:
        location: A path, or the URI of an object in a store.

    Raises:
        InputError: There is no such file, or it is no calibration; the message names the field.
        StorageError: The store does not hold it or cannot be reached.
    """
    if "://" in location:
        root, _, name = location.rpartition("/")
        data = open_store(root).get(name)
    else:
        path = Path(location)
        if not path.is_file():
            raise InputError(f"calibration not found: {location}")
        data = path.read_bytes()
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise InputError(f"{location} is no calibration: it is not JSON") from None
    kind = content.get("kind") if isinstance(content, dict) else None
    if kind != KIND:
        named = f"its kind is {kind!r:.40}" if kind else "it has no kind"
        raise InputError(
            f"{location} is no calibration: {named}; `openmofi labeling calibrate` writes one"
        )
    return _calibration(content, location)


def _calibration(content: Mapping[str, Any], where: str) -> Calibration:
    fields.only_known(content, {"kind", *Calibration.__dataclass_fields__}, where)
    without_cut = fields.field(content, "without_cut", dict, where)
    counts = {name: fields.count(content, name, where) for name in _COUNTS}
    for part, whole in (("kept", "pairs"), ("right", "pairs"), ("kept_right", "kept"),
                        ("kept_right", "right")):  # fmt: skip
        if counts[part] > counts[whole]:
            raise InputError(
                f"{where}: '{part}' is {counts[part]} of {counts[whole]} '{whole}'; "
                "it cannot be more"
            )
    made_with = fields.field(content, "made_with", dict, where)
    return Calibration(
        cut=fields.number_between(content, "cut", -1, 1, where),
        precision_wished=fields.number_between(content, "precision_wished", 0, 1, where),
        confidence=fields.number_between(content, "confidence", 0, 1, where),
        precision=_interval(content, "precision", where),
        recall=_interval(content, "recall", where),
        without_cut=_interval(without_cut, "precision", f"{where}, without_cut"),
        made_with=made_with,
        sample=fields.text(content, "sample", where),
        curve=_curve(fields.field(content, "curve", list, where), where),
        **counts,
    )


_COUNTS = ("pairs", "right", "kept", "kept_right", "images")


def _interval(content: Mapping[str, Any], name: str, where: str) -> Interval:
    row = fields.field(content, name, dict, where)
    there = f"{where}, {name}"
    fields.only_known(row, set(Interval.__dataclass_fields__), there)
    one = Interval(
        *(fields.number_between(row, part, 0, 1, there) for part in ("estimate", "low", "high"))
    )
    if not one.low <= one.estimate <= one.high:
        raise InputError(
            f"{there}: 'estimate' {one.estimate:g} does not lie between 'low' {one.low:g} and "
            f"'high' {one.high:g}"
        )
    return one


def _curve(points: list[Any], where: str) -> tuple[tuple[float, ...], ...]:
    for number, point in enumerate(points, start=1):
        there = f"{where}, curve, point {number}"
        if not isinstance(point, list) or len(point) != len(CURVE):
            raise InputError(f"{there} must be a list of {', '.join(CURVE)}")
        row = dict(zip(CURVE, point, strict=True))
        for name in CURVE:
            fields.field(row, name, float, there)
    return tuple(tuple(point) for point in points)


def write_calibration(calibration: Calibration, out: Path) -> None:
    """Write the file, whole or not at all.

    Raises:
        InputError: It cannot be written.
    """
    content = as_json(calibration)
    points = ",\n  ".join(json.dumps(point, allow_nan=False) for point in content.pop("curve"))
    head = json.dumps(content, indent=1, allow_nan=False).removesuffix("\n}")
    write_text(f'{head},\n "curve": [\n  {points}\n ]\n}}\n', out)
