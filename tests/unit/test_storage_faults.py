"""Scope: openmofi.storage over a network and a store that fail: what is asked again, what is not.

Between the client and a real S3 server stands `support.fault_proxy`.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from openmofi import storage_s3_http
from openmofi.storage import Store, open_store
from support.fault_proxy import Fault, FaultProxy, proxying
from support.refusals import CALLS, refusal
from support.swift_server import SwiftServer

pytestmark = pytest.mark.s3

ATTEMPTS = 4
DATA = bytes(range(256)) * 40
LARGE = 6 << 20  # two parts


@pytest.fixture(scope="module")
def shared_proxy(swift: SwiftServer) -> Iterator[FaultProxy]:
    with proxying(swift.endpoint) as proxy:
        yield proxy


@pytest.fixture
def proxy(shared_proxy: FaultProxy) -> FaultProxy:
    shared_proxy.clear()
    return shared_proxy


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits that were asked for, in seconds; none is waited."""
    asked: list[float] = []
    monkeypatch.setattr(storage_s3_http, "sleep", asked.append)
    return asked


@pytest.fixture
def direct(s3_root: str) -> Store:
    """The same objects, past the proxy."""
    return open_store(s3_root)


@pytest.fixture
def store(
    direct: Store, proxy: FaultProxy, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> Store:
    monkeypatch.setenv("OPENMOFI_S3_ENDPOINT", proxy.endpoint)
    return open_store(direct.uri)


# What is asked again


@pytest.mark.parametrize("call", CALLS)
def test_every_call_bears_a_store_that_is_overloaded_for_a_moment(
    store: Store, direct: Store, proxy: FaultProxy, waits: list[float], call: str
) -> None:
    direct.put("a", b"x")
    proxy.fail(Fault(status=503), Fault(reset=True))
    CALLS[call](store)
    assert len(proxy.requests) == 3
    assert direct.exists("a") is (call != "delete")
    assert 0.25 <= waits[0] <= 0.5 <= waits[1] <= 1.0


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_status_that_passes_is_asked_again_so_often_and_told(
    store: Store, proxy: FaultProxy, waits: list[float], status: int
) -> None:
    proxy.fail(Fault(status=status), times=ATTEMPTS)
    message = refusal(lambda: store.get("a"))
    assert f"({status}, after {ATTEMPTS} attempts)" in message
    assert proxy.methods() == ["GET"] * ATTEMPTS
    assert len(waits) == ATTEMPTS - 1


@pytest.mark.parametrize("status", [400, 403, 404, 409, 412, 413, 501, 507])
@pytest.mark.parametrize("call", ["get", "put", "list"])
def test_a_refusal_is_final(
    store: Store, proxy: FaultProxy, waits: list[float], call: str, status: int
) -> None:
    proxy.fail(Fault(status=status))
    refusal(lambda: CALLS[call](store))
    assert len(proxy.requests) == 1
    assert waits == []


def test_an_endpoint_that_comes_back_is_not_noticed(
    store: Store, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.down()
    refused: list[float] = []

    def up_at_the_second(seconds: float) -> None:
        refused.append(seconds)
        if len(refused) == 2:
            proxy.up()

    monkeypatch.setattr(storage_s3_http, "sleep", up_at_the_second)
    store.put("a", DATA)
    assert store.get("a") == DATA
    assert len(refused) == 2


def test_the_store_may_say_how_long_to_wait(
    store: Store, direct: Store, proxy: FaultProxy, waits: list[float]
) -> None:
    direct.put("a", b"x")
    proxy.fail(Fault(status=503, headers={"Retry-After": "7"}))
    assert store.get("a") == b"x"
    assert waits == [7.0]


# Reads

READS: dict[str, Callable[[Store], bytes]] = {
    "get": lambda store: store.get("a"),
    "get_range": lambda store: store.get_range("a", 0, len(DATA)),
    "local_file": lambda store: _read_local(store),
}


def _read_local(store: Store) -> bytes:
    with store.local_file("a") as path:
        assert [one.name for one in path.parent.iterdir()] == ["a"]
        return path.read_bytes()


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("cut", [0, 1, len(DATA) - 1])
def test_a_body_that_was_cut_off_is_read_again(
    store: Store, direct: Store, proxy: FaultProxy, read: str, cut: int
) -> None:
    direct.put("a", DATA)
    proxy.fail(Fault(cut_answer=cut), Fault(cut_answer=cut, method="GET"))
    assert READS[read](store) == DATA
    assert proxy.methods() == ["GET"] * 3


@pytest.mark.parametrize("read", READS)
def test_a_body_that_is_always_cut_off_is_told(
    store: Store, direct: Store, proxy: FaultProxy, read: str
) -> None:
    direct.put("a", DATA)
    proxy.fail(Fault(cut_answer=100), times=ATTEMPTS)
    message = refusal(lambda: READS[read](store))
    assert f"cut off at 100 of {len(DATA)} bytes (after {ATTEMPTS} attempts)" in message
    assert len(proxy.requests) == ATTEMPTS


@pytest.mark.parametrize("read", ["get", "local_file"])
@pytest.mark.parametrize("size", [100, LARGE], ids=["whole", "in-parts"])
def test_bytes_that_were_damaged_on_the_way_are_read_again(
    store: Store, direct: Store, proxy: FaultProxy, read: str, size: int
) -> None:
    data = os.urandom(size)
    direct.put("a", data)
    proxy.fail(Fault(damage_answer=True))
    assert READS[read](store) == data
    assert len(proxy.requests) == 2
    proxy.fail(Fault(damage_answer=True), times=ATTEMPTS)
    assert "not those that were stored" in refusal(lambda: READS[read](store))


def test_a_listing_that_was_cut_off_is_read_again(
    store: Store, direct: Store, proxy: FaultProxy
) -> None:
    direct.put("a", b"x")
    proxy.fail(Fault(cut_answer=200))
    assert [info.key for info in store.list()] == ["a"]
    assert len(proxy.requests) == 2


# Writes: whole or not at all


@pytest.mark.parametrize(
    "fault",
    [Fault(reset=True), Fault(cut_request=5000), Fault(lose_answer=True), Fault(cut_answer=0)],
    ids=["reset", "cut", "answer lost", "answer cut"],
)
def test_a_write_that_broke_is_written_again(
    store: Store, direct: Store, proxy: FaultProxy, fault: Fault
) -> None:
    direct.put("a", b"before")
    proxy.fail(fault)
    store.put("a", DATA)
    assert direct.get("a") == DATA


@pytest.mark.parametrize("before", [None, b"before"], ids=["new", "replacing"])
def test_a_write_that_always_breaks_leaves_what_was_there(
    store: Store, direct: Store, proxy: FaultProxy, before: bytes | None
) -> None:
    if before is not None:
        direct.put("a", before)
    proxy.fail(Fault(cut_request=5000), times=ATTEMPTS)
    message = refusal(lambda: store.put("a", DATA))
    assert "does not answer" in message or "cut off" in message
    assert proxy.methods() == ["PUT"] * ATTEMPTS
    assert [direct.get(info.key) for info in direct.list()] == ([before] if before else [])


def test_bytes_that_were_damaged_on_the_way_are_not_stored(
    store: Store, direct: Store, proxy: FaultProxy
) -> None:
    proxy.fail(Fault(damage_request=True))
    assert "damaged on the way" in refusal(lambda: store.put("a", DATA))
    assert len(proxy.requests) == 1
    assert not direct.exists("a")


XML = {"Content-Type": "application/xml"}
NOT_JOINED = b"<Error><Code>InternalError</Code></Error>"
GONE = b"<Error><Code>NoSuchUpload</Code></Error>"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(method="POST", query="uploads", lose_answer=True),
        Fault(method="PUT", query="partNumber=1", cut_request=1 << 20),
        Fault(method="PUT", query="partNumber=2", status=500),
        Fault(method="POST", query="uploadId", reset=True),
        Fault(method="POST", query="uploadId", lose_answer=True),
        Fault(method="POST", query="uploadId", status=200, body=NOT_JOINED),
        Fault(method="POST", query="uploadId", status=404, headers=XML, body=GONE),
    ],
    ids=["begin", "part cut", "part failed", "end reset", "end lost", "not joined", "gone"],
)
def test_an_object_in_parts_bears_a_fault_in_each_step(
    store: Store, direct: Store, proxy: FaultProxy, tmp_path: Path, fault: Fault
) -> None:
    data = os.urandom(LARGE)
    (tmp_path / "source").write_bytes(data)
    proxy.fail(fault)
    store.put_file("big", tmp_path / "source")
    assert direct.get("big") == data


