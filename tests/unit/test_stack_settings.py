"""Scope: what of `make stack` needs no server: ports, secrets, folders, process numbers."""

import configparser
import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillWaits
from pathlib import Path
from types import SimpleNamespace

import pytest

from openmofi.errors import InputError
from stack import postgres, services, settings, swift
from stack.__main__ import main
from stack.processes import stop
from stack.secret_files import write_secretly


def test_ports_that_overlap_are_refused(tmp_path: Path) -> None:
    stack = settings.create(tmp_path / "stack")
    with pytest.raises(InputError, match="S3 takes 7000 to 7003, MLflow 7002"):
        settings.with_ports(stack, s3=7000, mlflow=7002)
    with pytest.raises(InputError, match=r"mlflow .*less than or equal to 65535"):
        settings.with_ports(stack, mlflow=70000)
    assert settings.with_ports(stack, s3=None, mlflow=None) == stack


def test_without_postgresql_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_INSTALLED", tmp_path)
    with pytest.raises(InputError, match="install it: apt-get install postgresql"):
        postgres.binaries()
    for version in ("9", "15"):
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin" / "initdb").touch()
    assert postgres.binaries() == tmp_path / "15" / "bin"


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="holds no stack"):
        settings.create(tmp_path)
    assert main(["down", "--purge", "--folder", str(tmp_path)]) == 0
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_two_stacks_share_no_secret_and_a_stack_shows_none(tmp_path: Path) -> None:
    stacks = [settings.create(tmp_path / name) for name in "ab"]
    secrets = [secret for stack in stacks for secret in stack.secrets.values()]
    assert len(set(secrets)) == len(secrets) == 10
    assert [secret for secret in secrets if secret in repr(stacks)] == []
    modes = {(stack.folder / "secrets.json").stat().st_mode & 0o777 for stack in stacks}
    assert modes == {0o600}


def test_a_damaged_stack_is_one_line(tmp_path: Path) -> None:
    folder = settings.create(tmp_path / "stack").folder
    write_secretly(folder / "secrets.json", json.dumps({"pipeline": "x"}))
    with pytest.raises(InputError, match="no stack that can be used"):
        settings.load(folder)


def test_of_two_first_ups_at_once_the_second_takes_the_stack_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "check_installed", lambda: None)
    monkeypatch.setattr(services, "up", lambda stack: None)
    folder = tmp_path / "stack"
    with ThreadPoolExecutor() as threads:
        with services.locked(folder):
            second = threads.submit(main, ["up", "--folder", str(folder)])
            with pytest.raises(StillWaits):
                second.result(timeout=0.3)
            first = settings.create(folder)
        assert second.result(timeout=30) == 0
    assert settings.load(folder) == first


def test_a_process_that_has_our_number_by_chance_is_not_ended(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        (tmp_path / "run" / "mlflow.pid").write_text(f"{other.pid} 1\n")
        stop(tmp_path, "mlflow")
        assert other.poll() is None
        other.kill()


def test_a_full_disk_is_one_line_that_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SimpleNamespace(free=512 << 20)
    monkeypatch.setattr(shutil, "disk_usage", {tmp_path: disk}.__getitem__)
    swift.check_space(tmp_path)
    disk.free -= 1
    with pytest.raises(InputError, match=f"disk of {tmp_path} has 511 MiB left"):
        swift.check_space(tmp_path)


def test_a_full_disk_stops_a_stack_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swift, "_START_BYTES", 1 << 60)
    monkeypatch.setattr(services, "_STARTS", {})
    with pytest.raises(InputError, match="free some"):
        services.up(settings.create(tmp_path / "stack"))


def prepared(folder: Path, name: str) -> configparser.RawConfigParser:
    """What `stack.swift` has written for a server of Swift."""
    found = configparser.RawConfigParser()
    assert found.read(folder / "etc" / f"{name}.conf")
    return found


def test_swift_keeps_little_of_the_disk_back_and_gives_it_up_at_no_error(tmp_path: Path) -> None:
    """1 % of 250 GB, the default, is 2.5 GB: `make stack` was answered 503 there."""
    swift.prepare(tmp_path, swift.free_ports(4), {"a:b": "secret"})
    for name in swift.SERVERS:
        head = prepared(tmp_path, name)["DEFAULT"]
        assert int(head["fallocate_reserve"]) == swift.RESERVE_BYTES
    for name in ("proxy", "internal"):
        proxy = prepared(tmp_path, name)["app:proxy-server"]
        assert float(proxy["error_suppression_interval"]) == 0
