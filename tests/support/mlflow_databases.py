"""MLflow on SQLite for tests, without the second of migrations that a new database takes."""

import functools
import shutil
import tempfile
from pathlib import Path


def new_database(folder: Path) -> str:
    """Address of an empty registry and tracking store, ``mlflow.db`` in ``folder``."""
    shutil.copy(Path(_migrated().name) / "mlflow.db", folder / "mlflow.db")
    return f"sqlite:///{folder}/mlflow.db"


@functools.cache
def _migrated() -> "tempfile.TemporaryDirectory[str]":
    """The folder of one whose tables are made, removed when the process ends."""
    from mlflow import MlflowClient

    folder = tempfile.TemporaryDirectory(prefix="openmofi-mlflow-")
    client = MlflowClient(tracking_uri=f"sqlite:///{folder.name}/mlflow.db")
    client.search_experiments()
    client.search_registered_models()
    return folder
