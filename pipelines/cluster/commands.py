"""The commands that speak to a cluster."""

import argparse
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

from openmofi.errors import InputError
from pipelines.cluster import runs, schedules, show
from pipelines.cluster.api import Api
from pipelines.cluster.endpoint import find_endpoint, port_forward
from pipelines.cluster.errors import EndedError
from pipelines.cluster.listing import make_experiment, user_namespace, within
from pipelines.cluster.notes import tell
from pipelines.cluster.options import CHANGES, run_name
from pipelines.cluster.timing import read_timing
from pipelines.cluster.versions import Package, Version, upload

Command = Callable[[argparse.Namespace], int]


def run_command(name: str, arguments: argparse.Namespace) -> int:
    """Run one command.

    Returns:
        0; 1 for a run that was waited for and failed, 3 if the time was over before it ended, 130
        after an interrupt.
    """
    try:
        with _terminable():
            return _COMMANDS[name](arguments)
    except EndedError as error:
        tell(str(error))
        return error.code
    except KeyboardInterrupt:
        tell("interrupted; what runs on the cluster goes on (cancel ends it)")
        return 130


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM unwind as an interrupt does, so that kubectl is not left behind."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _connected(arguments: argparse.Namespace) -> Iterator[tuple[Api, str]]:
    """The API, and the namespace to name in its calls."""
    if arguments.port_forward and arguments.endpoint:
        raise InputError("give --endpoint or --port-forward, not both")
    with contextlib.ExitStack() as stack:
        if arguments.port_forward:
            endpoint = stack.enter_context(port_forward(arguments.port_forward))
        else:
            endpoint = find_endpoint(arguments.endpoint)
        api = Api(endpoint)
        yield api, user_namespace(api, arguments.namespace)


def _check_address(arguments: argparse.Namespace) -> None:
    """Before the inputs are looked at, which takes longer."""
    if not arguments.port_forward:
        find_endpoint(arguments.endpoint).bearer()


def _place(
    api: Api, namespace: str, package: Package, arguments: argparse.Namespace
) -> tuple[Version, str]:
    version = upload(api, package, namespace)
    state = "uploaded" if version.new else "there already"
    tell(f"version {version.name} of {package.pipeline}: {state}")
    experiment = arguments.experiment or package.pipeline
    return version, make_experiment(api, experiment, namespace)


def _submit(arguments: argparse.Namespace) -> int:
    _check_address(arguments)
    name = run_name(arguments)
    from pipelines.cluster.content import read_content  # imports all that a graph needs

    content = read_content(arguments, name)
    with _connected(arguments) as (api, namespace):
        version, experiment_id = _place(api, namespace, content.package, arguments)
        wanted = runs.Wanted(
            name,
            experiment_id,
            version,
            content.parameters,
            arguments.service_account,
            arguments.mlflow_experiment,
        )
        run, new = runs.submit(api, wanted)
        if not new:
            tell(f"run {name} was submitted before; it is {run.state.lower()}")
        print(f"{run.run_id}\n{show.address(api, run.run_id)}".rstrip(), flush=True)
        return _wait(api, run.run_id, arguments) if arguments.wait else 0


def _wait(api: Api, run_id: str, arguments: argparse.Namespace) -> int:
    progress = show.Progress(api, tell)
    run = runs.wait(api, run_id, show=progress, poll_s=arguments.poll, timeout_s=arguments.timeout)
    if run.state in ("SUCCEEDED", "SKIPPED"):
        tell(f"run {run_id} has ended well")
        return 0
    if run.state == "CANCELED":
        raise EndedError(f"run {run_id} was cancelled", 1)
    raise EndedError(f"run {run_id}: {show.reason(api, run)}", 1)


def _schedule(arguments: argparse.Namespace) -> int:
    verb = arguments.name
    if verb == "list" or verb in CHANGES:
        return _change_schedule(verb, arguments)
    if arguments.schedule or arguments.config is None:
        raise InputError(f"schedule {verb} needs --config FILE, and --cron or --every")
    timing = read_timing(arguments.cron, arguments.every)
    _check_address(arguments)
    name = arguments.schedule_name or verb
    from pipelines.cluster.content import read_content

    content = read_content(arguments, f"{name}-{schedules.PLANNED_TIME}")
    with _connected(arguments) as (api, namespace):
        version, experiment_id = _place(api, namespace, content.package, arguments)
        wanted = schedules.WantedSchedule(
            name,
            experiment_id,
            namespace,
            version,
            timing,
            content.parameters,
            arguments.service_account,
            arguments.mlflow_experiment,
            enabled=not arguments.paused,
        )
        zone = ", UTC unless the server says otherwise" if timing.cron else ""
        print(f"{name}: {schedules.apply(api, wanted)} ({timing}{zone})")
    return 0


def _change_schedule(verb: str, arguments: argparse.Namespace) -> int:
    if verb != "list" and not arguments.schedule:
        raise InputError(f"schedule {verb} which? `python -m pipelines schedule list` shows them")
    with _connected(arguments) as (api, namespace):
        if verb == "list":
            print(show.schedule_table(schedules.all_schedules(api, **within(namespace))))
        else:
            print(schedules.change(api, verb, arguments.schedule, namespace))
    return 0


def _status(arguments: argparse.Namespace) -> int:
    with _connected(arguments) as (api, namespace):
        if not arguments.run_id:
            print(show.run_table(runs.latest_runs(api, namespace)))
            return 0
        run = runs.find_run(api, arguments.run_id, namespace)
        place = namespace or arguments.port_forward
        print(show.describe(api, run, place))
    return 0


def _logs(arguments: argparse.Namespace) -> int:
    with _connected(arguments) as (api, namespace):
        run = runs.find_run(api, arguments.run_id, namespace)
        show.print_logs(
            api,
            run,
            arguments.step,
            namespace or arguments.port_forward,
            follow=arguments.follow,
            out=sys.stdout,
        )
    return 0


def _retry(arguments: argparse.Namespace) -> int:
    with _connected(arguments) as (api, namespace):
        run_id: str = runs.find_run(api, arguments.run_id, namespace).run_id
        started = runs.retry(api, run_id)
        print(f"{run_id}: {'its failed steps start again' if started else 'under way already'}")
        return _wait(api, run_id, arguments) if arguments.wait else 0


def _cancel(arguments: argparse.Namespace) -> int:
    with _connected(arguments) as (api, namespace):
        run: Any = runs.find_run(api, arguments.run_id, namespace)
        ended = runs.cancel(api, run.run_id)
        print(f"{run.run_id}: {'is ended' if ended else f'{run.state.lower()} already'}")
    return 0


_COMMANDS: dict[str, Command] = {
    "submit": _submit,
    "schedule": _schedule,
    "status": _status,
    "logs": _logs,
    "retry": _retry,
    "cancel": _cancel,
}
