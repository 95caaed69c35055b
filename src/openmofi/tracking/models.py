"""Trained models as MLflow's logged models: a page each, whose weights stay in the store.

MLflow would copy the weights at every training. The store has them, the registry copies those
that it serves, so here stands only where they are. A logged model of the registry's is another
one: it can be loaded, and belongs to one registration.
"""

from collections.abc import Mapping
from typing import Any

from openmofi.tracking.runs import TrackedRun
from openmofi.tracking.values import clean_tags, flatten_params
from openmofi.versions import Manifest

_DIGEST_TAG, _EXTERNAL_TAG = "openmofi.weights", "mlflow.model.isExternal"


def logged_model(
    run: TrackedRun, model: Manifest, *, name: str, trained_here: bool, step: int = 0
) -> str:
    """Id of the logged model that stands for a model of the store, found or made.

    Args:
        run: That trained it: the model becomes its output. Or that reads it: its input.
        model: Manifest of kind ``model``.
        name: For people.
        trained_here: Which of the two.
        step: After which it was published.
    """
    from mlflow.entities import LoggedModelInput, LoggedModelOutput

    experiment = str(run.client.get_run(run.run_id).info.experiment_id)
    found = _find(run, experiment, model.digest)
    if not found:
        made = _made(run, experiment, model, name, trained_here)
        found = _find(run, experiment, model.digest)
        if made != found[0]:  # another process made one at the same moment; the older one stays
            run.client.delete_logged_model(made)
    if trained_here:
        run.client.log_outputs(run.run_id, [LoggedModelOutput(found[0], step)])
    else:
        run.client.log_inputs(run.run_id, models=[LoggedModelInput(found[0])])
    return found[0]


def recipe_params(model: Manifest) -> dict[str, Any]:
    """How a model was made, as params: the recipe, and the sizes of its data."""
    origin = model.origin
    names = ("backbone", "dataset", "samples", "classes", "epochs")
    sizes = {name: origin[name] for name in names if name in origin}
    return {**(origin.get("config") or {}), **sizes}


def _find(run: TrackedRun, experiment: str, digest: str) -> list[str]:
    text = f"tags.`{_DIGEST_TAG}` = '{digest}' AND tags.`{_EXTERNAL_TAG}` = 'true'"
    models = run.client.search_logged_models([experiment], filter_string=text)
    return [str(m.model_id) for m in sorted(models, key=_age)]


def _age(model: Any) -> tuple[int, str]:
    return int(model.creation_timestamp), str(model.model_id)


def _made(run: TrackedRun, experiment: str, model: Manifest, name: str, trained_here: bool) -> str:
    import mlflow

    tags: Mapping[str, str] = {_DIGEST_TAG: model.digest, "openmofi.manifest": model.uri}
    made = mlflow.create_external_model(
        name=_model_name(name),
        source_run_id=run.run_id if trained_here else None,
        experiment_id=experiment,
        tags=clean_tags(tags),
        params=flatten_params(recipe_params(model)),
        model_type="openmofi",
    )
    return str(made.model_id)


def _model_name(name: str) -> str:
    """Without the characters that MLflow refuses in a model's name."""
    return "".join("_" if c in "/:.%\"'" else c for c in name)[:250] or "model"