@pytest.mark.parametrize("step", ["partNumber=2", "uploadId"])
def test_an_object_in_parts_that_fails_leaves_no_object_and_no_parts(
    store: Store, direct: Store, proxy: FaultProxy, step: str
) -> None:
    method = "PUT" if step.startswith("part") else "POST"
    proxy.fail(Fault(method=method, query=step, status=403))
    assert "may not write" in refusal(lambda: store.put("big", bytes(LARGE)))
    assert proxy.methods()[-1] == "DELETE"
    assert sum(step in path for one, path in proxy.requests if one == method) == 1
    assert list(direct.list()) == []


# What is told


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (507, "", "the store is full"),
        (403, "QuotaExceeded", "quota"),
        (413, "EntityTooLarge", "quota"),
        (403, "AccessDenied", "this identity may not write there"),
        (403, "SignatureDoesNotMatch", "secret is wrong"),
        (400, "ExpiredToken", "renew"),
        (403, "RequestTimeTooSkewed", "clock"),
        (404, "NoSuchBucket", "the bucket does not exist"),
        (404, "", "check its address"),
    ],
)
def test_each_refusal_says_what_to_do(
    store: Store, proxy: FaultProxy, status: int, code: str, said: str
) -> None:
    body = f"<Error><Code>{code}</Code><Message>two\nlines</Message></Error>".encode()
    headers = XML if code else {"Content-Type": "text/html"}
    proxy.fail(Fault(status=status, headers=headers, body=body))
    message = refusal(lambda: store.put("a", b"x"))
    assert message.startswith(f"cannot write {store.uri}/a at {proxy.endpoint}: ")
    assert said in message


def test_a_store_that_is_too_slow_is_waited_for_as_long_as_was_said(
    store: Store, direct: Store, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENMOFI_S3_READ_TIMEOUT_S", "0.3")
    monkeypatch.setenv("OPENMOFI_S3_ATTEMPTS", "2")
    hasty = open_store(store.uri)
    proxy.fail(Fault(delay_s=1.0), times=2)
    message = refusal(lambda: hasty.get("a"))
    assert "too slow: no answer in time (after 2 attempts)" in message
    assert len(proxy.requests) == 2
