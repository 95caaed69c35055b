"""Scope: docs/runbooks: blocks marked `runs` do run, and print what stands below them."""

import contextlib
import re
import shutil
import sys

import pytest

from openmofi.storage import ObjectInfo
from support.runbooks import (
    RUNBOOKS,
    missing_line,
    run_blocks,
    runbooks,
    runs_with_output,
    write_sandbox,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

WITH_COMMANDS = [path for path in runbooks() if runs_with_output(path)]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    return write_sandbox(tmp_path_factory.mktemp("runbooks") / "work")


@pytest.mark.parametrize("path", WITH_COMMANDS, ids=lambda path: path.stem)
def test_commands_run_and_print_what_is_written(path, sandbox, tmp_path):
    folder = shutil.copytree(sandbox, tmp_path / "work")  # so that each stands by itself
    outputs = run_blocks(folder, path)
    expected = runs_with_output(path)
    assert len(outputs) == len(expected)
    for output, (block, text) in zip(outputs, expected, strict=True):
        assert not missing_line(text, output), f"{block.place} does not print it:\n{output}"


def test_every_runbook_but_the_list_and_gpu_pools_has_commands_that_run():
    assert {path.stem for path in runbooks()} - {path.stem for path in WITH_COMMANDS} == {
        "README", "gpu-pool",
    }  # fmt: skip


def test_a_line_that_is_not_printed_or_out_of_order_is_missed():
    output = "one 1\ntwo 2\nthree 3\n"
    assert missing_line("one …\n…\nthree …\n", output) == ""
    assert missing_line("two …\none …\n", output) == "one …"
    assert missing_line("four …\n", output) == "four …"


def test_a_command_that_fails_fails_its_runbook(tmp_path):
    (tmp_path / "x.md").write_text("```sh runs\nfalse\ntrue\n```\n")
    with pytest.raises(AssertionError, match="ended with 1"):
        run_blocks(tmp_path, tmp_path / "x.md")


class Recording:
    """A store that holds some keys and keeps the order of what is put into it."""

    KEYS = ("tables/a", "manifests/a", "pool/a", "published/main.json", "datasets/a")

    def __init__(self):
        self.put = []

    def list(self):
        return [ObjectInfo(key, 1) for key in self.KEYS]

    def local_file(self, key):
        return contextlib.nullcontext(key)

    def put_file(self, key, path):
        assert key == path
        self.put.append(key)


def test_the_copy_takes_names_first_and_puts_them_back_last(monkeypatch):
    text = (RUNBOOKS / "restore.md").read_text()
    (code,) = re.findall(r"<<'END'\n(\"\"\"copy_root.*?)^END$", text, re.DOTALL | re.MULTILINE)
    orders = {}
    for what in ("backup", "restore"):
        store = Recording()
        monkeypatch.setattr("openmofi.storage.open_store", lambda _, store=store: store)
        monkeypatch.setattr(sys, "argv", ["copy_root.py", what, "a", "b"])
        exec(compile(code, "copy_root.py", "exec"), {})
        orders[what] = store.put
    assert orders["backup"][:2] == ["published/main.json", "manifests/a"]
    assert orders["restore"][-2:] == ["manifests/a", "published/main.json"]
    assert {*orders["backup"]} == {*orders["restore"]} == {*Recording.KEYS}
