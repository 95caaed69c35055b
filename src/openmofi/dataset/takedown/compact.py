"""``openmofi dataset compact``: what was taken down is removed from the bytes of the pool.

The one overwrite of this package: see docs/decisions/0011. Run again after a kill, it ends as if it
had not been killed.
"""

from dataclasses import dataclass

from openmofi.dataset.takedown.compact_cards import compact_cards
from openmofi.dataset.takedown.compact_pool import (
    Entries,
    GoneShard,
    compact_facts,
    compact_listings,
    compact_shard,
    entries_by_tar,
    gone_shards,
    write_new_versions,
)
from openmofi.dataset.takedown.compact_training import compact_training_shards
from openmofi.dataset.takedown.rewriting import Rewriting, begin, finish
from openmofi.progress import bar
from openmofi.storage import Store, open_store
from openmofi.tombstones import Tombstones, read_tombstones


@dataclass(frozen=True)
class Compacted:
    """What was rewritten, or would be.

    Args:
        pool_shards: Tars of the pool in which bytes were wiped.
        tables: Tables and listings.
        training_shards: Shards that held a sample.
        cards: Those that showed one.
        bytes: Of pictures and texts that were in the pool's tars.
        record: Key of the record; empty where there was nothing to do, or nothing was done.
    """

    pool_shards: int
    tables: int
    training_shards: int
    cards: int
    bytes: int
    record: str


def compact(root: str, *, dry_run: bool = False) -> Compacted:
    """Remove all that was taken down from a store.

    Args:
        root: The store. Nothing else may write to it meanwhile.
        dry_run: Find out only.

    Raises:
        ShardError: A tar and its table differ.
    """
    return compact_store(open_store(root), dry_run=dry_run)


def compact_store(store: Store, *, dry_run: bool = False) -> Compacted:
    """`compact`, of an open store."""
    tombstones = read_tombstones(store)
    shards, entries = gone_shards(store, tombstones), entries_by_tar(store)
    planned = Rewriting(store, dry=True)
    counts = _rewrite(planned, tombstones, shards, entries)
    if dry_run:
        return _counted(planned, counts, "")
    before = begin(store, planned, tombstones.digest)
    if not before:
        return _counted(planned, counts, "")
    done = Rewriting(store)
    _rewrite(done, tombstones, shards, entries)
    write_new_versions(store, done.tables)
    return _counted(planned, counts, finish(store, before, tombstones.digest))


def _rewrite(
    rewriting: Rewriting, tombstones: Tombstones, shards: list[GoneShard], entries: Entries
) -> tuple[int, int, int]:
    """Bytes wiped, training shards and cards rewritten."""
    label = "planned" if rewriting.dry else "compacted"
    shown = bar(shards, label=label, total=len(shards), unit="shard")
    wiped = sum(compact_shard(rewriting, shard, entries) for shard in shown)
    uids = tombstones.ids.union(uid for shard in shards for uid in shard.uids)
    compact_facts(rewriting, uids)
    compact_listings(rewriting, tombstones)
    training = compact_training_shards(rewriting, uids)
    return wiped, training, compact_cards(rewriting, shards)


def _counted(done: Rewriting, counts: tuple[int, int, int], record: str) -> Compacted:
    wiped, training, cards = counts
    tables = [k for k in done.after if k.startswith(("tables/", "sources/"))]
    return Compacted(
        pool_shards=sum(key.startswith("pool/") for key in done.after),
        tables=sum(key.endswith(".parquet") for key in tables),
        training_shards=training,
        cards=cards,
        bytes=wiped,
        record=record,
    )
