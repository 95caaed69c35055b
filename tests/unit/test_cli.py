"""Scope: the command line as a whole: help, speed, and errors in one line."""

import argparse
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from openmofi import __version__, cli
from openmofi.errors import InputError

HEAVY = ["torch", "open_clip", "mlflow", "onnxruntime", "faiss", "transformers", "duckdb", "kfp"]


def commands() -> dict[str, argparse.ArgumentParser]:
    """Every command and subcommand, by the words that call it."""

    def walk(parser: argparse.ArgumentParser, words: str) -> dict[str, argparse.ArgumentParser]:
        below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        if not below:
            return {words: parser}
        found = {}
        for name, child in below[0].choices.items():
            found.update(walk(child, f"{words} {name}".strip()))
        return found

    return walk(cli.build_parser(), "")


def fail(_: argparse.Namespace) -> None:
    raise InputError("crawl.csv lacks the column 'caption'; name it with --text-column")


def crash(_: argparse.Namespace) -> None:
    raise KeyError("a bug")


@pytest.fixture
def broken_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two more commands: one meets bad input, one has a bug."""

    def add_commands(added: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
        added.add_parser("fail").set_defaults(run=fail)
        added.add_parser("crash").set_defaults(run=crash)

    monkeypatch.setattr(cli, "_ROOMS", (*cli._ROOMS, SimpleNamespace(add_commands=add_commands)))


def test_bad_input_is_one_line_on_stderr_and_exit_code_2(
    broken_room: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["fail"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        "openmofi: crawl.csv lacks the column 'caption'; name it with --text-column\n"
    )


def test_a_bug_keeps_its_traceback(broken_room: None) -> None:
    with pytest.raises(KeyError, match="a bug"):
        cli.main(["crash"])


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["demo-crawl", "--no-such-option"]])
def test_a_wrong_call_shows_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage: openmofi" in capsys.readouterr().err


def test_every_command_can_be_run_and_explains_itself() -> None:
    found = commands()
    assert len(found) > 10
    for words, parser in found.items():
        assert callable(parser.get_default("run")), words
        assert f"usage: openmofi {words}" in parser.format_help()


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"openmofi {__version__}\n"


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    program = (
        "import sys\nfrom openmofi import cli\ncli.build_parser().format_help()\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    times = []
    for _ in range(3):
        started = time.monotonic()
        run = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        times.append(time.monotonic() - started)
        assert run.stdout.strip() == "[]"
    assert min(times) < 2


def test_a_reader_who_has_gone_is_no_error() -> None:
    program = (
        "import argparse, sys\nfrom openmofi import cli\n"
        "def run(arguments):\n    print('line\\n' * 10)\n"
        "parser = argparse.ArgumentParser()\nparser.set_defaults(run=run)\n"
        "cli.build_parser = lambda: parser\nsys.exit(cli.main([]))\n"
    )
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run(
        [sys.executable, "-c", program], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (process.returncode, process.stderr) == (141, b"")


def test_a_pipe_of_something_else_that_breaks_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def run(_: argparse.Namespace) -> None:
        raise BrokenPipeError("a worker's")

    parser = argparse.ArgumentParser()
    parser.set_defaults(run=run)
    monkeypatch.setattr(cli, "build_parser", lambda: parser)
    with pytest.raises(BrokenPipeError, match="a worker's"):
        cli.main([])
