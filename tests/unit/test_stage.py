"""Scope: openmofi.stage: planning, skipping, workers, failures, and what a SIGKILL leaves."""

import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from openmofi.errors import InputError, ShardError
from openmofi.keys import content_digest
from openmofi.records import from_parquet
from openmofi.shards import write_tar
from openmofi.stage import describe_counts, plan, run_stage
from openmofi.storage import Store, open_store
from openmofi.versions import TableVersion, read_table_version
from openmofi.work import Work, align
from support.stages import (
    AddUp,
    CountBytes,
    Multiply,
    Options,
    number_shard,
    numbers,
    start_command,
)


@pytest.fixture
def store(root: str) -> Store:
    return open_store(root)


@pytest.fixture
def folder_store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "root"))


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    (tmp_path / "diary").mkdir()
    return tmp_path / "diary"


def processed(diary: Path) -> list[str]:
    """Shards that a run has worked on, and forget them."""
    notes = sorted(diary.glob("shard-*"))
    for note in notes:
        note.unlink()
    return [note.name.split("-")[1] for note in notes]


def read(uri: str, stage: str = "multiply") -> TableVersion:
    return read_table_version(uri, stage)[1]


def everything(store: Store) -> dict[str, bytes]:
    """All objects of a store, less the seconds that an entry has measured."""
    found = {info.key: store.get(info.key) for info in store.list()}
    return {key: re.sub(rb'"seconds": [0-9.e-]+', b"", data) for key, data in found.items()}


# Done once


