"""Worker processes: one thread each, unless the user has said otherwise."""

import os

import pytest

from openmofi.workers import one_thread_each, run_in_processes

NAME = "OMP_NUM_THREADS"


class Threads:
    """What a worker's libraries would read."""

    def setup(self) -> None:
        pass

    def run(self, item: int, /) -> str:
        return f"{item} {os.environ.get(NAME)}"


def told(workers: int) -> list[str]:
    return sorted(str(result) for _, result in run_in_processes(Threads(), range(4), workers))


def test_workers_have_one_thread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME, raising=False)
    assert told(2) == [f"{item} 1" for item in range(4)]
    assert NAME not in os.environ


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "3")
    assert told(1) == [f"{item} 3" for item in range(4)]
    assert os.environ[NAME] == "3"


def test_it_is_taken_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME, raising=False)
    with pytest.raises(ZeroDivisionError), one_thread_each():
        assert 1 / (len(os.environ[NAME]) - 1)
    assert NAME not in os.environ
