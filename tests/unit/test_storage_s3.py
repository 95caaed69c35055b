"""Scope: openmofi.storage_s3: pages, copies, refusals, the sources of credentials and endpoint."""

import pickle
import socket
from pathlib import Path
from typing import Any

import pytest
from minio import Minio
from minio.datatypes import Object

from openmofi import storage_s3_http
from openmofi.errors import InputError
from openmofi.storage import Store, local_folder, open_store
from openmofi.storage_s3 import S3Client
from support.refusals import CALLS, refusal
from support.swift_server import ACCESS_KEY, SECRET_KEY, SwiftServer


class ShortPages(Minio):
    """The real client, asking for pages of three and keeping what it asked."""

    pages: list[object]

    def _execute(self, *arguments: Any, **options: Any) -> Any:
        query = options.get("query_params") or {}
        if "max-keys" in query:
            query["max-keys"] = "3"
            self.pages.append(query)
        return super()._execute(*arguments, **options)


def short_pages(swift: SwiftServer) -> ShortPages:
    client = ShortPages(
        endpoint=swift.endpoint.removeprefix("http://"),
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        secure=False,
        region="us-east-1",
    )
    client.pages = []
    return client


def test_a_listing_longer_than_a_page_is_whole_and_holds_one_page(
    s3_root: str, swift: SwiftServer
) -> None:
    store = open_store(s3_root)
    for index in range(10):
        store.put(f"p/{index}", b"")
    client = short_pages(swift)
    bucket, _, prefix = s3_root.removeprefix("s3://").partition("/")
    found = S3Client(client, swift.endpoint).list(bucket, f"{prefix}/p/")
    names, pages = [], []
    for found_key, *_ in found:
        names.append(found_key.rpartition("/")[2])
        pages.append(len(client.pages))
    assert names == [str(i) for i in range(10)]
    assert pages == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4]


def test_a_store_that_does_not_sort_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [Object("bucket", name) for name in ("a", "c", "b")]
    monkeypatch.setattr(Minio, "list_objects", lambda *_, **__: iter(entries))
    listing = S3Client(Minio(endpoint="host"), "http://host").list("bucket", "")
    assert "lists 'b' after 'c'" in refusal(lambda: list(listing))


def test_a_folder_from_s3_is_copied_once(s3_root: str) -> None:
    store = open_store(s3_root)
    store.put("kb/1/entities.parquet", b"rows")
    first = local_folder(store, "kb/1", "digest")
    store.delete("kb/1/entities.parquet")
    assert local_folder(store, "kb/1", "digest") == first
    assert (first / "entities.parquet").read_bytes() == b"rows"


# Refusals


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
    monkeypatch.setenv("OPENMOFI_S3_CONNECT_TIMEOUT_S", "0.1")  # of each try
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


# Patience


def test_waits_double_up_to_the_longest_and_differ() -> None:
    patience = storage_s3_http.Patience(attempts=6, first_wait_s=1, longest_wait_s=4)
    for wait, longest in zip(patience.waits(), [1, 2, 4, 4, 4], strict=True):
        assert longest / 2 <= wait <= longest
    assert list(patience.waits()) != list(patience.waits())


@pytest.mark.parametrize(
    "variable",
    ["OPENMOFI_S3_ATTEMPTS", "OPENMOFI_S3_CONNECT_TIMEOUT_S", "OPENMOFI_S3_READ_TIMEOUT_S"],
)
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "soon"])
def test_a_number_that_cannot_be_meant_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InputError, match=variable):
        open_store("s3://bucket/x")


# Where credentials and endpoint come from


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
