"""Objects that are replaced, and the journal by which a killed run of it is run again."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from openmofi.dataset.versions.findings import COMPACTIONS
from openmofi.keys import content_digest, hash_bytes, hash_file, hash_json
from openmofi.records import from_parquet
from openmofi.storage import Store

_JOURNALS = "compacting/"


def digest_of(store: Store, key: str) -> str:
    """The content digest of a Parquet file, the hash of another's bytes; empty: not there."""
    if not store.exists(key):
        return ""
    if _is_table(key):
        return content_digest(from_parquet(store.get(key)))
    with store.local_file(key) as path:
        return hash_file(path)


@dataclass
class Rewriting:
    """What is replaced, made or deleted, in the order in which it has to happen.

    Args:
        store: Where.
        dry: Only find out what would be; nothing is written.
    """

    store: Store
    dry: bool = False
    before: dict[str, str] = field(default_factory=dict)  # digest by key; empty: not there
    after: dict[str, str] = field(default_factory=dict)
    tables: set[str] = field(default_factory=set)  # keys of all that had to be as they are now

    def put(self, key: str, data: bytes) -> None:
        """Replace or make a small object, unless it is that already."""
        after = content_digest(from_parquet(data)) if _is_table(key) else hash_bytes(data)
        self._change(key, after, lambda: self.store.put(key, data))

    def put_file(self, key: str, path: Path) -> None:
        """The same for a tar."""
        self._change(key, hash_file(path), lambda: self.store.put_file(key, path))

    def delete(self, key: str) -> None:
        """Remove an object."""
        self._change(key, "", lambda: self.store.delete(key))

    def _change(self, key: str, after: str, write: Callable[[], None]) -> None:
        before = digest_of(self.store, key)
        if before == after:
            return
        self.before.setdefault(key, before)
        self.after[key] = after
        if not self.dry:
            write()


def begin(store: Store, planned: Rewriting, tombstones: str) -> dict[str, str]:
    """Write down what is about to be replaced; digests by key, those of killed runs too."""
    before = dict(planned.before)
    for info in list(store.list(_JOURNALS)):
        before |= json.loads(store.get(info.key))["before"]
    if before:
        body = json.dumps({"before": before, "tombstones": tombstones}, sort_keys=True)
        store.put(f"{_JOURNALS}{hash_json(sorted(before))}.json", body.encode())
    return before


def finish(store: Store, before: dict[str, str], tombstones: str) -> str:
    """Write the record, then remove the journals; return the record's key."""
    objects = {
        key: {"before": digest, "after": digest_of(store, key)}
        for key, digest in sorted(before.items())
    }
    content = {"tombstones": tombstones, "objects": objects}
    record = f"{COMPACTIONS}{hash_json(content)}.json"
    store.put(record, json.dumps(content, indent=1, sort_keys=True).encode())
    for info in list(store.list(_JOURNALS)):
        store.delete(info.key)
    return record


def _is_table(key: str) -> bool:
    return key.endswith(".parquet")
