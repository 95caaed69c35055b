"""A run that is open, and what a step may add to it."""

import contextlib
import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openmofi.tracking.opening import ERROR_TAG, environment_tags, open_run, settle_parent
from openmofi.tracking.server import mlflow_client, told_in_one_line
from openmofi.tracking.values import clean_name, clean_tags, flatten_params, without_secrets

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

# MLflow's limits (mlflow.utils.validation, 3.17); more is refused by the server.
_MAX_DATASET_NAME, _MAX_DATASET_DIGEST = 500, 36
_MAX_PARAMS_A_BATCH, _MAX_METRICS_A_BATCH, _MAX_TAGS_A_BATCH = 100, 1000, 100


@dataclass(frozen=True)
class TrackedRun:
    """A run that is open: what a step may add to it.

    Attributes:
        client: Of the tracking server.
        run_id: MLflow's.
        parent_id: Of the pipeline's run above; empty where there is none.
    """

    client: "MlflowClient"
    run_id: str
    parent_id: str = ""

    @property
    def parent(self) -> "TrackedRun | None":
        """The pipeline's run, for what stands for all of it."""
        return TrackedRun(self.client, self.parent_id) if self.parent_id else None

    def log_metrics(
        self,
        metrics: Mapping[str, float],
        step: int | None = None,
        *,
        at: int | None = None,
        model_id: str = "",
        dataset: tuple[str, str] | None = None,
    ) -> None:
        """Add one value a metric; names such as ``train/loss``, other characters become ``_``.

        Args:
            metrics: By name; what is not finite is left out where it belongs to a model.
            step: Of a training; None for what is measured once, and logged once: a second run of
                the step leaves what stands already.
            at: When, in milliseconds since 1970; None for now. A second call with the same time
                adds no second point.
            model_id: The logged model that was measured.
            dataset: Name and digest of what it was measured on.
        """
        from mlflow.entities import Metric

        now = int(time.time() * 1000) if at is None else at
        name, digest = dataset or (None, None)
        entries = [
            Metric(clean_name(key), float(v), now, step or 0, model_id or None, name, digest)
            for key, v in metrics.items()
            if not model_id or math.isfinite(v)
        ]
        if step is None:
            entries = self._not_there(entries)
        for start in range(0, len(entries), _MAX_METRICS_A_BATCH):
            self.client.log_batch(
                self.run_id, metrics=entries[start : start + _MAX_METRICS_A_BATCH]
            )

    def _not_there(self, entries: "list[Metric]") -> "list[Metric]":
        """Those that the run does not have with this value."""
        present = self.client.get_run(self.run_id).data.metrics if entries else {}
        return [one for one in entries if present.get(one.key) != one.value]

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

        entries = [RunTag(key, value) for key, value in clean_tags(tags).items()]
        for start in range(0, len(entries), _MAX_TAGS_A_BATCH):
            self.client.log_batch(self.run_id, tags=entries[start : start + _MAX_TAGS_A_BATCH])

    def log_file(self, path: Path, folder: str = "") -> None:
        """Attach a file as an artifact, in ``folder`` of the run's artifacts."""
        self.client.log_artifact(self.run_id, str(path), folder or None)

    def log_dataset(
        self,
        name: str,
        *,
        digest: str,
        uri: str,
        context: str = "training",
        facts: Mapping[str, Any] | None = None,
    ) -> tuple[str, str]:
        """Name the data version that the run reads, as MLflow's dataset input.

        Args:
            name: What ``dataset.name = '…'`` finds.
            digest: Of the version.
            uri: Where it lies.
            context: ``training`` or ``evaluation``.
            facts: Shown beside it, such as ``num_rows``.

        Returns:
            Name and digest as MLflow has them, for the metrics measured on it.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=name[:_MAX_DATASET_NAME],
            digest=digest[:_MAX_DATASET_DIGEST],
            source_type="openmofi",
            source=json.dumps({"uri": without_secrets(uri)}),
            profile=json.dumps(dict(facts)) if facts else None,
        )
        tags = [InputTag("mlflow.data.context", context)]
        self.client.log_inputs(self.run_id, [DatasetInput(dataset, tags)])
        return str(dataset.name), str(dataset.digest)


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
        name: What the UI shows, such as ``train mofi: multitask on 3d830119``.
        pipeline_run: Name of the pipeline run: the parent, found or made by tag. ``""``: none.
        tags: Strings. Name and tags say which task this is: within a pipeline run the same task
            goes on with its run.
        params: Nested plain values; flattened, cut at MLflow's limits, secrets left out.
        metrics: Logged at once.
        attach: Whether to write into the run that ``MLFLOW_RUN_ID`` names, if any. A step's
            second run says ``False`` and stands beside that one.

    Raises:
        InputError: The experiment, or the run that ``MLFLOW_RUN_ID`` names, is deleted.
        StorageError: The tracking server cannot be reached or refuses.
    """
    client = mlflow_client()
    with told_in_one_line():
        opened = open_run(client, name, pipeline_run, tags, attach)
        run = TrackedRun(client, opened.run, opened.parent)
        run.set_tags({**environment_tags(), **tags})
        run.log_params(params)
        run.log_metrics(metrics or {})
    try:
        with told_in_one_line():
            yield run
    except BaseException as error:
        status = "FAILED" if isinstance(error, Exception) else "KILLED"
        with contextlib.suppress(Exception):  # the first error is the one to tell
            run.set_tags({ERROR_TAG: f"{type(error).__name__}: {error}"})
            client.set_terminated(run.run_id, status)
            settle_parent(client, opened)
        raise
    with told_in_one_line():
        client.set_terminated(run.run_id, "FINISHED")
        settle_parent(client, opened)
