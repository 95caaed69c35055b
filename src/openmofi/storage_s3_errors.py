"""What an object store answered, as one line that says what to do.

Used by `openmofi.storage_s3` alone.
"""

from typing import Any

import urllib3
from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProtocolError
from urllib3.exceptions import TimeoutError as TooSlow

from openmofi.storage_s3_http import CutOffError

_FULL = "the store is full or the quota is used up ({}); free space there or raise the quota"
_DAMAGED = "the bytes were damaged on the way ({}); run it again, and check the network"
_CODES = {
    "SignatureDoesNotMatch": "the access key or its secret is wrong ({})",
    "InvalidAccessKeyId": "the access key is unknown ({})",
    "ExpiredToken": "the credentials have expired ({}); renew them",
    "InvalidToken": "the session token is not valid ({}); renew the credentials",
    "RequestTimeTooSkewed": "this machine's clock differs from the store's ({}); set it",
    "NoSuchBucket": "the bucket does not exist ({})",
    "NoSuchKey": "no such object ({})",
    "BadDigest": _DAMAGED,
    "XAmzContentSHA256Mismatch": _DAMAGED,
    "QuotaExceeded": _FULL,
    "InsufficientStorage": _FULL,
    "XMinioStorageFull": _FULL,
    "XMinioAdminBucketQuotaExceeded": _FULL,
    "EntityTooLarge": (
        "the object is larger than the store takes, or than what its quota leaves ({}); "
        "make shards smaller or raise the quota"
    ),
}
_OVERLOADED = "the store is overloaded ({}, after {} attempts); run it again, with fewer workers"
_FAILED = "the store failed ({}, after {} attempts); look into its log and run it again"
_STATUSES = {
    413: _CODES["EntityTooLarge"],
    507: _FULL,
    429: _OVERLOADED,
    503: _OVERLOADED,
    500: _FAILED,
    502: _FAILED,
    504: _FAILED,
}


def answered(error: Exception, verb: str, attempts: int) -> str:
    """The line for an answer of the store that is no success; ``verb`` is what was tried."""
    code = (error.code or "") if isinstance(error, S3Error) else ""
    if code in _CODES:
        return _CODES[code].format(code)
    status = _status(error)
    if status in {401, 403}:
        return (
            f"access is denied ({code or status}): this identity may not {verb} there, or its "
            "key is wrong; check the key, its secret and its policy"
        )
    if status in _STATUSES:
        return _STATUSES[status].format(status, attempts)
    if isinstance(error, S3Error):
        return line(f"{code}: {error.message}")
    if status:
        return f"the endpoint answered {status} and is perhaps no S3 store; check its address"
    return line(error)


def unanswered(error: Exception, attempts: int) -> str:
    """The line for a connection that failed, was too slow or broke."""
    if isinstance(error, CutOffError):
        return f"{line(error)} (after {attempts} attempts); check the network and run it again"
    cause = getattr(error, "reason", error)
    if isinstance(cause, (NewConnectionError, ConnectTimeoutError, ConnectionError)):
        return "the endpoint does not answer; check that it runs, and its address"
    if isinstance(cause, TooSlow):
        return (
            f"the store is too slow: no answer in time (after {attempts} attempts); run it again, "
            "or raise OPENMOFI_S3_READ_TIMEOUT_S"
        )
    if isinstance(cause, ProtocolError):
        return f"the connection was cut off (after {attempts} attempts); run it again"
    return line(error)


def line(error: object) -> str:
    """A message without line breaks."""
    return " ".join(str(error).split())


def _status(error: Any) -> int:
    if isinstance(error, S3Error):
        response: urllib3.BaseHTTPResponse | None = error.response
        return response.status if response is not None else 0
    if isinstance(error, ServerError):
        return error.status_code
    # The client keeps this one to itself.
    return int(getattr(error, "_code", 0)) if isinstance(error, InvalidResponseError) else 0
