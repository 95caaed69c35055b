"""`openmofi compare`: models side by side, paired where they met the same queries, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from openmofi.errors import InputError
from openmofi.evaluation import metrics, wording
from openmofi.evaluation.bootstrap import Draws
from openmofi.evaluation.comparison import differences
from openmofi.evaluation.comparison.runs import page_of
from openmofi.evaluation.comparison.sides import Evaluated, Side, open_side
from openmofi.evaluation.retrieval import IntArray
from openmofi.evaluation.suites import SUITE_VERSION, read_scores
from openmofi.evaluation_data.layouts import read_evaluation_data

MOST_SIDES = len(ascii_uppercase)

Facts = dict[str, Any]


@dataclass(frozen=True)
class _Chosen:
    """One side's evaluation, and the scores of every query; None where there are none."""

    evaluated: Evaluated | None
    columns: metrics.Columns | None


def compare_runs(given: Sequence[str]) -> Facts:
    """Compare models; each but the first is held against the first.

    Args:
        given: Two or more MLflow run ids, or URIs of model or evaluation manifests.

    Returns:
        ``sides`` (``label``, ``given``, ``name``, ``evaluation``, ``images``, ...), ``metrics``
        (``values``, one a side; ``against_first``: that side minus the first, paired, with a
        ``verdict``), ``data``, ``recipe`` and ``code`` (``differ``, ``equal``), and ``notes``
        about what could not be compared; ``mlflow``, the page that shows those sides that were
        named by their runs, or empty.

    Raises:
        InputError: Fewer than two, or one is no run and no manifest.
        StorageError: A store or the tracking server can't be reached.
    """
    if not 2 <= len(given) <= MOST_SIDES:
        raise InputError(f"compare takes 2 to {MOST_SIDES} runs, got {len(given)}")
    sides = [open_side(one) for one in given]
    notes: list[str] = []
    chosen = [_read(e) for e in _same_queries(sides, notes)]
    paired = _paired(chosen, notes)
    return {
        "sides": [_side(*both) for both in zip(ascii_uppercase, sides, chosen, strict=False)],
        "metrics": _rows(chosen, paired),
        **{name: _plain(part) for name, part in differences.parts(sides).items()},
        "notes": notes,
        "mlflow": page_of(given),
    }


def _same_queries(sides: Sequence[Side], notes: list[str]) -> list[Evaluated | None]:
    """An evaluation of each side: on the same data, and by the same protocol, if there is one."""
    for label, side in zip(ascii_uppercase, sides, strict=False):
        if not side.evaluations:
            notes.append(f"{label} was not evaluated: openmofi evaluate run {side.given} --data …")
    measured = [side for side in sides if side.evaluations]
    for key in (_data_and_protocol, _data_alone):
        found = [{key(e) for e in side.evaluations} for side in measured]
        common = set[tuple[Any, ...]]().union(*found[:1]).intersection(*found[1:])
        if len(common) > 1:
            notes.append(
                f"all were evaluated in {len(common)} ways (data, protocol); shown is the one of "
                "the most images; name evaluations to choose another"
            )
        if common:
            best = _largest([e for e in measured[0].evaluations if key(e) in common])
            chosen = {key(best)} if best else common
            return [_largest([e for e in s.evaluations if key(e) in chosen]) for s in sides]
    return [_largest(side.evaluations) for side in sides]


def _data_and_protocol(one: Evaluated) -> tuple[Any, ...]:
    return one.data_digest, one.protocol


def _data_alone(one: Evaluated) -> tuple[Any, ...]:
    return (one.data_digest,)


def _largest(evaluations: Sequence[Evaluated]) -> Evaluated | None:
    """The one of the most images; of equals the first by data, protocol and digest."""
    order = sorted(
        evaluations,
        key=lambda e: (-e.manifest.content["images"], *_data_and_protocol(e), e.manifest.digest),
    )
    return order[0] if order else None


def _read(one: Evaluated | None) -> _Chosen:
    """Scores from the store; nothing is measured here."""
    if one is None or one.protocol[0] != SUITE_VERSION:
        return _Chosen(one, None)
    kept = read_scores(one.manifest.store, one.model, one.data_digest, one.protocol[1])
    return _Chosen(one, kept.columns if kept else None)


