"""How many groups a source is shared out into."""

from math import ceil

# A group goes through all steps of a curation, an hour or some with a GPU: less, and starting pods
# is most of what is done.
SHARDS_A_GROUP = 100
# Each group is a handful of pods, and what an orchestrator notes of all of them has its limits too.
MOST_GROUPS = 200

# Assembly is handed the manifests of six tables of every group in one argument of a command line.
# Linux ends a single argument at 128 KiB; the rest of it, options above all, has 16 of them.
_ARGUMENT_BYTES = (128 - 16) * 1024
_TABLES = 6
# "/manifests/image_embeddings/", 32 digits and ".json" behind the root, and what JSON puts between.
_BEHIND_THE_ROOT = 28 + 32 + 5 + 4


def most_groups(root: str) -> int:
    """How many groups' manifests fit into one argument, for a root of that length."""
    return max(1, min(MOST_GROUPS, _ARGUMENT_BYTES // (_TABLES * (len(root) + _BEHIND_THE_ROOT))))


def count_groups(wanted: int, shards: int, root: str) -> int:
    """How many groups to make of some shards.

    Args:
        wanted: At most so many; 0 for a number that follows from the shards: one for every hundred,
            up to `most_groups`.
        shards: How many there are, at least one.
        root: Where everything is kept, as its manifests are named.
    """
    most = wanted or min(ceil(shards / SHARDS_A_GROUP), most_groups(root))
    return min(most, shards)
