"""Several seeds of an arm as one: means, spread, and differences paired on the same queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.claims.arms import CLAIMS, Claim
from openmofi.errors import InputError
from openmofi.evaluation import metrics
from openmofi.evaluation.bootstrap import Draws, Interval
from openmofi.evaluation.config import EvaluateConfig
from openmofi.evaluation.run import draws_of
from openmofi.evaluation.scores import Scores, read_scores
from openmofi.versions import read_manifest


@dataclass(frozen=True)
class Seeds:
    """What one arm scored on every query, a seed at a time, in the order of seeds."""

    scores: Sequence[Scores]

    @property
    def mean(self) -> dict[str, Any]:
        """Columns averaged over seeds. A query that one seed could not judge is judged by none."""
        names = set[str].intersection(*(set(one.columns) for one in self.scores))
        return {
            name: np.mean([one.columns[name] for one in self.scores], axis=0)
            for name in self.scores[0].columns
            if name in names
        }


@dataclass(frozen=True)
class Found:
    """What came of a claim.

    Attributes:
        claim: The claim.
        difference: First minus second, of the means over seeds, with the interval over classes.
        by_seed: The same of each seed.
        verdict: ``holds``, ``reversed`` or ``open``.
    """

    claim: Claim
    difference: Interval
    by_seed: Sequence[float]
    verdict: str


def read_seeds(results: Sequence[Mapping[str, Any]], model: str = "") -> Seeds:
    """Scores behind the evaluations of an arm, or of another model that was measured beside it.

    Args:
        results: See `benchmarks.claims.runs.run_task`.
        model: Digest of the other model.

    Raises:
        InputError: The store no longer has them.
    """
    found = []
    for result in results:
        evaluation = read_manifest(result["evaluation"], "evaluation")
        content = evaluation.content
        digest = model or content["candidate"]
        kept = read_scores(evaluation.store, digest, content["data_digest"], content["protocol"])
        if kept is None:
            raise InputError(f"{evaluation.uri}: its scores are not in the store; run it again")
        found.append(kept)
    return Seeds(found)


def values_by_seed(seeds: Seeds, draws: Draws) -> dict[str, list[float]]:
    """Every metric in percent, one value a seed."""
    each = [
        metrics.values(metrics.summarise(one.columns, draws, one.groups)) for one in seeds.scores
    ]
    return {name: [one[name] for one in each] for name in each[0] if all(name in e for e in each)}


def judge(claim: Claim, arms: Mapping[str, Seeds], draws: Draws) -> Found | None:
    """Hold one arm against another; None where one of them has no such metric."""
    first, second = arms[claim.first], arms[claim.second]
    groups = first.scores[0].groups
    paired = metrics.compare(first.mean, second.mean, draws, groups)
    if claim.metric not in paired:
        return None
    by_seed = [
        metrics.compare(one.columns, other.columns, draws, groups)[claim.metric].value
        for one, other in zip(first.scores, second.scores, strict=True)
    ]
    difference = paired[claim.metric]
    return Found(claim, difference, by_seed, verdict(difference, by_seed))


def verdict(difference: Interval, by_seed: Sequence[float]) -> str:
    """``holds`` or ``reversed`` where the interval and every seed have one sign; else ``open``."""
    if difference.low > 0 and min(by_seed) > 0:
        return "holds"
    if difference.high < 0 and max(by_seed) < 0:
        return "reversed"
    return "open"


def judge_all(arms: Mapping[str, Seeds], config: EvaluateConfig) -> list[Found]:
    """Every claim whose metric was measured."""
    draws = draws_of(config)
    found = (judge(claim, arms, draws) for claim in CLAIMS)
    return [one for one in found if one is not None]
