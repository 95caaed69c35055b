"""Schedules, applied by digest: the server can't change one, only make, delete and switch.

An apply makes the new one switched off, switches the old off and the new on, and deletes the old.
Wherever that is cut off, one of the two stays, never are two on, and the same command again brings
it to its end.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openmofi.errors import InputError
from pipelines.cluster.api import Api
from pipelines.cluster.errors import ClusterError, NotThereError, TakenError, UncertainError
from pipelines.cluster.listing import one_of, within
from pipelines.cluster.runs import LOOKS, RUNS_API, UNDER_WAY, digest, key_of, what_runs
from pipelines.cluster.timing import Timing
from pipelines.cluster.versions import Version

SCHEDULES_API = "RecurringRunServiceApi"
# The server puts the time for which a run was planned, in UTC, in place of this.
PLANNED_TIME = "[[ScheduledTime]]"


@dataclass(frozen=True)
class WantedSchedule:
    """A schedule as it is asked for.

    Args:
        name: Unique in its experiment.
        experiment_id: Where its runs are listed.
        namespace: Of a server with several users; empty on others.
        version: What runs; newer versions do not, until they are applied.
        timing: When.
        parameters: The pipeline's.
        service_account: Of its pods; empty for the server's default.
        mlflow_experiment: For KFP's MLflow plug-in; empty leaves the plug-in to itself.
        enabled: False keeps it paused.
    """

    name: str
    experiment_id: str
    namespace: str
    version: Version
    timing: Timing
    parameters: Mapping[str, Any]
    service_account: str = ""
    mlflow_experiment: str = ""
    enabled: bool = True

    def key(self) -> str:
        """Digest of all that a schedule can't change; being on or off is a switch of its own."""
        return digest(
            self.version.name,
            str(self.timing),
            self.parameters,
            self.service_account,
            self.mlflow_experiment,
        )

    def body(self) -> Any:
        """As the API takes it: off, one run at a time, nothing made up for."""
        import kfp_server_api as models

        return models.V2beta1RecurringRun(
            **what_runs(self),
            max_concurrency="1",
            no_catchup=True,
            mode="DISABLE",
            trigger=self.timing.trigger(),
            namespace=self.namespace or None,
        )


def apply(api: Api, wanted: WantedSchedule) -> str:
    """Have the server hold this schedule and no other of its name.

    Returns:
        ``created``, ``replaced``, ``unchanged``, ``resumed``, ``paused`` or, where an earlier
        apply had been cut off, ``mended``.

    Raises:
        InputError: One of this name was made elsewhere.
        ClusterError: Nothing has changed, or the message says what is left to do.
    """
    before = of_name(api, wanted.name, experiment_id=wanted.experiment_id)
    _refuse_beside_foreign(before)
    same, others = _split(before, wanted)
    if others or not same:
        _refuse_while_running(api, wanted, same)
    if not same:
        _make(api, wanted)
        after = of_name(api, wanted.name, experiment_id=wanted.experiment_id)
        same, others = _split(after, wanted)
        _withdraw_beside_another(api, before, same, others)
    if not same:
        raise ClusterError(f"schedule {wanted.name} vanished while it was made: apply it again")
    keep, others = same[0], [*same[1:], *others]
    made = keep.recurring_run_id not in _ids(before)
    _switch_off(api, wanted, others, keep=keep, made=made)
    with _telling(f"{wanted.name} may be paused: apply it again"):
        switched = _switch(api, keep, on=wanted.enabled)
    with _telling("the new one has taken its place, the old one is paused: apply it again"):
        for schedule in others:
            _delete(api, schedule)
    if not before:
        return "created"
    if made:
        return "replaced"
    if others:
        return "mended"
    return ("resumed" if wanted.enabled else "paused") if switched else "unchanged"


@contextlib.contextmanager
def _telling(left: str) -> Iterator[None]:
    try:
        yield
    except ClusterError as error:
        raise type(error)(f"{error}; {left}") from None


def _refuse_beside_foreign(schedules: Sequence[Any]) -> None:
    for schedule in schedules:
        if not key_of(schedule):
            raise InputError(
                f"a schedule {schedule.display_name} is there that was not made here, and it is "
                "not ours to delete: choose another --schedule-name"
            )


def _split(found: Sequence[Any], wanted: WantedSchedule) -> tuple[list[Any], list[Any]]:
    same = [schedule for schedule in found if key_of(schedule) == wanted.key()]
    return same, [schedule for schedule in found if key_of(schedule) != wanted.key()]


def _ids(schedules: Sequence[Any]) -> set[str]:
    return {str(schedule.recurring_run_id) for schedule in schedules}


