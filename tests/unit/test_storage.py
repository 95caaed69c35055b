"""Scope: openmofi.storage, on a folder and on a real S3 server."""

import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from minio import Minio

from openmofi.errors import InputError, StorageError
from openmofi.storage import FolderStore, Store, local_folder, open_store, put_folder
from openmofi.storage_s3 import S3Client
from support.swift_server import ACCESS_KEY, SECRET_KEY, SwiftServer

SLOWEST_REFUSAL_S = 15

CALLS: dict[str, Callable[[Store], object]] = {
    "check": lambda store: store.check(),
    "exists": lambda store: store.exists("a"),
    "get": lambda store: store.get("a"),
    "get_range": lambda store: store.get_range("a", 0, 1),
    "put": lambda store: store.put("a", b"x"),
    "list": lambda store: list(store.list()),
    "delete": lambda store: store.delete("a"),
}


@pytest.fixture
def store(root: str) -> Store:
    return open_store(root)


def refusal(call: Callable[[], object]) -> str:
    """The message of the StorageError that ``call`` must raise quickly and in one line."""
    started = time.monotonic()
    with pytest.raises(StorageError) as caught:
        call()
    assert time.monotonic() - started < SLOWEST_REFUSAL_S
    message = str(caught.value)
    assert "\n" not in message
    return message


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


def test_a_listing_longer_than_a_page_is_whole(s3_root: str, swift: SwiftServer) -> None:
    pages: list[object] = []

    class ShortPages(Minio):
        """The real client, asking for pages of three."""

        def _execute(self, *arguments: Any, **options: Any) -> Any:
            query = options.get("query_params") or {}
            if "max-keys" in query:
                query["max-keys"] = "3"
                pages.append(query)
            return super()._execute(*arguments, **options)

    store = open_store(s3_root)
    for index in range(10):
        store.put(f"p/{index}", b"")
    client = ShortPages(
        endpoint=swift.endpoint.removeprefix("http://"),
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        secure=False,
        region="us-east-1",
    )
    bucket, _, prefix = s3_root.removeprefix("s3://").partition("/")
    found = S3Client(client, swift.endpoint).list(bucket, f"{prefix}/p/")
    assert [found_key.rpartition("/")[2] for found_key, *_ in found] == [str(i) for i in range(10)]
    assert len(pages) == 4


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


def test_a_folder_from_s3_is_copied_once(s3_root: str) -> None:
    store = open_store(s3_root)
    store.put("kb/1/entities.parquet", b"rows")
    first = local_folder(store, "kb/1", "digest")
    store.delete("kb/1/entities.parquet")
    assert local_folder(store, "kb/1", "digest") == first
    assert (first / "entities.parquet").read_bytes() == b"rows"


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


# S3: refusals


@pytest.mark.s3
@pytest.mark.parametrize("call", CALLS)
def test_a_wrong_secret_is_told(s3_root: str, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not the secret")
    message = refusal(lambda: CALLS[call](open_store(s3_root)))
    assert s3_root.split("/")[2] in message
    assert "secret" in message
    assert "not the secret" not in message


@pytest.mark.s3
@pytest.mark.parametrize("call", CALLS)
def test_a_wrong_access_key_is_told(
    s3_root: str, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody:nowhere")
    assert "key" in refusal(lambda: CALLS[call](open_store(s3_root)))


@pytest.mark.s3
@pytest.mark.parametrize("call", CALLS)
def test_a_wrong_bucket_is_told(s3_root: str, call: str) -> None:
    message = refusal(lambda: CALLS[call](open_store("s3://no-such-bucket/x")))
    assert "s3://no-such-bucket" in message
    assert "the bucket does not exist" in message


@pytest.mark.s3
def test_a_name_that_no_bucket_can_have_is_told(s3_root: str) -> None:
    assert "Bad_Name" in refusal(open_store("s3://Bad_Name/x").check)


def test_no_credentials_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OPENMOFI_S3_ENDPOINT", "http://127.0.0.1:1")
    assert "set AWS_ACCESS_KEY_ID and" in refusal(open_store("s3://bucket/x").check)


def _with_credentials(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> Store:
    monkeypatch.setenv("OPENMOFI_S3_ENDPOINT", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    return open_store("s3://bucket/x")


@pytest.mark.parametrize("call", ["check", "put"])
def test_an_endpoint_that_refuses_is_told(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        message = refusal(lambda: CALLS[call](_with_credentials(monkeypatch, address)))
    assert f"{address}: the endpoint does not answer" in message


@pytest.mark.slow
def test_an_endpoint_that_swallows_packets_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        waiting = [socket.socket() for _ in range(4)]  # a full queue: the kernel drops what follows
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        store = _with_credentials(monkeypatch, f"http://127.0.0.1:{address[1]}")
        message = refusal(store.check)
        for one in waiting:
            one.close()
    assert "the endpoint does not answer" in message


@pytest.mark.parametrize("endpoint", ["localhost:9000", "ftp://host", "http://"])
def test_an_endpoint_that_is_no_address_is_told(
    monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("OPENMOFI_S3_ENDPOINT", endpoint)
    with pytest.raises(InputError, match="OPENMOFI_S3_ENDPOINT"):
        open_store("s3://bucket/x")


# S3: where credentials and endpoint come from


@pytest.mark.s3
@pytest.mark.parametrize("profile", ["default", "other"])
def test_credentials_come_from_a_file(
    s3_root: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, profile: str
) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text(
        f"[{profile}]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    )
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_PROFILE", profile)
    store = open_store(s3_root)
    store.put("a", b"x")
    assert pickle.loads(pickle.dumps(store)).get("a") == b"x"


def test_a_broken_credentials_file_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text("aws_access_key_id = outside any profile\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("OPENMOFI_S3_ENDPOINT", "http://127.0.0.1:1")
    assert str(credentials) in refusal(open_store("s3://bucket/x").check)


@pytest.mark.s3
@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
def test_the_usual_endpoint_variables_are_read(
    s3_root: str, swift: SwiftServer, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv("OPENMOFI_S3_ENDPOINT")
    monkeypatch.setenv(variable, swift.endpoint)
    open_store(s3_root).check()


def _wait_until(happened: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
