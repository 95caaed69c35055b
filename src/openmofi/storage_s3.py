"""The ``minio`` client, wrapped so that every refusal becomes one line that names its object.

What is read is checked: its length always, its MD5 when the whole object is read and its MD5 is
known. What is written is checked by the store: the client signs the SHA-256 of each body over
http, and sends its MD5 over https.

Used by `openmofi.storage` alone.
"""

import configparser
import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlparse

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from openmofi import storage_s3_http
from openmofi.errors import InputError, StorageError
from openmofi.storage_s3_credentials import FreshCredentials
from openmofi.storage_s3_errors import answered, line, unanswered
from openmofi.storage_s3_http import CutOffError, Patience, PatientPool, from_environment
from openmofi.store_wait import waiting

ResultT = TypeVar("ResultT")

_ENDPOINT_VARIABLES = ("OPENMOFI_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_CHUNK = 1 << 20
_PART = 5 << 20  # the smallest that S3 takes; the client's own choice below 50 GB
_MD5 = "openmofi-md5"  # metadata of what goes in parts: its ETag is no MD5 of the content
_MISSING = {"NoSuchKey", "NoSuchObject", "ResourceNotFound"}
_WRITING = {"write", "delete"}


class S3Client:
    """Object calls on one endpoint. Errors are `StorageError` with the object's address."""

    def __init__(self, client: Minio, endpoint: str, patience: Patience | None = None) -> None:
        self._client = client
        self._endpoint = endpoint
        self._patience = patience or Patience()
        self._seen_buckets: set[str] = set()

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Write one object."""
        self._call("write", bucket, key, lambda: self._put(bucket, key, lambda: io.BytesIO(data)))

    def put_file(self, bucket: str, key: str, path: Path) -> None:
        """Write one object from a file, in parts when it is large."""
        self._call("write", bucket, key, lambda: self._put(bucket, key, lambda: path.open("rb")))

    def _put(
        self, bucket: str, key: str, opened: Callable[[], io.BytesIO | io.BufferedReader]
    ) -> None:
        metadata: dict[str, str | list[str] | tuple[str]] = {}
        with opened() as file:
            size = file.seek(0, os.SEEK_END)
            if size > _PART:
                file.seek(0)
                metadata[_MD5] = hashlib.file_digest(file, _md5).hexdigest()

        def write() -> None:
            with opened() as file:
                done = self._client.put_object(bucket, key, file, size, metadata=metadata)
            # A store may say 200 before it joins the parts, and in the body that it failed, which
            # the client does not look at.
            if not done.etag:
                raise CutOffError("the store did not join the parts")

        self._again(write)

    def get(self, bucket: str, key: str, offset: int = 0, length: int = 0) -> bytes:
        """Read an object, or ``length`` bytes of it from ``offset`` (0: to the end)."""

        def read() -> bytes:
            data = io.BytesIO()
            self._read(bucket, key, data, offset, length)
            return data.getvalue()

        return self._call("read", bucket, key, lambda: self._again(read))

    def get_file(self, bucket: str, key: str, path: Path) -> None:
        """Copy an object to a file. One that is not whole may be left after an error."""

        def read() -> None:
            with path.open("wb") as file:
                self._read(bucket, key, file)

        self._call("read", bucket, key, lambda: self._again(read))

    def _read(
        self, bucket: str, key: str, target: BinaryIO, offset: int = 0, length: int = 0
    ) -> None:
        response = self._client.get_object(bucket, key, offset=offset, length=length)
        known = None if offset or length else _known_md5(response.headers)
        digest = _md5()
        wanted = int(response.headers.get("Content-Length", -1))
        try:
            for chunk in response.stream(_CHUNK):
                target.write(chunk)
                if known:
                    digest.update(chunk)
        except urllib3.exceptions.HTTPError as error:
            got = response.tell()
            raise CutOffError(f"the body was cut off at {got} of {wanted} bytes") from error
        finally:
            response.close()
            response.release_conn()
        if known and known != digest.hexdigest():
            raise CutOffError("the bytes read are not those that were stored (MD5)")

    def exists(self, bucket: str, key: str) -> bool:
        """Whether the object is there; a wrong key, secret or bucket is an error, not ``False``."""

        def probe() -> bool:
            try:
                self._client.stat_object(bucket, key)
            except S3Error as error:
                if error.code in _MISSING:
                    return False
                raise
            return True

        if self._call("read", bucket, key, probe):
            return True
        # HEAD answers carry no error body: a missing bucket looks like a missing object.
        if bucket not in self._seen_buckets:
            self.check(bucket)
        return False

    def list(self, bucket: str, prefix: str) -> Iterator[tuple[str, int, str, float]]:
        """Keys, sizes, ETags and times of change under ``prefix``, sorted.

        A page of 1,000 is asked for when the one before is used up; no more is held.
        """
        objects = self._client.list_objects(bucket, prefix=prefix, recursive=True)
        last = ""
        while found := self._call("list", bucket, prefix, lambda: next(objects, None)):
            key = found.object_name or ""
            if key < last:
                raise StorageError(
                    f"cannot list s3://{bucket}/{prefix} at {self._endpoint}: it lists {key!r} "
                    f"after {last!r}; use a store that sorts, as S3 does"
                )
            last = key
            yield key, found.size or 0, found.etag or "", _seconds(found.last_modified)

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object."""
        self._call("delete", bucket, key, lambda: self._client.remove_object(bucket, key))

    def check(self, bucket: str) -> None:
        """Raise unless the bucket is there and the credentials open it."""
        # Not bucket_exists: HEAD answers carry no error body, so they can't say what is wrong.
        probe = self._client.list_objects(bucket, prefix=".openmofi-probe")
        self._call("reach", bucket, "", lambda: next(iter(probe), None))
        self._seen_buckets.add(bucket)

    def _again(self, action: Callable[[], ResultT]) -> ResultT:
        """Whole reads and writes, again where the connections could not know that they failed."""
        for wait in self._patience.waits():
            try:
                return action()
            except CutOffError:
                storage_s3_http.sleep(wait)
            except S3Error as error:
                # An upload is gone once it is complete, also if that answer was lost.
                if error.code != "NoSuchUpload":
                    raise
                storage_s3_http.sleep(wait)
        return action()

    def _call(self, verb: str, bucket: str, key: str, action: Callable[[], ResultT]) -> ResultT:
        address = f"s3://{bucket}/{key}".rstrip("/") + f" at {self._endpoint}"
        attempts = self._patience.attempts
        try:
            with waiting("writes" if verb in _WRITING else "reads"):
                return action()
        except (urllib3.exceptions.HTTPError, OSError, CutOffError) as error:
            reason = unanswered(error, attempts)
            raise StorageError(f"cannot {verb} {address}: {reason}") from error
        except MinioException as error:
            reason = answered(error, verb, attempts)
            raise StorageError(f"cannot {verb} {address}: {reason}") from error
        except (ValueError, configparser.Error) as error:
            raise StorageError(f"cannot {verb} {address}: {line(error)}") from error


def named_endpoint() -> str:
    """The endpoint that the environment names; empty for AWS's own."""
    return next((os.environ[v] for v in _ENDPOINT_VARIABLES if os.environ.get(v)), "")


def connect() -> S3Client:
    """A client for the endpoint and credentials that the environment names."""
    endpoint = named_endpoint() or "https://s3.amazonaws.com"
    parsed = urlparse(endpoint)
    if parsed.scheme not in {"http", "https"} or not parsed.netloc:
        raise InputError(
            f"S3 endpoint {endpoint!r} is not an address; set {_ENDPOINT_VARIABLES[0]} to "
            "http(s)://host:port"
        )
    http: PatientPool = from_environment()
    client = Minio(
        endpoint=parsed.netloc,
        secure=parsed.scheme == "https",
        # Naming the region saves one request per bucket.
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        credentials=FreshCredentials(http),
        http_client=http,
    )
    return S3Client(client, endpoint, http.patience)


def _md5() -> Any:
    return hashlib.md5(usedforsecurity=False)


def _known_md5(headers: Any) -> str | None:
    """The MD5 of the whole object, where it is known.

    Our own metadata, else the ETag. That is no MD5 if the object went in parts (it has a ``-``)
    or is encrypted with a key of the customer's or the key service's.
    """
    ours = headers.get(f"x-amz-meta-{_MD5}")
    if ours:
        return str(ours)
    encrypted = headers.get("x-amz-server-side-encryption", "").startswith("aws:kms")
    if encrypted or "x-amz-server-side-encryption-customer-algorithm" in headers:
        return None
    etag = headers.get("ETag", "").strip('"')
    return etag if re.fullmatch("[0-9a-f]{32}", etag) else None


def _seconds(when: datetime | None) -> float:
    return when.timestamp() if when else 0.0
