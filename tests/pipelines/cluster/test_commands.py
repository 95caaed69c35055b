"""Every command once as its user gives it, and what they refuse."""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from openmofi.shards import write_tar
from openmofi.storage import open_store
from pipelines.__main__ import main
from pipelines.cluster.content import read_content
from pipelines.cluster.endpoint import port_forward
from pipelines.cluster.errors import ClusterError
from support.fake_kubectl import install_kubectl
from support.kfp_server import Fault, serving_kfp

CRAWL = {
    "root": "s3://bucket/data",
    "source": "s3://bucket/crawl",
    "labeler": "ViT-B-32",
    "wordnet": "/usr/share/wordnet",
}


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(CRAWL))
    return ["--config", str(path), "--unchecked"]


@pytest.fixture
def here(kfp, monkeypatch):
    """Commands within this process."""
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", kfp.url)
    return main


def run(kfp, *words, **environment):
    command = [sys.executable, "-m", "pipelines", *words]
    settings = {**os.environ, "KF_PIPELINES_ENDPOINT": kfp.url, **environment}
    return subprocess.run(command, capture_output=True, text=True, env=settings, check=False)


def test_every_command_as_its_user_gives_it(kfp, config, tmp_path):
    submitted = run(kfp, "submit", "curate", *config, "--run-name", "first")
    assert submitted.returncode == 0, submitted.stderr
    run_id, address = submitted.stdout.split()
    assert address == f"{kfp.url}/#/runs/details/{run_id}"
    assert "'wordnet': /usr/share/wordnet must be there in the pods" in submitted.stderr
    [version] = kfp.all("versions")
    assert version["name"] in submitted.stderr
    assert kfp.all("runs")[0]["runtime_config"]["parameters"] == CRAWL

    kfp.end_run(run_id, "FAILED", {"display_name": "plan-shards", "state": "FAILED"})
    status = run(kfp, "status", "first")
    assert (status.returncode, status.stderr) == (0, "")
    assert "failed: plan-shards failed" in status.stdout

    retried = run(kfp, "retry", "first", "--wait", "--timeout", "1s", "--poll", "1s")
    assert (retried.returncode, retried.stdout) == (3, f"{run_id}: its failed steps start again\n")
    logs = run(kfp, "logs", run_id, "plan-shards")
    assert logs.returncode == 2
    assert "main.log under private-artifacts" in logs.stderr
    cancelled = run(kfp, "cancel", run_id)
    assert (cancelled.returncode, cancelled.stdout) == (0, f"{run_id}: is ended\n")

    scheduled = run(kfp, "schedule", "curate", *config, "--cron", "0 0 3 * * *")
    assert (
        scheduled.stdout
        == "curate: created (cron 0 0 3 * * *, UTC unless the server says otherwise)\n"
    )
    for words, said in [
        (("list",), "cron 0 0 3 * * *"),
        (("pause", "curate"), "curate: paused"),
        (("resume", "curate"), "curate: resumed"),
        (("delete", "curate"), "curate: deleted"),
    ]:
        changed = run(kfp, "schedule", *words)
        assert (changed.returncode, changed.stderr) == (0, "")
        assert said in changed.stdout


@pytest.mark.parametrize(
    ("state", "code", "said"),
    [
        ("SUCCEEDED", 0, "has ended well"),
        ("FAILED", 1, "plan-shards failed"),
        ("CANCELED", 1, "was cancelled"),
    ],
)
def test_a_run_that_is_waited_for_gives_the_exit_status(
    kfp, here, config, capsys, state, code, said
):
    def end(request):
        if request.endswith("/runs"):
            run_id = kfp.all("runs")[0]["run_id"]
            kfp.end_run(run_id, state, {"display_name": "plan-shards", "state": state})

    kfp.after_write = end
    assert here(["submit", "curate", *config, "--wait", "--poll", "1s"]) == code
    assert said in capsys.readouterr().err


def test_an_interrupt_leaves_the_run_alone(kfp, here, config, monkeypatch, capsys):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pipelines.cluster.show.Progress.__call__", lambda *_: interrupt(None))
    assert here(["submit", "curate", *config, "--wait"]) == 130
    assert "what runs on the cluster goes on" in capsys.readouterr().err
    assert kfp.all("runs")[0]["state"] == "PENDING"


def test_a_run_submitted_before_is_told(kfp, here, config, capsys):
    for _ in range(2):
        assert here(["submit", "curate", *config, "--run-name", "one"]) == 0
    assert "run one was submitted before; it is pending" in capsys.readouterr().err
    assert len(kfp.all("runs")) == 1


def test_the_plug_in_and_the_account_are_handed_on(kfp, here, config):
    words = ["--mlflow-experiment", "flags", "--service-account", "me", "--experiment", "mine"]
    assert here(["schedule", "curate", *config, "--every", "6h", "--paused", *words]) == 0
    [stored] = kfp.all("recurringruns")
    assert stored["plugins_input"] == {"mlflow": {"experiment_name": "flags"}}
    assert (stored["service_account"], stored["status"]) == ("me", "DISABLED")
    assert stored["trigger"] == {"periodic_schedule": {"interval_second": "21600"}}
    assert kfp.all("experiments")[0]["display_name"] == "mine"


