"""Registries for tests: versions as a registration leaves them, clients that die, real servers."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openmofi.registry import turns
from openmofi.registry.turns import Pace

REPOSITORY = Path(__file__).parents[2]

# What changes something, of MLflow's client; its fluent functions come through these, too.
WRITES = (
    "create_registered_model", "set_registered_model_alias", "delete_registered_model_alias",
    "set_registered_model_tag", "delete_registered_model_tag", "update_registered_model",
    "_create_model_version", "set_model_version_tag", "delete_model_version_tag", "log_batch",
    "log_inputs", "create_run", "set_terminated",
)  # fmt: skip


class KilledError(Exception):
    """The process is gone: nothing that it does after this reaches the server."""


def die_after(patch: pytest.MonkeyPatch, writes: int) -> list[str]:
    """Let this process's MLflow clients make so many writes; return the list of those made."""
    from mlflow import MlflowClient

    made: list[str] = []
    # No beats, which would count as writes on a busy machine.
    patch.setattr(turns, "Pace", lambda: Pace(beat_s=900, dead_after_s=900, poll_s=0.02))

    def dying(name: str, write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if len(made) >= writes:
                raise KilledError(name)
            found = write(*args, **kwargs)
            made.append(name)
            return found

        return call

    for name in WRITES:
        patch.setattr(MlflowClient, name, dying(name, getattr(MlflowClient, name)))
    return made


def bury(client: Any, name: str) -> None:
    """Pass over whoever is dead, without the wait that `turns` needs to know it."""
    for key in client.get_registered_model(name).tags:
        if key.startswith("openmofi.turn."):
            client.delete_registered_model_tag(name, key)


def add_version(
    client: Any, name: str, *, decision: str = "accepted", compared: str = "", complete: bool = True
) -> str:
    """A version with the tags of a registration, without a model; returns its number."""
    record = {
        "decision": decision,
        "reasons": [f"it was {decision}"],
        "metric": "retrieval/map",
        "value": 50.0,
        "difference": {"value": 1.0, "low": None, "high": 2.5} if compared else None,
        "champion": {"version": compared, "model_uri": "x"} if compared else None,
        "dataset": "d" * 32,
    }
    tags = {"openmofi.record": json.dumps(record), "openmofi.model_uri": "x"}
    if complete:
        tags["openmofi.complete"] = "true"
    return str(client.create_model_version(name, "file:///none", tags=tags).version)


@contextlib.contextmanager
def mlflow_on_postgresql() -> Iterator[str]:
    """Address of an MLflow server of `stack`; skips where it cannot be started."""
    from stack import settings
    from support.stacks import port_options, run_stack, stack_folder

    with stack_folder() as around:
        folder = around / "stack"
        run_stack("up", folder, *port_options())
        try:
            found = settings.load(folder)
            assert found
            yield found.tracking_uri
        finally:
            run_stack("down", folder, "--purge")
