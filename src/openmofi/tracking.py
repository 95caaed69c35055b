"""MLflow runs of this package: one parent a pipeline run, one child a step, safe to retry.

The tracking server is ``MLFLOW_TRACKING_URI`` (default ``sqlite:///mlflow.db`` in the working
directory), the experiment ``MLFLOW_EXPERIMENT_ID`` or ``MLFLOW_EXPERIMENT_NAME`` (default
``openmofi``). Credentials stay in the environment, where MLflow's client reads them. A retried
task finds its run by name and tags and goes on with it.
"""

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from openmofi import __version__
from openmofi.errors import StorageError
from openmofi.keys import hash_json

if TYPE_CHECKING:
    from mlflow import MlflowClient

PIPELINE_TAG = "openmofi.pipeline_run"
TASK_TAG = "openmofi.task"
_PARENT_TAG = "mlflow.parentRunId"
_DEFAULT_URI = "sqlite:///mlflow.db"
_DEFAULT_EXPERIMENT = "openmofi"

# MLflow's limits (mlflow.utils.validation, 3.17); longer values are refused by the server.
_MAX_KEY, _MAX_PARAM, _MAX_TAG = 250, 6000, 8000
_MAX_DATASET_NAME, _MAX_DATASET_DIGEST = 500, 36
_MAX_PARAMS_A_BATCH, _MAX_METRICS_A_BATCH, _MAX_TAGS_A_BATCH = 100, 1000, 100

# Whole words of a key, so that "tokenizer" and "max_tokens" stay.
_SECRET = re.compile(
    r"(^|[^a-z])(password|passwd|secret|token|credentials?|api_?key|access_?key|private_?key)"
    r"($|[^a-z])"
)
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True)
class TrackedRun:
    """A run that is open: what a step may add to it."""

    client: "MlflowClient"
    run_id: str

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add one value a metric; names such as ``train/loss``, other characters become ``_``."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        entries = [
            Metric(_clean(name), float(value), now, step or 0) for name, value in metrics.items()
        ]
        for start in range(0, len(entries), _MAX_METRICS_A_BATCH):
            self.client.log_batch(
                self.run_id, metrics=entries[start : start + _MAX_METRICS_A_BATCH]
            )

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Add parameters, nested ones as ``a.b``. A value that stands already is kept.

        MLflow's params are write-once: on a retry with another value the new one becomes the tag
        ``retried.<name>``, and the run goes on.
        """
        from mlflow.entities import Param

        given = flatten_params(params)
        present = self.client.get_run(self.run_id).data.params
        new = [Param(key, value) for key, value in given.items() if key not in present]
        for start in range(0, len(new), _MAX_PARAMS_A_BATCH):
            self.client.log_batch(self.run_id, params=new[start : start + _MAX_PARAMS_A_BATCH])
        changed = {key: v for key, v in given.items() if present.get(key, v) != v}
        self.set_tags({f"retried.{key}": value for key, value in changed.items()})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Add or replace tags."""
        from mlflow.entities import RunTag

        entries = [RunTag(key, value) for key, value in _clean_tags(tags).items()]
        for start in range(0, len(entries), _MAX_TAGS_A_BATCH):
            self.client.log_batch(self.run_id, tags=entries[start : start + _MAX_TAGS_A_BATCH])

    def log_file(self, path: Path, folder: str = "") -> None:
        """Attach a file as an artifact, in ``folder`` of the run's artifacts."""
        self.client.log_artifact(self.run_id, str(path), folder or None)

    def log_dataset(self, name: str, *, digest: str, uri: str, context: str = "training") -> None:
        """Name the data version that the run reads, as MLflow's dataset input."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=name[:_MAX_DATASET_NAME],
            digest=digest[:_MAX_DATASET_DIGEST],
            source_type="openmofi",
            source=json.dumps({"uri": uri}),
        )
        tags = [InputTag("mlflow.data.context", context)]
        self.client.log_inputs(self.run_id, [DatasetInput(dataset, tags)])


def tracking_uri() -> str:
    """Where runs are recorded."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _DEFAULT_URI


@contextlib.contextmanager
def tracked_run(
    name: str,
    *,
    pipeline_run: str,
    tags: Mapping[str, str],
    params: Mapping[str, Any],
    metrics: Mapping[str, float] | None = None,
    attach: bool = True,
) -> Iterator[TrackedRun]:
    """Open a run for the block's time; it ends FINISHED, or FAILED with the error as a tag.

    Args:
        name: What the UI shows, such as ``train multitask``.
        pipeline_run: Name of the pipeline run: the parent, found or made by tag. ``""``: none.
        tags: Strings. Name and tags say which task this is: within a pipeline run the same task
            goes on with its run.
        params: Nested plain values; flattened, cut at MLflow's limits, secrets left out.
        metrics: Logged at once.
        attach: Whether to write into the run that ``MLFLOW_RUN_ID`` names, if any. A step's
            second run says ``False`` and becomes a child of that one.

    Raises:
        StorageError: The tracking server cannot be reached or refuses.
    """
    client = mlflow_client()
    with told_in_one_line():
        run = TrackedRun(client, _open_run(client, name, pipeline_run, tags, attach))
        run.set_tags({**_environment_tags(), **tags})
        run.log_params(params)
        run.log_metrics(metrics or {})
    try:
        yield run
    except BaseException as error:
        status = "FAILED" if isinstance(error, Exception) else "KILLED"
        with contextlib.suppress(Exception):  # the first error is the one to tell
            run.set_tags({"openmofi.error": f"{type(error).__name__}: {error}"})
            client.set_terminated(run.run_id, status)
        raise
    with told_in_one_line():
        client.set_terminated(run.run_id, "FINISHED")


