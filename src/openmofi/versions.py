"""Manifests: small JSON files that name what a step made.

A step hands its successor one URI, ``<root>/manifests/<kind>/<digest>.json``. For a table it is
the *version index*: the JSON names a Parquet file with one row per shard (recipe key, content
digest, counts, bytes), which stands for a table of any size. Outputs are written first, the index
after them, the JSON last; so a manifest that is there is complete.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from openmofi.errors import InputError
from openmofi.keys import hash_json
from openmofi.records import SCHEMA_VERSION, from_parquet, to_parquet
from openmofi.storage import Store, open_store

_FOLDER = "manifests"

_INDEX = pa.schema(
    [
        pa.field("shard", pa.string(), nullable=False),
        pa.field("recipe_key", pa.string(), nullable=False),
        pa.field("content_digest", pa.string(), nullable=False),
        pa.field("table_key", pa.string(), nullable=False),
        pa.field("tar_key", pa.string(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("counts", pa.string(), nullable=False),
        pa.field("totals", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class ShardEntry:
    """One shard's output of one stage.

    ``counts`` add up to the samples that the stage saw, by cause; ``totals`` are other sums, such
    as mentions or boxes.
    """

    shard: str
    recipe_key: str
    content_digest: str
    table_key: str
    tar_key: str
    rows: int
    bytes: int
    counts: Mapping[str, int]
    totals: Mapping[str, int]


@dataclass(frozen=True)
class TableVersion:
    """A whole table: which recipe made it, and one entry a shard, sorted by shard."""

    stage: str
    stage_version: int
    config: Mapping[str, Any]
    digests: Mapping[str, str]
    shards: tuple[ShardEntry, ...]

    @property
    def digest(self) -> str:
        """Of what is in it: the shards' content digests, in order."""
        return hash_json(
            [self.stage, [[e.shard, e.content_digest, e.recipe_key] for e in self.shards]]
        )

    @property
    def counts(self) -> dict[str, int]:
        """Samples by cause, over all shards."""
        return sum_counts(entry.counts for entry in self.shards)

    @property
    def totals(self) -> dict[str, int]:
        """Other sums, over all shards."""
        return sum_counts(entry.totals for entry in self.shards)


@dataclass(frozen=True)
class Manifest:
    """What a manifest's JSON holds, and the store that it lies in."""

    store: Store
    kind: str
    digest: str
    content: Mapping[str, Any] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        """The address that steps hand on."""
        return f"{self.store.uri}/{manifest_key(self.kind, self.digest)}"

    @property
    def origin(self) -> Mapping[str, Any]:
        """How a model came to be; empty where nobody has said."""
        found: Mapping[str, Any] = self.content.get("origin") or {}
        return found


