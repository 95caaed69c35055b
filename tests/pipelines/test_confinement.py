"""What the containers of a run may reach."""

from pathlib import Path

import pytest

from openmofi.errors import InputError
from pipelines.confinement import confine
from pipelines.step_user import IMAGE_USER, StepUser, check_writable, step_user

HOME = Path("/cache/home")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    for name in ("OPENMOFI_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow/mlflow.db")
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def modes(arguments, **options):
    found = confine(arguments, home=HOME, **options).volumes()
    assert all(path == volume["bind"] for path, volume in found.items())
    return {path: volume["mode"] for path, volume in found.items()}


def test_inputs_are_read_only_and_what_is_made_may_be_written(place):
    (place / "crawl").mkdir()
    (place / "entities.csv").touch()
    (place / "nets").mkdir()
    (place / "nets/net.onnx").touch()
    arguments = {
        "root": (place / "a root").as_uri(),
        "source": "../crawl",
        "knowledge_base_csv": str(place / "entities.csv"),
        "detect": {"model": f"{place}/nets/net.onnx", "template": "flag of {name} " * 40},
        "model_name": "mine",
    }
    assert modes(arguments) == {
        f"{place}/a root": "rw",
        f"{place}/mlflow": "rw",
        f"{place}/crawl": "ro",
        f"{place}/entities.csv": "ro",
        f"{place}/nets/net.onnx": "ro",
        str(HOME): "rw",
    }


def test_a_table_of_pictures_comes_with_what_lies_beside_it(place):
    (place / "crawl").mkdir()
    (place / "crawl/pairs.csv").touch()
    arguments = {"root": "s3://b/p", "source": f"{place}/crawl/pairs.csv"}
    assert modes(arguments) == {f"{place}/crawl": "ro", str(HOME): "rw"}


def test_a_pipeline_without_a_root_writes_where_its_tables_lie(place):
    for name in ("one", "two"):
        (place / name).mkdir()
    uri = f"{place.as_uri()}/{{}}/manifests/{{}}/m.json"
    arguments = {
        "training_shards": uri.format("one", "training_shards"),
        "baseline": uri.format("two", "model"),
    }
    assert modes(arguments) == {f"{place}/one": "rw", f"{place}/two": "ro", str(HOME): "rw"}
    tables = {"samples": [uri.format("one", "samples")]}
    assert modes(tables) == {f"{place}/one": "rw", str(HOME): "rw"}


def test_a_root_that_is_an_input_too_may_be_written(place):
    uri = (place / "here").as_uri()
    assert modes({"root": uri, "source": str(place / "here")})[f"{place}/here"] == "rw"


@pytest.mark.parametrize(
    ("arguments", "endpoint", "tracking", "network"),
    [
        ({"root": "file:///r"}, "", "", "none"),
        ({"root": "file:///r"}, "http://localhost:9", "http://mlflow:5000", "none"),
        ({"root": "file:///r", "model_name": "m"}, "", "http://mlflow:5000", "bridge"),
        ({"root": "file:///r", "model_name": "m"}, "", "http://127.0.0.1:5000", "host"),
        ({"root": "s3://b/p"}, "", "", "bridge"),
        ({"root": "s3://b/p"}, "localhost:9000", "", "host"),
        ({"root": "s3://b/p"}, "https://minio.example", "", "bridge"),
        ({"root": "file:///r", "labeler": "ViT-B-32"}, "", "", "bridge"),
        ({"root": "file:///r", "labeler": "."}, "", "", "none"),
        ({"root": "file:///r", "entities": {"encoder": "hf-hub:a/b"}}, "", "", "bridge"),
    ],
)
def test_the_network_follows_from_the_addresses(
    monkeypatch, arguments, endpoint, tracking, network
):
    if endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    if tracking:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    assert confine(arguments, home=HOME).network == network
    assert confine(arguments, home=HOME, network="mine").network == "mine"