def _paired(chosen: Sequence[_Chosen], notes: list[str]) -> list[Mapping[str, metrics.Difference]]:
    """Each side minus the first on the same queries; empty where they did not meet the same."""
    first = chosen[0]
    pairs = {
        place: columns
        for place, other in enumerate(chosen[1:], start=1)
        if (columns := _columns(ascii_uppercase[place], other, first, notes)) is not None
    }
    if not pairs or first.evaluated is None:
        return [{} for _ in chosen]
    draws, groups = _draws(first.evaluated), _groups(first.evaluated, notes)
    return [
        metrics.compare(*pairs[place], draws, groups) if place in pairs else {}
        for place in range(len(chosen))
    ]


def _columns(
    label: str, other: _Chosen, first: _Chosen, notes: list[str]
) -> tuple[metrics.Columns, metrics.Columns] | None:
    """What of two sides can be paired; None, and a note why, if nothing can."""
    if other.evaluated is None or first.evaluated is None:
        return None  # a note says so already
    if other.evaluated.data_digest != first.evaluated.data_digest:
        notes.append(f"{label} and A were evaluated on other images: no difference is paired")
        return None
    if other.columns is None or first.columns is None:
        notes.append(f"{label} and A: scores by query are not in the store; evaluate again")
        return None
    if other.evaluated.protocol == first.evaluated.protocol:
        return other.columns, first.columns
    notes.append(
        f"{label} and A were evaluated by other protocols (suites, prompts, drawing): only "
        "retrieval is paired"
    )
    return _of_embeddings_alone(other.columns), _of_embeddings_alone(first.columns)


def _groups(one: Evaluated, notes: list[str]) -> IntArray | None:
    """[N] what the bootstrap draws at once, as the evaluation did; from the images' folder."""
    try:
        data = read_evaluation_data(one.manifest.content["data"])
    except InputError:
        data = None
    if data is not None and data.images.digest == one.data_digest:
        return data.images.labels if data.captions is None else None
    notes.append(
        f"{one.manifest.content['data']} no longer holds the images, so nobody knows their "
        "classes: differences are drawn by image, and their intervals may be too narrow"
    )
    return None


def _of_embeddings_alone(columns: metrics.Columns) -> metrics.Columns:
    """Columns that no prompt and no drawing has a part in."""
    return {name: column for name, column in columns.items() if name.startswith("retrieval/")}


def _draws(one: Evaluated) -> Draws:
    config = one.manifest.content["config"]
    return Draws(config["bootstrap_samples"], config["confidence"], config["seed"])


def _rows(
    chosen: Sequence[_Chosen], paired: Sequence[Mapping[str, metrics.Difference]]
) -> list[Facts]:
    intervals = [one.evaluated.intervals if one.evaluated else {} for one in chosen]
    return [
        {
            "metric": name,
            "title": wording.title(name),
            "values": [found.get(name) for found in intervals],
            "against_first": [_difference(name, found) for found in paired],
        }
        for name in wording.ordered(name for found in intervals for name in found)
    ]


def _difference(name: str, found: Mapping[str, metrics.Difference]) -> Facts | None:
    if name not in found:
        return None
    plain = metrics.plain({name: found[name]})[name]
    return {**plain, "verdict": wording.verdict(name, found[name])}


def _side(label: str, side: Side, chosen: _Chosen) -> Facts:
    facts = {"label": label, "given": side.given, "name": side.name}
    if side.model is not None:
        facts["model"] = side.model.uri
    if side.dataset is not None:
        facts["dataset"] = side.dataset.uri
    if chosen.evaluated is not None:
        content = chosen.evaluated.manifest.content
        facts |= {
            "evaluation": chosen.evaluated.manifest.uri,
            "role": chosen.evaluated.role,
            **{name: content[name] for name in ("images", "classes", "data", "data_digest")},
        }
    return facts


def _plain(part: differences.Part) -> Facts:
    return {
        "differ": [{"name": name, "values": list(values)} for name, values in part.differ],
        "equal": part.equal,
        "unknown": [ascii_uppercase[place] for place in part.unknown],
    }
