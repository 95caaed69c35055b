"""Which shards of a stage are done, and what their entries say: few reads, however many shards.

Every shard that is done left an entry, a JSON of its own. A run writes all of its entries into one
index too; so what the newest indices hold needs not be read one by one.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field

import pyarrow as pa
from pyarrow import compute

from openmofi.errors import StorageError
from openmofi.records import from_parquet
from openmofi.storage import ObjectInfo, Store
from openmofi.versions import ShardEntry, entries_of

_READERS = 16  # threads
_INDICES = 16  # of the newest runs: what older ones made and none of these used is rare
_TIMED = 100  # entries read for their seconds, which no index holds


@dataclass
class Entries:
    """What is done, by recipe key; seconds are known of some."""

    entries: dict[str, ShardEntry] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def entry_key(stage: str, key: str) -> str:
    """Where the entry of a shard lies, by the shard's recipe key."""
    return f"tables/{stage}/{key}.json"


def write_entry(store: Store, stage: str, entry: ShardEntry, seconds: float) -> None:
    """Say that a shard is done, once its table is in the store.

    Args:
        store: Where it goes.
        stage: The stage's name.
        entry: Of the shard.
        seconds: That it took.
    """
    body = json.dumps({**asdict(entry), "seconds": round(seconds, 3)}, sort_keys=True)
    store.put(entry_key(stage, entry.recipe_key), body.encode())


def read_entries(store: Store, stage: str, keys: Sequence[str]) -> Entries:
    """The entries of all shards that are done.

    Args:
        store: Where they lie.
        stage: The stage's name.
        keys: Recipe keys of the shards asked for.
    """
    listed = {info.key: info for info in store.list(f"tables/{stage}/")}
    places = {key: entry_key(stage, key) for key in keys}
    present = {key: listed[place] for key, place in places.items() if place in listed}
    found = Entries()
    _read_indices(store, stage, present, found)
    # The seconds of all where they are few; else of as many, spread evenly over all.
    timed = list(present)[:: -(-len(present) // _TIMED) or 1]
    single = sorted({*timed, *(present.keys() - found.entries.keys())})
    with ThreadPoolExecutor(_READERS) as pool:
        bodies = pool.map(lambda key: json.loads(store.get(places[key])), single)
        for key, body in zip(single, bodies, strict=True):
            found.seconds[key] = body.pop("seconds")
            found.entries[key] = ShardEntry(**body)
    found.seconds = {key: found.seconds[key] for key in timed}
    return found


def _read_indices(
    store: Store, stage: str, present: Mapping[str, ObjectInfo], found: Entries
) -> None:
    """Take what the newest indices hold, until nothing is missing.

    An entry that was written after the index stands for another table than the index says: then
    what stands in the index is not taken.
    """
    for info, index in _newest(store, stage) if len(present) > _TIMED else ():
        wanted = [
            key
            for key, entry in present.items()
            if key not in found.entries and entry.modified < info.modified
        ]
        rows = index.filter(compute.is_in(index["recipe_key"], pa.array(wanted, pa.string())))
        found.entries.update((entry.recipe_key, entry) for entry in entries_of(rows))
        if len(found.entries) == len(present):
            return


def _newest(store: Store, stage: str) -> Iterator[tuple[ObjectInfo, pa.Table]]:
    indices = [one for one in store.list(f"manifests/{stage}/") if one.key.endswith(".parquet")]
    indices.sort(key=lambda info: (info.modified, info.key), reverse=True)
    for info in indices[:_INDICES]:
        try:
            yield info, from_parquet(store.get(info.key))
        except (StorageError, pa.ArrowException):
            continue  # gone by now, or damaged: the entries themselves say the same
