"""Runs, schedules and logs on a terminal."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from openmofi.errors import InputError
from pipelines.cluster import pods
from pipelines.cluster.api import Api
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.runs import UNDER_WAY, key_of, read_run
from pipelines.cluster.steps import Step, failed_steps, steps_of, titles_of, why_failed
from pipelines.cluster.versions import read_spec
from pipelines.tables import table

_FOLLOW_S = 5.0


def address(api: Api, run_id: str) -> str:
    """Where a browser shows a run; empty behind a forwarded port, which leads to no pages."""
    return f"{api.endpoint.ui}/#/runs/details/{run_id}" if api.endpoint.ui else ""


def read_steps(api: Api, run: Any) -> list[Step]:
    """A run's steps by the graph's titles."""
    return steps_of(run, read_titles(api, run))


def read_titles(api: Api, run: Any) -> dict[str, str]:
    """Titles of the graph; none for a run of no version that can be read."""
    with contextlib.suppress(InputError, ClusterError):
        return titles_of(run.pipeline_spec or read_spec(api, run.pipeline_version_reference))
    return {}


def reason(api: Api, run: Any) -> str:
    """Why a run has failed, in one line."""
    return why_failed(run, read_steps(api, run))


class Progress:
    """Tells one line for each change of a run or of one of its steps."""

    def __init__(self, api: Api, tell: Callable[[str], None]) -> None:
        self._api, self._tell = api, tell
        self._titles: dict[str, str] | None = None
        self._told: dict[str, str] = {}

    def __call__(self, run: Any) -> None:
        """Look at a run as it is now."""
        if self._titles is None:
            self._titles = read_titles(self._api, run)
        lines = {step.title: step.describe() for step in steps_of(run, self._titles)}
        for title, state in {f"run {run.display_name}": run.state.lower(), **lines}.items():
            if self._told.get(title) != state:
                self._told[title] = state
                self._tell(f"{title}: {state}")


def run_table(found: Sequence[Any]) -> str:
    """The latest runs, one a line."""
    rows = [[r.run_id, (r.state or "").lower(), _time(r.created_at), r.display_name] for r in found]
    return table(["run", "state", "begun", "name"], rows) or "there are no runs"


def schedule_table(found: Sequence[Any]) -> str:
    """All schedules, one a line; a name that stands twice has an apply that was cut off."""
    rows = [
        [
            s.display_name,
            {"ENABLED": "on", "DISABLED": "paused"}.get(s.status, str(s.status).lower()),
            _trigger(s.trigger),
            (s.description or "").split("\n")[0] if key_of(s) else "not of ours",
            s.recurring_run_id,
        ]
        for s in sorted(found, key=lambda s: (s.display_name or "", s.recurring_run_id))
    ]
    return table(["schedule", "state", "when", "version", "id"], rows) or "there are no schedules"


def _trigger(trigger: Any) -> str:
    if trigger and trigger.cron_schedule and trigger.cron_schedule.cron:
        return f"cron {trigger.cron_schedule.cron}"
    if trigger and trigger.periodic_schedule:
        return f"every {trigger.periodic_schedule.interval_second} s"
    return "-"


def describe(api: Api, run: Any, namespace: str) -> str:
    """A run, its steps, their pods where kubectl can see them, and why it failed.

    Args:
        api: The API.
        run: With its details.
        namespace: Where its pods live; empty if that is not known.
    """
    steps = read_steps(api, run)
    states: dict[str, list[str]] = {}
    note = ""
    if namespace and run.state in (*UNDER_WAY, "FAILED"):
        try:
            for pod in pods.list_pods(run.run_id, namespace):
                states.setdefault(pod.step, []).append(f"{pod.name} {pod.state}")
        except ClusterError as error:
            note = f"pods are not shown: {error}"
    rows = []
    for step in steps:
        shown = states.get(step.key) or [""]
        row = [step.title, step.describe(), f"{step.seconds:.0f}" if step.seconds else ""]
        rows += [[*row, shown[0]], *(["", "", "", more] for more in shown[1:])]
    head = f"{run.display_name}  {(run.state or '').lower()}  {_time(run.created_at)}"
    parts = [
        f"{head}\n{address(api, run.run_id)}".rstrip(),
        table(["step", "state", "seconds", "pod"], rows),
    ]
    if run.state == "FAILED":
        parts.append(f"failed: {why_failed(run, steps)}")
        parts.append(f"again: python -m pipelines retry {run.run_id}")
    return "\n\n".join(part for part in [*parts, note] if part)


def print_logs(
    api: Api, run: Any, title: str, namespace: str, *, follow: bool, out: TextIO
) -> None:
    """Print the logs of one step, or of all that have begun.

    Args:
        api: The API.
        run: With its details.
        title: Of the step; empty for all.
        namespace: Where its pods live; empty if that is not known.
        follow: Go on until the run has ended.
        out: Where to.

    Raises:
        InputError: There is no such step.
        ClusterError: No log is to be had; the message says where it may lie.
    """
    every = read_steps(api, run)
    steps = [step for step in every if title in ("", step.title, step.key)]
    if not steps:
        begun = ", ".join(step.title for step in every) or "none"
        raise InputError(f"no step {title or 'at all'} has begun in {run.run_id}; begun: {begun}")
    living: list[pods.Pod] = []
    problem = ""
    if namespace:
        try:
            living = pods.list_pods(run.run_id, namespace)
        except ClusterError as error:
            problem = str(error)
    shown = 0
    for step in _failed_first(steps):
        of_step = [pod for pod in living if pod.step == step.key]
        for pod in of_step:
            print(f"== {step.title}: {pod.name}", file=out, flush=True)
            pods.stream_log(pod, namespace, follow=follow)
        shown += len(of_step) or _from_api(api, run, step, follow=follow, out=out)
    if not shown:
        detail = f" ({problem})" if problem else ""
        raise ClusterError(f"no log of {run.run_id}{detail}: {pods.where_logs_lie(namespace)}")


def _failed_first(steps: Sequence[Step]) -> list[Step]:
    failed = failed_steps(steps)
    return failed + [step for step in steps if step not in failed]


def _from_api(api: Api, run: Any, step: Step, *, follow: bool, out: TextIO) -> int:
    """How many logs the API had."""
    shown = 0
    for pod in step.pods:
        head = f"== {step.title}: {pod}\n"
        with contextlib.suppress(ClusterError):
            text = pods.read_log(api, run.run_id, pod)
            out.write(head + text)
            shown += 1
            if follow:
                _follow(api, run.run_id, pod, len(text), out)
    return shown


def _follow(api: Api, run_id: str, pod: str, shown: int, out: TextIO) -> None:
    def write(part: str) -> None:
        out.write(part)
        out.flush()

    def ended() -> bool:
        return read_run(api, run_id).state not in UNDER_WAY

    pods.follow_log(api, run_id, pod, shown=shown, write=write, ended=ended, poll_s=_FOLLOW_S)


def _time(moment: Any) -> str:
    return moment.strftime("%Y-%m-%d %H:%M") if moment else ""
