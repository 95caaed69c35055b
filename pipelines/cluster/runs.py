"""Runs: submitted once by name, found, followed, retried, cancelled."""

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from openmofi.errors import InputError
from pipelines.cluster.api import Api
from pipelines.cluster.errors import EndedError, NotThereError, UncertainError
from pipelines.cluster.listing import exactly, within
from pipelines.cluster.versions import Version

RUNS_API = "RunServiceApi"
UNDER_WAY = ("PENDING", "RUNNING", "PAUSED", "CANCELING", "RUNTIME_STATE_UNSPECIFIED")
# How long a run is looked for whose answer was lost, in seconds between looks.
LOOKS = (0.0, 2.0, 4.0, 8.0, 16.0)
_KEY = re.compile(r"openmofi-key: ([0-9a-f]{64})")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Wanted:
    """A run as it is asked for.

    Args:
        name: Unique in its experiment: submitted again, it is the same run.
        experiment_id: Where it is listed.
        version: What runs.
        parameters: The pipeline's.
        service_account: Of its pods; empty for the server's default.
        mlflow_experiment: For KFP's MLflow plug-in; empty leaves the plug-in to itself.
    """

    name: str
    experiment_id: str
    version: Version
    parameters: Mapping[str, Any]
    service_account: str = ""
    mlflow_experiment: str = ""

    def key(self) -> str:
        """Digest of all that decides what the run does."""
        return digest(
            self.version.name, self.parameters, self.service_account, self.mlflow_experiment
        )


def digest(*parts: Any) -> str:
    """SHA-256 of values that JSON can hold; the order of keys does not count."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=dict)
    return hashlib.sha256(canonical.encode()).hexdigest()


def submit(api: Api, wanted: Wanted) -> tuple[Any, bool]:
    """Start a run, or find the one of its name that was started before.

    Where an answer is lost the run is looked for, and never asked for again: the server may still
    be at it. Two that were submitted at the same moment are told apart by age; the younger ends.

    Returns:
        The run, and whether this call has started it.

    Raises:
        InputError: The name is taken by a run of something else.
        UncertainError: The answer was lost, and no such run has come to be so far.
    """
    found = _settle(api, wanted)
    if found is not None:
        return found, False
    try:
        made = api.write(
            f"starting run {wanted.name}", RUNS_API, "run_service_create_run", _body(wanted)
        )
        if not made.run_id:
            raise UncertainError(f"starting run {wanted.name}: {api.endpoint.url} gave no id")
    except UncertainError as error:
        return _await_appearance(api, wanted, error), True
    first = _settle(api, wanted) or made
    return first, first.run_id == made.run_id


def what_runs(wanted: Any) -> dict[str, Any]:
    """What the API's runs and schedules have in common.

    Args:
        wanted: A `Wanted`, or a schedule's twin of it.
    """
    import kfp_server_api as models

    mlflow = {"mlflow": {"experiment_name": wanted.mlflow_experiment}}
    return {
        "display_name": wanted.name,
        "experiment_id": wanted.experiment_id,
        "description": f"{wanted.version.name}\nopenmofi-key: {wanted.key()}",
        "pipeline_version_reference": models.V2beta1PipelineVersionReference(
            pipeline_id=wanted.version.pipeline_id, pipeline_version_id=wanted.version.version_id
        ),
        "runtime_config": models.V2beta1RuntimeConfig(parameters=dict(wanted.parameters)),
        "service_account": wanted.service_account or None,
        "plugins_input": mlflow if wanted.mlflow_experiment else None,
    }


def _body(wanted: Wanted) -> Any:
    import kfp_server_api as models

    return models.V2beta1Run(**what_runs(wanted))


def _await_appearance(api: Api, wanted: Wanted, error: UncertainError) -> Any:
    for pause in LOOKS:
        api.sleep(pause)
        found = _settle(api, wanted)
        if found is not None:
            return found
    raise UncertainError(
        f"{error}; no run of this name is there so far: give the same command again with "
        f"--run-name {wanted.name}, which finds it should it come late"
    )


def _settle(api: Api, wanted: Wanted) -> Any:
    """The oldest run of the name, or None; younger ones end, whoever has started them."""
    named = runs_named(api, wanted.name, experiment_id=wanted.experiment_id)
    for run in named:
        if key_of(run) != wanted.key():
            raise InputError(
                f"run {wanted.name} is there already with another version or configuration "
                f"({run.run_id}): choose another --run-name"
            )
    for run in named[1:]:
        cancel(api, run.run_id)
    return named[0] if named else None


def key_of(item: Any) -> str:
    """The key in a description of ours; empty in others'."""
    found = _KEY.search(item.description or "")
    return found[1] if found else ""


