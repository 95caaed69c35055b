"""Scope: openmofi.storage_s3_credentials: who we are, keys that rotate, who may only read."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from minio import Minio

from openmofi import storage_s3_http
from openmofi.storage import Store, open_store
from support.fault_proxy import proxying
from support.refusals import CALLS, refusal
from support.sts_server import StsServer, giving
from support.swift_server import (
    ACCESS_KEY,
    READER_KEY,
    READER_SECRET,
    SECRET_KEY,
    SwiftServer,
    make_bucket,
)

pytestmark = pytest.mark.s3

TOKEN = "a-web-identity-token"


# Keys that rotate


def test_a_key_in_the_environment_is_used_from_the_next_request_on(
    s3_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(s3_root)
    store.put("a", b"x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "withdrawn")
    assert "secret" in refusal(lambda: store.get("a"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    assert store.get("a") == b"x"


def test_a_key_in_the_file_is_used_from_the_next_request_on(
    s3_root: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    credentials = tmp_path / "credentials"
    profile = f"[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = "
    credentials.write_text(f"{profile}{SECRET_KEY}\n")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    store = open_store(s3_root)
    store.put("a", b"x")
    credentials.write_text(f"{profile}withdrawn\n")
    assert "secret" in refusal(lambda: store.get("a"))
    credentials.write_text(f"{profile}{SECRET_KEY}\n")
    assert store.get("a") == b"x"


# Web identity


@pytest.fixture
def sts() -> Iterator[StsServer]:
    with giving(ACCESS_KEY, SECRET_KEY) as server:
        yield server


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    return path


@pytest.fixture
def store(
    s3_root: str, sts: StsServer, token_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Store:
    """A store that has nothing but a web identity."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token_file))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/openmofi")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.endpoint)
    monkeypatch.setattr(storage_s3_http, "sleep", lambda seconds: None)
    return open_store(s3_root)


def test_a_web_identity_gets_a_key_and_keeps_it_until_it_expires(
    store: Store, sts: StsServer
) -> None:
    store.put("a", b"x")
    assert store.get("a") == b"x"
    assert sts.tokens == [TOKEN]


def test_an_expired_key_is_asked_for_anew_with_the_token_of_now(
    store: Store, sts: StsServer, token_file: Path
) -> None:
    sts.lifetime_s = 1  # seen as expired at once
    store.put("a", b"x")
    token_file.write_text("the next token")
    sts.lifetime_s = 3600
    assert [store.get("a"), store.get("a")] == [b"x", b"x"]
    assert sts.tokens == [TOKEN, "the next token"]


def test_the_token_is_in_no_address_and_no_log(
    store: Store, sts: StsServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of its own, since libraries that came before may have switched off what is above it.
    logger = logging.getLogger("urllib3.connectionpool")
    monkeypatch.setattr(logger, "disabled", False)
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    monkeypatch.setattr(logger, "propagate", False)
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger.name)
    logging.disable(logging.NOTSET)
    store.put("a", b"x")
    assert sts.paths == ["/"]
    assert caplog.text
    assert TOKEN not in caplog.text
    assert SECRET_KEY not in caplog.text


def test_a_refused_web_identity_is_told_without_its_token(
    store: Store, sts: StsServer, token_file: Path
) -> None:
    sts.refused.add(TOKEN)
    message = refusal(lambda: store.get("a"))
    assert f"the web identity in {token_file} (status 403)" in message
    assert "AWS_ROLE_ARN" in message
    assert TOKEN not in message
    assert len(sts.tokens) == 1


def test_a_token_service_that_fails_for_a_moment_is_asked_again(
    store: Store, sts: StsServer
) -> None:
    sts.statuses = [503, 500]
    store.put("a", b"x")
    assert len(sts.tokens) == 3


def test_a_token_service_that_does_not_answer_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    message = refusal(lambda: open_store(store.uri).get("a"))
    assert "AWS_ENDPOINT_URL_STS" in message
    assert TOKEN not in message


def test_a_token_file_that_is_gone_is_told(store: Store, token_file: Path) -> None:
    token_file.unlink()
    assert str(token_file) in refusal(lambda: store.get("a"))


# Who may only read


@pytest.fixture(scope="module")
def shown(swift: SwiftServer) -> str:
    """A bucket that every identity may read and list, and its owner alone may write."""
    make_bucket(swift, "shown")
    owner = Minio(
        endpoint=swift.endpoint.removeprefix("http://"),
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        secure=False,
        region="us-east-1",
    )
    owner._execute("PUT", "shown", headers={"x-amz-acl": "public-read"}, query_params={"acl": ""})
    return "s3://shown/root"


def test_one_who_may_only_read_reads_and_is_refused_a_write_once_and_clearly(
    s3_root: str, swift: SwiftServer, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(shown).put("a", b"x")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", READER_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", READER_SECRET)
    with proxying(swift.endpoint) as proxy:
        monkeypatch.setenv("OPENMOFI_S3_ENDPOINT", proxy.endpoint)
        reader = open_store(shown)
        reader.check()
        assert [info.key for info in reader.list()] == ["a"]
        assert reader.get("a") == b"x"
        for call, verb in {"put": "write", "delete": "delete"}.items():
            proxy.clear()
            message = refusal(lambda call=call: CALLS[call](reader))  # type: ignore[misc]
            assert f"access is denied (AccessDenied): this identity may not {verb}" in message
            assert len(proxy.requests) == 1
        assert "may not write" in refusal(lambda: reader.put("b", b"x" * (6 << 20)))
        assert [info.key for info in reader.list()] == ["a"]


def test_one_who_may_nothing_is_told_at_the_start(
    s3_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", READER_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", READER_SECRET)
    assert "access is denied" in refusal(open_store(s3_root).check)
