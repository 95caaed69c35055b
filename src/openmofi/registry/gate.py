"""The gate: whether a model may be promoted, and why. It decides; it writes nothing."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from openmofi.config import parse_config
from openmofi.errors import InputError
from openmofi.evaluation import metrics
from openmofi.evaluation.config import EvaluateConfig
from openmofi.evaluation.run import draws_of, scores_for
from openmofi.registry.config import RegisterConfig
from openmofi.versions import Manifest, manifest_key, read_manifest

GATE_VERSION = 3  # raised by hand when the same inputs lead to another decision


@dataclass(frozen=True)
class Champion:
    """The registered version that holds the alias ``champion``."""

    version: str
    model_uri: str  # manifest of kind model


@dataclass(frozen=True)
class Decision:
    """What the gate says.

    Attributes:
        passed: Whether the model may be promoted.
        reasons: One line each; what speaks against it, or what it passed on.
        value: The deciding metric of the model, in percent.
        champion: Who it was held against; None for a first model.
        difference: Model minus champion in percentage points, paired.
    """

    passed: bool
    reasons: tuple[str, ...]
    value: float
    champion: Champion | None = None
    difference: metrics.Difference | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        difference = None
        if self.difference is not None:
            difference = metrics.plain({"difference": self.difference})["difference"]
        return {
            "decision": "accepted" if self.passed else "refused",
            "reasons": list(self.reasons),
            "value": self.value,
            "champion": asdict(self.champion) if self.champion else None,
            "difference": difference,
        }


def decide(
    model: Manifest, evaluation: Manifest, champion: Champion | None, config: RegisterConfig
) -> Decision:
    """Hold a model against the floor, its data check and the champion.

    The champion is compared on the evaluation's data by the evaluation's protocol; it is measured
    again if it was not measured so before.

    Raises:
        InputError: The evaluation is of another model or lacks the metric, or the champion can't
            be measured.
    """
    if evaluation.content["candidate"] != model.digest:
        raise InputError(f"{evaluation.uri} evaluates another model than {model.uri}")
    value = _value(evaluation, config.metric)
    refusals = [*_below_floor(value, config), *_unchecked(model, evaluation, config)]
    difference = None
    if champion is not None:
        difference = _against(champion, model, evaluation, config.metric)
        refusals += _regression(difference, champion, config)
    reasons = refusals or [_passed_on(value, champion, difference, config)]
    return Decision(not refusals, tuple(reasons), value, champion, difference)


def _value(evaluation: Manifest, metric: str) -> float:
    found: Mapping[str, float] = evaluation.content["metrics"]["candidate"]
    if metric not in found:
        known = ", ".join(sorted(found))
        raise InputError(f"register config: 'metric' {metric!r} was not measured; known: {known}")
    return float(found[metric])


def _below_floor(value: float, config: RegisterConfig) -> list[str]:
    if value >= config.floor:
        return []
    return [f"{config.metric} {value:.2f} is below the floor {config.floor:.2f}"]


def _unchecked(model: Manifest, evaluation: Manifest, config: RegisterConfig) -> list[str]:
    """Whether the evaluation's images were kept out of all that the model has learned from."""
    origin = model.origin
    if not origin.get("dataset_uri"):
        return ["nobody knows whether its training data holds the evaluation set: not trained here"]
    data = evaluation.content["data_digest"]
    if data not in _checked_against(model):
        return [f"its training data was not checked against the evaluation set {data[:12]}"]
    start = origin.get("initial_model")
    if start is None or config.foreign_start == "allow":
        return []
    if not _is_checked_start(model, str(start["source"]), data):
        return [
            f"it began with the weights of {start['source']}, and nobody has checked their "
            f"training data against the evaluation set {data[:12]}"
        ]
    return []


def _checked_against(model: Manifest) -> list[str]:
    """Digests of the evaluation sets that a model's own training data was kept clear of."""
    origin = model.origin
    dataset = _read_near(model, "dataset", origin.get("dataset", ""), origin["dataset_uri"])
    checked: list[str] = dataset.content.get("checked_against") or []
    return checked


def _read_near(model: Manifest, kind: str, digest: str, uri: str) -> Manifest:
    """A manifest beside a model, by digest: the root may have been copied since. Else by URI."""
    key = manifest_key(kind, digest)
    return read_manifest(f"{model.store.uri}/{key}" if model.store.exists(key) else uri, kind)


def _is_checked_start(model: Manifest, source: str, data: str) -> bool:
    """Whether weights to begin with are ours, and so are those that they began with."""
    if "/manifests/model/" not in source:
        return False
    start = _read_near(model, "model", source.rpartition("/")[2].removesuffix(".json"), source)
    origin = start.origin
    if not origin.get("dataset_uri") or data not in _checked_against(start):
        return False
    before = origin.get("initial_model")
    return before is None or _is_checked_start(start, str(before["source"]), data)


def _against(
    champion: Champion, model: Manifest, evaluation: Manifest, metric: str
) -> metrics.Difference:
    config = parse_config(EvaluateConfig, evaluation.content["config"], where=evaluation.uri)
    own = scores_for(evaluation, model.uri)
    other = scores_for(evaluation, champion.model_uri)
    found = metrics.compare(own.columns, other.columns, draws_of(config), own.groups)
    if metric not in found:
        raise InputError(
            f"champion version {champion.version} has no {metric}; choose another metric"
        )
    return found[metric]


def _regression(
    difference: metrics.Difference, champion: Champion, config: RegisterConfig
) -> list[str]:
    # An undefined bound is no evidence, and no evidence is no pass.
    if np.isfinite(difference.low) and difference.low >= -config.max_regression:
        return []
    return [
        f"against champion version {champion.version}: {_told(difference)}; a loss of more than "
        f"{config.max_regression:.2f} is not ruled out"
    ]


def _passed_on(
    value: float,
    champion: Champion | None,
    difference: metrics.Difference | None,
    config: RegisterConfig,
) -> str:
    if champion is None or difference is None:
        return f"first model: {config.metric} {value:.2f}, floor {config.floor:.2f}"
    return f"against champion version {champion.version}: {_told(difference)}"


def _told(difference: metrics.Difference) -> str:
    return (
        f"{difference.value:+.2f} points ({difference.low:+.2f} to {difference.high:+.2f}) on "
        f"{difference.queries} paired queries"
    )