def mlflow_client() -> "MlflowClient":
    """A client of the tracking server and registry, which is also made MLflow's default."""
    import mlflow

    with told_in_one_line():
        mlflow.set_tracking_uri(tracking_uri())
        return mlflow.MlflowClient(tracking_uri=tracking_uri())


def flatten_params(params: Mapping[str, Any]) -> dict[str, str]:
    """Params as MLflow takes them: ``{"a": {"b": 1}}`` becomes ``{"a.b": "1"}``.

    Keys that name a secret are left out, user names and passwords are cut from URLs, keys and
    values are cut at MLflow's limits.
    """
    flat: dict[str, str] = {}
    _flatten("", params, flat)
    return flat


def _flatten(prefix: str, value: Any, into: dict[str, str]) -> None:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            if not _SECRET.search(str(key).lower()):
                _flatten(f"{prefix}.{key}" if prefix else str(key), inner, into)
    elif isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value):
        _flatten(prefix, dict(enumerate(value)), into)
    elif prefix:
        into[_clean(prefix)] = _USER_INFO.sub("", str(value))[:_MAX_PARAM]


def _clean(name: str) -> str:
    """A name of the characters that MLflow allows."""
    return re.sub(r"[^\w\-. /:]", "_", name, flags=re.ASCII).strip("/. ")[:_MAX_KEY] or "_"


def _clean_tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {_clean(key): _USER_INFO.sub("", str(v))[:_MAX_TAG] for key, v in tags.items()}


def _environment_tags() -> dict[str, str]:
    found = {
        "openmofi.version": __version__,
        "openmofi.git_commit": os.environ.get("OPENMOFI_GIT_COMMIT", ""),
        "openmofi.image": os.environ.get("OPENMOFI_IMAGE", ""),
    }
    return {key: value for key, value in found.items() if value}


def _open_run(
    client: "MlflowClient", name: str, pipeline_run: str, tags: Mapping[str, str], attach: bool
) -> str:
    """The run to write to: KFP's own (``MLFLOW_RUN_ID``), this task's earlier one, or a new one."""
    given = os.environ.get("MLFLOW_RUN_ID")
    if given and attach:  # set by the MLflow plugin of KFP 2.17, which made one run for this task
        client.update_run(given, status="RUNNING")
        return given
    experiment = client.get_run(given).info.experiment_id if given else _experiment(client)
    if not pipeline_run and not given:
        return str(client.create_run(experiment, run_name=name).info.run_id)
    parent = given or _parent(client, experiment, pipeline_run)
    task = hash_json([name, dict(tags)])
    found = _find(client, experiment, {_PARENT_TAG: parent, TASK_TAG: task})
    if found:
        client.update_run(found[0], status="RUNNING")
        return found[0]
    marks = {_PARENT_TAG: parent, TASK_TAG: task, PIPELINE_TAG: pipeline_run}
    return str(client.create_run(experiment, tags=marks, run_name=name).info.run_id)


def _parent(client: "MlflowClient", experiment: str, pipeline_run: str) -> str:
    """The pipeline run's own run. Of two made at the same moment the older one stays."""
    # A hash, because a name may hold quotes, which the search language cannot say.
    task = hash_json(["pipeline run", pipeline_run])
    found = _find(client, experiment, {TASK_TAG: task})
    if found:
        return found[0]
    marks = {TASK_TAG: task, PIPELINE_TAG: pipeline_run, **_environment_tags()}
    made = str(client.create_run(experiment, tags=marks, run_name=pipeline_run).info.run_id)
    # Nothing tells us when the pipeline ends; a parent that stays RUNNING would look stuck.
    client.set_terminated(made, "FINISHED")
    first = _find(client, experiment, {TASK_TAG: task})[0]
    if first != made:
        client.delete_run(made)
    return first


def _find(client: "MlflowClient", experiment: str, tags: Mapping[str, str]) -> list[str]:
    """Run ids with these tags, the oldest first."""
    text = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    runs = client.search_runs([experiment], text)
    return [str(i.run_id) for i in sorted((r.info for r in runs), key=_age)]


def _age(info: Any) -> tuple[int, str]:
    return int(info.start_time), str(info.run_id)


def _experiment(client: "MlflowClient") -> str:
    given = os.environ.get("MLFLOW_EXPERIMENT_ID")
    if given:
        return given
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or _DEFAULT_EXPERIMENT
    found = client.get_experiment_by_name(name)
    if found:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name, artifact_location=_artifact_location()))
    except Exception:
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)  # another process was first


def _artifact_location() -> str | None:
    """Beside the SQLite file, so that it does not depend on the working directory."""
    parsed = urlparse(tracking_uri())
    if parsed.scheme != "sqlite" or not parsed.path.strip("/"):
        return None  # the server decides
    database = Path(parsed.path.removeprefix("/"))
    return (database.absolute().parent / "mlruns").as_uri()


@contextlib.contextmanager
def told_in_one_line() -> Iterator[None]:
    """Turn what MLflow raises into one line that names the server."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        where = _USER_INFO.sub("", tracking_uri())
        reason = _USER_INFO.sub("", (str(error) or type(error).__name__).splitlines()[0])
        raise StorageError(f"MLflow at {where}: {reason}") from error
