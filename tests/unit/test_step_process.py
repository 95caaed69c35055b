"""What a step's process does for whoever started it, in real processes."""

import json
import os
import subprocess
import sys
import time

import pytest


def run(code, tmp_path):
    environment = {
        **os.environ,
        "OPENMOFI_ERROR_FILE": str(tmp_path / "errors.jsonl"),
        "OPENMOFI_STEP": "link-entities",
    }
    command = [sys.executable, "-c", f"import openmofi\n{code}"]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_an_error_for_the_user_is_one_line_and_one_record(tmp_path):
    code = "from openmofi.errors import InputError\nraise InputError('a.csv lacks a column')"
    done = run(code, tmp_path)
    assert (done.returncode, done.stderr) == (1, "a.csv lacks a column\n")
    [line] = (tmp_path / "errors.jsonl").read_text().splitlines()
    assert json.loads(line) == {"step": "link-entities", "message": "a.csv lacks a column"}


def test_any_other_error_keeps_its_traceback_and_leaves_no_record(tmp_path):
    done = run("1 / 0", tmp_path)
    assert done.stderr.startswith("Traceback")
    assert not (tmp_path / "errors.jsonl").exists()


@pytest.mark.skipif(not os.path.exists("/proc"), reason="reads /proc")
def test_the_process_ends_with_the_one_that_started_it(tmp_path):
    starter = subprocess.Popen(["sleep", "60"])
    environment = {
        **os.environ,
        "OPENMOFI_ERROR_FILE": str(tmp_path / "errors.jsonl"),
        "OPENMOFI_STARTED_BY": str(starter.pid),
    }
    command = [sys.executable, "-c", "import openmofi, time\ntime.sleep(60)"]
    step = subprocess.Popen(command, env=environment)
    time.sleep(0.5)
    assert step.poll() is None
    starter.kill()
    starter.wait()
    assert step.wait(10) == 1
