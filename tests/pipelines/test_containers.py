"""Steps in containers: what an engine is asked for, what is shown, and what is left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from kfp import dsl

import docker
from openmofi.errors import InputError
from pipelines.checkout import git_commit
from pipelines.compile import PIPELINES
from pipelines.confinement import confine
from pipelines.containers import Containers, Lines
from pipelines.engine import check_engine, images_of
from pipelines.failures import StepCrashError, StepError
from pipelines.local import run_locally
from pipelines.reaper import RUN_LABEL, remove_containers
from pipelines.runners import choose_runner
from pipelines.step_user import StepUser
from support.container_engine import Engine

IMAGE = "registry.example/toy-python:1"
component = dsl.component(base_image=IMAGE, install_kfp_package=False, packages_to_install=[])


@component
def publish(root: str, text: str, manifest: dsl.Output[dsl.Dataset]) -> str:
    import sys

    from openmofi.storage import open_store
    from openmofi.versions import write_manifest

    print(f"publishing {text}", file=sys.stderr)
    made = write_manifest(open_store(root), "toy", f"toy-{text}", {})
    manifest.metadata["uri"] = made.uri
    return made.uri


@component
def refuse() -> str:
    from openmofi.errors import InputError

    raise InputError("mine.csv lacks the column 'name'")


@dsl.pipeline
def published(root: str):
    with dsl.ParallelFor(["a", "b"]) as text:
        publish(root=root, text=text)


@dsl.pipeline
def refused(root: str):
    after = publish(root=root, text="after")
    after.after(refuse())


@pytest.fixture
def engine(monkeypatch):
    made = Engine([IMAGE])
    monkeypatch.setattr("docker.from_env", made)
    # The reaper asks the engine that the environment names: here none.
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    return made


def run(pipeline, folder):
    arguments = {"root": (folder / "root").as_uri()}
    confinement = confine(arguments, home=folder / "home")
    user = StepUser(os.getuid(), os.getgid())
    containers = Containers(confinement, user, {IMAGE: "sha256:1"})
    return run_locally(pipeline, arguments, folder=folder / "run", runner=containers)


@pytest.fixture
def done(engine, tmp_path, capfd):
    outputs = run(published, tmp_path)
    return outputs, engine, tmp_path, capfd.readouterr()


def test_outputs_and_screen_are_those_of_processes(done):
    outputs, _, folder, shown = done
    found = {(o.step, o.group, Path(o.uri).stem) for o in outputs}
    assert found == {("publish", "0", "toy-a"), ("publish", "1", "toy-b")}
    assert len(json.loads((folder / "run/outputs.json").read_text())) == 2
    assert shown.out == ""
    lines = set(shown.err.splitlines())
    assert {"publish[0] | half a l\xe9tter", "publish[0] | lastpublishing a"} <= lines
    assert all(line.startswith("publish[") for line in lines)
    assert "to the log\n" in (folder / "run/publish[1].log").read_text()


def test_an_image_is_never_pulled_and_every_container_is_removed(done):
    _, engine, folder, _ = done
    assert [image for image, _ in engine.asked] == ["sha256:1", "sha256:1"]
    assert all(container.removed for container in engine.created)
    for _, options in engine.asked:
        assert set(options["volumes"]) >= {f"{folder}/{n}" for n in ("root", "home", "run/kfp")}
        assert options["read_only"] is True
        assert options["network_mode"] == "none"
        assert "OPENMOFI_STARTED_BY" not in options["environment"]
        assert "OPENMOFI_GIT_COMMIT" not in options["environment"]


def test_an_input_error_is_raised_in_one_line(engine, tmp_path):
    with pytest.raises(StepError, match=r"^step 'refuse' failed: mine.csv lacks the column 'name'"):
        run(refused, tmp_path)
    assert len(engine.created) == 1


def test_an_engine_that_goes_away_is_a_crash_that_is_told(engine, tmp_path, capfd):
    engine.break_down = True
    with pytest.raises(StepCrashError, match="step 'refuse' crashed"):
        run(refused, tmp_path)
    assert "refuse | the container engine failed: the engine is gone" in capfd.readouterr().err
    assert engine.created[0].removed


def test_what_a_killed_run_left_is_stopped_with_time_to_save_and_removed():
    engine = Engine()
    for name in ("mine", "other", "mine"):
        engine.create("i", [], labels={RUN_LABEL: name})
    remove_containers(engine, "mine")
    assert [bool(c.removed) for c in engine.created] == [True, False, True]
    assert [c.stopped >= 30 for c in engine.created] == [True, False, True]


def test_lines_come_whole_whatever_the_pieces():
    for size in (1, 2, 3, 100):
        found = []
        lines = Lines(found.append)
        text = "na\xefve\rbar 1\rbar 2\nno end".encode()
        for start in range(0, len(text), size):
            lines.add(text[start : start + size])
        lines.close()
        assert found == ["na\xefve\n", "bar 1\n", "bar 2\n", "no end\n"]


def test_a_graph_names_the_images_of_its_steps():
    assert images_of(published.pipeline_spec) == [IMAGE]
    assert len(images_of(PIPELINES["full"].pipeline_spec)) == 2


def test_a_missing_image_is_one_line_with_the_fix():
    with pytest.raises(InputError, match=r"^image toy-python:1 is not there: build it \(make"):
        check_engine(["toy-python:1"], Engine())


def test_an_engine_that_does_not_answer_is_one_line_with_the_fix(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/engine.sock")
    with pytest.raises(InputError) as caught:
        check_engine([IMAGE])
    assert str(caught.value).startswith(
        "no container engine answers at unix:///nowhere/engine.sock (no such file or directory); "
    )


@pytest.mark.parametrize(
    ("revision", "says"),
    [("abc", "is of commit abc"), ("", "does not name"), (None, None)],
)
def test_an_image_of_another_commit_is_told(revision, says):
    commit = git_commit()
    assert commit
    found = check_engine([IMAGE], Engine([IMAGE], commit if says is None else revision))
    assert found.images == {IMAGE: f"sha256:{IMAGE}"}
    assert len(found.warnings) == (says is not None)
    assert says is None or says in found.warnings[0]


def test_a_rootless_engine_is_recognised():
    assert not check_engine([IMAGE], Engine([IMAGE], options=["name=seccomp"])).rootless
    assert check_engine([IMAGE], Engine([IMAGE], options=["name=rootless"])).rootless


def test_options_of_containers_are_refused_without_them(tmp_path):
    options = SimpleNamespace(runner="subprocess", network="host", user="", mounts=[])
    with pytest.raises(InputError, match="are for --runner docker"):
        choose_runner(options, published, {}, tmp_path)


# With a real engine: DOCKER_HOST, and CONTAINER_TEST_IMAGE with sh, Python, kfp and the library.
# CONTAINER_TEST_MOUNTS: what that image has not inside, separated by ':'.


@component
def save_late(place: str) -> str:
    import signal
    import sys
    import time
    from pathlib import Path

    def save(*_):
        time.sleep(1)
        Path(place, "saved").touch()
        sys.exit(143)

    signal.signal(signal.SIGTERM, save)
    Path(place, "begun").touch()
    time.sleep(60)
    return ""


@dsl.pipeline
def saving(root: str, place: str):
    save_late(place=place)


@pytest.mark.slow
@pytest.mark.skipif("CONTAINER_TEST_IMAGE" not in os.environ, reason="make test-images")
@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])
def test_a_real_container_may_save_and_is_removed_however_the_run_ends(tmp_path, how):
    image = os.environ["CONTAINER_TEST_IMAGE"]
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(0o777)
    code = (
        "import sys; sys.path[:0] = ['.', 'tests', 'tests/pipelines']\n"
        "from test_containers import *; folder = Path(sys.argv[1])\n"
        "given = {'root': (folder / 'root').as_uri(), 'place': str(folder / 'place')}\n"
        "mounts = [Path(p) for p in os.environ.get('CONTAINER_TEST_MOUNTS', '').split(':') if p]\n"
        "found = confine(given, home=folder / 'home', mounts=mounts)\n"
        "found.folders[folder / 'place'] = True\n"
        "from pipelines.step_user import step_user\n"
        f"runner = Containers(found, step_user('', False), {{IMAGE: {image!r}}})\n"
        "run_locally(saving, given, folder=folder / 'run', runner=runner)\n"
    )
    before = {c.id for c in docker.from_env().containers.list(all=True)}
    run = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], start_new_session=True)
    try:
        _await((place / "begun").exists)
        os.kill(run.pid, getattr(signal, how))
        run.wait(60)
    finally:
        run.kill()
    _await((place / "saved").exists)
    _await(lambda: {c.id for c in docker.from_env().containers.list(all=True)} <= before)


def _await(condition, seconds=120):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("nothing happened in time")
