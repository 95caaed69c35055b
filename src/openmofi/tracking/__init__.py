"""MLflow runs of this package: one parent a pipeline run, one child a step, safe to retry.

The tracking server is ``MLFLOW_TRACKING_URI`` (default ``sqlite:///mlflow.db`` in the working
directory), the experiment ``MLFLOW_EXPERIMENT_ID`` or ``MLFLOW_EXPERIMENT_NAME`` (default
``openmofi``). Credentials stay in the environment, where MLflow's client reads them. A retried
task finds its run by name and tags and goes on with it.
"""

from openmofi.tracking.opening import PIPELINE_TAG, TASK_TAG
from openmofi.tracking.runs import TrackedRun, tracked_run
from openmofi.tracking.server import compare_url, mlflow_client, told_in_one_line, tracking_uri
from openmofi.tracking.values import flatten_params

__all__ = [
    "PIPELINE_TAG",
    "TASK_TAG",
    "TrackedRun",
    "compare_url",
    "flatten_params",
    "mlflow_client",
    "told_in_one_line",
    "tracked_run",
    "tracking_uri",
]
