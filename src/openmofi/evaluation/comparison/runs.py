"""From an MLflow run to the manifest that it stands for."""

import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from openmofi import tracking
from openmofi.errors import InputError
from openmofi.storage import open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient

_STEP, _ROLE = "openmofi.step", "openmofi.role"
_MODEL, _EVALUATION = "openmofi.model", "openmofi.evaluation"
_EVALUATION_URI = "openmofi.evaluation_uri"
_REPORT = "evaluation/report.json"
_PARENT = "mlflow.parentRunId"
_RUN_ID = re.compile(r"[0-9a-f]{32}")
_CODE = ("openmofi.version", "openmofi.git_commit", "openmofi.image")


@dataclass(frozen=True)
class Found:
    """What a run stands for.

    Attributes:
        uri: Of a ``model`` or ``evaluation`` manifest.
        role: Of the model in the evaluation.
        params: Of the run, as MLflow holds them.
        code: Version, commit and image that the run was made with, those that are known.
    """

    uri: str
    role: str = "candidate"
    params: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)


def is_run(given: str) -> bool:
    """Whether what a person named is an MLflow run id."""
    return _RUN_ID.fullmatch(given) is not None


def page_of(given: Sequence[str]) -> str:
    """The UI's page with those that are runs side by side; empty if there are not two."""
    runs = [one for one in given if is_run(one)]
    return tracking.compare_url(runs) if len(runs) > 1 else ""


def find_run(run_id: str) -> Found:
    """The model or evaluation of a run: of training, evaluation, registration or a pipeline.

    A pipeline's run stands for the candidate that was evaluated in it, or else the model that was
    trained in it.

    Raises:
        InputError: There is no tracking database, or the run made neither.
        StorageError: The tracking server does not know the run, or can't be reached.
    """
    _check_database()
    client = tracking.mlflow_client()
    with tracking.told_in_one_line():
        run = client.get_run(run_id)
        found = _stands_for(client, run) or _below(client, run)
    if found is None:
        raise InputError(
            f"MLflow run {run_id} ({run.info.run_name}) made neither a model nor an evaluation; "
            "name a run of training, evaluation or registration, or the pipeline's"
        )
    return found


def code_of(run_id: str) -> dict[str, str]:
    """What a run was made with; empty if the server does not know the run."""
    from mlflow.exceptions import MlflowException

    try:
        return _code(tracking.mlflow_client().get_run(run_id))
    except MlflowException:
        return {}


def _check_database() -> None:
    """MLflow would make an empty database, and then know no run."""
    parsed = urlparse(tracking.tracking_uri())
    path = Path(parsed.path.removeprefix("/"))
    if parsed.scheme == "sqlite" and not path.is_file():
        raise InputError(
            f"no MLflow database at {path}; set MLFLOW_TRACKING_URI, or name manifests instead of "
            "runs"
        )


def _stands_for(client: "MlflowClient", run: Any) -> Found | None:
    tags, params = run.data.tags, run.data.params
    if tags.get(_STEP) == "evaluate":
        uri = tags.get(_EVALUATION_URI) or _by_report(client, run)
        return Found(uri, tags.get(_ROLE, "candidate"), code=_code(run))
    if tags.get(_STEP) == "register":
        return Found(params["evaluation"], code=_code(run)) if "evaluation" in params else None
    if "/manifests/model/" in tags.get(_MODEL, ""):
        return Found(tags[_MODEL], params=params, code=_code(run))
    return None


def _below(client: "MlflowClient", run: Any) -> Found | None:
    """Among the children of a pipeline's run: the newest candidate, else the newest model."""
    query = f"tags.`{_PARENT}` = '{run.info.run_id}'"
    runs = client.search_runs([run.info.experiment_id], query)
    children = sorted(runs, key=lambda one: (-one.info.start_time, one.info.run_id))
    evaluated = [
        one
        for one in children
        if one.data.tags.get(_STEP) == "evaluate" and one.data.tags.get(_ROLE) == "candidate"
    ]
    for one in [*evaluated, *children]:
        found = _stands_for(client, one)
        if found is not None and found.role == "candidate":
            return found
    return None


def _by_report(client: "MlflowClient", run: Any) -> str:
    """The evaluation lies in the store of its candidate, which the attached report names."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # of one small file
    run_id = run.info.run_id
    with tempfile.TemporaryDirectory(prefix="openmofi-compare-") as folder:
        try:
            path = client.download_artifacts(run_id, _REPORT, folder)
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(
                f"MLflow run {run_id} has no readable {_REPORT}: {error}; name the evaluation's "
                "manifest instead"
            ) from None
    root, found, _ = str(content.get("candidate_uri", "")).rpartition("/manifests/")
    key = f"manifests/evaluation/{run.data.tags.get(_EVALUATION, '')}.json"
    if not found or not open_store(root).exists(key):
        raise InputError(
            f"MLflow run {run_id} does not say in which store its evaluation lies; name the "
            "evaluation's manifest instead"
        )
    return f"{root}/{key}"


def _code(run: Any) -> dict[str, str]:
    return {name: run.data.tags[name] for name in _CODE if name in run.data.tags}
