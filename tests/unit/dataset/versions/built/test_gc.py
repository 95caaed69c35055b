"""`dataset gc`: what no version that stays needs goes, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from openmofi.dataset.versions.gc import collect, plan_gc
from openmofi.dataset.versions.published import publish
from openmofi.dataset.versions.verify import verify
from openmofi.errors import InputError, OpenMofiError, StorageError
from openmofi.storage import FolderStore, Store, open_store
from openmofi.versions import Manifest, write_manifest
from support.versions import (
    Built,
    age,
    collected,
    everything,
    listing,
    manifest,
    names_in,
    published,
    reachable,
)

LOOKED_AT = ("datasets/", "training_shards/", "tables/", "pool/", "sources/")
KINDS = (
    "dataset", "training_shards", "source_plan", "samples", "mentions", "image_embeddings",
    "entity_scores", "text_regions", "dataset_facts",
)  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return published(tmp_path_factory.mktemp("built"))


@pytest.fixture
def versions(versions: list[Manifest], root: Path) -> list[Manifest]:
    age(root)
    return versions


def is_looked_at(key: str) -> bool:
    return key.startswith(LOOKED_AT) or key.startswith(tuple(f"manifests/{k}/" for k in KINDS))


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_what_stays_is_what_the_versions_reach(versions: list[Manifest], keep: int) -> None:
    store = versions[0].store
    before = everything(store)
    stay = list(reversed(versions))[: keep + 1]
    needed = reachable(before, store.uri, {manifest(one) for one in stay})
    gone = collected(store, keep=keep)
    assert gone == {key for key in before if is_looked_at(key)} - needed
    assert len(gone) > 20  # the version of nobody, at least
    after = everything(store)
    assert after == {key: before[key] for key in before.keys() - gone}
    for one in stay:
        assert verify(one.uri, deep=True, again=True).problems == ()
    assert {manifest(one) for one in versions if one not in stay} <= gone


def test_a_dry_run_removes_nothing(versions: list[Manifest]) -> None:
    store = versions[0].store
    before = everything(store)
    found = plan_gc(store, keep=0)
    assert everything(store) == before
    keys = [key for wave in found.waves for key in wave]
    assert found.objects == len(set(keys)) == sum(n for n, _ in found.by_folder.values())
    assert found.bytes == sum(len(before[key]) for key in keys)
    assert found.bytes == sum(size for _, size in found.by_folder.values())
    assert found.kept == (versions[2].digest,)


def test_going_back_first_keeps_what_one_went_back_from(versions: list[Manifest]) -> None:
    first, second, last = versions
    publish(first.uri, why="by hand")
    gone = collected(first.store, keep=1)
    assert manifest(second) in gone
    assert not {manifest(first), manifest(last)} & gone


@pytest.mark.parametrize("kind", ["model", "registration"])
def test_what_a_model_was_trained_on_stays(versions: list[Manifest], kind: str) -> None:
    first = versions[0]
    content = {"dataset": first.digest}
    write_manifest(
        first.store, kind, "1" * 32, content if kind == "registration" else {"origin": content}
    )
    gone = collected(first.store, keep=0)
    assert manifest(first) not in gone
    assert verify(first.uri, deep=True).problems == ()
    assert manifest(versions[1]) in gone


def test_the_rest_of_a_root_is_never_looked_at(versions: list[Manifest], root: Path) -> None:
    store = versions[0].store
    others = [
        "tombstones/1.txt", "compactions/1.json", "fingerprints/1.parquet", "checkpoints/1/latest",
        "models/1/x", "evaluation/1.json", "manifests/data_decision/1.json", "trained/1.json",
    ]  # fmt: skip
    for key in others:
        store.put(key, b'{"objects": {}}')
    age(root)
    assert not set(others) & collected(store, keep=0)


# Interrupted, and twice


def test_what_names_goes_in_an_earlier_wave_than_what_is_named(versions: list[Manifest]) -> None:
    store = versions[0].store
    before = everything(store)
    waves = plan_gc(store, keep=0).waves
    place = {key: number for number, wave in enumerate(waves) for key in wave}
    names = [
        (place[key], place[one])
        for key in place
        if key.endswith(".json")
        for one in names_in(before, store.uri, key) & place.keys() - {key}
    ]
    assert len(names) > 20
    assert all(first < then for first, then in names)


def test_stopped_anywhere_nothing_names_what_is_gone(
    versions: list[Manifest], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = versions[0].store
    before = everything(store)
    named = {key: names_in(before, store.uri, key) for key in before if is_looked_at(key)}
    garbage = plan_gc(store, keep=0)
    delete = FolderStore.delete
    for number in range(0, garbage.objects, 7):
        left = number

        def failing(self: FolderStore, key: str) -> None:
            nonlocal left
            if not left:
                raise StorageError("the store is gone")
            left -= 1
            delete(self, key)

        with monkeypatch.context() as patch:
            patch.setattr("openmofi.dataset.versions.gc._THREADS", 1)
            patch.setattr(FolderStore, "delete", failing)
            with pytest.raises(StorageError, match="the store is gone"):
                collect(store, garbage)
        now = set(listing(store))
        assert len(now) == len(before) - number
        for key in now & named.keys():
            missing = named[key] - now
            assert not missing, (key, sorted(missing)[:2])
        for key in before.keys() - now:
            store.put(key, before[key])
    age(root)
    collected(store, keep=0)
    assert collected(store, keep=0) == set()


# Bad input


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda s, v: s.delete("published/main.json"), "nothing is published"),
        (lambda s, v: s.put("published/main.json", b"{"), "published/main.json is damaged"),
        (lambda s, v: s.delete(manifest(v[2])), "published as 'main', is missing"),
        (
            lambda s, v: s.delete(
                f"manifests/samples/{v[2].content['table_digests']['samples']}.json"
            ),
            "cannot read .*manifests/samples/",
        ),
    ],
)
def test_what_gc_cannot_follow_it_does_not_touch(
    versions: list[Manifest], spoil: Callable[[Store, list[Manifest]], None], said: str
) -> None:
    store = versions[0].store
    spoil(store, versions)
    before = everything(store)
    with pytest.raises(OpenMofiError, match=said) as raised:
        plan_gc(store)
    assert "\n" not in str(raised.value)
    assert everything(store) == before


def test_fewer_than_none_cannot_be_kept(versions: list[Manifest]) -> None:
    with pytest.raises(InputError, match="keep must be 0 or more, got -1"):
        plan_gc(versions[0].store, keep=-1)


@pytest.mark.s3
def test_gc_on_s3(versions: list[Manifest], s3_root: str) -> None:
    store, local = open_store(s3_root), versions[0].store
    for key, data in everything(local).items():
        store.put(key, data)
    needed = {key for wave in plan_gc(local, keep=0).waves for key in wave}
    # By the server's clock all is young.
    assert plan_gc(store, keep=0).objects == 0
    gone = collected(store, keep=0, older_than_s=-3600)
    assert gone == needed
    uri = f"{s3_root}/manifests/dataset/{versions[2].digest}.json"
    assert verify(uri, deep=True).problems == ()