def test_each_scheduled_run_is_named_by_the_time_that_it_was_planned_for(kfp, here, tmp_path):
    path = tmp_path / "refresh.yaml"
    evaluation = {"evaluation_data": "s3://bucket/evaluation"}
    path.write_text(yaml.safe_dump({**CRAWL, **evaluation}))
    words = ["schedule", "refresh", "--config", str(path), "--unchecked", "--every", "1d"]
    assert here(words) == 0
    parameters = kfp.all("recurringruns")[0]["runtime_config"]["parameters"]
    assert parameters["run_name"] == "refresh-[[ScheduledTime]]"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["schedule", "curate", "--every", "6h"], "schedule curate needs --config FILE"),
        (["schedule", "pause"], "schedule pause which?"),
        (["status", "--port-forward", "kubeflow", "--endpoint", "http://x"], "not both"),
        (["status", "nothing"], "no run nothing"),
    ],
)
def test_what_is_missing_is_one_line(here, capsys, words, message):
    assert here(words) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("pipelines: ")
    assert message in line


def test_five_fields_are_refused_before_anything_is_read_or_sent(kfp, here, capsys):
    words = ["schedule", "curate", "--config", "nowhere.yaml", "--cron", "0 3 * * *"]
    assert here(words) == 2
    assert 'seconds come first: "0 0 3 * * *"' in capsys.readouterr().err
    assert kfp.requests == []


@pytest.mark.parametrize(
    ("key", "value"), [("root", "file:///data"), ("source", "crawl"), ("source", "file:///crawl")]
)
def test_what_no_pod_can_read_is_refused_before_anything_is_sent(
    kfp, here, config, capsys, monkeypatch, key, value
):
    monkeypatch.delenv("OPENMOFI_ROOT", raising=False)
    assert here(["submit", "curate", *config, "--set", f"{key}={value}"]) == 2
    assert f"'{key}': {value} lies on this machine" in capsys.readouterr().err
    assert kfp.requests == []


def test_inputs_are_checked_as_for_a_run_here(monkeypatch, config):
    seen = []
    monkeypatch.setattr("pipelines.cluster.content.check_inputs", lambda a: seen.append(a) or [])
    arguments = argparse.Namespace(
        name="curate", config=Path(config[1]), settings=[], pools=None, unchecked=False
    )
    content = read_content(arguments, "first")
    assert seen == [{key: value for key, value in CRAWL.items() if key != "wordnet"}]
    assert content.parameters == CRAWL


@pytest.mark.s3
def test_a_crawl_on_s3_is_looked_at_from_here(kfp, here, config, s3_root, capsys, tmp_path):
    path, crawl = Path(config[1]), f"{s3_root}/crawl"
    path.write_text(yaml.safe_dump({**CRAWL, "root": s3_root, "source": crawl}))
    words = ["submit", "curate", "--config", str(path)]
    assert here(words) == 2
    assert crawl in capsys.readouterr().err
    assert kfp.requests == []
    write_tar(tmp_path / "0.tar", [("0", {"jpg": b"", "txt": b"a crane"})])
    open_store(s3_root).put("crawl/00000.tar", (tmp_path / "0.tar").read_bytes())
    assert here(words) == 0
    assert "ingest_pairs: " in capsys.readouterr().err
    assert len(kfp.all("runs")) == 1


def test_every_command_of_the_documentation_is_one(monkeypatch):
    text = (Path(__file__).parents[3] / "docs" / "submitting.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("python -m pipelines ")]
    given = []
    monkeypatch.setattr(
        "pipelines.cluster.commands.run_command", lambda name, _: given.append(name) or 0
    )
    for line in lines:
        assert main(shlex.split(line, comments=True)[3:]) == 0, line
    assert {"submit", "status", "logs", "retry", "schedule"} <= set(given)


def test_the_users_of_a_server_are_kept_apart(config, monkeypatch, capsys):
    with serving_kfp({"anna": {"team-a"}}) as kfp:
        monkeypatch.setenv("KF_PIPELINES_ENDPOINT", kfp.url)
        monkeypatch.setenv("OPENMOFI_KFP_TOKEN", "anna")
        assert main(["submit", "curate", *config, "--namespace", "team-a"]) == 0
        assert main(["submit", "curate", *config, "--namespace", "team-b"]) == 2
        assert main(["status", "--namespace", "team-a"]) == 0
        said = capsys.readouterr()
    assert "not authorized in namespace team-b" in said.err
    assert "pending" in said.out
    assert kfp.all("experiments")[0]["namespace"] == "team-a"


def test_kubectl_forwards_and_is_stopped(kfp, tmp_path, monkeypatch, capsys):
    folder = install_kubectl(tmp_path, port=int(kfp.url.rpartition(":")[2]))
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    assert main(["status", "--port-forward", "kubeflow"]) == 0
    assert capsys.readouterr().out == "there are no runs\n"
    assert (folder / "calls").read_text() == "-n kubeflow port-forward svc/ml-pipeline :8888\n"
    assert (folder / "ended").exists()


def test_a_kubectl_that_fails_is_quoted(tmp_path, monkeypatch):
    folder = install_kubectl(tmp_path, error='services "ml-pipeline" not found')
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    with pytest.raises(ClusterError, match=r'ended: services "ml-pipeline" not found'):  # noqa: SIM117
        with port_forward("kubeflow"):
            pass


def test_a_terminated_command_leaves_no_kubectl(kfp, tmp_path, monkeypatch):
    folder = install_kubectl(tmp_path, port=int(kfp.url.rpartition(":")[2]))
    kfp.faults.append(Fault("held", times=99))
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    command = [sys.executable, "-m", "pipelines", "status", "--port-forward", "kubeflow"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not kfp.requests:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert "interrupted" in process.communicate(timeout=20)[1]
    assert process.returncode == 130
    assert (folder / "ended").exists()
