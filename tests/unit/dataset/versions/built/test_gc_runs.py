"""`dataset gc` beside runs in progress, and what a pool was read from."""

import json
import os
from pathlib import Path

import pytest

from openmofi.dataset.assemble import assemble_dataset
from openmofi.dataset.training_shards import build_shards
from openmofi.dataset.versions.gc import DAY_S, plan_gc
from openmofi.dataset.versions.published import publish
from openmofi.dataset.versions.verify import verify
from openmofi.ingest.run import ingest_pairs, plan_groups
from openmofi.storage import open_store
from openmofi.versions import Manifest
from support.assembly import assemble
from support.ingest import crawl_tar, jpeg, members
from support.versions import (
    Built,
    age,
    collected,
    everything,
    manifest,
    pool,
    published,
    reachable,
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return published(tmp_path_factory.mktemp("built"))


@pytest.fixture
def versions(versions: list[Manifest], root: Path) -> list[Manifest]:
    age(root)
    return versions


def test_a_new_version_stays_with_all_that_it_names(
    versions: list[Manifest], root: Path, knowledge_base: str
) -> None:
    store = versions[0].store
    # Its tables are old and nobody's; a run has found them done, and ended a moment ago.
    young = assemble(pool(root, "ac"), knowledge_base, min_score=0.3)
    found = plan_gc(store, keep=0)
    assert young.digest in found.kept
    assert not found.in_progress
    assert manifest(versions[0]) in collected(store, keep=0)
    assert verify(young.uri, deep=True, again=True).problems == ()


@pytest.mark.parametrize(
    "key", ["tables/mentions/1.parquet", "pool/1.tar", "datasets/1/kept/a.parquet"]
)
def test_beside_a_run_in_progress_nothing_goes(versions: list[Manifest], key: str) -> None:
    store = versions[0].store
    store.put(key, b"half of something")
    found = plan_gc(store, keep=0)
    assert (found.objects, found.in_progress) == (0, key)
    assert collected(store, keep=0) == set()
    path = Path(str(store.uri).removeprefix("file://"), key)
    then = path.stat().st_mtime - DAY_S - 60
    os.utime(path, (then, then))
    assert key in collected(store, keep=0)


def touch(root: Path, *uris: str) -> None:
    """Let these manifests be of this moment."""
    for uri in uris:
        os.utime(root / uri.removeprefix(f"{root.as_uri()}/"))


def test_tables_of_a_run_between_two_steps_stay(versions: list[Manifest], root: Path) -> None:
    store = versions[0].store
    made = pool(root, "bc")  # no version yet: its run has found old tables done
    age(root)
    uris = [uri for uris in made.tables().values() for uri in uris]
    touch(root, *uris)
    before = everything(store)
    gone = collected(store, keep=0)
    assert manifest(versions[0]) in gone
    for uri in uris:
        key = uri.removeprefix(f"{store.uri}/")
        assert not reachable(before, store.uri, {key}) & gone


def test_training_shards_of_this_moment_stay_with_their_version(
    versions: list[Manifest], root: Path
) -> None:
    first = versions[0]
    touch(root, build_shards(first.uri))
    assert manifest(versions[1]) in collected(first.store, keep=0)
    assert verify(first.uri, deep=True).problems == ()


def test_a_source_that_was_planned_a_moment_ago_stays(
    versions: list[Manifest], root: Path, tmp_path: Path
) -> None:
    crawl_tar(tmp_path / "crawl" / "0.tar", {"1": members(1)})
    (group,) = plan_groups(str(root), source=str(tmp_path / "crawl"))
    plan = group.partition("#")[0].removeprefix(f"{root.as_uri()}/")
    gone = collected(versions[0].store, keep=0)
    assert manifest(versions[0]) in gone
    assert plan not in gone
    age(root)
    assert collected(versions[0].store, keep=0) == {plan}


# Sources


def listed_source(folder: Path, seeds: range) -> str:
    folder.mkdir()
    for seed in seeds:
        (folder / f"{seed}.jpg").write_bytes(jpeg(seed))
    rows = "".join(f"{seed}.jpg,picture {seed}\n" for seed in seeds)
    (folder / "list.csv").write_text("image,text\n" + rows)
    return str(folder / "list.csv")


def test_what_a_pool_was_read_from_stays_with_it(tmp_path: Path) -> None:
    root = tmp_path / "store"
    store = open_store(str(root))
    plans, pools = [], []
    for name, seeds in (("one", range(3)), ("two", range(10, 13))):
        source = listed_source(tmp_path / name, seeds)
        (group,) = plan_groups(
            str(root), source=source, config={"image_column": "image", "text_column": "text"}
        )
        plans.append(group.partition("#")[0].removeprefix(f"{store.uri}/"))
        pools.append(ingest_pairs(group))
    empty = {k: [] for k in ("mentions", "image_embeddings", "entity_scores", "text_regions")}
    options = {"require_entities": False, "min_images_per_entity": 1}
    uri = assemble_dataset(samples=pools[:1], **empty, knowledge_base="", config=options)
    publish(uri, why="by hand")
    age(root)
    before = everything(store)
    listings = [json.loads(before[plan])["shards"][0]["listing"] for plan in plans]
    gone = collected(store)
    assert {plans[1], listings[1]} <= gone
    assert not {plans[0], listings[0]} & gone
    assert sum(key.startswith("pool/") for key in gone) == 1
    assert verify(uri, deep=True).problems == ()
