"""The local runner on toy graphs: what is shown, remembered and left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kfp import dsl

from pipelines.failures import StepCrashError, StepError
from pipelines.local import run_locally

component = dsl.component(
    base_image="toy-python:1", install_kfp_package=False, packages_to_install=[]
)


@component
def plan_numbers(count: int) -> list:
    return [str(number) for number in range(int(count))]


@component
def publish(root: str, text: str, manifest: dsl.Output[dsl.Dataset], note: str = "") -> str:
    import os
    import sys

    from openmofi.storage import open_store
    from openmofi.versions import write_manifest

    print(f"publishing {text}", file=sys.stderr)
    print("this goes to the log only")
    body = {"text": text, "note": note, "threads": os.environ.get("OMP_NUM_THREADS", "")}
    body["commit"] = os.environ["OPENMOFI_GIT_COMMIT"]
    made = write_manifest(open_store(root), "toy", f"toy-{text}", body)
    manifest.metadata["uri"] = made.uri
    return made.uri


@component
def join(uris: list) -> str:
    return " ".join(uris)


@component
def refuse(text: str) -> str:
    from openmofi.errors import InputError

    raise InputError(f"{text}.csv lacks the column 'name'")


@component
def crash(text: str) -> str:
    return text[100]


@component
def sleep(seconds: int, pid_file: str) -> str:
    import os
    import time
    from pathlib import Path

    import openmofi

    Path(pid_file).write_text(str(os.getpid()))
    time.sleep(int(seconds))
    return openmofi.__version__


@dsl.pipeline
def fan_out(root: str, count: int):
    plan = plan_numbers(count=count)
    outside = join(uris=["from", "outside"])
    with dsl.ParallelFor(plan.outputs["Output"]) as number:
        made = publish(root=root, text=number, note=outside.outputs["Output"])
    joined = join(uris=dsl.Collected(made.outputs["Output"]))
    publish(root=root, text="last").after(joined).set_display_name("publish-last")


@dsl.pipeline
def refused(root: str):
    first = refuse(text="mine")
    publish(root=root, text="after").after(first)
    publish(root=root, text="beside")


@dsl.pipeline
def crashed():
    crash(text="short")


@dsl.pipeline
def sleeping(pid_file: str):
    sleep(seconds=60, pid_file=pid_file)


@pytest.fixture
def fanned_out(tmp_path, monkeypatch, capfd):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    arguments = {"root": str(tmp_path / "root"), "count": 3}
    outputs = run_locally(fan_out, arguments, folder=tmp_path / "run", groups=3)
    return outputs, tmp_path / "run", capfd.readouterr()


def test_outputs_name_every_manifest_with_its_step_and_group(fanned_out):
    outputs, folder, _ = fanned_out
    found = {(o.step, o.group, Path(o.uri).stem) for o in outputs}
    assert found == {
        ("publish", "0", "toy-0"),
        ("publish", "1", "toy-1"),
        ("publish", "2", "toy-2"),
        ("publish-last", "", "toy-last"),
    }
    assert len(json.loads((folder / "outputs.json").read_text())) == 4


def test_the_screen_shows_what_steps_say_and_nothing_of_the_orchestrator(fanned_out):
    _, folder, shown = fanned_out
    assert shown.out == ""
    assert "publish[1] | publishing 1\n" in shown.err
    assert all(
        line.startswith(("plan-numbers", "publish", "join")) for line in shown.err.splitlines()
    )
    assert "this goes to the log only" in (folder / "publish[1].log").read_text()


def test_steps_of_a_loop_share_the_cores(fanned_out):
    outputs, _, _ = fanned_out
    threads = {output.group: content_of(output)["threads"] for output in outputs}
    expected = str(max(1, (os.cpu_count() or 1) // 2))
    assert threads == {"0": expected, "1": expected, "2": expected, "": ""}


def test_a_step_knows_the_commit_that_it_runs_from(fanned_out):
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True
    ).stdout.strip()
    outputs, _, _ = fanned_out
    assert {content_of(output)["commit"].removesuffix("-dirty") for output in outputs} == {head}


def test_a_loop_reads_the_output_of_a_task_outside_it(fanned_out):
    outputs, _, _ = fanned_out
    notes = {output.group: content_of(output)["note"] for output in outputs}
    assert notes == {"0": "from outside", "1": "from outside", "2": "from outside", "": ""}


def content_of(output):
    return json.loads(Path(output.uri.removeprefix("file://")).read_text())


def test_an_input_error_is_raised_in_one_line_and_nothing_starts_after_it(tmp_path):
    root = tmp_path / "root"
    with pytest.raises(
        StepError, match=r"^step 'refuse' failed: mine.csv lacks the column 'name'$"
    ):
        run_locally(refused, {"root": str(root)}, folder=tmp_path / "run")
    assert not (root / "manifests/toy/toy-after.json").exists()
    assert not (tmp_path / "run/outputs.json").exists()


def test_any_other_error_keeps_its_traceback_in_the_log(tmp_path):
    with pytest.raises(StepCrashError, match="step 'crash' crashed"):
        run_locally(crashed, {}, folder=tmp_path / "run")
    assert "IndexError: string index out of range" in (tmp_path / "run/crash.log").read_text()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_step_outlives_its_run(tmp_path, how):
    pid_file = tmp_path / "pid"
    code = (
        "import sys; from pathlib import Path; sys.path[:0] = ['.', 'tests/pipelines']\n"
        "from test_local import sleeping; from pipelines.local import run_locally\n"
        f"run_locally(sleeping, {{'pid_file': {str(pid_file)!r}}}, folder=Path({str(tmp_path)!r}))"
    )
    run = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    step = _await(lambda: pid_file.is_file() and pid_file.read_text())
    assert _alive(step)
    run.send_signal(how)
    run.wait(10)
    assert _await(lambda: not _alive(step))


def _await(condition, seconds=30):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError("nothing happened in time")


def _alive(pid: str) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().split(") ")[1][0] != "Z"
