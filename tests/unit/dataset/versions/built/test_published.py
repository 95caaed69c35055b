"""What stands under a name: one write publishes, another goes back; forks are refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from openmofi.dataset.versions.published import (
    ancestors,
    publish,
    read_pointer,
    read_pointers,
    resolve,
)
from openmofi.dataset.versions.version import read_dataset
from openmofi.errors import InputError, OpenMofiError
from openmofi.storage import FolderStore, open_store
from openmofi.versions import Manifest
from support.assembly import assemble
from support.versions import Built, everything, pool


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built.of(tmp_path_factory.mktemp("built"), "a", "ab", "abc")


def main(store: object) -> str:
    """The digest that `main` stands for."""
    return read_dataset(f"{store.uri}@main").manifest.digest


def test_a_name_stands_for_what_was_published_last(versions: list[Manifest]) -> None:
    store = versions[0].store
    assert [publish(one.uri, why="refresh") for one in versions] == [True, True, True]
    assert main(store) == versions[2].digest
    pointer = read_pointer(store, "main")
    assert pointer["content_digest"] == versions[2].content["content_digest"]
    places = [one["dataset"] for one in pointer["history"]]
    assert places == [f"manifests/dataset/{one.digest}.json" for one in reversed(versions)]
    assert {one["why"] for one in pointer["history"]} == {"refresh"}


def test_publishing_again_writes_nothing(versions: list[Manifest]) -> None:
    publish(versions[0].uri, why="by hand")
    before = everything(versions[0].store)
    assert publish(versions[0].uri, why="by hand") is False
    assert publish(f"{versions[0].store.uri}@main", why="by hand") is False
    assert everything(versions[0].store) == before


def test_going_back_is_another_write(versions: list[Manifest]) -> None:
    first, _, last = versions
    publish(last.uri, why="refresh")
    # It never stood there, but what stands there grew from it.
    assert publish(first.uri, why="by hand")
    assert main(first.store) == first.digest
    assert read_pointer(first.store, "main")["history"][0]["why"] == "back"
    assert publish(last.uri, why="by hand")
    assert read_pointer(first.store, "main")["history"][0]["why"] == "back"


def test_names_are_apart(versions: list[Manifest]) -> None:
    first, second, _ = versions
    publish(first.uri, why="by hand")
    publish(second.uri, name="next", why="by hand")
    assert resolve(f"{first.store.uri}@main") == first.uri
    assert resolve(f"{first.store.uri}@next") == second.uri
    assert list(read_pointers(first.store)) == ["main", "next"]


def test_a_copied_root_has_its_own_versions(versions: list[Manifest], root: Path) -> None:
    for one in versions[:2]:
        publish(one.uri, why="refresh")
    copy = root.with_name("copy")
    shutil.copytree(root, copy)
    shutil.rmtree(root)
    assert resolve(f"{copy}@main") == f"{copy.as_uri()}/manifests/dataset/{versions[1].digest}.json"
    assert publish(f"{copy}/manifests/dataset/{versions[2].digest}.json", why="refresh")


def test_the_history_ends(versions: list[Manifest]) -> None:
    for turn in range(103):
        publish(versions[turn % 2].uri, why="by hand")
    assert len(read_pointer(versions[0].store, "main")["history"]) == 100


# Forks


@pytest.fixture
def fork(versions: list[Manifest], root: Path, knowledge_base: str) -> Manifest:
    """Grown from the first version, as the second one."""
    return assemble(pool(root, "ac"), knowledge_base, parent=versions[0].uri)


def test_of_two_heirs_of_one_parent_the_second_is_refused(
    versions: list[Manifest], fork: Manifest
) -> None:
    publish(versions[1].uri, why="refresh")
    before = everything(fork.store)
    with pytest.raises(InputError, match="two versions grew from one parent") as raised:
        publish(fork.uri, why="refresh")
    said = str(raised.value)
    assert f"grew from {versions[0].digest}" in said
    assert f"--parent {fork.store.uri}@main" in said
    assert everything(fork.store) == before
    assert publish(fork.uri, why="by hand", force=True)
    assert main(fork.store) == fork.digest


def test_what_grew_from_nothing_is_refused_beside_another(
    versions: list[Manifest], root: Path, knowledge_base: str
) -> None:
    alone = assemble(pool(root, "c"), knowledge_base)
    assert publish(versions[0].uri, why="refresh")
    with pytest.raises(InputError, match="grew from nothing"):
        publish(alone.uri, why="refresh")


def test_a_parent_in_another_store_is_told(
    versions: list[Manifest], fork: Manifest, root: Path
) -> None:
    body = json.loads(fork.store.get(f"manifests/dataset/{fork.digest}.json"))
    body["parent"] = "s3://elsewhere/manifests/dataset/0.json"
    fork.store.put(f"manifests/dataset/{fork.digest}.json", json.dumps(body).encode())
    publish(versions[1].uri, why="refresh")
    with pytest.raises(InputError, match=r"s3://elsewhere/.*, in another store") as raised:
        publish(fork.uri, why="refresh")
    assert "\n" not in str(raised.value)


def test_ancestors_end_where_a_version_was_removed(versions: list[Manifest]) -> None:
    first, second, last = versions
    store = first.store
    assert list(ancestors(store, last.digest)) == [second.digest, first.digest]
    store.delete(f"manifests/dataset/{second.digest}.json")
    assert list(ancestors(store, last.digest)) == [second.digest]


def test_back_to_what_stood_there_although_its_heir_was_removed(versions: list[Manifest]) -> None:
    first, second, last = versions
    publish(first.uri, why="refresh")
    publish(last.uri, why="refresh")
    first.store.delete(f"manifests/dataset/{second.digest}.json")
    assert publish(first.uri, why="by hand")


# Killed, and bad input


@pytest.mark.parametrize("after", [False, True])
def test_killed_beside_the_write_the_next_run_ends_the_same(
    versions: list[Manifest], monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    first, second, _ = versions
    publish(first.uri, why="refresh")
    before = everything(first.store)
    put = FolderStore.put

    def killed(self: FolderStore, key: str, data: bytes) -> None:
        if after:
            put(self, key, data)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "put", killed)
        with pytest.raises(KeyboardInterrupt):
            publish(second.uri, why="refresh")
    now = everything(first.store)
    if not after:
        assert now == before
    assert {k: v for k, v in now.items() if k != "published/main.json"} == {
        k: v for k, v in before.items() if k != "published/main.json"
    }
    assert publish(second.uri, why="refresh") is not after
    assert main(first.store) == second.digest
    assert len(read_pointer(first.store, "main")["history"]) == 2


def without_a_file(versions: list[Manifest], key: str) -> str:
    versions[0].store.delete(versions[0].content[key])
    return versions[0].uri


def with_pointer(versions: list[Manifest], body: bytes) -> str:
    versions[0].store.put("published/main.json", body)
    return f"{versions[0].store.uri}@main"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda v: f"{v[0].store.uri}/manifests/samples/1.json", "a manifest of 'samples'"),
        (lambda v: "nonsense", "is not a manifest"),
        (lambda v: f"{v[0].store.uri}@other", "nothing is published as 'other'"),
        (lambda v: f"{v[0].store.uri}@a/b", "is no name for a version"),
        (lambda v: with_pointer(v, b"{"), "published/main.json is damaged"),
        (lambda v: with_pointer(v, b"[]"), "published/main.json is damaged"),
        (
            lambda v: with_pointer(v, b'{"dataset": "/etc/passwd", "history": []}'),
            "published/main.json is damaged",
        ),
        (lambda v: without_a_file(v, "index"), "is not whole: .*index.parquet is missing"),
        (lambda v: without_a_file(v, "vocabulary"), "is not whole: .*vocabulary.parquet"),
    ],
)
def test_what_cannot_be_published_is_one_line(
    versions: list[Manifest], given: Callable[[list[Manifest]], str], said: str
) -> None:
    uri = given(versions)
    with pytest.raises(OpenMofiError, match=said) as raised:
        publish(uri, why="by hand")
    assert "\n" not in str(raised.value)


@pytest.mark.s3
def test_publishing_on_s3(versions: list[Manifest], s3_root: str) -> None:
    store = open_store(s3_root)
    for key, data in everything(versions[0].store).items():
        if key.startswith(("manifests/dataset/", "datasets/")):
            store.put(key, data)
    uris = [f"{s3_root}/manifests/dataset/{one.digest}.json" for one in versions]
    assert [publish(uri, why="refresh") for uri in (uris[0], uris[2], uris[2])] == [
        True,
        True,
        False,
    ]
    assert resolve(f"{s3_root}@main") == uris[2]
    assert publish(uris[1], why="by hand")  # back, by the lineage alone
    assert read_pointer(store, "main")["history"][0]["why"] == "back"
