"""How often, how long and for what a request to an object store is sent again.

Every request that the store makes may be sent twice: objects are put, read and removed whole.
Refusals (400, 403, 404) are final and never asked for again.

Used by `openmofi.storage_s3` alone.
"""

import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import urllib3
from urllib3.exceptions import NewConnectionError, ProtocolError, TimeoutError

from openmofi.errors import InputError

PASSING = frozenset({429, 500, 502, 503, 504})
_BROKEN = (ProtocolError, TimeoutError, NewConnectionError)
_LONGEST_ASKED_WAIT_S = 60.0

sleep = time.sleep


class CutOffError(Exception):
    """A body that ended too early, came too slowly or is not what was stored."""


@dataclass(frozen=True)
class Patience:
    """Attempts in all, the first wait and the longest one in seconds."""

    attempts: int = 4
    first_wait_s: float = 0.5
    longest_wait_s: float = 20.0

    def waits(self) -> Iterator[float]:
        """The wait after each attempt but the last.

        They double. Half of each is by chance, or the workers that a store refused at the same
        moment would all come back at the same moment.
        """
        for attempt in range(self.attempts - 1):
            longest = min(self.longest_wait_s, self.first_wait_s * 2.0**attempt)
            yield longest * random.uniform(0.5, 1.0)


class PatientPool(urllib3.PoolManager):
    """Connections that send a request again when it broke or the store asked to."""

    def __init__(self, patience: Patience, connect_timeout_s: float, read_timeout_s: float) -> None:
        super().__init__(
            maxsize=32,
            timeout=urllib3.Timeout(connect=connect_timeout_s, read=read_timeout_s),
        )
        self.patience = patience

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, **options: Any
    ) -> urllib3.BaseHTTPResponse:
        """Like urllib3's, which does not send again what is a POST or has lost its body.

        With ``preload_content`` (the default) the body belongs to the attempt.
        """
        options["retries"] = False
        for wait in self.patience.waits():
            try:
                response = super().urlopen(method, url, redirect=False, **options)
            except _BROKEN:
                sleep(wait)
                continue
            if response.status not in PASSING:
                return response
            response.drain_conn()
            sleep(max(wait, _asked_wait(response)))
        return super().urlopen(method, url, redirect=False, **options)


def from_environment() -> PatientPool:
    """Connections with the attempts and time-outs that the environment names.

    Raises:
        InputError: One of them is no positive number.
    """
    return PatientPool(
        Patience(attempts=int(_number("OPENMOFI_S3_ATTEMPTS", 4, least=1))),
        # An address that swallows packets is told after about ten seconds.
        connect_timeout_s=_number("OPENMOFI_S3_CONNECT_TIMEOUT_S", 2),
        read_timeout_s=_number("OPENMOFI_S3_READ_TIMEOUT_S", 60),
    )


def _number(variable: str, default: float, least: float = 0.001) -> float:
    text = os.environ.get(variable) or str(default)
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not least <= number < 1e6:  # also false for nan
        raise InputError(f"{variable}={text!r} is no number from {least:g} to 1e6")
    return number


def _asked_wait(response: urllib3.BaseHTTPResponse) -> float:
    """Seconds that ``Retry-After`` asks for; its other form, a date, is not heeded."""
    asked = response.headers.get("Retry-After", "")
    return min(float(asked), _LONGEST_ASKED_WAIT_S) if asked.isdecimal() else 0.0
