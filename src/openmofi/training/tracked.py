"""What MLflow is told of a training: a name, what its recipe is, its data and its model."""

import json
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from openmofi.tracking import TrackedRun
from openmofi.training.building import RunPlan
from openmofi.training.config import RECIPES
from openmofi.versions import read_manifest

_SHORT = 8  # digits of a digest


def run_name(plan: RunPlan) -> str:
    """Such as ``train mofi: multitask on 3d830119``."""
    recipe = recipe_name([objective.kind for objective in plan.settings.objectives])
    return f"train {plan.name}: {recipe} on {plan.manifest.content['dataset'][:_SHORT]}"


def recipe_name(kinds: Sequence[str]) -> str:
    """The name of a recipe of these objectives, else the objectives."""
    for name, objectives in RECIPES.items():
        if [objective["kind"] for objective in objectives] == list(kinds):
            return name
    return "+".join(kinds)


def run_tags(plan: RunPlan) -> dict[str, str]:
    """Which task this is: data and recipe by digest."""
    return {
        "openmofi.step": "train",
        "openmofi.dataset": str(plan.manifest.content["dataset"]),
        "openmofi.training_shards": plan.manifest.digest,
        "openmofi.recipe": plan.recipe,
    }


def run_params(plan: RunPlan, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What can change the result, so that two runs differ where their recipes do."""
    sizes = {name: facts[name] for name in ("dataset", "samples", "classes", "epochs")}
    return {**plan.settings.semantic(), "backbone": plan.settings.backbone, **sizes}


def record_inputs(run: TrackedRun, plan: RunPlan, facts: Mapping[str, Any]) -> None:
    """The data; and as tags, how it runs, and from where."""
    run.log_dataset(
        "training shards",
        digest=facts["dataset"],
        uri=plan.manifest.uri,
        facts={"num_rows": facts["samples"], "classes": facts["classes"]},
    )
    settings, semantic = plan.settings.model_dump(mode="json"), plan.settings.semantic()
    rest = {k: v for k, v in settings.items() if k not in semantic and k != "backbone"}
    start = rest.pop("initial_model")
    tags = {"openmofi.execution": json.dumps(rest, sort_keys=True)}
    run.set_tags({**tags, **({"openmofi.initial_model": start} if start else {})})


def record_model(run: TrackedRun, plan: RunPlan, uri: str) -> None:
    """The published model, as the run's output; its weights stay in the store."""
    from openmofi.tracking.models import logged_model

    model, step = read_manifest(uri, "model"), plan.settings.max_steps
    logged_model(run, model, name=plan.name, trained_here=True, step=step)
    run.set_tags({"openmofi.model": uri, "openmofi.model_digest": model.digest})


class Points:
    """A training's points in MLflow, each once, though a call whose answer was lost comes again.

    Args:
        run: That they belong to.
        there: Steps whose points stand already.
    """

    def __init__(self, run: TrackedRun, there: Collection[int]) -> None:
        self._run, self._there = run, there
        self._asked = (-1, 0)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Write the points of a step; a second try has the time of the first."""
        if step in self._there:
            return
        if self._asked[0] != step:
            self._asked = (step, int(time.time() * 1000))
        self._run.log_metrics(values, step, at=self._asked[1])
