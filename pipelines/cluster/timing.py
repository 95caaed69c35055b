"""When a schedule starts runs: cron or an interval, as Kubeflow Pipelines reads them."""

import re
from dataclasses import dataclass
from typing import Any

from openmofi.errors import InputError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_INTERVAL = re.compile(r"([1-9]\d*)([smhd])")
_FIELDS = (
    ("second", 0, 59),
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of month", 1, 31),
    ("month", 1, 12),
    ("day of week", 0, 6),
)
_NAMES = {
    "month": ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    "day of week": ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
}
_PART = re.compile(r"(\*|\?|[0-9A-Z]+)(?:-([0-9A-Z]+))?(?:/([1-9]\d*))?")


@dataclass(frozen=True)
class Timing:
    """One of the two.

    Args:
        cron: Six fields, seconds first; empty for none.
        every_s: Seconds between runs; 0 for none.
    """

    cron: str = ""
    every_s: int = 0

    def __str__(self) -> str:
        return f"cron {self.cron}" if self.cron else f"every {self.every_s} s"

    def trigger(self) -> Any:
        """As the API takes it."""
        import kfp_server_api as models

        if self.cron:
            cron = models.V2beta1CronSchedule(cron=self.cron)
            return models.V2beta1Trigger(cron_schedule=cron)
        # A 64-bit number, which JSON of protocol buffers writes as text.
        every = models.V2beta1PeriodicSchedule(interval_second=str(self.every_s))
        return models.V2beta1Trigger(periodic_schedule=every)


def read_timing(cron: str, every: str) -> Timing:
    """What ``--cron`` and ``--every`` say.

    Raises:
        InputError: Both, neither, or one that the server would read as another time.
    """
    if bool(cron) == bool(every):
        raise InputError('a schedule needs one of --cron "0 0 3 * * *" and --every 6h')
    if cron:
        return Timing(cron=_checked(cron))
    try:
        every_s = seconds(every)
    except InputError as error:
        raise InputError(f"--every {error}") from None
    if every_s < _SECONDS["m"]:
        raise InputError(f"--every {every}: a minute is the least")
    return Timing(every_s=every_s)


def seconds(text: str) -> int:
    """A time such as ``90s``, ``30m``, ``6h`` or ``1d``.

    Raises:
        InputError: It is none.
    """
    found = _INTERVAL.fullmatch(text)
    if not found:
        raise InputError(f"{text!r}: write a number and s, m, h or d, such as 6h")
    return int(found[1]) * _SECONDS[found[2]]


def _checked(cron: str) -> str:
    fields = cron.upper().split()
    if len(fields) == len(_FIELDS) - 1:
        raise InputError(
            f'--cron {cron!r} has five fields; here seconds come first: "0 {" ".join(fields)}"'
        )
    if len(fields) != len(_FIELDS):
        raise InputError(
            f"--cron {cron!r} has {len(fields)} fields, not six: second, minute, hour, day of "
            'month, month, day of week, such as "0 0 3 * * *"'
        )
    for text, (name, low, high) in zip(fields, _FIELDS, strict=True):
        for part in text.split(","):
            if not _fits(part, name, low, high):
                raise InputError(f"--cron {cron!r}: {part!r} is no {name} ({low} to {high})")
    return " ".join(fields)


def _fits(part: str, name: str, low: int, high: int) -> bool:
    found = _PART.fullmatch(part)
    if not found:
        return False
    first, last, _ = found.groups()
    if first in "*?":
        return last is None
    names = _NAMES.get(name, [])
    values = [
        names.index(v) + low if v in names else int(v) if v.isdigit() else -1
        for v in (first, last or first)
    ]
    return low <= values[0] <= values[1] <= high
