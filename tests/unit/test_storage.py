"""Scope: openmofi.storage: what a folder and a real S3 server both promise; roots; whole writes."""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from openmofi.errors import InputError, StorageError
from openmofi.storage import FolderStore, Store, local_folder, open_store, put_folder
from support.refusals import CALLS, refusal


@pytest.fixture
def store(root: str) -> Store:
    return open_store(root)


# What both stores promise


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 9], ids=["empty", "one", "some"])
def test_an_object_comes_back_as_it_was_put(store: Store, data: bytes) -> None:
    store.put("a/b.bin", data)
    assert store.get("a/b.bin") == data


def test_an_object_larger_than_one_part_comes_back_whole(store: Store, tmp_path: Path) -> None:
    data = os.urandom(1 << 20) * 11  # S3 takes it in parts of 5 MiB
    source = tmp_path / "source"
    source.write_bytes(data)
    store.put_file("big", source)
    assert store.get("big") == data
    assert store.get_range("big", (5 << 20) - 3, 7) == data[(5 << 20) - 3 :][:7]


def test_put_replaces(store: Store) -> None:
    store.put("a", b"first and longer")
    store.put("a", b"second")
    assert store.get("a") == b"second"
    assert [info.key for info in store.list()] == ["a"]


def test_a_new_file_is_an_object_when_it_is_whole(store: Store) -> None:
    store.put("a/b", b"before")

    def half() -> None:
        with store.new_file("a/b") as path:
            path.write_bytes(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert store.get("a/b") == b"before"
    with store.new_file("a/b") as path:
        path.write_bytes(b"after")
    assert store.get("a/b") == b"after"
    assert [info.key for info in store.list()] == ["a/b"]


def test_a_range_is_exact_and_an_empty_one_is_empty(store: Store) -> None:
    store.put("a", b"0123456789")
    assert store.get_range("a", 0, 10) == b"0123456789"
    assert store.get_range("a", 3, 4) == b"3456"
    assert store.get_range("a", 9, 1) == b"9"
    assert store.get_range("a", 4, 0) == b""


@pytest.mark.parametrize(("offset", "length"), [(5, 6), (10, 1), (100, 1)])
def test_a_range_past_the_end_is_an_error_that_names_the_object(
    store: Store, offset: int, length: int
) -> None:
    store.put("shards/a.tar", b"0123456789")
    assert "shards/a.tar" in refusal(lambda: store.get_range("shards/a.tar", offset, length))


def test_listing_is_sorted_complete_and_cut_at_any_prefix(store: Store) -> None:
    keys = ["b", "a/2", "a/10", "a/1/x", "ab/1", "ä ö/ü+%.txt"]
    for index, key in enumerate(keys):
        store.put(key, b"x" * index)
    sizes = {key: index for index, key in enumerate(keys)}
    for prefix in ["", "a", "a/", "a/1", "a/1/", "nothing", "nothing/", "ä ö/"]:
        wanted = sorted(key for key in keys if key.startswith(prefix))
        found = list(store.list(prefix))
        assert [info.key for info in found] == wanted
        assert [info.size for info in found] == [sizes[key] for key in wanted]


def test_the_tag_of_an_object_tells_a_new_version_from_the_old(store: Store) -> None:
    store.put("a", b"one")
    first = [info.tag for info in store.list()]
    assert [info.tag for info in store.list()] == first
    time.sleep(0.02)  # a file system's clock ticks every few milliseconds
    store.put("a", b"two")
    assert [info.tag for info in store.list()] != first


def test_two_prefixes_do_not_see_each_other(root: str) -> None:
    open_store(f"{root}/one").put("a", b"1")
    open_store(f"{root}/one-more").put("a", b"2")
    assert [info.key for info in open_store(f"{root}/one").list()] == ["a"]
    assert open_store(f"{root}/one-more").get("a") == b"2"


def test_delete_removes_and_bears_repetition(store: Store) -> None:
    store.put("a", b"x")
    store.delete("a")
    store.delete("a")
    assert not store.exists("a")
    assert list(store.list()) == []


@pytest.mark.parametrize("call", ["get", "get_range"])
def test_a_missing_object_is_named(store: Store, call: str) -> None:
    store.put("b", b"")
    message = refusal(lambda: CALLS[call](store))
    assert f"{store.uri}/a" in message


def test_a_missing_object_has_no_local_file(store: Store) -> None:
    with pytest.raises(StorageError, match=r"gone\.tar"), store.local_file("gone.tar"):
        pass


def test_a_local_file_has_the_bytes_and_the_name(store: Store) -> None:
    store.put("pool/00000.tar", b"bytes")
    with store.local_file("pool/00000.tar") as path:
        assert path.read_bytes() == b"bytes"
        assert path.name == "00000.tar"
    assert store.get("pool/00000.tar") == b"bytes"


def test_check_accepts_a_root_that_is_still_empty(store: Store) -> None:
    store.check()


def test_a_store_travels_to_another_process(store: Store) -> None:
    store.put("a", b"x")
    again = pickle.loads(pickle.dumps(store))
    assert again.uri == store.uri
    assert again.get("a") == b"x"


def test_the_uri_leads_back_to_the_store(store: Store) -> None:
    store.put("a", b"x")
    assert open_store(store.uri).get("a") == b"x"


def test_a_folder_is_written_and_read_back(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "weights.bin").write_bytes(b"w" * 1000)
    (source / "deep" / "config.json").write_text("{}")
    put_folder(store, "models/abc", source)
    folder = local_folder(store, "models/abc", "abc")
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()) == [
        "deep/config.json",
        "weights.bin",
    ]
    assert (folder / "weights.bin").read_bytes() == b"w" * 1000


