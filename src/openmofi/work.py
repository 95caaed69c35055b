"""One shard's work: what it is made from, known before its recipe key."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from openmofi.errors import InputError
from openmofi.versions import TableVersion


@dataclass(frozen=True)
class Work:
    """One shard to process, before its recipe key is known.

    Args:
        shard: Its name, the same in every stage.
        upstream: Recipe keys or fingerprints of what it is made from, in a fixed order.
        tables: Store keys of the upstream tables, by kind.
        tar_key: Store key of its pool tar; empty before ingest.
        source: What ingest reads; any picklable value.
        bytes: Size of the input, for the plan.
    """

    shard: str
    upstream: tuple[str, ...]
    tables: Mapping[str, str] = field(default_factory=dict)
    tar_key: str = ""
    source: Any = None
    bytes: int = 0


def align(versions: Mapping[str, TableVersion]) -> list[Work]:
    """The work of a stage that reads the given upstream tables, shard by shard.

    Raises:
        InputError: The tables do not cover the same shards.
    """
    names = {kind: {e.shard: e for e in version.shards} for kind, version in versions.items()}
    first_kind, first = next(iter(names.items()))
    for kind, entries in names.items():
        if entries.keys() != first.keys():
            odd = sorted(entries.keys() ^ first.keys())[0]
            raise InputError(
                f"tables '{first_kind}' and '{kind}' differ: shard '{odd}' is in one only"
            )
    return [
        Work(
            shard=shard,
            upstream=tuple(names[kind][shard].recipe_key for kind in names),
            tables={kind: names[kind][shard].table_key for kind in names},
            tar_key=next((names[k][shard].tar_key for k in names if names[k][shard].tar_key), ""),
            bytes=sum(names[kind][shard].bytes for kind in names),
        )
        for shard in sorted(first)
    ]