def _make(api: Api, wanted: WantedSchedule) -> None:
    what = f"making schedule {wanted.name}"
    call = "recurring_run_service_create_recurring_run"
    try:
        api.write(what, SCHEDULES_API, call, wanted.body())
    except UncertainError:
        # It may still come, switched off: harmless, and found by the next apply.
        for pause in LOOKS:
            api.sleep(pause)
            found = of_name(api, wanted.name, experiment_id=wanted.experiment_id)
            if _split(found, wanted)[0]:
                return
        raise


def _withdraw_beside_another(
    api: Api, before: Sequence[Any], same: Sequence[Any], others: Sequence[Any]
) -> None:
    """Two applies at once would each delete the other's: whoever sees that takes its own back."""
    if not _ids(others) - _ids(before):
        return
    for schedule in same:
        _delete(api, schedule)
    raise TakenError("somebody else applies this schedule at this moment: look, and apply again")


def _refuse_while_running(api: Api, wanted: WantedSchedule, keep: Sequence[Any]) -> None:
    """The server counts runs by schedule: a new one would start beside a run of an old one.

    A schedule that was deleted has left its runs, so theirs count too.
    """
    existing = all_schedules(api, experiment_id=wanted.experiment_id)
    apart = _ids([schedule for schedule in existing if schedule.display_name != wanted.name])
    listed = api.pages(
        f"looking for runs of schedule {wanted.name}",
        RUNS_API,
        "run_service_list_runs",
        "runs",
        experiment_id=wanted.experiment_id,
        filter=one_of("state", UNDER_WAY),
    )
    for run in listed:
        ours = run.recurring_run_id and run.recurring_run_id not in apart | _ids(keep)
        if ours and run.state in UNDER_WAY:
            raise ClusterError(
                f"a run that schedule {wanted.name} has started before is under way "
                f"({run.run_id}); now another could start beside it: wait for it, or cancel it"
            )


def _switch_off(
    api: Api, wanted: WantedSchedule, others: Sequence[Any], *, keep: Any, made: bool
) -> None:
    """Where a run has started meanwhile, all is put back as it was."""
    if not others:
        return
    switched = [schedule for schedule in others if _switch(api, schedule, on=False)]
    try:
        _refuse_while_running(api, wanted, [keep])
    except ClusterError:
        if made:
            _delete(api, keep)
        for schedule in switched:
            _switch(api, schedule, on=True, known=False)
        raise


def _switch(api: Api, schedule: Any, *, on: bool, known: bool = True) -> bool:
    """Pause or resume; false where it is so already."""
    if known and (schedule.status == "ENABLED") == on:
        return False
    verb = "enable" if on else "disable"
    call = f"recurring_run_service_{verb}_recurring_run"
    what = f"{'resuming' if on else 'pausing'} schedule {schedule.display_name}"
    api.read(what, SCHEDULES_API, call, schedule.recurring_run_id)
    return True


def _delete(api: Api, schedule: Any) -> None:
    """Its runs stay: by the server's default they would be deleted with it, even under way."""
    what = f"deleting schedule {schedule.display_name}"
    call = "recurring_run_service_delete_recurring_run"
    with contextlib.suppress(NotThereError):
        api.read(what, SCHEDULES_API, call, schedule.recurring_run_id, propagation_policy="ORPHAN")


def of_name(api: Api, name: str, **options: str) -> list[Any]:
    """Schedules of a name, the oldest first."""
    found = [s for s in all_schedules(api, **options) if s.display_name == name]
    return sorted(
        found, key=lambda s: (s.created_at.isoformat() if s.created_at else "", s.recurring_run_id)
    )


def all_schedules(api: Api, **options: str) -> list[Any]:
    """All schedules in a namespace or experiment."""
    call = "recurring_run_service_list_recurring_runs"
    return list(api.pages("listing schedules", SCHEDULES_API, call, "recurring_runs", **options))


def change(api: Api, verb: str, name: str, namespace: str) -> str:
    """Pause, resume or delete a schedule by name.

    Returns:
        What was done, in one line.

    Raises:
        InputError: We have made none of the name, or several and it is not known which to resume.
    """
    found = [schedule for schedule in of_name(api, name, **within(namespace)) if key_of(schedule)]
    if not found:
        raise InputError(
            f"no schedule {name} of ours; `python -m pipelines schedule list` shows them"
        )
    if verb == "resume" and len(found) > 1:
        raise InputError(
            f"there are {len(found)} schedules {name}: an apply was cut off, or they are of "
            "several experiments; apply it again"
        )
    for schedule in found:
        if verb == "delete":
            _delete(api, schedule)
        else:
            _switch(api, schedule, on=verb == "resume")
    note = "; a run that is under way goes on" if verb != "resume" else ""
    return f"{name}: {verb}{'d' if verb.endswith('e') else 'ed'}{note}"
