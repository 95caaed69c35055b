"""Schedules are applied by digest: none is lost and never two are on, wherever it is cut off."""

from dataclasses import replace

import pytest

from openmofi.errors import InputError
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.schedules import WantedSchedule, apply, change
from pipelines.cluster.timing import Timing, read_timing
from support.kfp_server import Fault

SCHEDULES = "/apis/v2beta1/recurringruns"


@pytest.fixture
def wanted(version, experiment):
    timing = Timing(cron="0 0 3 * * *")
    return WantedSchedule("toy", experiment, "", version, timing, {"size": 3}, "openmofi-pipeline")


@pytest.fixture
def changed(wanted):
    return replace(wanted, timing=Timing(every_s=3600))


def on(kfp):
    return [s["recurring_run_id"] for s in kfp.all("recurringruns") if s["status"] == "ENABLED"]


def test_a_schedule_pins_a_version_and_runs_one_at_a_time(kfp, api, wanted):
    assert apply(api, wanted) == "created"
    [stored] = kfp.all("recurringruns")
    assert stored["pipeline_version_reference"]["pipeline_version_id"] == wanted.version.version_id
    assert (stored["max_concurrency"], stored["no_catchup"]) == ("1", True)
    assert stored["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert (stored["mode"], stored["status"]) == ("DISABLE", "ENABLED")
    assert stored["runtime_config"] == {"parameters": {"size": 3}}
    assert stored["service_account"] == "openmofi-pipeline"


def test_the_same_schedule_again_changes_nothing(kfp, api, wanted):
    apply(api, wanted)
    before = kfp.writes()
    assert apply(api, wanted) == "unchanged"
    assert kfp.writes() == before


@pytest.mark.parametrize(
    "change_",
    [
        {"timing": Timing(every_s=3600)},
        {"parameters": {"size": 4}},
        {"service_account": "other"},
        {"mlflow_experiment": "flags"},
        {"version": "other"},
    ],
)
def test_whatever_changes_replaces_it(kfp, api, wanted, change_):
    apply(api, wanted)
    [old] = kfp.all("recurringruns")
    if "version" in change_:
        change_ = {"version": replace(wanted.version, name="other")}
    new = replace(wanted, **change_)
    assert apply(api, new) == "replaced"
    [stored] = kfp.all("recurringruns")
    assert stored["recurring_run_id"] != old["recurring_run_id"]
    assert new.key() in stored["description"]
    assert (stored["status"], kfp.enabled_at_once) == ("ENABLED", 1)


def test_a_schedule_is_paused_and_resumed_without_being_made_again(kfp, api, wanted):
    apply(api, replace(wanted, enabled=False))
    [stored] = kfp.all("recurringruns")
    assert stored["status"] == "DISABLED"
    assert apply(api, wanted) == "resumed"
    assert apply(api, replace(wanted, enabled=False)) == "paused"
    assert kfp.all("recurringruns") == [stored]


# Writes of a replacement: make, switch the old off, delete it, switch the new on.
@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize("done", [True, False], ids=["answer lost", "not done"])
def test_wherever_an_apply_is_cut_off_the_next_one_mends_it(kfp, api, wanted, changed, after, done):
    apply(api, wanted)
    kfp.enabled_at_once = 0
    write = rf"(POST|DELETE) {SCHEDULES}"
    down = [Fault("lost", write, skip=after)] if done else []
    down.append(Fault(500, ".*", times=999, skip=0 if done else 999))
    if done:
        kfp.faults = [down[0]]

        def crash(_, left=[after + 1]):  # noqa: B006 - one counter for the closure
            left[0] -= 1
            if left[0] == 0:
                kfp.faults.append(down[1])

        kfp.after_write = crash
    else:
        kfp.faults = [Fault(500, write, times=999, skip=after)]
    with pytest.raises(ClusterError):
        apply(api, changed)
    assert kfp.all("recurringruns"), "lost"
    kfp.faults, kfp.after_write = [], lambda _: None
    apply(api, changed)
    [stored] = kfp.all("recurringruns")
    assert changed.key() in stored["description"]
    assert on(kfp) == [stored["recurring_run_id"]]
    assert kfp.enabled_at_once == 1


def test_an_old_one_that_cannot_be_deleted_does_not_hold_up_the_new(kfp, api, wanted, changed):
    apply(api, wanted)
    kfp.faults = [Fault(500, "DELETE", times=999)]
    with pytest.raises(ClusterError, match=r"the new one has taken its place.*apply it again"):
        apply(api, changed)
    new = kfp.all("recurringruns")[1]
    assert on(kfp) == [new["recurring_run_id"]]
    assert changed.key() in new["description"]
    kfp.faults = []
    assert apply(api, changed) == "mended"
    assert kfp.all("recurringruns") == [new]


@pytest.mark.parametrize("kind", ["late", "lost", "cut", "garbage"])
@pytest.mark.parametrize("skip", range(4))
def test_one_lost_answer_is_seen_through(kfp, hurried, wanted, changed, kind, skip):
    apply(hurried, wanted)
    kfp.faults.append(Fault(kind, rf"(POST|DELETE) {SCHEDULES}", skip=skip))
    assert apply(hurried, changed) == "replaced"
    assert len(kfp.all("recurringruns")) == len(on(kfp)) == 1


def start(kfp, schedule, experiment, state="RUNNING"):
    run = {"display_name": "of a schedule", "experiment_id": experiment, "state": state}
    return kfp.add("runs", "run_id", {**run, "recurring_run_id": schedule["recurring_run_id"]})


def test_a_schedule_is_not_replaced_while_its_run_is_under_way(kfp, api, wanted, changed):
    apply(api, wanted)
    [old] = kfp.all("recurringruns")
    run = start(kfp, old, wanted.experiment_id)
    before = kfp.writes()
    with pytest.raises(ClusterError, match=rf"under way \({run['run_id']}\)"):
        apply(api, changed)
    assert kfp.writes() == before
    assert apply(api, wanted) == "unchanged"
    run["state"] = "SUCCEEDED"
    assert apply(api, changed) == "replaced"


def test_a_run_that_starts_during_an_apply_puts_all_back(kfp, api, wanted, changed):
    apply(api, wanted)
    [old] = kfp.all("recurringruns")

    def begin(request):
        if request.endswith(":disable"):
            start(kfp, old, wanted.experiment_id)

    kfp.after_write = begin
    with pytest.raises(ClusterError, match="under way"):
        apply(api, changed)
    assert kfp.all("recurringruns") == [old]
    assert on(kfp) == [old["recurring_run_id"]]


def test_runs_that_a_deleted_schedule_has_left_count_too(kfp, api, wanted):
    apply(api, wanted)
    [old] = kfp.all("recurringruns")
    run = start(kfp, old, wanted.experiment_id)
    change(api, "delete", "toy", "")
    assert kfp.all("runs") == [run]  # it was not deleted with its schedule
    with pytest.raises(ClusterError, match="could start beside it"):
        apply(api, wanted)
    assert kfp.all("recurringruns") == []


def test_another_schedules_run_is_no_hindrance(kfp, api, wanted, changed):
    apply(api, replace(wanted, name="neighbour"))
    start(kfp, kfp.all("recurringruns")[0], wanted.experiment_id)
    assert apply(api, wanted) == "created"
    assert apply(api, changed) == "replaced"


def test_two_different_applies_at_once_lose_no_schedule(kfp, api, wanted, changed):
    apply(api, wanted)
    other = replace(wanted, parameters={"size": 9})

    def meanwhile(request):
        if request == f"POST {SCHEDULES}":
            kfp.after_write = lambda _: None
            kfp.add("recurringruns", "recurring_run_id", theirs)

    theirs = {
        "display_name": "toy",
        "experiment_id": wanted.experiment_id,
        "description": f"openmofi-key: {other.key()}",
        "status": "DISABLED",
    }
    kfp.after_write = meanwhile
    with pytest.raises(ClusterError, match="somebody else applies"):
        apply(api, changed)
    assert on(kfp) == [kfp.all("recurringruns")[0]["recurring_run_id"]]
    assert not any(changed.key() in s["description"] for s in kfp.all("recurringruns"))


def test_two_equal_applies_at_once_leave_one(kfp, api, wanted):
    def meanwhile(request):
        if request == f"POST {SCHEDULES}":
            kfp.after_write = lambda _: None
            [first] = kfp.all("recurringruns")
            kfp.add("recurringruns", "recurring_run_id", dict(first))

    kfp.after_write = meanwhile
    apply(api, wanted)
    assert len(kfp.all("recurringruns")) == len(on(kfp)) == 1


def test_schedules_are_paused_resumed_and_deleted_by_name(kfp, api, wanted):
    apply(api, wanted)
    assert change(api, "pause", "toy", "").startswith("toy: paused; a run that is under way")
    assert on(kfp) == []
    assert change(api, "resume", "toy", "") == "toy: resumed"
    assert len(on(kfp)) == 1
    assert change(api, "delete", "toy", "").startswith("toy: deleted")
    assert kfp.all("recurringruns") == []
    with pytest.raises(InputError, match="no schedule toy"):
        change(api, "pause", "toy", "")


def test_what_somebody_else_has_made_is_left_alone(kfp, api, wanted):
    theirs = {"display_name": "toy", "experiment_id": wanted.experiment_id, "status": "ENABLED"}
    kfp.add("recurringruns", "recurring_run_id", theirs)
    with pytest.raises(InputError, match="was not made here, and it is not ours to delete"):
        apply(api, wanted)
    with pytest.raises(InputError, match="no schedule toy of ours"):
        change(api, "delete", "toy", "")
    assert kfp.all("recurringruns") == [theirs]


def test_which_of_two_to_resume_is_not_guessed(kfp, api, wanted):
    apply(api, wanted)
    kfp.add("recurringruns", "recurring_run_id", dict(kfp.all("recurringruns")[0]))
    with pytest.raises(InputError, match="there are 2 schedules toy: an apply was cut off"):
        change(api, "resume", "toy", "")


@pytest.mark.parametrize(
    ("cron", "every", "message"),
    [
        ("", "", "needs one of --cron"),
        ("0 0 3 * * *", "6h", "needs one of --cron"),
        ("0 3 * * *", "", r'five fields; here seconds come first: "0 0 3 \* \* \*"'),
        ("0 3 *", "", "has 3 fields, not six"),
        ("0 60 3 * * *", "", r"'60' is no minute \(0 to 59\)"),
        ("0 0 3 0 * *", "", "'0' is no day of month"),
        ("0 0 3 * * 7", "", r"'7' is no day of week \(0 to 6\)"),
        ("0 0 5-3 * * *", "", "'5-3' is no hour"),
        ("0 0 3 * * *,", "", "'' is no day of week"),
        ("", "6 hours", r"--every '6 hours': write a number and s, m, h or d"),
        ("", "30s", "a minute is the least"),
    ],
)
def test_a_wrong_time_is_told_with_the_fix(cron, every, message):
    with pytest.raises(InputError, match=message):
        read_timing(cron, every)


@pytest.mark.parametrize(
    ("cron", "every", "said"),
    [
        ("0  0 3 * * mon-fri", "", "cron 0 0 3 * * MON-FRI"),
        ("0 */15 0-6,22 1 jan ?", "", "cron 0 */15 0-6,22 1 JAN ?"),
        ("", "90m", "every 5400 s"),
        ("", "1d", "every 86400 s"),
    ],
)
def test_times_are_read(cron, every, said):
    assert str(read_timing(cron, every)) == said
