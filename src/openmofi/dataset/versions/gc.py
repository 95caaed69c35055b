"""Removing what no published version names.

What stays: each published version, the versions that stood under its name before it, the versions
that models were trained on, and all that these need. Only objects that can be made again are looked
at; what nobody can make again (models, take-downs, decisions) is never touched.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from openmofi.dataset.versions.published import digest_in, read_pointers, version_key
from openmofi.dataset.versions.references import Named, named_by_versions
from openmofi.errors import InputError
from openmofi.progress import bar
from openmofi.storage import ObjectInfo, Store
from openmofi.versions import read_manifest, read_manifests

DAY_S = 24 * 3600.0

_MADE = ("datasets/", "training_shards/", "tables/", "pool/", "sources/")
_FIRST = ("training_shards", "dataset")  # of the manifests, in the order in which they go
_THREADS = 16


@dataclass(frozen=True)
class Garbage:
    """What could go.

    Args:
        waves: Keys in the order of removal. A wave goes when the one before it is gone, so that
            whatever is there at any moment names nothing that is not.
        bytes: Of all of them.
        by_folder: Objects and bytes by ``datasets/``, ``tables/``, ….
        kept: Digests of the versions that stay.
        in_progress: A key that no manifest names yet: a run may be going on, so nothing may go.
    """

    waves: tuple[tuple[str, ...], ...]
    bytes: int
    by_folder: Mapping[str, tuple[int, int]]
    kept: tuple[str, ...]
    in_progress: str = ""

    @property
    def objects(self) -> int:
        """How many there are."""
        return sum(map(len, self.waves))


def plan_gc(store: Store, *, keep: int = 2, older_than_s: float = DAY_S) -> Garbage:
    """Find what no version needs that stays, without removing it.

    Args:
        store: The root.
        keep: How many versions stay that stood under a name before the one that does.
        older_than_s: What was written since is of a run in progress, perhaps: it stays with all
            that it names.

    Raises:
        InputError: Nothing is published, or a version that stays cannot be followed.
        StorageError: Something that a version names is missing.
    """
    if keep < 0:
        raise InputError(f"gc: keep must be 0 or more, got {keep}")
    newest = time.time() - older_than_s
    objects = [info for folder in _MADE for info in store.list(folder)]
    kinds = {*_FIRST, "source_plan", *_table_kinds(objects)}
    manifests = [i for i in store.list("manifests/") if i.key.split("/")[1] in kinds]
    young = [info.key for info in manifests if info.modified > newest]
    kept = _published(store, keep) | _learnt_from(store)
    kept |= {digest for key in young for digest in _versions_named(store, key)}
    kept = {digest for digest in kept if store.exists(version_key(digest))}
    named = named_by_versions(store, kept, _tables(young))
    named.keys |= set(young)
    unnamed = [info for info in (*manifests, *objects) if info.key not in named]
    fresh = next((o.key for o in unnamed if o.modified > newest), "")
    return _garbage([] if fresh else unnamed, named, tuple(sorted(kept)), fresh)


def collect(store: Store, garbage: Garbage) -> None:
    """Remove what `plan_gc` has found. Killed at any moment, it is run again."""
    with ThreadPoolExecutor(_THREADS) as pool:
        for wave in garbage.waves:
            gone = pool.map(store.delete, wave)
            for _ in bar(gone, label="gc", total=len(wave), unit="object"):
                pass


def _table_kinds(objects: Iterable[ObjectInfo]) -> set[str]:
    return {info.key.split("/")[1] for info in objects if info.key.startswith("tables/")}


def _published(store: Store, keep: int) -> set[str]:
    """Digests of what stands under a name, and of what stood there last."""
    pointers = read_pointers(store)
    if not pointers:
        raise InputError(
            f"nothing is published in {store.uri}, so gc would remove every version; "
            "publish one first (openmofi dataset publish)"
        )
    found: set[str] = set()
    for name, pointer in pointers.items():
        current = digest_in(pointer["dataset"])
        if not store.exists(version_key(current)):
            raise InputError(
                f"{store.uri}: version {current}, published as '{name}', is missing; "
                "publish another one first"
            )
        before = dict.fromkeys(digest_in(one["dataset"]) for one in pointer["history"])
        before.pop(current, None)
        found |= {current, *list(before)[:keep]}
    return found


def _learnt_from(store: Store) -> set[str]:
    """Digests of the versions that models and registrations name."""
    found = set()
    for kind in ("model", "registration"):
        for manifest in read_manifests(store, kind):
            content = manifest.content
            origin = content if kind == "registration" else content.get("origin") or {}
            found.add(str(origin.get("dataset", "")))
    return found - {""}


def _versions_named(store: Store, key: str) -> Iterator[str]:
    """The version that a manifest is or is made of."""
    kind = key.split("/")[1]
    if kind == "dataset":
        yield digest_in(key)
    elif kind == "training_shards":
        yield read_manifest(f"{store.uri}/{key}", kind).content["dataset"]


def _tables(keys: Iterable[str]) -> Iterator[tuple[str, str]]:
    for key in keys:
        kind = key.split("/")[1]
        if key.endswith(".json") and kind not in (*_FIRST, "source_plan"):
            yield kind, digest_in(key)


def _garbage(
    unnamed: Sequence[ObjectInfo], named: Named, kept: tuple[str, ...], in_progress: str
) -> Garbage:
    waves: list[list[str]] = [[] for _ in range(7)]
    number: Counter[str] = Counter()
    size: Counter[str] = Counter()
    for info in unnamed:
        waves[_wave(info.key)].append(info.key)
        folder = info.key.split("/")[0] + "/"
        number[folder] += 1
        size[folder] += info.size
    by_folder = {folder: (number[folder], size[folder]) for folder in sorted(number)}
    ordered = tuple(tuple(wave) for wave in waves if wave)
    return Garbage(ordered, size.total(), by_folder, kept, in_progress)


def _wave(key: str) -> int:
    """Manifests, their indices, entries, tables, tars: what names goes before what is named."""
    if key.endswith(".tar"):
        return 6
    if key.startswith("manifests/"):
        kind = key.split("/")[1]
        order = _FIRST.index(kind) if kind in _FIRST else 2
        return order if key.endswith(".json") else 3
    return 4 if key.endswith(".json") and not key.startswith("datasets/") else 5
