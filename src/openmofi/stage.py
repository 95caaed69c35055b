"""How a stage maps over shards: planned, skipped when done, in processes, written atomically.

A stage brings ``setup()`` (loads weights, once a worker), ``process(shard)`` and its semantic
configuration. Everything else is here, once for all stages. A bad sample is a row with a status;
a bad shard fails by name and leaves the others done. Fan-out beyond one machine is Kubeflow's.
"""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from openmofi.errors import InputError, OpenMofiError, ShardError
from openmofi.keys import content_digest, recipe_key
from openmofi.progress import bar, say
from openmofi.records import SCHEMA_VERSION, from_parquet, to_parquet
from openmofi.shards import TarReader
from openmofi.stage_entries import read_entries, write_entry
from openmofi.storage import Store
from openmofi.store_wait import StoreWait, apart, store_wait, taken_over
from openmofi.stream import StreamStage, ahead, stream_shards
from openmofi.versions import ShardEntry, TableVersion, sum_counts, write_table_version
from openmofi.work import Work
from openmofi.workers import run_here, run_in_processes

# What two processes take to start, import and set up at the least; seen were 1.5 to 3 CPU seconds.
_START_S = 2.0


@dataclass(frozen=True)
class ShardInput:
    """What ``process`` gets: one shard with its upstream tables and its tar."""

    store: Store
    work: Work
    recipe_key: str
    local_tar: Path | None = None

    @property
    def shard(self) -> str:
        """The shard's name."""
        return self.work.shard

    def table(self, kind: str) -> pa.Table:
        """The shard's part of an upstream table, in memory."""
        return from_parquet(self.store.get(self.work.tables[kind]))

    @contextlib.contextmanager
    def tar(self) -> Iterator[TarReader]:
        """The shard's pool tar, opened."""
        with contextlib.ExitStack() as stack:
            path = self.local_tar or stack.enter_context(self.store.local_file(self.work.tar_key))
            yield stack.enter_context(TarReader(path))


@dataclass(frozen=True)
class StageOutput:
    """What ``process`` returns.

    Args:
        table: Checked against the stage's schema by the stage.
        counts: Samples by cause; they add up to the samples seen.
        totals: Other sums (mentions, boxes, …).
        tar_key: The pool tar that ingest has written; other stages leave it empty.
    """

    table: pa.Table
    counts: Mapping[str, int]
    totals: Mapping[str, int] = field(default_factory=dict)
    tar_key: str = ""


class Stage(Protocol):
    """One step over shards. It is pickled to worker processes before ``setup``."""

    name: str
    version: int  # STAGE_VERSION: raised by hand when the output for the same input changes

    def semantic_config(self) -> Mapping[str, Any]:
        """Configuration that can change the result, as plain values."""

    def digests(self) -> Mapping[str, str]:
        """Digests of the models and the knowledge base used, by role."""

    def setup(self) -> None:
        """Load weights and tables, once a worker."""

    def process(self, shard: ShardInput) -> StageOutput:
        """Make one shard's table. Raise only when the shard as a whole is bad."""


@dataclass(frozen=True)
class Plan:
    """What a run would do."""

    todo: tuple[tuple[Work, str], ...]
    done: tuple[ShardEntry, ...]
    seconds_per_byte: float | None  # measured on the shards that are done

    def worthwhile(self, workers: int) -> int:
        """How many of ``workers`` to start: one, this process, where little is left to do."""
        if self.seconds_per_byte is None:
            return workers
        left = self.seconds_per_byte * sum(work.bytes for work, _ in self.todo)
        return 1 if left < _START_S else workers

    def describe(self, stage: str, price_per_hour: float | None = None) -> str:
        """One line: shards, bytes, hours and cost, as far as they are known."""
        size = sum(work.bytes for work, _ in self.todo)
        line = (
            f"{stage}: {len(self.todo)} shards to do ({size / 1e6:.1f} MB), {len(self.done)} done"
        )
        if self.seconds_per_byte is None:
            return f"{line}; no shard is done yet, so the time is not known"
        hours = size * self.seconds_per_byte / 3600
        line += f"; about {hours:.2f} worker-hours at the rate measured on done shards"
        return line if price_per_hour is None else f"{line}, {hours * price_per_hour:.2f} in cost"


def plan(stage: Stage | StreamStage, store: Store, work: Sequence[Work]) -> Plan:
    """Find which shards are done, by their recipe keys, without doing anything."""
    if not work:
        raise InputError(f"{stage.name}: there is no shard to process")
    names = [one.shard for one in work]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{stage.name}: shard '{twice}' is given twice")
    config, digests = stage.semantic_config(), stage.digests()
    keyed = [
        (one, recipe_key(stage.name, stage.version, config, digests, one.upstream)) for one in work
    ]
    known = read_entries(store, stage.name, [key for _, key in keyed])
    found = [(one, known.entries[key]) for one, key in keyed if key in known.entries]
    return Plan(
        todo=tuple((one, key) for one, key in keyed if key not in known.entries),
        # The same content under another shard name keeps its table and takes the name asked for.
        done=tuple(replace(entry, shard=one.shard) for one, entry in found),
        seconds_per_byte=_rate([(one.bytes, known.seconds.get(e.recipe_key)) for one, e in found]),
    )


def _rate(measured: Sequence[tuple[int, float | None]]) -> float | None:
    """Seconds a byte, over the shards whose time is known."""
    known = [(size, seconds) for size, seconds in measured if seconds is not None]
    size = sum(size for size, _ in known)
    return sum(seconds for _, seconds in known) / size if size else None


