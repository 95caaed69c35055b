"""Small stages for tests of `openmofi.stage`, importable in spawned workers and by hand.

``python -m support.stages ROOT OPTIONS`` runs one as a process that a test can kill; OPTIONS is
the JSON of `Options`.
"""

import json
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from openmofi.errors import ShardError
from openmofi.records import Status, checked
from openmofi.stage import ShardInput, StageOutput, run_stage
from openmofi.storage import Store, open_store
from openmofi.versions import TableVersion, read_table_version
from openmofi.work import Work

MEASURES = pa.schema(
    [
        pa.field("value", pa.int64()),
        pa.field("parts", pa.list_(pa.float16()), nullable=False),
        pa.field("status", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Options:
    """How a run of `Multiply` goes. Only ``factor`` can change its result.

    Args:
        factor: What every number is multiplied by.
        diary: Folder in which each set-up and each processed shard leaves a file.
        stop_at: Shard at which processing stops for ever, after a note in the diary.
        pause: Seconds a shard takes.
        bad: Shards that fail, by name, and how.
        broken_setup: Whether ``setup`` fails.
    """

    factor: int = 2
    diary: str = ""
    stop_at: str = ""
    pause: float = 0
    bad: Mapping[str, str] = field(default_factory=dict)
    broken_setup: bool = False
    workers: int = 1
    shards: int = 6


@dataclass
class Multiply:
    """Multiplies the numbers that are a shard's source; negative ones are refused samples."""

    options: Options = Options()
    name: str = "multiply"
    version: int = 1

    def semantic_config(self) -> Mapping[str, Any]:
        return {"factor": self.options.factor}

    def digests(self) -> Mapping[str, str]:
        return {"model": "abc"}

    def setup(self) -> None:
        self._note(f"setup-{os.getpid()}")
        if self.options.broken_setup:
            raise RuntimeError("weights are\nmissing")

    def process(self, shard: ShardInput) -> StageOutput:
        self._note(f"shard-{shard.shard}-{os.getpid()}")
        self._misbehave(shard.shard)
        time.sleep(self.options.pause)
        rows = [self._row(number) for number in shard.work.source]
        refused = sum(row["status"] != Status.OK for row in rows)
        return StageOutput(
            table=checked(pa.Table.from_pylist(rows, schema=MEASURES), MEASURES),
            counts={Status.OK: len(rows) - refused, Status.TOO_SMALL: refused},
            totals={"parts": sum(len(row["parts"]) for row in rows)},
        )

    def _row(self, number: int) -> dict[str, Any]:
        if number < 0:
            return {"value": None, "parts": [], "status": Status.TOO_SMALL}
        value = number * self.options.factor
        return {"value": value, "parts": [value / 2] * (number % 3), "status": Status.OK}

    def _misbehave(self, shard: str) -> None:
        if shard == self.options.stop_at:
            self._note(f"stopped-{os.getpid()}")
            time.sleep(600)
        match self.options.bad.get(shard):
            case "shard":
                raise ShardError(f"{shard}.tar is cut short")
            case "bug":
                raise KeyError("a\nbug")
            case "killed":
                os.kill(os.getpid(), 9)

    def _note(self, name: str) -> None:
        if self.options.diary:
            Path(self.options.diary, name).touch()


@dataclass
class AddUp:
    """Reads the table of `Multiply`: one row a shard."""

    name: str = "add_up"
    version: int = 1

    def semantic_config(self) -> Mapping[str, Any]:
        return {}

    def digests(self) -> Mapping[str, str]:
        return {}

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: ShardInput) -> StageOutput:
        values = shard.table("multiply")["value"].to_pylist()
        total = sum(value for value in values if value is not None)
        return StageOutput(pa.table({"sum": [total]}), {Status.OK: len(values)})


@dataclass
class CountBytes:
    """Reads the tar of a shard: one row a sample, with the bytes of its members."""

    name: str = "count_bytes"
    version: int = 1

    def semantic_config(self) -> Mapping[str, Any]:
        return {}

    def digests(self) -> Mapping[str, str]:
        return {}

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: ShardInput) -> StageOutput:
        with shard.tar() as tar:
            samples = [(s.key, m) for s, m in tar.members(shard.work.source)]
        sizes = [sum(map(len, members.values())) for _, members in samples]
        return StageOutput(pa.table({"bytes": sizes}), {Status.OK: len(sizes)})


def numbers(shards: int = 6) -> list[Work]:
    """Work for `Multiply`: ``shards`` shards of a few numbers."""
    return [number_shard(index) for index in range(shards)]


def number_shard(index: int) -> Work:
    """One shard whose numbers follow from its index."""
    source: Sequence[int] = [index * 10 + i if i % 4 else -1 for i in range(index + 3)]
    return Work(
        shard=f"{index:05d}",
        upstream=(f"numbers-{index}",),
        source=source,
        bytes=8 * len(source),
    )


def processed(diary: Path) -> list[str]:
    """Shards that a run has worked on, and forget them."""
    notes = sorted(diary.glob("shard-*"))
    for note in notes:
        note.unlink()
    return [note.name.split("-")[1] for note in notes]


def read(uri: str, stage: str = "multiply") -> TableVersion:
    """The version that a run has made."""
    return read_table_version(uri, stage)[1]


def everything(store: Store) -> dict[str, bytes]:
    """All objects of a store, less the seconds that an entry has measured."""
    found = {info.key: store.get(info.key) for info in store.list()}
    return {key: re.sub(rb'"seconds": [0-9.e-]+', b"", data) for key, data in found.items()}


def start_command(root: str, options: Options) -> list[str]:
    """The command that runs `Multiply` in a process of its own."""
    return [sys.executable, "-m", "support.stages", root, json.dumps(asdict(options))]


def main() -> None:
    """Run `Multiply` as the command line says and print the manifest's URI."""
    options = replace(Options(), **json.loads(sys.argv[2]))
    store = open_store(sys.argv[1])
    print(run_stage(Multiply(options), store, numbers(options.shards), workers=options.workers))


if __name__ == "__main__":
    main()