def sum_counts(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add mappings of counts, keys sorted."""
    total: dict[str, int] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, 0) + int(value)
    return dict(sorted(total.items()))


def root_of(uri: str) -> str:
    """The root that a manifest's URI lies in; empty where it is no manifest's."""
    return uri.rpartition(f"/{_FOLDER}/")[0]


def manifest_key(kind: str, digest: str) -> str:
    """Where the manifest of a kind and digest lies in its store."""
    return f"{_FOLDER}/{kind}/{digest}.json"


def index_key(stage: str, digest: str) -> str:
    """Where the index of a table lies."""
    return f"{_FOLDER}/{stage}/{digest}.parquet"


def write_manifest(store: Store, kind: str, digest: str, content: Mapping[str, Any]) -> Manifest:
    """Publish: one small write, after everything that ``content`` names is in the store."""
    body = {"kind": kind, "digest": digest, "schema_version": SCHEMA_VERSION, **content}
    text = json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False)
    store.put(manifest_key(kind, digest), text.encode())
    return Manifest(store, kind, digest, body)


def read_manifest(uri: str, kind: str) -> Manifest:
    """Read a manifest by its URI.

    Raises:
        InputError: The URI is no manifest's, or it is of another kind or format version.
        StorageError: It is not there.
    """
    root, marker, rest = uri.rpartition(f"/{_FOLDER}/")
    found_kind, _, name = rest.partition("/")
    if not marker or not name.endswith(".json"):
        raise InputError(f"{uri!r} is not a manifest; expected ROOT/{_FOLDER}/{kind}/DIGEST.json")
    if found_kind != kind:
        raise InputError(f"{uri} is a manifest of '{found_kind}', and '{kind}' is needed here")
    store = open_store(root)
    try:
        content = json.loads(store.get(f"{_FOLDER}/{rest}"))
    except ValueError:
        raise InputError(f"{uri} is damaged: it is not JSON") from None
    if content.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            f"{uri} has format version {content.get('schema_version')}; this release reads "
            f"{SCHEMA_VERSION}"
        )
    return Manifest(store, kind, content["digest"], content)


def read_manifests(store: Store, kind: str) -> Iterator[Manifest]:
    """All manifests of a kind in a store, by digest.

    Raises:
        InputError: One of them is damaged, or of another format version.
    """
    for info in store.list(f"{_FOLDER}/{kind}/"):
        if info.key.endswith(".json"):
            yield read_manifest(f"{store.uri}/{info.key}", kind)


def write_table_version(store: Store, version: TableVersion) -> str:
    """Write the index of a table, then its manifest; return the manifest's URI."""
    rows = [
        {**asdict(e), "counts": _dumps(e.counts), "totals": _dumps(e.totals)}
        for e in version.shards
    ]
    index = index_key(version.stage, version.digest)
    store.put(index, to_parquet(pa.Table.from_pylist(rows, schema=_INDEX)))
    content = {
        "stage_version": version.stage_version,
        "config": dict(version.config),
        "digests": dict(version.digests),
        "index": index,
        "shards": len(version.shards),
        "rows": sum(e.rows for e in version.shards),
        "bytes": sum(e.bytes for e in version.shards),
        "counts": version.counts,
        "totals": version.totals,
    }
    return write_manifest(store, version.stage, version.digest, content).uri


def read_table_version(uri: str, stage: str) -> tuple[Store, TableVersion]:
    """The store and the version that a table manifest's URI names."""
    manifest = read_manifest(uri, stage)
    shards = entries_of(from_parquet(manifest.store.get(manifest.content["index"])))
    version = TableVersion(
        stage=stage,
        stage_version=manifest.content["stage_version"],
        config=manifest.content["config"],
        digests=manifest.content["digests"],
        shards=shards,
    )
    return manifest.store, version


def entries_of(index: pa.Table) -> tuple[ShardEntry, ...]:
    """The shards of an index, or of some of its rows."""
    return tuple(
        ShardEntry(
            **{**row, "counts": json.loads(row["counts"]), "totals": json.loads(row["totals"])}
        )
        for row in index.to_pylist()
    )


def read_table_versions(uris: Iterable[str], stage: str) -> tuple[Store, TableVersion]:
    """One version out of the versions that groups of shards made, sorted by shard.

    Raises:
        InputError: They hold a shard twice, or were made by different recipes.
    """
    parts = [read_table_version(uri, stage) for uri in uris]
    if not parts:
        raise InputError(f"no table of '{stage}' was given")
    store, first = parts[0]
    entries = {}
    for part_store, part in parts:
        if part_store.uri != store.uri:
            raise InputError(f"tables of '{stage}' lie in {store.uri} and in {part_store.uri}")
        recipe = (part.stage_version, part.config, part.digests)
        if recipe != (first.stage_version, first.config, first.digests):
            raise InputError(f"tables of '{stage}' were made by different recipes; run it again")
        for entry in part.shards:
            if entry.shard in entries:
                raise InputError(f"shard '{entry.shard}' stands in two tables of '{stage}'")
            entries[entry.shard] = entry
    shards = tuple(entries[name] for name in sorted(entries))
    version = TableVersion(stage, first.stage_version, first.config, first.digests, shards)
    return store, version


def _dumps(value: Mapping[str, int]) -> str:
    return json.dumps(dict(value), sort_keys=True)
