"""Cards of versions that show what was taken down."""

from collections.abc import Sequence

from openmofi import pages
from openmofi.dataset.card.entities import shows
from openmofi.dataset.takedown.compact_pool import GoneShard
from openmofi.dataset.takedown.rewriting import Rewriting
from openmofi.dataset.versions.version import KIND, Dataset, DatasetShard
from openmofi.versions import Manifest

_SAYS = (
    "<h1>This card was removed</h1>\n"
    "<p>It showed pictures or texts that have been taken down. The version itself stands, and "
    "whoever reads it leaves them out. Assembling again draws a new card.</p>"
)


def removed_card() -> str:
    """The page that stands where a card was."""
    return pages.page("Card removed", _SAYS)


def compact_cards(rewriting: Rewriting, shards: Sequence[GoneShard]) -> int:
    """Replace every card that shows one of the samples; return how many did.

    A card names what it shows by shard and key, beside each picture.
    """
    store, by_key = rewriting.store, {shard.samples_key: shard for shard in shards}
    replaced = 0
    for info in [i for i in store.list("datasets/") if i.key.endswith("/card.html")]:
        digest = info.key.split("/")[1]
        index = f"datasets/{digest}/index.parquet"
        version = Dataset(Manifest(store, KIND, digest, {"index": index}))
        page = store.get(info.key).decode()
        if any(_shows(page, one, by_key) for one in version.shards):
            rewriting.put(info.key, removed_card().encode())
            replaced += 1
    return replaced


def _shows(page: str, shard: DatasetShard, gone: dict[str, GoneShard]) -> bool:
    if shard.samples_key not in gone:
        return False
    return any(shows(page, f"{shard.shard}/{key}") for key in gone[shard.samples_key].keys)
