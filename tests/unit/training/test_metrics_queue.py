"""Metrics by a thread: in order, all of them, past a server that is away; no failure is lost."""

import threading

import pytest
from mlflow.exceptions import MlflowException, get_error_code

from openmofi.errors import InputError, StorageError
from openmofi.storage import open_store
from openmofi.training import metrics_queue
from openmofi.training.checkpoint import Checkpoints
from openmofi.training.metrics_queue import PATIENCE, MetricsQueue, lasting_log, patience_s
from support.waiting import wait_for


class Server:
    """Takes metrics, or answers with a status."""

    def __init__(self, status=200):
        self.status, self.asked, self.written = status, 0, []

    def __call__(self, values, step):
        self.asked += 1
        if self.status != 200:
            raise MlflowException("no", error_code=get_error_code(self.status))
        self.written.append((values, step))


def rows(count):
    return [({"loss": step / 2}, step) for step in range(1, count + 1)]


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(metrics_queue, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(metrics_queue, "_LONGEST_PAUSE_S", 0.02)
    monkeypatch.setattr(metrics_queue, "_WORTH_A_WORD_S", 0.05)
    monkeypatch.setattr(metrics_queue, "_LAST_WORDS_S", 0.05)


def test_all_are_written_in_order_by_the_end_of_the_block():
    server = Server()
    with MetricsQueue(server) as log:
        for row in rows(20):
            log(*row)
    assert server.written == rows(20)


def test_the_caller_does_not_wait():
    may_go_on, written = threading.Event(), []

    def slow(values, step):
        assert may_go_on.wait(10)
        written.append(step)

    with MetricsQueue(slow) as log:
        log({"loss": 1.0}, 1)
        log({"loss": 1.0}, 2)
        assert written == []
        may_go_on.set()
    assert written == [1, 2]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_a_server_that_is_away_does_not_take_is_held_and_written_later(status, capsys):
    server = Server(status)
    with MetricsQueue(server, patience_s=60) as log:
        log(*rows(3)[0])
        wait_for(lambda: server.asked > 5)
        log(*rows(3)[1])
        log(*rows(3)[2])
        server.status = 200
    assert server.written == rows(3)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2, said
    assert "has not taken metrics for" in said[0]
    assert PATIENCE in said[0]
    assert "all metrics that were held are written" in said[1]


def test_patience_ends():
    server = Server(503)

    def run():
        with MetricsQueue(server, patience_s=0.1) as log:
            log(*rows(1)[0])

    with pytest.raises(MlflowException):
        run()
    assert server.asked > 2


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_raised_at_a_later_call_without_another_try(status):
    server = Server(status)
    with MetricsQueue(server) as log:
        log(*rows(1)[0])
        log._thread.join(10)
        with pytest.raises(MlflowException):
            log(*rows(2)[1])
        assert server.asked == 1
        assert log.unwritten == rows(2)
        log._error = None


def test_a_failure_is_raised_at_the_end():
    def broken(values, step):
        raise StorageError("no tracking server")

    with pytest.raises(StorageError, match="no tracking server"), MetricsQueue(broken) as log:
        log({"loss": 1.0}, 1)


def test_another_error_is_not_hidden_and_waits_for_no_server():
    server = Server(503)

    def fails():
        with MetricsQueue(server, patience_s=3600) as log:
            log(*rows(1)[0])
            raise KeyError("the real one")

    with pytest.raises(KeyError):
        fails()


def test_what_was_not_written_is_written_by_the_run_that_goes_on(tmp_path):
    checkpoints = Checkpoints(open_store(str(tmp_path)), "recipe")
    server = Server(503)

    def killed():
        with lasting_log(server, checkpoints, first_step=0) as log:
            for row in rows(5):
                log(*row)
            raise SystemExit(143)

    with pytest.raises(SystemExit):
        killed()
    server.status = 200
    # Its checkpoint was made after step 3: the two behind it come again.
    with lasting_log(server, checkpoints, first_step=3) as log:
        for row in rows(5)[3:]:
            log(*row)
    assert server.written == rows(5)


def test_what_was_kept_and_is_written_is_not_kept_again(tmp_path):
    checkpoints = Checkpoints(open_store(str(tmp_path)), "recipe")
    checkpoints.keep_metrics(rows(2))
    server = Server()

    def killed():
        with lasting_log(server, checkpoints, first_step=2):
            wait_for(lambda: server.written == rows(2))
            raise SystemExit(143)

    with pytest.raises(SystemExit):
        killed()
    assert checkpoints.kept_metrics() == []


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_a_patience_that_is_no_positive_number_is_refused(monkeypatch, text):
    monkeypatch.setenv(PATIENCE, text)
    with pytest.raises(InputError, match=f"{PATIENCE} is '{text}'"):
        patience_s()
