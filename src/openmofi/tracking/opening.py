"""Which run a task writes to: KFP's own, its earlier one, or a new one below its pipeline's."""

import os
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openmofi import __version__
from openmofi.errors import InputError
from openmofi.keys import hash_json
from openmofi.tracking.server import find_experiment

if TYPE_CHECKING:
    from mlflow import MlflowClient

PIPELINE_TAG = "openmofi.pipeline_run"
TASK_TAG = "openmofi.task"
ERROR_TAG = "openmofi.error"
_PARENT_TAG = "mlflow.parentRunId"
# Longer than a search and the making of a run take: of two processes that both found no run,
# each then sees the other's, and both keep the same one.
_SETTLING_S = 0.3


@dataclass(frozen=True)
class Opened:
    """A run, and the one above it.

    Attributes:
        run: Its id.
        experiment: Id of its experiment, which is the parent's too.
        parent: Id of the pipeline's run; empty where there is none.
        ours: Whether the parent's status is ours to keep, and not KFP's.
    """

    run: str
    experiment: str
    parent: str = ""
    ours: bool = False


def open_run(
    client: "MlflowClient", name: str, pipeline_run: str, tags: Mapping[str, str], attach: bool
) -> Opened:
    """Find or make the run to write to; it is RUNNING then, and so is our parent."""
    given = os.environ.get("MLFLOW_RUN_ID")
    if given:  # set by the MLflow plugin of KFP 2.17, which made one run for this task
        return _below_kfp(client, _given(client, given), name, pipeline_run, tags, attach)
    experiment = find_experiment(client)
    if not pipeline_run:
        alone = {TASK_TAG: uuid.uuid4().hex}
        return Opened(_made_once(client, experiment, name, alone, (TASK_TAG,)), experiment)
    parent = _parent(client, experiment, pipeline_run)
    client.update_run(parent, status="RUNNING")
    run = _child(client, experiment, parent, name, pipeline_run, tags)
    return Opened(run, experiment, parent, ours=True)


def settle_parent(client: "MlflowClient", opened: Opened) -> None:
    """Let the pipeline's run end with its last child, failed if one failed and none came after."""
    if not opened.ours:
        return
    query = f"tags.`{_PARENT_TAG}` = '{opened.parent}'"
    children = [run.info for run in client.search_runs([opened.experiment], query)]
    if any(child.status == "RUNNING" for child in children):
        return
    newest = max(child.start_time for child in children)
    failed = any(
        child.status in ("FAILED", "KILLED") and child.end_time >= newest for child in children
    )
    client.set_terminated(opened.parent, "FAILED" if failed else "FINISHED")


def environment_tags() -> dict[str, str]:
    """What runs: version, commit, image, where they are known."""
    commit = os.environ.get("OPENMOFI_GIT_COMMIT", "")
    found = {
        "openmofi.version": __version__,
        "openmofi.git_commit": commit,
        "mlflow.source.git.commit": commit,  # where MLflow's UI looks
        "mlflow.source.name": "openmofi",
        "openmofi.image": os.environ.get("OPENMOFI_IMAGE", ""),
    }
    return {key: value for key, value in found.items() if value}


def _below_kfp(
    client: "MlflowClient",
    given: Any,
    name: str,
    pipeline_run: str,
    tags: Mapping[str, str],
    attach: bool,
) -> Opened:
    run, experiment = str(given.info.run_id), str(given.info.experiment_id)
    above = given.data.tags.get(_PARENT_TAG, "")
    if attach:
        _reopen(client, run)
        return Opened(run, experiment, above)
    # Beside the task's run: the UI shows two levels well, and three badly.
    parent = above or run
    child = _child(client, experiment, parent, name, pipeline_run, tags)
    return Opened(child, experiment, parent)


def _given(client: "MlflowClient", run: str) -> Any:
    found = client.get_run(run)
    if found.info.lifecycle_stage != "active":
        raise InputError(
            f"MLflow run {run}, which MLFLOW_RUN_ID names, is deleted; restore it (mlflow runs "
            f"restore --run-id {run}), or unset MLFLOW_RUN_ID"
        )
    return found


def _child(
    client: "MlflowClient",
    experiment: str,
    parent: str,
    name: str,
    pipeline_run: str,
    tags: Mapping[str, str],
) -> str:
    """This task's earlier run, or a new one."""
    task = hash_json([name, dict(tags)])
    found = _find(client, experiment, {_PARENT_TAG: parent, TASK_TAG: task})
    if found:
        _reopen(client, found[0])
        return found[0]
    marks = {_PARENT_TAG: parent, TASK_TAG: task, PIPELINE_TAG: pipeline_run}
    return _made_once(client, experiment, name, marks, (_PARENT_TAG, TASK_TAG))


def _parent(client: "MlflowClient", experiment: str, pipeline_run: str) -> str:
    """The pipeline run's own run, found or made."""
    # A hash, because a name may hold quotes, which the search language cannot say.
    task = hash_json(["pipeline run", pipeline_run])
    found = _find(client, experiment, {TASK_TAG: task})
    if found:
        return found[0]
    marks = {TASK_TAG: task, PIPELINE_TAG: pipeline_run, **environment_tags()}
    return _made_once(client, experiment, pipeline_run, marks, (TASK_TAG,))


def _made_once(
    client: "MlflowClient",
    experiment: str,
    name: str,
    tags: Mapping[str, str],
    known_by: Sequence[str],
) -> str:
    """A new run, alone with the tags that it is known by: of several the oldest one stays.

    Another process may make one at the same moment. And where the server's answer was lost,
    MLflow's client has asked again, and the server has made a second one.
    """
    client.create_run(experiment, tags=dict(tags), run_name=name)
    time.sleep(_SETTLING_S)
    first, *others = _find(client, experiment, {key: tags[key] for key in known_by})
    for other in others:
        client.delete_run(other)
    return first


def _reopen(client: "MlflowClient", run: str) -> None:
    """Go on with a run; what failed before is no news any more."""
    client.update_run(run, status="RUNNING")
    if ERROR_TAG in client.get_run(run).data.tags:
        client.delete_tag(run, ERROR_TAG)


def _find(client: "MlflowClient", experiment: str, tags: Mapping[str, str]) -> list[str]:
    """Run ids with these tags, the oldest first; deleted runs are none."""
    text = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    runs = client.search_runs([experiment], text)
    return [str(i.run_id) for i in sorted((r.info for r in runs), key=_age)]


def _age(info: Any) -> tuple[int, str]:
    return int(info.start_time), str(info.run_id)
