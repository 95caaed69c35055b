"""The data gate: whether a new version of the data set is fit to be trained on.

It stands before the GPUs. A refusal is a recorded decision, not a failure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from openmofi.config import Section, parse_config
from openmofi.dataset.causes import Cause
from openmofi.keys import hash_json
from openmofi.progress import say
from openmofi.records import Status
from openmofi.versions import read_manifest, write_manifest

KIND = "data_decision"

# Causes for which the crawl or our own code is to blame, rather than the taste of a rule.
_FAILURES = (Status.MISSING_IMAGE, Status.CORRUPT_IMAGE, Status.FAILED, Cause.TEXT_FAILED)


class DataGateConfig(Section):
    """Bounds on a new version. Shares are of all samples seen, 0 to 1."""

    min_kept_fraction: float = Field(0.01, ge=0, le=1)
    max_failure_fraction: float = Field(0.2, ge=0, le=1)
    # Share of the parent's kept samples by which this version must have grown. Negative values
    # allow it to shrink, as after a take-down.
    min_growth: float = Field(0.0, ge=-1)
    # Kept fraction of this version against the parent's, as a ratio in either direction.
    max_drift: float = Field(1.5, ge=1)


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
    """Decide whether to train on a data set, and record the decision.

    Args:
        dataset: URI of the new version's manifest.
        parent: URI of the version that it replaces; empty for a first version, which is held to
            the absolute bounds only.
        config: A `DataGateConfig`.

    Returns:
        The decision. Its URI names a manifest of kind ``data_decision``.
    """
    bounds = parse_config(DataGateConfig, config, where="gate")
    new = read_manifest(dataset, "dataset")
    values = _shares(new.content["counts"])
    if parent:
        old = _shares(read_manifest(parent, "dataset").content["counts"])
        values["parent_kept"] = old["kept"]
        values["growth"] = values["kept"] / old["kept"] - 1 if old["kept"] else 0.0
        values["drift"] = _ratio(values["kept_fraction"], old["kept_fraction"])
    reasons = _objections(values, bounds)
    body = {
        "dataset": dataset,
        "parent": parent,
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
    failed = sum(counts.get(cause, 0) for cause in _FAILURES)
    return {
        "seen": float(seen),
        "kept": float(kept),
        "kept_fraction": kept / seen if seen else 0.0,
        "failure_fraction": failed / seen if seen else 0.0,
    }


def _ratio(one: float, other: float) -> float:
    """How many times one is the other, the larger above; 0 against 0 is no drift."""
    low, high = sorted((one, other))
    if low == 0:
        return 1.0 if high == 0 else 1e9
    return high / low


def _objections(values: Mapping[str, float], bounds: DataGateConfig) -> list[str]:
    found = []
    if values["kept_fraction"] < bounds.min_kept_fraction:
        found.append(
            f"kept {values['kept_fraction']:.1%} of the samples, at least "
            f"{bounds.min_kept_fraction:.1%} is asked for"
        )
    if values["failure_fraction"] > bounds.max_failure_fraction:
        found.append(
            f"{values['failure_fraction']:.1%} of the samples failed, at most "
            f"{bounds.max_failure_fraction:.1%} is allowed"
        )
    if "growth" in values and values["growth"] < bounds.min_growth:
        found.append(
            f"grew by {values['growth']:.1%} against its parent, at least "
            f"{bounds.min_growth:.1%} is asked for"
        )
    if "drift" in values and values["drift"] > bounds.max_drift:
        found.append(
            f"the kept share changed {values['drift']:.2f}-fold against its parent, at most "
            f"{bounds.max_drift:.2f}-fold is allowed"
        )
    return found
