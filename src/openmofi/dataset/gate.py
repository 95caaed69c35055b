"""The data gate: whether a new version of the data set is fit to be trained on.

It stands before publishing and before the GPUs. A refusal is a recorded decision, not a failure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from openmofi.config import Section, parse_config
from openmofi.dataset.causes import Cause
from openmofi.dataset.versions.changes import failed_share, read_changes
from openmofi.dataset.versions.parent import find_parent, was_taken_back
from openmofi.dataset.versions.version import Dataset, read_dataset
from openmofi.keys import hash_json
from openmofi.progress import say
from openmofi.versions import write_manifest

KIND = "data_decision"


class DataGateConfig(Section):
    """Bounds on a new version. Shares are of all samples seen, 0 to 1.

    Fresh shards are those that the parent has not, or has with other samples.
    """

    min_kept_fraction: float = Field(0.01, ge=0, le=1)
    max_failure_fraction: float = Field(0.2, ge=0, le=1)
    # Of fresh shards alone: in a large pool, ten bad ones would not show. Null: any.
    max_new_failure_fraction: float | None = Field(0.2, ge=0, le=1)
    # Share of the parent's kept samples by which this version must have grown. Negative values
    # allow it to shrink, as after a take-down.
    min_growth: float = Field(0.0, ge=-1)
    # Kept fraction of this version against the parent's, as a ratio in either direction.
    max_drift: float = Field(1.5, ge=1)
    # Population stability index of the scores of fresh shards against the others', see
    # `openmofi.dataset.versions.drift`. What chance gives two samples of their sizes is no drift,
    # so among few pictures nothing is refused for a higher value. 0.25 is the custom of credit
    # scoring, which the index is from. Null: any.
    max_score_drift: float | None = Field(0.25, ge=0)
    # The parent's shards that are not here, or lack samples that they had.
    allow_lost_shards: bool = False


@dataclass(frozen=True)
class DataDecision:
    """The gate's answer and what it saw."""

    uri: str
    passed: bool
    reasons: tuple[str, ...]
    values: Mapping[str, float]


def check_data(
    dataset: str, *, parent: str = "", config: Mapping[str, Any] | None = None
) -> DataDecision:
    """Decide whether to publish a data set and train on it, and record the decision.

    Args:
        dataset: URI of the new version's manifest.
        parent: The version that it replaces, as `openmofi.dataset.versions.parent.find_parent`
            takes it; empty, or with nothing published, the one that it was assembled from. A first
            version has none, and is held to the absolute bounds only.
        config: A `DataGateConfig`.

    Returns:
        The decision. Its URI names a manifest of kind ``data_decision``.
    """
    bounds = parse_config(DataGateConfig, config, where="gate")
    new = read_dataset(dataset)
    followed = find_parent(parent, new.store) or new.content["parent"]
    old = read_dataset(followed) if followed else None
    values = _shares(new.content["counts"])
    if old and old.uri == new.uri:
        reasons = ["nothing is new: it is the version that stands already"]
    else:
        reasons = list(_objections(values, bounds))
        if was_taken_back(new.uri, parent, new.store):
            reasons.append("it was published before and taken back; publish it by hand if it shall")
        if old:
            values.update(_against(old, new))
            reasons += _objections_to_changes(values, bounds)
    body = {
        "dataset": new.uri,
        "parent": old.uri if old else "",
        "config": bounds.model_dump(),
        "metrics": values,
        "passed": not reasons,
        "reasons": reasons,
    }
    made = write_manifest(new.store, KIND, hash_json(body), body)
    say(f"check_data: {'passed' if not reasons else 'refused: ' + '; '.join(reasons)}")
    return DataDecision(made.uri, not reasons, tuple(reasons), values)


def _shares(counts: Mapping[str, int]) -> dict[str, float]:
    seen = sum(counts.values())
    kept = counts.get(Cause.KEPT, 0)
    return {
        "seen": float(seen),
        "kept": float(kept),
        "kept_fraction": kept / seen if seen else 0.0,
        "failure_fraction": failed_share(counts),
    }


def _against(old: Dataset, new: Dataset) -> dict[str, float]:
    """What is measured against a parent; fresh shards and scores only where there are any."""
    before, after = _shares(old.content["counts"]), _shares(new.content["counts"])
    found = read_changes(old, new)
    shards = {name: listed["count"] for name, listed in found["shards"].items()}
    values = {
        "parent_kept": before["kept"],
        "growth": after["kept"] / before["kept"] - 1 if before["kept"] else 0.0,
        "drift": _ratio(after["kept_fraction"], before["kept_fraction"]),
        "fresh_shards": float(shards["added"] + shards["changed"]),
        "lost_shards": float(shards["gone"] + shards["shrunk"]),
    }
    if found["counts"]["fresh"]:
        values["new_failure_fraction"] = found["failed"]["fresh"]
    if found["scores"]:
        values["score_drift"] = found["scores"]["psi"]
        values["score_drift_by_chance"] = found["scores"]["psi_by_chance"]
        values["score_distance"] = found["scores"]["ks"]
    return values


def _ratio(one: float, other: float) -> float:
    """How many times one is the other, the larger above; 0 against 0 is no drift."""
    low, high = sorted((one, other))
    if low == 0:
        return 1.0 if high == 0 else 1e9
    return high / low


def _objections(values: Mapping[str, float], bounds: DataGateConfig) -> Iterator[str]:
    if values["kept_fraction"] < bounds.min_kept_fraction:
        yield (
            f"kept {values['kept_fraction']:.1%} of the samples, at least "
            f"{bounds.min_kept_fraction:.1%} is asked for"
        )
    if values["failure_fraction"] > bounds.max_failure_fraction:
        yield (
            f"{values['failure_fraction']:.1%} of the samples failed, at most "
            f"{bounds.max_failure_fraction:.1%} is allowed"
        )


def _objections_to_changes(values: Mapping[str, float], bounds: DataGateConfig) -> Iterator[str]:
    if values["growth"] < bounds.min_growth:
        yield (
            f"grew by {values['growth']:.1%} against its parent, at least "
            f"{bounds.min_growth:.1%} is asked for"
        )
    if values["drift"] > bounds.max_drift:
        yield (
            f"the kept share changed {values['drift']:.2f}-fold against its parent, at most "
            f"{bounds.max_drift:.2f}-fold is allowed"
        )
    most = bounds.max_new_failure_fraction
    if most is not None and values.get("new_failure_fraction", 0) > most:
        yield (
            f"{values['new_failure_fraction']:.1%} of the samples in fresh shards failed, at most "
            f"{most:.1%} is allowed"
        )
    drift, most = values.get("score_drift", 0), bounds.max_score_drift
    if most is not None and drift > max(most, values.get("score_drift_by_chance", 0)):
        yield (
            f"the scores of fresh shards have drifted: index {drift:.2f}, at most {most:.2f} is "
            "allowed"
        )
    if values["lost_shards"] and not bounds.allow_lost_shards:
        yield (
            f"{values['lost_shards']:.0f} shards of its parent are gone or lack samples that they "
            "had; allow_lost_shards: true lets them go"
        )