def test_a_finished_shard_is_skipped_and_said_to_be(
    store: Store, diary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = Multiply(Options(diary=str(diary)))
    first = run_stage(stage, store, numbers())
    assert len(processed(diary)) == 6
    assert "multiply: 6 shards, 0 reused, 6 to do" in capsys.readouterr().err
    before = everything(store)
    assert run_stage(stage, store, numbers()) == first
    assert processed(diary) == []
    assert "multiply: 6 shards, 6 reused, 0 to do" in capsys.readouterr().err
    assert everything(store) == before


def test_a_run_with_nothing_to_do_sets_nothing_up(folder_store: Store, diary: Path) -> None:
    run_stage(Multiply(), folder_store, numbers())
    run_stage(Multiply(Options(diary=str(diary))), folder_store, numbers(), workers=2)
    assert list(diary.iterdir()) == []


def test_growth_costs_only_the_new_shards(store: Store, diary: Path) -> None:
    stage = Multiply(Options(diary=str(diary)))
    run_stage(stage, store, numbers(3))
    processed(diary)
    uri = run_stage(stage, store, numbers(5))
    assert processed(diary) == ["00003", "00004"]
    assert [entry.shard for entry in read(uri).shards] == [f"{i:05d}" for i in range(5)]


@pytest.mark.parametrize(
    "changed",
    [Multiply(Options(factor=3)), Multiply(version=2)],
    ids=["config", "version"],
)
def test_a_changed_recipe_never_mixes_with_old_output(
    folder_store: Store, changed: Multiply
) -> None:
    old = read(run_stage(Multiply(), folder_store, numbers()))
    new = read(run_stage(changed, folder_store, numbers()))
    keys = {entry.table_key for entry in old.shards} | {entry.table_key for entry in new.shards}
    assert len(keys) == 12
    assert read(run_stage(Multiply(), folder_store, numbers())) == old


def test_options_that_cannot_change_the_result_change_no_key(
    folder_store: Store, diary: Path
) -> None:
    first = run_stage(Multiply(), folder_store, numbers())
    slow = Multiply(Options(pause=0.001, workers=7, diary=str(diary)))
    assert run_stage(slow, folder_store, numbers()) == first
    assert processed(diary) == []


def test_the_same_content_under_another_name_is_not_done_again(
    folder_store: Store, diary: Path
) -> None:
    stage = Multiply(Options(diary=str(diary)))
    run_stage(stage, folder_store, numbers(2))
    processed(diary)
    copies = [replace(one, shard=f"copy-{one.shard}") for one in numbers(2)]
    version = read(run_stage(stage, folder_store, copies))
    assert processed(diary) == []
    assert [entry.shard for entry in version.shards] == ["copy-00000", "copy-00001"]


def test_two_names_for_one_content_in_one_run(folder_store: Store) -> None:
    twin = replace(number_shard(0), shard="twin")
    version = read(run_stage(Multiply(), folder_store, [number_shard(0), twin]))
    assert [entry.shard for entry in version.shards] == ["00000", "twin"]
    assert len({entry.content_digest for entry in version.shards}) == 1


# What comes out


def test_an_entry_names_a_table_with_its_digest_and_rows(store: Store) -> None:
    version = read(run_stage(Multiply(), store, numbers()))
    for entry in version.shards:
        table = from_parquet(store.get(entry.table_key))
        assert table.num_rows == entry.rows
        assert content_digest(table) == entry.content_digest
        assert sum(entry.counts.values()) == entry.rows


def test_counts_add_up_over_shards(folder_store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    work = numbers()
    version = read(run_stage(Multiply(), folder_store, work))
    values = [number for one in work for number in one.source]
    refused = sum(number < 0 for number in values)
    assert version.counts == {"ok": len(values) - refused, "too_small": refused}
    assert version.totals == {"parts": sum(n % 3 for n in values if n >= 0)}
    line = f"multiply: seen {len(values)} = ok {len(values) - refused} + too_small {refused}"
    assert line in capsys.readouterr().err


def test_counts_are_told_in_one_line() -> None:
    assert describe_counts({"ok": 90, "corrupt_image": 10}) == (
        "seen 100 = corrupt_image 10 + ok 90"
    )


def test_one_worker_and_two_make_the_same(store: Store) -> None:
    alone = open_store(f"{store.uri}/alone")
    many = open_store(f"{store.uri}/many")
    one = run_stage(Multiply(), alone, numbers())
    two = run_stage(Multiply(), many, numbers(), workers=2)
    assert read(one) == read(two)
    assert one.removeprefix(alone.uri) == two.removeprefix(many.uri)
    assert everything(alone) == everything(many)


def test_the_order_of_the_work_does_not_matter(folder_store: Store) -> None:
    first = run_stage(Multiply(), folder_store, numbers())
    other = open_store(f"{folder_store.uri}-2")
    second = run_stage(Multiply(), other, list(reversed(numbers())))
    assert read(first) == read(second)


def test_a_stage_reads_the_table_before_it(store: Store) -> None:
    first = read(run_stage(Multiply(), store, numbers(3)))
    version = read(run_stage(AddUp(), store, align({"multiply": first}), workers=2), "add_up")
    sums = [from_parquet(store.get(entry.table_key))["sum"][0].as_py() for entry in version.shards]
    assert sums == [2 * sum(n for n in one.source if n > 0) for one in numbers(3)]


def test_an_upstream_change_makes_the_next_stage_work_again(folder_store: Store) -> None:
    def add_up(factor: int) -> TableVersion:
        first = read(run_stage(Multiply(Options(factor=factor)), folder_store, numbers(2)))
        return read(run_stage(AddUp(), folder_store, align({"multiply": first})), "add_up")

    keys = [{entry.recipe_key for entry in add_up(factor).shards} for factor in (2, 3)]
    assert keys[0].isdisjoint(keys[1])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stage_reads_pool_tars(store: Store, tmp_path: Path, workers: int) -> None:
    work = []
    for index in range(3):
        samples = [(f"{i}", {"jpg": b"x" * (index + i), "txt": b"t"}) for i in range(4)]
        indexed = write_tar(tmp_path / "t.tar", samples)
        store.put_file(f"pool/{index}.tar", tmp_path / "t.tar")
        work.append(Work(str(index), (str(index),), tar_key=f"pool/{index}.tar", source=indexed))
    version = read(run_stage(CountBytes(), store, work, workers=workers), "count_bytes")
    tables = [from_parquet(store.get(entry.table_key)) for entry in version.shards]
    assert [t["bytes"].to_pylist() for t in tables] == [
        [index + i + 1 for i in range(4)] for index in range(3)
    ]
    assert [entry.tar_key for entry in version.shards] == [f"pool/{i}.tar" for i in range(3)]


def test_a_missing_tar_fails_its_shard_by_name(store: Store, tmp_path: Path) -> None:
    indexed = write_tar(tmp_path / "t.tar", [("0", {"txt": b"t"})])
    store.put_file("pool/here.tar", tmp_path / "t.tar")
    work = [
        Work(name, (name,), tar_key=f"pool/{name}.tar", source=indexed) for name in ("gone", "here")
    ]
    with pytest.raises(ShardError, match=r"shard 'gone' failed: cannot read .*pool/gone\.tar"):
        run_stage(CountBytes(), store, work)
    assert [entry.shard for entry in plan(CountBytes(), store, work).done] == ["here"]


# Failure


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


def test_aligned_work_carries_every_table_in_the_order_given(folder_store: Store) -> None:
    one = read(run_stage(Multiply(), folder_store, numbers(2)))
    other = read(run_stage(Multiply(Options(factor=3)), folder_store, numbers(2)))
    work = align({"a": one, "b": other})
    assert [w.shard for w in work] == ["00000", "00001"]
    assert work[0].tables == {"a": one.shards[0].table_key, "b": other.shards[0].table_key}
    assert work[0].upstream == (one.shards[0].recipe_key, other.shards[0].recipe_key)
    assert align({"b": other, "a": one})[0].upstream != work[0].upstream


# The plan


def test_a_plan_does_nothing_and_says_what_is_left(folder_store: Store, diary: Path) -> None:
    stage = Multiply(Options(diary=str(diary)))
    before = plan(stage, folder_store, numbers())
    assert (len(before.todo), len(before.done)) == (6, 0)
    assert "6 shards to do" in before.describe("multiply")
    assert "the time is not known" in before.describe("multiply")
    assert list(diary.iterdir()) == []
    assert list(folder_store.list()) == []
    run_stage(Multiply(Options(pause=0.01)), folder_store, numbers(4))
    after = plan(stage, folder_store, numbers())
    assert [work.shard for work, _ in after.todo] == ["00004", "00005"]
    assert re.search(
        r"2 shards to do \(0\.0 MB\), 4 done; about [\d.]+ worker-hours .*, [\d.]+ in cost",
        after.describe("multiply", price_per_hour=2.5),
    )


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
