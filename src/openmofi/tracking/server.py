"""The tracking server: its client, the experiment, and errors in one line."""

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlparse

from openmofi.errors import InputError, StorageError
from openmofi.tracking.values import without_secrets

if TYPE_CHECKING:
    from mlflow import MlflowClient

_DEFAULT_URI = "sqlite:///mlflow.db"
_DEFAULT_EXPERIMENT = "openmofi"


def given_uri() -> str:
    """The address as the environment has it, with the password that it may hold."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _DEFAULT_URI


def tracking_uri() -> str:
    """Where runs are recorded.

    User and password of a server's address go to the variables that MLflow's client has for them:
    it puts the address into what it prints and raises.
    """
    uri = given_uri()
    parsed = urlparse(uri)
    if parsed.scheme not in {"http", "https"} or parsed.username is None:
        return uri
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parsed.username)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parsed.password or "")
    os.environ["MLFLOW_TRACKING_URI"] = without_secrets(uri)
    return os.environ["MLFLOW_TRACKING_URI"]


def mlflow_client() -> "MlflowClient":
    """A client of the tracking server and registry, which is also made MLflow's default."""
    import mlflow

    # It prints the address of each run, with the password that the tracking URI may hold, between
    # what a command prints as its result.
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    with told_in_one_line():
        mlflow.set_tracking_uri(tracking_uri())
        return mlflow.MlflowClient(tracking_uri=tracking_uri())


def compare_url(runs: Sequence[str]) -> str:
    """Address of the UI's page that shows runs side by side; empty if no server shows one.

    Args:
        runs: MLflow run ids, two or more.
    """
    if not tracking_uri().startswith("http") or len(runs) < 2:
        return ""
    client = mlflow_client()
    with told_in_one_line():
        found = dict.fromkeys(client.get_run(run).info.experiment_id for run in runs)
    base = without_secrets(tracking_uri()).rstrip("/")
    shown = {"runs": list(runs), "experiments": list(found)}
    query = "&".join(f"{key}={quote(json.dumps(value))}" for key, value in shown.items())
    return f"{base}/#/compare-runs?{query}"


def find_experiment(client: "MlflowClient") -> str:
    """Id of the experiment that the environment names, made if there is none of that name.

    Raises:
        InputError: It is deleted; what a person removed is not brought back unasked.
    """
    given = os.environ.get("MLFLOW_EXPERIMENT_ID")
    if given:
        return _active(client.get_experiment(given))
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or _DEFAULT_EXPERIMENT
    found = client.get_experiment_by_name(name)
    if found:
        return _active(found)
    try:
        return str(client.create_experiment(name, artifact_location=_artifact_location()))
    except Exception:
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return _active(found)  # another process was first


def _active(experiment: Any) -> str:
    if experiment.lifecycle_stage != "active":
        raise InputError(
            f"MLflow experiment {experiment.name} is deleted; restore it (mlflow experiments "
            f"restore -x {experiment.experiment_id}), or name another in MLFLOW_EXPERIMENT_NAME"
        )
    return str(experiment.experiment_id)


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

    # Of artifacts, which go through the server; MLflow brings the library.
    from requests import RequestException  # type: ignore[import-untyped]

    try:
        yield
    except (MlflowException, RequestException) as error:
        where = without_secrets(tracking_uri())
        reason = without_secrets((str(error) or type(error).__name__).splitlines()[0])
        raise StorageError(f"MLflow at {where}: {reason}") from error
