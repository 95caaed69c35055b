"""What the rules have settled, written shard by shard out of one ordered stream of labels."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.dataset.assembly.fates import Ids
from openmofi.dataset.assembly.filling import Filling
from openmofi.dataset.assembly.loading import Loaded, words
from openmofi.dataset.assembly.rules import Database, blocks
from openmofi.dataset.causes import Cause
from openmofi.dataset.versions.version import DROPPED, KEPT, DatasetShard
from openmofi.keys import content_digest
from openmofi.progress import bar
from openmofi.records import checked, from_parquet, to_parquet
from openmofi.storage import Store
from openmofi.store_wait import StoreWait, apart, blocked_on
from openmofi.work import Work

_WRITERS = 8  # threads, for stores that are slow to answer
_UNWRITTEN = 32  # shards in memory at once

_LABELS = """
SELECT id, class_index FROM tags JOIN classes USING (entity) ORDER BY id, score DESC, entity
"""
# What the card chooses its pictures from.
_SAMPLES = """
CREATE TABLE samples (
    id BIGINT, shard INTEGER, row INTEGER, mark UBIGINT, cause VARCHAR  -- mark: a hash
)
"""


@dataclass(frozen=True)
class _Shard:
    """What is written of one shard."""

    number: int
    work: Work
    start: int
    causes: pa.Array  # [rows], null where it is kept
    splits: pa.Array  # [kept]
    labels: pa.Array  # [kept], lists


def write_shards(
    database: Database, store: Store, work: Sequence[Work], loaded: Loaded, prefix: str
) -> list[DatasetShard]:
    """Write what is kept and what is dropped of every shard; make the table ``samples``.

    Args:
        database: With labels of kept samples only, and ``classes`` (entity, class_index).
        store: Of the pool.
        work: Its shards.
        loaded: The fates of their samples.
        prefix: Of the new objects' keys.
    """
    database.execute(_SAMPLES)
    written = []
    with Filling(database, "samples") as samples, ThreadPoolExecutor(_WRITERS) as pool:
        waiting: deque[Future[tuple[tuple[DatasetShard, pa.Table], StoreWait]]] = deque()

        def finish(most: int) -> None:
            while len(waiting) > most:
                entry, rows = blocked_on(waiting.popleft())
                written.append(entry)
                samples.add(rows)

        shards = _shards(database, work, loaded)
        for shard in bar(shards, label="assemble", total=len(work), unit="shard"):
            key = loaded.facts.shards[shard.number].table_key
            waiting.append(pool.submit(apart, _write, store, key, shard, prefix))
            finish(_UNWRITTEN)
        finish(0)
    return written


def _shards(database: Database, work: Sequence[Work], loaded: Loaded) -> Iterator[_Shard]:
    starts = loaded.starts.tolist()
    labels = _cut(database, starts[1:])
    for number, (one, (ids, classes)) in enumerate(zip(work, labels, strict=True)):
        part = slice(starts[number], starts[number + 1])
        codes, causes = loaded.fates.causes(part)
        kept = np.flatnonzero(codes == 0)
        edges = np.searchsorted(ids, part.start + np.append(kept, part.stop - part.start))
        yield _Shard(
            number=number,
            work=one,
            start=part.start,
            causes=pa.DictionaryArray.from_arrays(
                pa.array(codes, mask=codes == 0), pa.array(causes)
            ).cast(pa.string()),
            splits=pa.array(
                np.where(loaded.fates.validation[part][kept], "validation", "train"), pa.string()
            ),
            labels=pa.ListArray.from_arrays(
                pa.array(edges.astype(np.int32)), pa.array(classes, pa.int32())
            ),
        )


def _cut(database: Database, ends: list[int]) -> Iterator[tuple[Ids, npt.NDArray[np.int32]]]:
    """Samples and classes of the labels of each shard, in the order of the pool."""
    rows = blocks(database, _LABELS)
    ids, classes = np.zeros(0, np.int64), np.zeros(0, np.int32)
    for end in ends:
        while not len(ids) or ids[-1] < end:
            block = next(rows, None)
            if block is None:
                break
            ids, classes = np.concatenate([ids, block[0]]), np.concatenate([classes, block[1]])
        here = int(np.searchsorted(ids, end))
        yield ids[:here], classes[:here]
        ids, classes = ids[here:], classes[here:]


def _write(
    store: Store, facts_key: str, shard: _Shard, prefix: str
) -> tuple[DatasetShard, pa.Table]:
    """Put both tables of a shard; what the index and the card need of it."""
    uids = from_parquet(store.get(facts_key), ["uid"])["uid"].combine_chunks()
    rows = pa.array(np.arange(len(uids)), pa.int32())
    in_it = shard.causes.is_null()
    gone = shard.causes.is_valid()
    kept = {"row": rows.filter(in_it), "uid": uids.filter(in_it)}
    kept |= {"split": shard.splits, "labels": shard.labels}
    dropped = {name: column.filter(gone) for name, column in (("row", rows), ("uid", uids))}
    dropped["cause"] = shard.causes.filter(gone)
    entry = _put(
        store,
        shard.work,
        prefix,
        checked(pa.table(kept), KEPT),
        checked(pa.table(dropped), DROPPED),
    )
    number = pa.array(np.full(len(uids), shard.number), pa.int32())
    ids = pa.array(shard.start + np.arange(len(uids)), pa.int64())
    samples = {"id": ids, "shard": number, "row": rows, "cause": shard.causes}
    return entry, pa.table({**samples, "mark": words(uids, shard.work.shard)[0]})


def _put(store: Store, work: Work, prefix: str, kept: pa.Table, dropped: pa.Table) -> DatasetShard:
    counts = Counter(dropped["cause"].to_pylist())
    if kept.num_rows:
        counts[str(Cause.KEPT)] = kept.num_rows
    entry = DatasetShard(
        shard=work.shard,
        rows=kept.num_rows + dropped.num_rows,
        kept=kept.num_rows,
        kept_key=f"{prefix}/kept/{work.shard}.parquet",
        kept_digest=content_digest(kept),
        dropped_key=f"{prefix}/dropped/{work.shard}.parquet",
        dropped_digest=content_digest(dropped),
        samples_key=work.tables["samples"],
        tar_key=work.tar_key,
        counts=dict(sorted(counts.items())),
    )
    store.put(entry.kept_key, to_parquet(kept))
    store.put(entry.dropped_key, to_parquet(dropped))
    return entry