def test_a_folder_that_is_not_there_is_an_error(store: Store) -> None:
    store.put("models/abcd/x", b"")
    with pytest.raises(StorageError, match="models/abc"):
        local_folder(store, "models/abc", "abc")


# Roots


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://", "names no bucket"),
        ("s3:///prefix", "names no bucket"),
        ("gs://bucket/x", "scheme 'gs'"),
        ("http://host/x", "scheme 'http'"),
        ("file://data/x", "three slashes"),
    ],
)
def test_a_root_that_cannot_be_meant_is_refused(uri: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        open_store(uri)


def test_plain_paths_and_file_uris_are_the_same_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a b#c"
    monkeypatch.chdir(tmp_path)
    open_store(folder.as_uri()).put("k", b"v")
    assert open_store(str(folder)).get("k") == b"v"
    assert open_store("a b#c").uri == folder.as_uri()


def test_keys_cannot_leave_a_folder_root(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    store = FolderStore(tmp_path / "root")
    with pytest.raises(StorageError, match="leaves the store"):
        store.get("../secret")


# The folder: whole or not at all

WRITER = """
import sys
from pathlib import Path
from openmofi.storage import FolderStore
FolderStore(Path(sys.argv[1])).put_file("shard.tar", Path(sys.argv[2]))
"""


@pytest.mark.parametrize("before", [None, b"old"], ids=["new", "replacing"])
def test_a_writer_killed_in_the_middle_leaves_nothing_half_written(
    tmp_path: Path, before: bytes | None
) -> None:
    store = FolderStore(tmp_path / "root")
    if before is not None:
        store.put("shard.tar", before)
    endless = tmp_path / "endless"
    endless.write_bytes(b"")
    os.truncate(endless, 1 << 40)  # sparse; takes far longer to copy than the test waits
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "root"), endless])
    try:
        _wait_until(lambda: any((tmp_path / "root").glob(".writing-*")))
        assert writer.poll() is None
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    leftover = list((tmp_path / "root").glob(".writing-*"))
    for path in leftover:
        path.unlink()
    assert leftover, "the writer was not in the middle of its work"
    assert store.exists("shard.tar") is (before is not None)
    assert [info.key for info in store.list()] == ([] if before is None else ["shard.tar"])
    if before is not None:
        assert store.get("shard.tar") == before


def test_a_write_that_fails_leaves_no_trace(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "root")
    store.put("a", b"old")
    with pytest.raises(StorageError, match=r"cannot write .*/a"):
        store.put_file("a", tmp_path / "no such file")
    assert store.get("a") == b"old"
    assert [p.name for p in (tmp_path / "root").iterdir()] == ["a"]


def test_a_root_below_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = open_store(str(tmp_path / "file" / "root"))
    assert "cannot use" in refusal(store.check)
    assert "cannot write" in refusal(lambda: store.put("a", b""))
    assert "cannot read" in refusal(lambda: store.get("a"))
    assert list(store.list()) == []


def _wait_until(happened: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
