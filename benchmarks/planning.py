"""How long it takes to find that 10,000 shards are done.

Run: python -m benchmarks.planning [--shards 10000] [--stages 6] [--s3]
A source of that many tiny tars is planned twice, so the second time all fingerprints are known.
Then every stage gets entries and a manifest as `run_stage` leaves them, and is planned: once with
the manifest's index, once with the entries alone (as a run leaves them that was killed).
The store is a folder, or with --s3 a Swift server on this machine, which starts for the benchmark
(``make setup`` installs it). Writing 10,000 entries a stage to Swift takes a minute or two.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openmofi.ingest.run import plan_groups
from openmofi.keys import hash_json
from openmofi.shards import write_tar
from openmofi.stage import ShardInput, StageOutput, plan
from openmofi.stage_entries import write_entry
from openmofi.storage import Store, open_store
from openmofi.versions import ShardEntry, TableVersion, write_table_version
from openmofi.work import Work, align

_TESTS = Path(__file__).parents[1] / "tests"
_THREADS = 16


@dataclass(frozen=True)
class Stage:
    """One whose tables nobody reads."""

    name: str
    version: int = 1

    def semantic_config(self) -> Mapping[str, Any]:
        return {}

    def digests(self) -> Mapping[str, str]:
        return {}

    def setup(self) -> None:
        pass

    def process(self, shard: ShardInput) -> StageOutput:
        raise AssertionError("this benchmark only plans")


def write_source(folder: Path, shards: int) -> None:
    for number in range(shards):
        text = f"picture {number}".encode()
        write_tar(folder / f"{number:05d}.tar", [("0", {"jpg": text, "txt": text})])


def finish(store: Store, stage: Stage, work: Sequence[Work]) -> TableVersion:
    """Entries of all shards, as a run would leave them; no tables, which planning never reads."""

    def write(item: tuple[Work, str]) -> ShardEntry:
        one, key = item
        entry = ShardEntry(
            shard=one.shard,
            recipe_key=key,
            content_digest=hash_json([stage.name, one.shard]),
            table_key=f"tables/{stage.name}/{key}.parquet",
            tar_key=f"pool/{hash_json(one.shard)}.tar",
            rows=1000,
            bytes=100_000,
            counts={"ok": 900, "skipped": 100},
            totals={"found": 2000},
        )
        write_entry(store, stage.name, entry, seconds=1.5)
        return entry

    with ThreadPoolExecutor(_THREADS) as pool:
        entries = list(pool.map(write, plan(stage, store, work).todo))
    time.sleep(1.1)  # S3 tells times in whole seconds; a run of 10,000 shards takes longer too
    version = TableVersion(stage.name, stage.version, {}, {}, tuple(entries))
    write_table_version(store, version)
    return version


def time_stages(store: Store, work: Sequence[Work], stages: int) -> Iterator[dict[str, object]]:
    for number in range(stages):
        stage = Stage(f"stage_{number}")
        version = finish(store, stage, work)
        for manifests in (True, False):
            if not manifests:
                for info in list(store.list(f"manifests/{stage.name}/")):
                    store.delete(info.key)
            started = time.perf_counter()
            planned = plan(stage, store, work)
            seconds = time.perf_counter() - started
            assert len(planned.done) == len(work)
            yield {
                "stage": stage.name,
                "read": "index" if manifests else "entries",
                "seconds": round(seconds, 2),
            }
        work = align({stage.name: version})


@contextlib.contextmanager
def _root(folder: Path, s3: bool) -> Iterator[str]:
    if not s3:
        yield (folder / "root").as_uri()
        return
    sys.path.insert(0, str(_TESTS))
    from support.swift_server import BUCKET, serving

    (folder / "swift").mkdir()
    with serving(folder / "swift") as server:
        os.environ.update(server.environment)
        yield f"s3://{BUCKET}/planning"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, default=10_000)
    parser.add_argument("--stages", type=int, default=6)
    parser.add_argument("--s3", action="store_true", help="a Swift server instead of a folder")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="openmofi-benchmark-") as name,
        _root(Path(name), arguments.s3) as root,
    ):
        source = Path(name, "source")
        source.mkdir()
        write_source(source, arguments.shards)
        for known in (False, True):
            started = time.perf_counter()
            plan_groups(root=root, source=str(source), groups=4)
            seconds = round(time.perf_counter() - started, 2)
            print(json.dumps({"plan_groups": "known" if known else "new", "seconds": seconds}))
        work = [
            Work(f"{number:05d}", upstream=(hash_json(number),), bytes=100_000)
            for number in range(arguments.shards)
        ]
        total = {"index": 0.0, "entries": 0.0}
        for row in time_stages(open_store(root), work, arguments.stages):
            print(json.dumps(row), flush=True)
            total[str(row["read"])] += float(str(row["seconds"]))
        print(json.dumps({f"all stages by {k}": round(v, 2) for k, v in total.items()}))


if __name__ == "__main__":
    main()
