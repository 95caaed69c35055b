"""Scope: openmofi.stage: failures by name, work that is refused, and what a SIGKILL leaves."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from openmofi.errors import InputError, ShardError
from openmofi.shards import write_tar
from openmofi.stage import plan, run_stage
from openmofi.storage import Store, open_store
from openmofi.work import Work, align
from support.stages import (
    CountBytes,
    Multiply,
    Options,
    everything,
    number_shard,
    numbers,
    processed,
    read,
    start_command,
)

# Failure


def test_a_missing_tar_fails_its_shard_by_name(store: Store, tmp_path: Path) -> None:
    indexed = write_tar(tmp_path / "t.tar", [("0", {"txt": b"t"})])
    store.put_file("pool/here.tar", tmp_path / "t.tar")
    work = [
        Work(name, (name,), tar_key=f"pool/{name}.tar", source=indexed) for name in ("gone", "here")
    ]
    with pytest.raises(ShardError, match=r"shard 'gone' failed: cannot read .*pool/gone\.tar"):
        run_stage(CountBytes(), store, work)
    assert [entry.shard for entry in plan(CountBytes(), store, work).done] == ["here"]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("kind", "reason"),
    [("shard", r"00002\.tar is cut short"), ("bug", r"KeyError: 'a\\nbug'")],
)
def test_a_failing_shard_is_named_and_the_others_are_done(
    folder_store: Store, diary: Path, kind: str, reason: str, workers: int
) -> None:
    bad = Multiply(Options(diary=str(diary), bad={"00002": kind}))
    said = rf"^multiply: shard '00002' failed: {reason}; 5 of 6 shards are done and will be skipped"
    with pytest.raises(ShardError, match=said) as caught:
        run_stage(bad, folder_store, numbers(), workers=workers)
    assert "\n" not in str(caught.value)
    assert list(folder_store.list("manifests/")) == []
    assert len(processed(diary)) == 6
    mended = run_stage(Multiply(Options(diary=str(diary))), folder_store, numbers())
    assert processed(diary) == ["00002"]
    undisturbed = open_store(f"{folder_store.uri}-2")
    assert read(mended) == read(run_stage(Multiply(), undisturbed, numbers()))


def test_several_failures_are_counted(folder_store: Store) -> None:
    bad = Multiply(Options(bad={"00001": "shard", "00004": "bug"}))
    with pytest.raises(ShardError, match=r"shard '00001' .*\(and 1 more shards failed\); 4 of 6"):
        run_stage(bad, folder_store, numbers())


def test_a_worker_that_is_killed_is_told_in_one_line(folder_store: Store) -> None:
    bad = Multiply(Options(bad={"00003": "killed"}))
    with pytest.raises(ShardError, match="a worker process was killed"):
        run_stage(bad, folder_store, numbers(), workers=2)
    uri = run_stage(Multiply(), folder_store, numbers())
    assert len(read(uri).shards) == 6


def test_a_setup_that_fails_is_told_in_one_line(folder_store: Store) -> None:
    broken = Multiply(Options(broken_setup=True))
    with pytest.raises(ShardError, match="could not be set up: RuntimeError: weights are missing"):
        run_stage(broken, folder_store, numbers(), workers=2)
    with pytest.raises(RuntimeError, match="weights"):  # in this process it speaks for itself
        run_stage(broken, folder_store, numbers())
    assert list(folder_store.list()) == []


def test_no_work_and_a_shard_given_twice_are_refused(folder_store: Store) -> None:
    with pytest.raises(InputError, match="there is no shard"):
        run_stage(Multiply(), folder_store, [])
    with pytest.raises(InputError, match="shard '00001' is given twice"):
        run_stage(Multiply(), folder_store, [*numbers(3), number_shard(1)])


def test_tables_that_do_not_cover_the_same_shards_are_refused(folder_store: Store) -> None:
    first = read(run_stage(Multiply(), folder_store, numbers(2)))
    more = read(run_stage(Multiply(), folder_store, numbers(3)))
    with pytest.raises(InputError, match="'samples' and 'mentions' differ: shard '00002'"):
        align({"samples": first, "mentions": more})


# SIGKILL and company


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_is_finished_by_the_next_as_if_undisturbed(
    folder_store: Store, diary: Path, workers: int
) -> None:
    options = Options(diary=str(diary), stop_at="00003", workers=workers)
    with StartedRun(folder_store.uri, options) as run:
        _wait_until(lambda: any(diary.glob("stopped-*")), run)
        if workers > 1:  # the other worker goes on meanwhile
            _wait_until(lambda: any(diary.glob("shard-00005-*")), run)
        run.kill()
    assert list(folder_store.list("manifests/")) == []
    done = {entry.shard for entry in plan(Multiply(), folder_store, numbers()).done}
    assert {"00000", "00001", "00002"} <= done
    assert "00003" not in done
    processed(diary)
    uri = run_stage(Multiply(Options(diary=str(diary))), folder_store, numbers(), workers=workers)
    assert set(processed(diary)) == {one.shard for one in numbers()} - done
    undisturbed = open_store(f"{folder_store.uri}-undisturbed")
    other = run_stage(Multiply(), undisturbed, numbers())
    assert read(uri) == read(other)
    assert everything(folder_store) == everything(undisturbed)


def test_a_run_killed_at_any_moment_leaves_what_the_next_can_use(
    folder_store: Store, tmp_path: Path
) -> None:
    for delay in (0.0, 0.1, 0.3, 0.7):
        with StartedRun(folder_store.uri, Options(pause=0.2, diary=str(_new(tmp_path)))) as run:
            _wait_until(lambda: any(_latest(tmp_path).glob("setup-*")), run)
            time.sleep(delay)
            run.kill()
    undisturbed = open_store(f"{folder_store.uri}-undisturbed")
    assert read(run_stage(Multiply(), folder_store, numbers())) == read(
        run_stage(Multiply(), undisturbed, numbers())
    )


def test_workers_end_after_the_parent_is_killed(folder_store: Store, diary: Path) -> None:
    options = Options(diary=str(diary), pause=60, workers=2)
    with StartedRun(folder_store.uri, options) as run:
        _wait_until(lambda: len(list(diary.glob("shard-*"))) == 2, run)
        workers = {int(note.name.split("-")[2]) for note in diary.glob("shard-*")}
        assert all(_alive(pid) for pid in workers)
        run.kill()
    assert run.pid not in workers
    _wait_until(lambda: not any(_alive(pid) for pid in workers), seconds=5)


def test_two_runs_of_the_same_work_at_once_both_succeed(folder_store: Store) -> None:
    options = Options(pause=0.05, shards=10)
    runs = [
        subprocess.Popen(
            start_command(folder_store.uri, options), stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    uris = {run.communicate(timeout=60)[0].strip() for run in runs}
    assert [run.returncode for run in runs] == [0, 0]
    assert len(uris) == 1
    undisturbed = open_store(f"{folder_store.uri}-undisturbed")
    assert read(uris.pop()) == read(run_stage(Multiply(), undisturbed, numbers(10)))
    assert everything(folder_store) == everything(undisturbed)


class StartedRun:
    """A run in a process of its own, killed at the end of the block at the latest."""

    def __init__(self, root: str, options: Options) -> None:
        self._process = subprocess.Popen(start_command(root, options), stderr=subprocess.PIPE)
        self.pid = self._process.pid

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        assert self._process.wait() == -signal.SIGKILL, "the run had ended by itself"

    def ended(self) -> bool:
        return self._process.poll() is not None

    def __enter__(self) -> "StartedRun":
        return self

    def __exit__(self, *_: object) -> None:
        if not self.ended():
            self.kill()
        assert self._process.stderr is not None
        self._process.stderr.close()


def _wait_until(
    happened: Callable[[], bool], run: StartedRun | None = None, seconds: float = 30
) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert run is None or not run.ended(), "the run ended before its time"
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
    except FileNotFoundError:
        return False
    return not state.startswith("Z")


def _new(folder: Path) -> Path:
    diary = folder / f"diary-{len(list(folder.glob('diary-*')))}"
    diary.mkdir()
    return diary


def _latest(folder: Path) -> Path:
    return max(folder.glob("diary-*"))
