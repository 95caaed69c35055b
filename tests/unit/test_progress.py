"""What is left on stderr where nobody watches."""

import re
import time

import pytest

from openmofi import progress
from openmofi.progress import bar, say, timed


def test_a_short_loop_leaves_no_bar_in_a_log(capsys):
    assert list(bar(range(3), label="fingerprints", unit="file")) == [0, 1, 2]
    say("3 files")
    assert capsys.readouterr().err == "3 files\n"


def test_what_is_said_within_a_loop_and_after_it_stands_on_lines_of_its_own(capsys):
    for number in bar(range(2), label="shards", unit="shard"):
        say(f"shard {number}")
    say("seen 2")
    assert capsys.readouterr().err == "shard 0\nshard 1\nseen 2\n"


def test_a_bar_in_a_log_has_lines_of_its_own(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_LOGGED_EVERY_S", 1e-9)
    for number in bar(range(2), label="shards", unit="shard"):
        time.sleep(0.01)
        say(f"shard {number}")
    say("seen 2")
    lines = [line.strip() for line in re.split("[\r\n]", capsys.readouterr().err) if line.strip()]
    assert [line for line in lines if "|" not in line] == ["shard 0", "shard 1", "seen 2"]
    bars = [line for line in lines if "|" in line]
    assert bars
    assert all(line.startswith("shards: ") and line.endswith("shard/s]") for line in bars), bars


def test_a_step_tells_its_time_if_it_ends_well(capsys):
    with timed("assemble: write"):
        pass
    assert capsys.readouterr().err == "assemble: write took 0.0 s\n"
    with pytest.raises(ValueError, match="broken"), timed("assemble: write"):
        raise ValueError("broken")
    assert capsys.readouterr().err == ""
