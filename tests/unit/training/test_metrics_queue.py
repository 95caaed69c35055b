"""Metrics by a thread: in order, all of them, and no failure is lost."""

import threading
from concurrent.futures import wait

import pytest

from openmofi.errors import StorageError
from openmofi.training.metrics_queue import MetricsQueue


def test_all_are_written_in_order_by_the_end_of_the_block():
    written = []
    with MetricsQueue(lambda values, step: written.append((values, step))) as log:
        for step in range(20):
            log({"loss": step / 2}, step)
    assert written == [({"loss": step / 2}, step) for step in range(20)]


def test_the_caller_does_not_wait():
    may_go_on = threading.Event()
    written = []

    def slow(values, step):
        assert may_go_on.wait(10)
        written.append(step)

    with MetricsQueue(slow) as log:
        log({"loss": 1.0}, 1)
        log({"loss": 1.0}, 2)
        assert written == []
        may_go_on.set()
    assert written == [1, 2]


def test_a_failure_is_raised_at_the_end():
    def broken(values, step):
        raise StorageError("no tracking server")

    with pytest.raises(StorageError, match="no tracking server"), MetricsQueue(broken) as log:
        log({"loss": 1.0}, 1)


def test_a_failure_is_raised_at_a_later_call():
    failed = threading.Event()

    def broken(values, step):
        failed.set()
        raise StorageError("no tracking server")

    log = MetricsQueue(broken)
    log({"loss": 1.0}, 1)
    assert failed.wait(10)
    wait([*log._waiting])
    with pytest.raises(StorageError, match="no tracking server"):
        log({"loss": 1.0}, 2)


def test_another_error_is_not_hidden():
    def broken(values, step):
        raise StorageError("no tracking server")

    def fails():
        with MetricsQueue(broken) as log:
            log({"loss": 1.0}, 1)
            raise KeyError("the real one")

    with pytest.raises(KeyError):
        fails()
