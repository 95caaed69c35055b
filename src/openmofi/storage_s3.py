"""The ``minio`` client, wrapped so that every refusal becomes one line that names its object.

Used by `openmofi.storage` alone.
"""

import configparser
import io
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlparse

import urllib3
from minio import Minio
from minio.credentials import (
    AWSConfigProvider,
    ChainedProvider,
    EnvAWSProvider,
    EnvMinioProvider,
    IamAwsProvider,
    Provider,
)
from minio.error import MinioException, S3Error

from openmofi.errors import InputError, StorageError

ResultT = TypeVar("ResultT")

_ENDPOINT_VARIABLES = ("OPENMOFI_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_MESSAGES = {
    "SignatureDoesNotMatch": "the access key or its secret is wrong (SignatureDoesNotMatch)",
    "InvalidAccessKeyId": "the access key is unknown (InvalidAccessKeyId)",
    "AccessDenied": "access is denied (AccessDenied); check the key, its secret and its policy",
    "NoSuchBucket": "the bucket does not exist (NoSuchBucket)",
    "NoSuchKey": "no such object (NoSuchKey)",
}
_NO_CREDENTIALS = (
    "no S3 credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in the "
    "AWS credentials file"
)


class S3Client:
    """Object calls on one endpoint. Errors are `StorageError` with the object's address."""

    def __init__(self, client: Minio, endpoint: str) -> None:
        self._client = client
        self._endpoint = endpoint
        self._seen_buckets: set[str] = set()

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Write one object."""
        self._call(
            "write",
            bucket,
            key,
            lambda: self._client.put_object(bucket, key, io.BytesIO(data), len(data)),
        )

    def put_file(self, bucket: str, key: str, path: Path) -> None:
        """Write one object from a file, in parts when it is large."""
        self._call("write", bucket, key, lambda: self._client.fput_object(bucket, key, str(path)))

    def get(self, bucket: str, key: str, offset: int = 0, length: int = 0) -> bytes:
        """Read an object, or ``length`` bytes of it from ``offset`` (0: to the end)."""

        def read() -> bytes:
            response = self._client.get_object(bucket, key, offset=offset, length=length)
            try:
                return bytes(response.read())
            finally:
                response.close()
                response.release_conn()

        return self._call("read", bucket, key, read)

    def get_file(self, bucket: str, key: str, path: Path) -> None:
        """Copy an object to a file."""
        self._call("read", bucket, key, lambda: self._client.fget_object(bucket, key, str(path)))

    def exists(self, bucket: str, key: str) -> bool:
        """Whether the object is there; a wrong key, secret or bucket is an error, not ``False``."""

        def probe() -> bool:
            try:
                self._client.stat_object(bucket, key)
            except S3Error as error:
                if error.code in {"NoSuchKey", "NoSuchObject", "ResourceNotFound"}:
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
        """Keys, sizes, ETags and times of change under ``prefix``, sorted."""

        def names() -> list[tuple[str, int, str, float]]:
            objects = self._client.list_objects(bucket, prefix=prefix, recursive=True)
            return sorted(
                (o.object_name or "", o.size or 0, o.etag or "", _seconds(o.last_modified))
                for o in objects
            )

        return iter(self._call("list", bucket, prefix, names))

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object."""
        self._call("delete", bucket, key, lambda: self._client.remove_object(bucket, key))

    def check(self, bucket: str) -> None:
        """Raise unless the bucket is there and the credentials open it."""
        # Not bucket_exists: HEAD answers carry no error body, so they can't say what is wrong.
        probe = self._client.list_objects(bucket, prefix=".openmofi-probe")
        self._call("reach", bucket, "", lambda: next(iter(probe), None))
        self._seen_buckets.add(bucket)

    def _call(self, verb: str, bucket: str, key: str, action: Callable[[], ResultT]) -> ResultT:
        address = f"s3://{bucket}/{key}".rstrip("/") + f" at {self._endpoint}"
        try:
            return action()
        except S3Error as error:
            reason = _MESSAGES.get(error.code or "", f"{error.code}: {error.message}")
            raise StorageError(f"cannot {verb} {address}: {reason}") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            reason = "the endpoint does not answer" if _unreachable(error) else _line(error)
            raise StorageError(f"cannot {verb} {address}: {reason}") from error
        except (MinioException, ValueError, configparser.Error) as error:
            reason = _NO_CREDENTIALS if "fail to fetch credentials" in str(error) else _line(error)
            raise StorageError(f"cannot {verb} {address}: {reason}") from error


def connect() -> S3Client:
    """A client for the endpoint and credentials that the environment names."""
    endpoint = next((os.environ[v] for v in _ENDPOINT_VARIABLES if os.environ.get(v)), None)
    endpoint = endpoint or "https://s3.amazonaws.com"
    parsed = urlparse(endpoint)
    if parsed.scheme not in {"http", "https"} or not parsed.netloc:
        raise InputError(
            f"S3 endpoint {endpoint!r} is not an address; set {_ENDPOINT_VARIABLES[0]} to "
            "http(s)://host:port"
        )
    client = Minio(
        endpoint=parsed.netloc,
        secure=parsed.scheme == "https",
        # Naming the region saves one request per bucket.
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        credentials=ChainedProvider(_providers()),
        http_client=_http_client(),
    )
    return S3Client(client, endpoint)


def _providers() -> list[Provider]:
    providers: list[Provider] = [EnvAWSProvider(), EnvMinioProvider(), AWSConfigProvider()]
    # Asked only where a platform announces it: off a cloud the metadata address hangs.
    cloud = (
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "OPENMOFI_S3_USE_IAM",
    )
    if any(os.environ.get(name) for name in cloud):
        providers.append(IamAwsProvider())
    return providers


def _http_client() -> urllib3.PoolManager:
    return urllib3.PoolManager(
        maxsize=32,
        # An address that swallows packets is told after about ten seconds.
        timeout=urllib3.Timeout(connect=2, read=60),
        retries=urllib3.Retry(
            total=4,
            connect=3,
            read=2,
            backoff_factor=0.3,
            backoff_jitter=0.2,
            status_forcelist=[500, 502, 503, 504],
        ),
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _unreachable(error: Any) -> bool:
    cause = getattr(error, "reason", error)
    return isinstance(
        cause,
        (
            urllib3.exceptions.NewConnectionError,
            urllib3.exceptions.ConnectTimeoutError,
            ConnectionError,
        ),
    )


def _seconds(when: datetime | None) -> float:
    return when.timestamp() if when else 0.0
