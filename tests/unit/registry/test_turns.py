"""Scope: of all processes that change one registered model, one does so at a time."""

import json
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from openmofi import tracking
from openmofi.errors import StorageError
from openmofi.registry import turns
from openmofi.registry.turns import Pace, Turn, ensure_registered, turn
from support.mlflow_databases import new_database
from support.registries import mlflow_on_postgresql

FAST = Pace(beat_s=0.05, dead_after_s=1, poll_s=0.02)
PATIENT = Pace(beat_s=0.05, dead_after_s=60, poll_s=0.02)

# Each turn reads a number, waits, and writes the next one: two at once would lose one of them.
COUNTING = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from openmofi import tracking
    from openmofi.registry.turns import Pace, turn

    number, first = Path(sys.argv[1]), sys.argv[2] == "first"
    client = tracking.mlflow_client()
    client.search_registered_models()
    while not first and number.read_text() == "":
        time.sleep(0.02)
    for _ in range(4):
        with turn(client, "counted", "count", Pace(beat_s=0.2, dead_after_s=3, poll_s=0.02)):
            if first:
                number.write_text("0")
                time.sleep(600)
            count = int(number.read_text())
            time.sleep(0.1)
            number.write_text(str(count + 1))
    """
)


@pytest.fixture(params=["sqlite", pytest.param("server", marks=pytest.mark.s3)])
def place(request, tmp_path, monkeypatch):
    """A registry that is reached by a file, and one by a server on PostgreSQL."""
    if request.param == "sqlite":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", new_database(tmp_path))
        yield tmp_path
        return
    with mlflow_on_postgresql() as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        yield tmp_path


@pytest.fixture
def client(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new_database(tmp_path))
    found = tracking.mlflow_client()
    ensure_registered(found, "m")
    ensure_registered(found, "m")  # two at once make one
    return found


def tags(client, name="m"):
    return client.get_registered_model(name).tags


def sit_down(client, number, ident="ghost"):
    """A place that nobody beats for."""
    told = {"number": number, "what": "rollback", "by": "eve@there", "since": "noon"}
    client.set_registered_model_tag("m", f"openmofi.turn.{ident}", json.dumps(told))


def test_processes_take_turns_and_a_killed_one_is_passed_over(place):
    client = tracking.mlflow_client()
    ensure_registered(client, "counted")
    number = place / "number"
    number.write_text("")

    def start(role):
        return subprocess.Popen([sys.executable, "-c", COUNTING, str(number), role])

    killed, *counting = [start(role) for role in ("first", "later", "later")]
    deadline = time.monotonic() + 120
    while number.read_text() == "" and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)  # in its turn
    killed.wait()
    assert [one.wait(120) for one in counting] == [0, 0]
    assert number.read_text() == "8"
    assert tags(client, "counted") == {}


def test_two_threads_are_never_inside_at_once(client):
    inside, seen = [], []

    def enter(ident):
        with turn(tracking.mlflow_client(), "m", "enter", PATIENT):
            inside.append(ident)
            time.sleep(0.03)
            seen.append(list(inside))
            inside.remove(ident)

    threads = [threading.Thread(target=enter, args=(n,)) for n in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(seen) == [[n] for n in range(6)]


def test_whoever_came_first_is_waited_for_and_told(client, capsys):
    first = Turn(client, "m", "first", PATIENT)
    first.write(1)
    threading.Timer(0.3, first.leave).start()
    begun = time.monotonic()
    with turn(client, "m", "second", PATIENT):
        assert 0.2 < time.monotonic() - begun < PATIENT.dead_after_s
    assert "second: waiting for 'first' of" in capsys.readouterr().err


def test_one_that_draws_a_number_yet_is_waited_for(client):
    sit_down(client, 0)
    begun = time.monotonic()
    with turn(client, "m", "second", FAST):
        assert time.monotonic() - begun > FAST.dead_after_s


def test_one_that_came_later_is_not_waited_for(client):
    sit_down(client, 99, ident="zzz")
    mine = Turn(client, "m", "mine", PATIENT)
    mine.write(3)
    begun = time.monotonic()
    turns._wait(mine)
    assert time.monotonic() - begun < PATIENT.dead_after_s / 2


def test_a_dead_one_is_passed_over_by_name_and_a_slow_one_is_not(client, capsys):
    sit_down(client, 1)
    with turn(client, "m", "mine", FAST):
        assert "openmofi.turn.ghost" not in tags(client)
    told = "'rollback' of eve@there, since noon gives no sign of life: passed over"
    assert told in capsys.readouterr().err

    done = threading.Event()

    def slow():
        with turn(tracking.mlflow_client(), "m", "slow", FAST):
            time.sleep(2 * FAST.dead_after_s)
            done.set()

    thread = threading.Thread(target=slow)
    thread.start()
    while not tags(client):
        time.sleep(0.01)
    with turn(client, "m", "mine", FAST):
        assert done.is_set()
    thread.join()


def test_one_that_was_passed_over_gives_up(client):
    with turn(client, "m", "mine", FAST) as mine:
        mine.check()
        client.delete_registered_model_tag("m", f"openmofi.turn.{mine.ident}")
        with pytest.raises(StorageError, match="mine: another process took m over"):
            mine.check()


def test_one_says_that_it_draws_before_it_looks_at_the_others(client, monkeypatch):
    """Else two that look at once take the same number, and one of them sees no other."""
    mine = Turn(client, "m", "mine", FAST)
    seen, look = [], turns._tags

    def looked(*where):
        found = look(*where)
        seen.append(json.loads(found[f"openmofi.turn.{mine.ident}"])["number"])
        return found

    monkeypatch.setattr(turns, "_tags", looked)
    assert turns._draw(mine)
    assert seen == [0]


def test_a_number_that_took_too_long_to_draw_is_given_back(client, monkeypatch):
    mine = Turn(client, "m", "mine", FAST)
    sit_down(client, 4)
    assert turns._draw(mine)
    assert json.loads(tags(client)[f"openmofi.turn.{mine.ident}"])["number"] == 5
    watch = iter([0.0, FAST.dead_after_s])
    monkeypatch.setattr(turns.time, "monotonic", lambda: next(watch))
    assert not turns._draw(mine)
    assert list(tags(client)) == ["openmofi.turn.ghost"]
