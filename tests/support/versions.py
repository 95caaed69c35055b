"""A root with versions of a data set, what can go wrong in it, and a twin of what is needed."""

import copy
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from openmofi.dataset.training_shards import build_shards
from openmofi.dataset.versions.gc import collect, plan_gc
from openmofi.dataset.versions.published import publish
from openmofi.dataset.versions.version import write_version
from openmofi.entities.build import build_knowledge_base
from openmofi.records import from_parquet, to_parquet
from openmofi.storage import Store
from openmofi.versions import Manifest, read_manifest
from support.assembly import assemble
from support.tables import Pair, Pool, labelled, noise_jpeg, write_pool

ENTITIES = ("peru", "chad", "lagos", "norway")
SHARDS: dict[str, list[Pair]] = {
    "a": [
        *(labelled(seed, ("peru", 0.4), ("chad", 0.35)) for seed in range(3)),
        Pair(noise_jpeg(3), "lettered", boxes=[(0.9, 0.05)]),
        Pair(b"broken", "gone", status="corrupt_image"),
    ],
    "b": [labelled(seed, ("lagos", 0.4)) for seed in range(10, 13)],
    "c": [labelled(seed, ("norway", 0.4)) for seed in range(20, 23)],
}


def pool(root: Path, names: str) -> Pool:
    """The pool of some of `SHARDS`, as one group."""
    return write_pool(root, {name: SHARDS[name] for name in names})


def grown(root: Path, kb: str, *names: str) -> list[Manifest]:
    """Versions of ever more shards, each grown from the one before: ``"a", "ab", "abc"``."""
    made: list[Manifest] = []
    for some in names:
        made.append(assemble(pool(root, some), kb, parent=made[-1].uri if made else ""))
    return made


@dataclass(frozen=True)
class Built:
    """A root that is built once, slowly, and put back as it was for every test."""

    root: Path
    knowledge_base: str
    uris: list[str]

    @classmethod
    def of(cls, folder: Path, *names: str) -> "Built":
        """With versions of these shards, each grown from the one before."""
        root, source = folder / "store", folder / "kb.csv"
        rows = [f"{one},{one.title()},,a place" for one in ENTITIES]
        source.write_text("\n".join(["entity_id,name,aliases,description", *rows, ""]))
        base = build_knowledge_base(str(root), csv=str(source))
        return cls(root, base, [one.uri for one in grown(root, base, *names)]).kept()

    def kept(self) -> "Built":
        """Itself, once what is there now is what will be put back."""
        copy = self.root.with_name("as-built")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.root, copy)
        return self

    def restored(self) -> list[Manifest]:
        """The versions, after the root was put back."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self.root.with_name("as-built"), self.root)
        return [read_manifest(uri, "dataset") for uri in self.uris]


def published(folder: Path) -> Built:
    """Three versions, published one after the other, and one that was not."""
    made = Built.of(folder, "a", "ab", "abc")
    for uri in made.uris:
        publish(uri, why="refresh")
        build_shards(uri)
    build_shards(assemble(pool(made.root, "ac"), made.knowledge_base).uri)
    return made.kept()


def age(root: Path, days: float = 30) -> None:
    """Let everything in a root be so old."""
    then = time.time() - days * 24 * 3600
    for path in root.rglob("*"):
        os.utime(path, (then, then))


def listing(store: Store) -> list[str]:
    return [info.key for info in store.list()]


def manifest(one: Manifest) -> str:
    return f"manifests/dataset/{one.digest}.json"


def collected(store: Store, **options: float) -> set[str]:
    """Run gc; return what is gone."""
    before = set(listing(store))
    collect(store, plan_gc(store, **options))
    return before - set(listing(store))


def rewritten(version: Manifest, **said: object) -> str:
    """The version with other words of its own, and a checksum that fits them."""
    body = {
        name: value
        for name, value in version.content.items()
        if name not in ("kind", "digest", "schema_version", "checksum", "files")
    }
    return write_version(version.store, version.digest, {**body, **said})


def everything(store: Store) -> dict[str, bytes]:
    return {key: store.get(key) for key in listing(store)}


def altered(key: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """What an object might be instead, in words and bytes: one value at a time, or a part of it."""
    if key.endswith(".json"):
        for path, body in _other_bodies(json.loads(data)):
            yield path, json.dumps(body).encode()
    elif key.endswith(".parquet"):
        table = from_parquet(data)
        for name in table.column_names if table.num_rows else ():
            yield name, to_parquet(_with_another(table, name))
        yield "a row less", to_parquet(table.slice(1)) if table.num_rows else b""
    else:
        yield "a byte", bytes([*data[:700], data[700] ^ 1, *data[701:]])
    yield "half of it", data[: len(data) // 2]


def _other_bodies(body: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Copies of a JSON value, in each of which another leaf is another."""
    if not isinstance(body, dict | list) or not body:
        yield at, _another(body)
        return
    for place in body if isinstance(body, dict) else range(len(body)):
        for path, inner in _other_bodies(body[place], f"{at}/{place}"):
            made = copy.deepcopy(body)
            made[place] = inner
            yield path, made


def _another(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return f"{value}0"
    if isinstance(value, dict):
        return {**value, "new": 1}
    if isinstance(value, list):
        return [_another(value[0]), *value[1:]] if value else [0]
    return "x"


def _with_another(table: pa.Table, name: str) -> pa.Table:
    """The table with another value in the first row that can have one."""
    column = table.column(name)
    values = column.to_pylist()
    row = next((i for i, one in enumerate(values) if one not in (None, [])), None)
    if row is None:
        return table.slice(1)
    values[row] = _another(values[row])
    place = table.column_names.index(name)
    return table.set_column(place, table.field(name), pa.array(values, column.type))


def reachable(objects: Mapping[str, bytes], root: str, start: set[str]) -> set[str]:
    """Keys that follow from ``start``: every string of every object that is a key is followed.

    What is beside a table belongs to it, training shards to their data set; a parent does not.
    """
    found, todo = set(start), sorted(start)
    while todo:
        key = todo.pop()
        stem = key.rpartition(".")[0]
        near = {f"{stem}.json", f"{stem}.parquet", f"{stem}.tar"} & objects.keys()
        near |= {made for made in objects if _made_of(objects, made, key)}
        for one in (near | names_in(objects, root, key)) - found:
            found.add(one)
            todo.append(one)
    return found


def names_in(objects: Mapping[str, bytes], root: str, key: str) -> set[str]:
    """Keys of the objects that one names: as a key, as a URI, or by kind and digest."""
    texts = {(name, text.removeprefix(f"{root}/")) for name, text in _texts(objects, key)}
    named = {text for _, text in texts} | {f"manifests/{kind}/{text}.json" for kind, text in texts}
    return named & objects.keys()


def _made_of(objects: Mapping[str, bytes], key: str, dataset: str) -> bool:
    if not key.startswith("manifests/training_shards/"):
        return False
    return dataset == f"manifests/dataset/{json.loads(objects[key])['dataset']}.json"


def _texts(objects: Mapping[str, bytes], key: str) -> Iterator[tuple[str, str]]:
    """Strings of an object with the names that they stand under."""
    if key.endswith(".parquet"):
        for row in from_parquet(objects[key]).to_pylist():
            yield from _strings(row)
    elif key.endswith(".json"):
        yield from _strings(json.loads(objects[key]))


def _strings(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for inner, one in value.items():
            if inner != "parent":
                yield from _strings(one, inner)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one, name)
    elif isinstance(value, str):
        yield name, value
