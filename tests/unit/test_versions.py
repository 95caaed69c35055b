"""Scope: openmofi.versions: manifests and table versions, on a folder and on S3."""

import json
from dataclasses import replace
from typing import Any

import pytest

from openmofi.errors import InputError, StorageError
from openmofi.storage import Store, open_store
from openmofi.versions import (
    ShardEntry,
    TableVersion,
    read_manifest,
    read_table_version,
    read_table_versions,
    sum_counts,
    write_manifest,
    write_table_version,
)


@pytest.fixture
def store(root: str) -> Store:
    return open_store(root)


def entry(shard: str, **changes: Any) -> ShardEntry:
    made = ShardEntry(
        shard=shard,
        recipe_key=f"recipe-{shard}",
        content_digest=f"content-{shard}",
        table_key=f"tables/embed/recipe-{shard}.parquet",
        tar_key=f"pool/{shard}.tar",
        rows=10,
        bytes=1000,
        counts={"ok": 8, "skipped": 2},
        totals={"boxes": 3},
    )
    return replace(made, **changes)


def version(*shards: str, **changes: Any) -> TableVersion:
    made = TableVersion(
        stage="embed",
        stage_version=3,
        config={"size": 64, "names": ["a", "b"]},
        digests={"model": "m"},
        shards=tuple(entry(shard) for shard in shards),
    )
    return replace(made, **changes)


def test_a_manifest_comes_back(store: Store) -> None:
    written = write_manifest(store, "dataset", "d1", {"kept": 3, "name": "schön"})
    read = read_manifest(written.uri, "dataset")
    assert written.uri == f"{store.uri}/manifests/dataset/d1.json"
    assert (read.uri, read.kind, read.digest) == (written.uri, "dataset", "d1")
    assert (read.content["kept"], read.content["name"]) == (3, "schön")
    assert read.store.uri == store.uri


def test_a_table_version_comes_back(store: Store) -> None:
    uri = write_table_version(store, version("00000", "00001"))
    read_store, read = read_table_version(uri, "embed")
    assert read == version("00000", "00001")
    assert read_store.uri == store.uri


def test_the_manifest_of_a_table_says_what_is_in_it(store: Store) -> None:
    content = read_manifest(write_table_version(store, version("a", "b")), "embed").content
    assert (content["shards"], content["rows"], content["bytes"]) == (2, 20, 2000)
    assert content["counts"] == {"ok": 16, "skipped": 4}
    assert content["totals"] == {"boxes": 6}


def test_writing_a_version_twice_is_writing_it_once(store: Store) -> None:
    uris = {write_table_version(store, version("a", "b")) for _ in range(2)}
    assert len(uris) == 1
    assert len(list(store.list("manifests/"))) == 2  # the index and its JSON


@pytest.mark.parametrize(
    "other",
    [
        version("a"),
        version("a", "c"),
        version("a", "b", stage="label"),
        version(shards=(entry("a"), entry("b", content_digest="changed"))),
        version(shards=(entry("a"), entry("b", recipe_key="changed"))),
    ],
    ids=["fewer", "renamed", "stage", "content", "recipe"],
)
def test_a_version_is_known_by_its_content(other: TableVersion) -> None:
    assert other.digest != version("a", "b").digest


def test_the_size_of_files_does_not_name_a_version() -> None:
    # Another pyarrow may compress otherwise; the rows are the same.
    smaller = version(shards=(entry("a", bytes=1), entry("b")))
    assert smaller.digest == version("a", "b").digest


def test_another_kind_is_told(store: Store) -> None:
    uri = write_manifest(store, "dataset", "d", {}).uri
    with pytest.raises(InputError, match="manifest of 'dataset', and 'model' is needed"):
        read_manifest(uri, "model")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "model.json",
        "s3://bucket/models/x",
        "/tmp/manifests/model",
        "/tmp/manifests/model/x.txt",
    ],
)
def test_what_is_no_manifest_is_told(uri: str) -> None:
    with pytest.raises(InputError, match="is not a manifest"):
        read_manifest(uri, "model")


def test_a_missing_manifest_is_told(store: Store) -> None:
    with pytest.raises(StorageError, match=r"manifests/model/gone\.json"):
        read_manifest(f"{store.uri}/manifests/model/gone.json", "model")


def test_another_format_version_is_told(store: Store) -> None:
    uri = write_manifest(store, "dataset", "d", {}).uri
    key = uri.removeprefix(f"{store.uri}/")
    content = json.loads(store.get(key))
    store.put(key, json.dumps({**content, "schema_version": 99}).encode())
    with pytest.raises(InputError, match="format version 99; this release reads 1"):
        read_manifest(uri, "dataset")


def test_what_is_no_json_is_told(store: Store) -> None:
    store.put("manifests/dataset/d.json", b"<html>")
    with pytest.raises(InputError, match=r"d\.json is damaged"):
        read_manifest(f"{store.uri}/manifests/dataset/d.json", "dataset")


def test_groups_merge_into_one_version_sorted_by_shard(store: Store) -> None:
    uris = [write_table_version(store, v) for v in (version("c"), version("b", "d"), version("a"))]
    _, merged = read_table_versions(uris, "embed")
    assert merged == version("a", "b", "c", "d")
    assert merged.digest == version("a", "b", "c", "d").digest
    assert merged.counts == {"ok": 32, "skipped": 8}


@pytest.mark.parametrize(
    "change",
    [{"stage_version": 4}, {"config": {"size": 65}}, {"digests": {"model": "n"}}],
    ids=str,
)
def test_groups_of_different_recipes_are_refused(store: Store, change: dict[str, Any]) -> None:
    uris = [write_table_version(store, v) for v in (version("a"), version("b", **change))]
    with pytest.raises(InputError, match="'embed' were made by different recipes"):
        read_table_versions(uris, "embed")


def test_a_shard_in_two_groups_is_refused(store: Store) -> None:
    uris = [write_table_version(store, v) for v in (version("a", "b"), version("b", "c"))]
    with pytest.raises(InputError, match="shard 'b' stands in two tables"):
        read_table_versions(uris, "embed")


def test_groups_of_two_stores_are_refused(root: str) -> None:
    stores = [open_store(f"{root}/{name}") for name in ("one", "two")]
    uris = [write_table_version(s, version(shard)) for s, shard in zip(stores, "ab", strict=True)]
    with pytest.raises(InputError, match=r"/one and in .*/two"):
        read_table_versions(uris, "embed")


def test_no_group_is_refused() -> None:
    with pytest.raises(InputError, match="no table of 'embed'"):
        read_table_versions([], "embed")


def test_counts_add_up_by_name() -> None:
    assert sum_counts([]) == {}
    assert list(sum_counts([{"b": 1, "a": 2}, {"b": 3}]).items()) == [("a", 2), ("b", 4)]
