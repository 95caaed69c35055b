"""Who we are to an object store: environment, AWS file, or what a platform hands out.

Asked for every request, so that a key that rotates is used from the next request on.

Used by `openmofi.storage_s3` alone.
"""

import os
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import urllib3
from minio.credentials import (
    AWSConfigProvider,
    Credentials,
    EnvAWSProvider,
    EnvMinioProvider,
    IamAwsProvider,
    Provider,
)

_NO_CREDENTIALS = (
    "no S3 credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in the "
    "AWS credentials file"
)
_TOKEN_FILE = "AWS_WEB_IDENTITY_TOKEN_FILE"
_PLATFORM = (
    _TOKEN_FILE,
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "OPENMOFI_S3_USE_IAM",
)


class FreshCredentials(Provider):
    """The first of: AWS variables, MinIO variables, AWS file, platform.

    Variables and the file are read each time; what a platform gave is kept until it expires. The
    client's own chain keeps the first answer for ever, and calls a refused token "no credentials".
    """

    def __init__(self, http: urllib3.PoolManager) -> None:
        # Asked only where a platform announces it: off a cloud the metadata address hangs.
        self._platform = (
            _platform(http) if any(os.environ.get(name) for name in _PLATFORM) else None
        )

    def retrieve(self) -> Credentials:
        """The credentials of now.

        Raises:
            ValueError: There are none, or the platform refused; one line without secrets.
        """
        for source in (EnvAWSProvider, EnvMinioProvider, AWSConfigProvider):
            try:
                return source().retrieve()
            except ValueError:
                continue
        if self._platform is None:
            raise ValueError(_NO_CREDENTIALS)
        try:
            return self._platform.retrieve()
        except (ValueError, LookupError, SyntaxError, urllib3.exceptions.HTTPError) as error:
            # Not the error's own text, nor its traceback: its address holds the token.
            status = str(error).rpartition("HTTP status code ")[2]
            cause = f"status {status}" if status.isdecimal() else type(error).__name__
        raise ValueError(_refused(cause))


def _refused(cause: str) -> str:
    token = os.environ.get(_TOKEN_FILE)
    if token:
        return (
            f"no credentials for the web identity in {token} ({cause}); check {_TOKEN_FILE}, "
            "AWS_ROLE_ARN and AWS_ENDPOINT_URL_STS"
        )
    return f"the platform gave no S3 credentials ({cause}); check the role of this machine"


def _platform(http: urllib3.PoolManager) -> Provider:
    if os.environ.get(_TOKEN_FILE):
        sts = os.environ.get("AWS_ENDPOINT_URL_STS") or None
        return IamAwsProvider(custom_endpoint=sts, http_client=_FormPosts(http))
    return IamAwsProvider(http_client=http)


class _FormPosts(urllib3.PoolManager):
    """Sends the query of a POST as its body: the token in it belongs in no access log."""

    def __init__(self, http: urllib3.PoolManager) -> None:
        super().__init__()
        self._http = http

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, **options: Any
    ) -> urllib3.BaseHTTPResponse:
        parts = urlsplit(url)
        if method == "POST" and parts.query:
            url = urlunsplit(parts._replace(query=""))
            options["body"] = parts.query
            options["headers"] = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._http.urlopen(method, url, redirect, **options)