def run_stage(
    stage: Stage | StreamStage, store: Store, work: Sequence[Work], *, workers: int = 1
) -> str:
    """Process every shard that is not done, and publish the table.

    Args:
        stage: The stage.
        store: Where its inputs lie and its table goes.
        work: All shards; see `openmofi.work.align`.
        workers: Processes; 1 runs in this one. A stage that streams has processes of its own. Where
            what is left is done sooner than processes start, none is started.

    Returns:
        URI of the table's manifest.

    Raises:
        ShardError: Some shards failed. They are named; the others are done and are skipped on
            the next run. No manifest is written.
    """
    planned = plan(stage, store, work)
    say(f"{stage.name}: {len(work)} shards, {len(planned.done)} reused, {len(planned.todo)} to do")
    processes = _processes(stage, planned, workers)
    with store_wait() as waited:
        fresh, failures = _process_all(stage, store, planned.todo, processes)
    if failures:
        name, reason = failures[0]
        more = f" (and {len(failures) - 1} more shards failed)" if len(failures) > 1 else ""
        kept = len(work) - len(failures)
        raise ShardError(
            f"{stage.name}: shard '{name}' failed: {reason}{more}; {kept} of {len(work)} shards "
            "are done and will be skipped next time"
        )
    entries = sorted([*planned.done, *fresh], key=lambda entry: entry.shard)
    version = TableVersion(
        stage.name, stage.version, stage.semantic_config(), stage.digests(), tuple(entries)
    )
    told = f"; {waited.describe(processes)}" if fresh else ""
    say(f"{stage.name}: {describe_counts(version.counts)}{told}")
    return write_table_version(store, version)


def _processes(stage: Stage | StreamStage, planned: Plan, workers: int) -> int:
    """How many share the shards; those that a streaming stage has for itself don't count."""
    if isinstance(stage, StreamStage):
        return 1
    return max(1, min(planned.worthwhile(workers), len(planned.todo)))


def describe_counts(counts: Mapping[str, int]) -> str:
    """``seen 100 = ok 90 + corrupt_image 10``."""
    parts = " + ".join(f"{name} {value}" for name, value in sum_counts([counts]).items())
    return f"seen {sum(counts.values())} = {parts}"


def _process_all(
    stage: Stage | StreamStage, store: Store, todo: Sequence[tuple[Work, str]], workers: int
) -> tuple[list[ShardEntry], list[tuple[str, str]]]:
    if not todo:
        return [], []
    inputs = [ShardInput(store, work, key) for work, key in todo]
    entries, failures = [], []
    results = _results(stage, inputs, workers)
    for item, outcome in bar(results, label=stage.name, total=len(inputs), unit="shard"):
        if isinstance(outcome, ShardEntry):
            entries.append(outcome)
        else:
            failures.append((item.shard, outcome))
            say(f"{stage.name}: shard '{item.shard}' failed: {outcome}")
    return entries, failures


def _results(
    stage: Stage | StreamStage, inputs: Sequence[ShardInput], workers: int
) -> Iterator[tuple[ShardInput, ShardEntry | str]]:
    if isinstance(stage, StreamStage):
        return stream_shards(stage, inputs, partial(_write, stage))
    job = _ShardJob(stage)
    if workers > 1:
        return taken_over(run_in_processes(job, inputs, workers))
    return taken_over(run_here(job, _prefetched(inputs)))


def _prefetched(inputs: Sequence[ShardInput]) -> Iterator[ShardInput]:
    """Copy the next shard's tar from the store while the present one is processed."""

    def fetch(item: ShardInput) -> tuple[ShardInput, contextlib.ExitStack]:
        stack = contextlib.ExitStack()
        if not item.work.tar_key:
            return item, stack
        try:
            path = stack.enter_context(item.store.local_file(item.work.tar_key))
        except (OpenMofiError, OSError):
            return item, stack  # process() meets the same error and reports it under its shard
        return replace(item, local_tar=path), stack

    for item, stack in ahead(fetch, inputs):
        with stack:
            yield item


@dataclass(frozen=True)
class _ShardJob:
    """A stage as `openmofi.workers` runs it: one shard's entry is written where it was made."""

    stage: Stage

    def setup(self) -> None:
        self.stage.setup()

    def run(self, item: ShardInput) -> tuple[ShardEntry, StoreWait]:
        return apart(self._entry, item)

    def _entry(self, item: ShardInput) -> ShardEntry:
        started = time.monotonic()
        output = self.stage.process(item)
        return _write(self.stage, item, output, time.monotonic() - started)


def _write(
    stage: Stage | StreamStage, item: ShardInput, output: StageOutput, seconds: float
) -> ShardEntry:
    """Table first, entry last: an entry that is there names a table that is whole."""
    metadata = {b"openmofi": json.dumps({"stage": stage.name, "version": SCHEMA_VERSION}).encode()}
    data = to_parquet(output.table.replace_schema_metadata(metadata))
    table_key = f"tables/{stage.name}/{item.recipe_key}.parquet"
    item.store.put(table_key, data)
    entry = ShardEntry(
        shard=item.shard,
        recipe_key=item.recipe_key,
        content_digest=content_digest(output.table),
        table_key=table_key,
        tar_key=output.tar_key or item.work.tar_key,
        rows=output.table.num_rows,
        bytes=len(data) + item.work.bytes * bool(output.tar_key),
        counts=dict(output.counts),
        totals=dict(output.totals),
    )
    write_entry(item.store, stage.name, entry, seconds)
    return entry
