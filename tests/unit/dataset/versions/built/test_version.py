"""A version as it lies in a store: format 2."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from openmofi.dataset.versions.published import publish
from openmofi.dataset.versions.version import (
    Dataset,
    DatasetShard,
    digest_of,
    read_dataset,
    write_index,
    write_version,
)
from openmofi.errors import InputError
from openmofi.keys import hash_bytes, hash_json
from openmofi.records import VOCABULARY, from_rows
from openmofi.storage import Store, open_store
from openmofi.versions import Manifest, read_manifest
from support.assembly import assemble
from support.versions import Built, listing, pool


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built.of(tmp_path_factory.mktemp("built"), "a", "abc")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "empty"))


def shard(name: str, **changed: Any) -> DatasetShard:
    made = DatasetShard(
        shard=name,
        rows=4,
        kept=3,
        kept_key=f"datasets/1/kept/{name}.parquet",
        kept_digest="k" * 32,
        dropped_key=f"datasets/1/dropped/{name}.parquet",
        dropped_digest="d" * 32,
        samples_key=f"tables/samples/{name}.parquet",
        tar_key=f"pool/{name}.tar",
        counts={"kept": 3, "no_entity": 1},
    )
    return replace(made, **changed)


def classes(*entities: str) -> Any:
    rows = [
        {"class_index": i, "entity_id": one, "name": one, "description": "", "images": 2}
        for i, one in enumerate(entities)
    ]
    return from_rows(rows, VOCABULARY)


def test_an_index_is_read_as_it_was_written(store: Store) -> None:
    shards = (shard("a"), shard("b", kept=0, counts={"corrupt_image": 4}))
    key = write_index(store, "datasets/1", shards)
    assert Dataset(Manifest(store, "dataset", "1", {"index": key})).shards == shards


def test_the_content_digest_is_of_rows_and_classes_alone() -> None:
    shards, names = [shard("a"), shard("b")], classes("E1", "E2")
    digest = digest_of(shards, names)
    elsewhere = [replace(one, kept_key="x", tar_key="y", samples_key="z") for one in shards]
    assert digest_of(elsewhere, names) == digest
    others = [
        digest_of(shards[:1], names),
        digest_of([shards[0], replace(shards[1], kept_digest="o")], names),
        digest_of([shards[0], replace(shards[1], dropped_digest="o")], names),
        digest_of([shards[0], replace(shards[1], shard="c")], names),
        digest_of(shards, classes("E2", "E1")),
        digest_of(shards, classes("E1")),
    ]
    assert len({digest, *others}) == 7


def test_a_version_names_its_files_and_itself_by_hash(store: Store) -> None:
    names = {"index": "datasets/1/index.parquet", "vocabulary": "datasets/1/vocabulary.parquet"}
    for key in names.values():
        store.put(key, key.encode())
    uri = write_version(store, "1", {**names, "format": 2, "changes": "", "shards": 0})
    body = json.loads(store.get("manifests/dataset/1.json"))
    assert uri == f"{store.uri}/manifests/dataset/1.json"
    assert body["files"] == {key: hash_bytes(key.encode()) for key in names.values()}
    said = {**names, "format": 2, "changes": "", "shards": 0, "files": body["files"]}
    assert body["checksum"] == hash_json(said)
    assert body.keys() == {*said, "checksum", "kind", "digest", "schema_version"}


def test_a_manifest_does_not_grow_with_the_pool(versions: list[Manifest]) -> None:
    first, last = (one.store.get(f"manifests/dataset/{one.digest}.json") for one in versions)
    # Counts of more digits, the parent's address, and changes; nothing a shard.
    parent = len(versions[1].content["parent"])
    assert len(last) - len(first) < parent + 300
    assert b"kept/a.parquet" not in last


def test_the_same_pool_in_another_place_has_the_same_content(
    versions: list[Manifest], tmp_path: Path
) -> None:
    other = Built.of(tmp_path, "a").restored()[0]
    assert other.uri != versions[0].uri
    assert other.content["content_digest"] == versions[0].content["content_digest"]


def test_a_parent_in_another_root_is_one_line(
    built: Built, versions: list[Manifest], tmp_path: Path
) -> None:
    other = Built.of(tmp_path, "a").restored()[0]
    before = listing(versions[0].store)
    with pytest.raises(InputError, match=f"the parent lies in {other.store.uri} and") as told:
        assemble(pool(built.root, "abc"), built.knowledge_base, parent=other.uri, min_score=0.3)
    assert "\n" not in str(told.value)
    assert listing(versions[0].store) == before


def test_another_decision_is_another_content(built: Built, versions: list[Manifest]) -> None:
    other = assemble(pool(built.root, "a"), built.knowledge_base, min_score=0.38)
    assert other.content["counts"] == versions[0].content["counts"]  # labels alone differ
    assert other.content["content_digest"] != versions[0].content["content_digest"]


def test_a_version_is_read_by_its_name_and_from_a_copied_root(
    built: Built, versions: list[Manifest]
) -> None:
    publish(versions[1].uri, why="by hand")
    copy = built.root.with_name("copy")
    shutil.copytree(built.root, copy)
    found = read_dataset(f"{copy}@main")
    assert found.uri == f"{copy.as_uri()}/manifests/dataset/{versions[1].digest}.json"
    assert [one.shard for one in found.tables("samples").shards] == ["a", "b", "c"]
    shutil.rmtree(copy)
    with pytest.raises(InputError, match="was assembled without masked_scores"):
        found.tables("masked_scores")


@pytest.mark.parametrize("said", [{"format": 1}, {"format": 3}, {}])
def test_another_format_is_one_line(versions: list[Manifest], said: dict[str, int]) -> None:
    store, digest = versions[0].store, versions[0].digest
    body = {k: v for k, v in versions[0].content.items() if k != "format"}
    store.put(f"manifests/dataset/{digest}.json", json.dumps({**body, **said}).encode())
    with pytest.raises(InputError, match=f"of format {said.get('format', 1)}, .* reads 2") as told:
        read_dataset(versions[0].uri)
    assert "\n" not in str(told.value)
    assert read_manifest(versions[0].uri, "dataset").digest == digest