def test_credentials_go_only_where_they_are_asked_for_and_are_never_shown(place, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "MARKED-1")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "MARKED-2")
    monkeypatch.setenv("OTHER_TOKEN", "MARKED-3")
    monkeypatch.setenv("OPENMOFI_GIT_COMMIT", "the checkout's")
    (place / "aws").mkdir()
    (place / "aws/token").touch()
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", f"{place}/aws/token")
    all_of = confine({"root": "s3://b/p", "model_name": "m"}, home=HOME)
    kept = {name for name, value in all_of.environment.items() if value.startswith("MARKED")}
    assert kept == {"AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD"}
    assert all_of.volumes(",z")[f"{place}/aws"]["mode"] == "ro,z"
    assert "OPENMOFI_GIT_COMMIT" not in all_of.environment
    assert "MARKED" not in "".join(all_of.lines())
    on_folders = confine({"root": "file:///r"}, home=HOME)
    assert "MARKED" not in "".join(on_folders.environment.values())


def test_containers_have_no_rights_and_an_own_place_to_write(place):
    options = confine({"root": "file:///r"}, home=HOME).options("7:8", (9,))
    assert options["user"] == "7:8"
    assert options["group_add"] == ["9"]
    assert options["read_only"] is True
    assert options["cap_drop"] == ["ALL"]
    assert options["security_opt"] == ["no-new-privileges"]
    assert set(options["tmpfs"]) == {"/tmp", f"{place}/here"}
    assert options["working_dir"] == f"{place}/here"


def test_no_empty_folder_hides_a_mounted_working_directory(place):
    found = confine({"root": place.as_uri()}, home=HOME)
    assert set(found.options("7:8", ())["tmpfs"]) == {"/tmp"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"source": "/"}, "/ cannot be mounted"),
        ({"root": "file:///a:b"}, "cannot be mounted into a container; use a folder without ':'"),
        ({"source": "~/crawl"}, "'source': write ~/crawl in full"),
    ],
)
def test_a_path_that_would_be_another_inside_is_refused(arguments, says):
    with pytest.raises(InputError, match=says):
        confine(arguments, home=HOME)


@pytest.mark.parametrize(
    ("given", "rootless", "uid", "ids"),
    [
        ("", False, 1000, (1000, 1001, (27,))),
        ("", False, 0, (IMAGE_USER, IMAGE_USER, ())),
        ("", True, 1000, (0, 0, ())),
        ("5:6", False, 1000, (5, 6, ())),
        ("5", True, 1000, (5, 5, ())),
    ],
)
def test_steps_run_as_the_caller_but_not_as_root(monkeypatch, given, rootless, uid, ids):
    monkeypatch.setattr("os.getuid", lambda: uid)
    monkeypatch.setattr("os.getgid", lambda: uid + 1 if uid else 0)
    monkeypatch.setattr("os.getgroups", lambda: [0, 27, 1001])
    user = step_user(given, rootless)
    assert (user.uid, user.gid, user.groups) == ids


def test_a_user_that_is_no_number_is_one_line():
    with pytest.raises(InputError, match="--user me: write numbers"):
        step_user("me", False)


@pytest.mark.parametrize(
    ("mode", "user", "may"),
    [
        (0o700, "owner", True),
        (0o570, "owner", False),
        (0o770, "group", True),
        (0o705, "group", False),
        (0o707, "other", True),
        (0o770, "other", False),
    ],
)
def test_what_a_step_could_not_write_is_told_before_it_starts(place, mode, user, may):
    folder = place / "made"
    folder.mkdir()
    (folder / "something").touch()
    status = folder.stat()
    folder.chmod(mode)
    users = {
        "owner": StepUser(status.st_uid, 54321),
        "group": StepUser(54321, 54322, (status.st_gid,)),
        "other": StepUser(54321, 54321),
    }
    if may:
        check_writable(users[user], [folder, place / "not there"])
        return
    with pytest.raises(InputError, match=rf"who may not write {folder}: chown -R"):
        check_writable(users[user], [folder])