def runs_named(api: Api, name: str, **options: str) -> list[Any]:
    """Runs of a name, the oldest first."""
    listed = api.pages(
        f"looking for run {name}",
        RUNS_API,
        "run_service_list_runs",
        "runs",
        filter=exactly("display_name", name),
        **options,
    )
    return sorted((run for run in listed if run.display_name == name), key=_age)


def _age(run: Any) -> tuple[str, str]:
    return (run.created_at.isoformat() if run.created_at else "", run.run_id)


def find_run(api: Api, given: str, namespace: str) -> Any:
    """A run by its id, or the youngest of a name.

    Raises:
        InputError: There is none.
    """
    if _ID.fullmatch(given):
        return read_run(api, given)
    named = runs_named(api, given, **within(namespace))
    if not named:
        where = f" in namespace {namespace}" if namespace else ""
        raise InputError(f"no run {given}{where}; `python -m pipelines status` lists the latest")
    return read_run(api, named[-1].run_id)


def read_run(api: Api, run_id: str) -> Any:
    """A run with its steps.

    Raises:
        InputError: There is none of this id.
    """
    try:
        run = api.read(f"reading run {run_id}", RUNS_API, "run_service_get_run", run_id)
    except NotThereError:
        raise InputError(f"no run {run_id} at {api.endpoint.url}") from None
    if run.run_id != run_id:
        raise UncertainError(f"reading run {run_id}: {api.endpoint.url} gave another one")
    return run


def latest_runs(api: Api, namespace: str, number: int = 10) -> list[Any]:
    """The youngest runs, the youngest first."""
    answer = api.read(
        "listing runs",
        RUNS_API,
        "run_service_list_runs",
        page_size=number,
        sort_by="created_at desc",
        **within(namespace),
    )
    return list(answer.runs or [])


def cancel(api: Api, run_id: str) -> bool:
    """End a run.

    Returns:
        Whether it was under way.
    """
    if read_run(api, run_id).state not in UNDER_WAY:
        return False
    api.read(f"cancelling run {run_id}", RUNS_API, "run_service_terminate_run", run_id)
    return True


def retry(api: Api, run_id: str) -> bool:
    """Start the failed steps of a run again; those that have ended well stay as they are.

    Returns:
        Whether this call has done so; false for a run that is under way already.

    Raises:
        InputError: It has ended well: there is nothing to retry.
        UncertainError: The answer was lost, and the run is as it was.
    """
    state = read_run(api, run_id).state
    if state in UNDER_WAY:
        return False
    if state not in ("FAILED", "CANCELED"):
        raise InputError(f"run {run_id} is {state.lower()}: there is nothing to retry")
    try:
        api.write(f"retrying run {run_id}", RUNS_API, "run_service_retry_run", run_id)
    except UncertainError:
        for pause in LOOKS:
            api.sleep(pause)
            if read_run(api, run_id).state in UNDER_WAY:
                return True
        raise
    return True


def wait(
    api: Api,
    run_id: str,
    *,
    show: Callable[[Any], None],
    poll_s: float,
    timeout_s: float | None,
    clock: Callable[[], float] = time.monotonic,
) -> Any:
    """Follow a run until it has ended.

    Args:
        api: The API.
        run_id: The run.
        show: Gets the run at every look.
        poll_s: Seconds between looks.
        timeout_s: How long; for ever if None. The run goes on when it is over.
        clock: Seconds that only grow.

    Raises:
        EndedError: Code 3: the time is over.
    """
    end = None if timeout_s is None else clock() + timeout_s
    while True:
        run = read_run(api, run_id)
        show(run)
        if run.state not in UNDER_WAY:
            return run
        if end is not None and clock() + poll_s > end:
            raise EndedError(
                f"run {run_id} is still {run.state.lower()} after {timeout_s:g} s; it goes on", 3
            )
        api.sleep(poll_s)
