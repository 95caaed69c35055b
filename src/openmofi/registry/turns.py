"""One change of a registered model at a time, over all processes that reach the same registry.

MLflow's registry has no compare-and-swap: a tag or an alias is overwritten, whoever wrote it. But
what it promises is enough for Lamport's bakery (https://doi.org/10.1145/361082.361093), which needs
no more than that each process writes a place of its own and reads the others'. The places are tags
of the registered model, so the rule holds on SQLite and on a server alike, across pods, and the UI
shows who is at work and who waits.

A process that is killed is passed over when its beat, another tag, has stood still for a minute by
the watch of whoever waits; no two clocks are compared. One that was only stopped for so long finds
its place gone at the next `Turn.check` and gives up. Between that look and the write that follows
it nothing protects: a process that is stopped for a minute just there writes all the same.
"""

import contextlib
import getpass
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from openmofi.errors import StorageError
from openmofi.progress import say

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PLACE, _BEAT = "openmofi.turn.", "openmofi.beat."


@dataclass(frozen=True)
class Pace:
    """How often is written and looked, in seconds.

    Attributes:
        beat_s: Between two signs of life.
        dead_after_s: Without one, until a process is passed over.
        poll_s: Between two looks of one that waits.
    """

    beat_s: float = 5.0
    dead_after_s: float = 60.0
    poll_s: float = 0.5


@dataclass
class Turn:
    """A process's place in the queue of a registered model."""

    client: "MlflowClient"
    name: str
    what: str
    pace: Pace
    ident: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def check(self) -> None:
        """Raise a `StorageError` if the others have passed this process over."""
        if self.ident not in _places(_tags(self.client, self.name)):
            raise StorageError(
                f"{self.what}: another process took {self.name} over, since this one stood still "
                f"for {self.pace.dead_after_s:.0f} s; run it again"
            )

    def write(self, number: int) -> None:
        """Say which number this process has; 0 while it is drawn."""
        place = {"number": number, "what": self.what, "by": whoever(), "since": now()}
        self.client.set_registered_model_tag(
            self.name, _PLACE + self.ident, json.dumps(place, sort_keys=True)
        )

    def leave(self) -> None:
        """Free the place. If that fails, the others pass it over in time."""
        _remove(self.client, self.name, self.ident)


@contextlib.contextmanager
def turn(client: "MlflowClient", name: str, what: str, pace: Pace | None = None) -> Iterator[Turn]:
    """Wait until nobody else changes a registered model, and keep the others waiting meanwhile.

    Args:
        client: Of the registry.
        name: Of the registered model, which must be there.
        what: What is done, for whoever waits.
        pace: How long a dead process is waited for.
    """
    mine = Turn(client, name, what, pace or Pace())
    stop = threading.Event()
    beating = threading.Thread(target=_beat, args=(mine, stop), daemon=True)
    beating.start()
    try:
        while not _draw(mine):
            time.sleep(mine.pace.poll_s)
        _wait(mine)
        yield mine
    finally:
        stop.set()
        beating.join()
        mine.leave()


def ensure_registered(client: "MlflowClient", name: str) -> None:
    """Make the registered model unless it is there; two at once make one."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def whoever() -> str:
    """User and machine; a pod's user has a number only."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def now() -> str:
    """UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _wait(mine: Turn) -> None:
    """Wait for all lower numbers."""
    watch = _Watch(mine)
    told = ""
    while True:
        tags = _tags(mine.client, mine.name)
        places = _places(tags)
        if mine.ident not in places:
            raise StorageError(f"{mine.what}: its place at {mine.name} was removed; run it again")
        own = (places[mine.ident]["number"], mine.ident)
        # Who draws yet may get a lower number than ours, so it is waited for, too.
        ahead = {i: p for i, p in places.items() if i != mine.ident and (p["number"], i) < own}
        if not ahead:
            return
        first = min(ahead, key=lambda i: (ahead[i]["number"], i))
        if first != told:
            say(f"{mine.what}: waiting for {_told(ahead[first])}")
            told = first
        watch.pass_over_the_dead(tags, ahead)
        time.sleep(mine.pace.poll_s)


def _draw(mine: Turn) -> bool:
    """Take the number after all that are seen. False: it took so long that others gave us up."""
    started = time.monotonic()
    mine.write(0)
    others = _places(_tags(mine.client, mine.name)).values()
    mine.write(1 + max((place["number"] for place in others), default=0))
    if time.monotonic() - started < mine.pace.dead_after_s / 2:
        return True
    mine.leave()
    return False


class _Watch:
    """When each of the others was last seen to move, by our own clock."""

    def __init__(self, mine: Turn) -> None:
        self._mine = mine
        self._seen: dict[str, tuple[Any, float]] = {}

    def pass_over_the_dead(
        self, tags: Mapping[str, str], ahead: Mapping[str, Mapping[str, Any]]
    ) -> None:
        for ident, place in ahead.items():
            state = (tags[_PLACE + ident], tags.get(_BEAT + ident))
            if self._seen.get(ident, (None, 0.0))[0] != state:
                self._seen[ident] = (state, time.monotonic())
            elif time.monotonic() - self._seen[ident][1] >= self._mine.pace.dead_after_s:
                say(f"{self._mine.what}: {_told(place)} gives no sign of life: passed over")
                _remove(self._mine.client, self._mine.name, ident)


def _beat(mine: Turn, stop: threading.Event) -> None:
    count = 0
    while not stop.wait(mine.pace.beat_s):
        count += 1
        with contextlib.suppress(Exception):  # the server may be back at the next beat
            mine.client.set_registered_model_tag(mine.name, _BEAT + mine.ident, str(count))


def _remove(client: "MlflowClient", name: str, ident: str) -> None:
    for key in (_PLACE + ident, _BEAT + ident):
        with contextlib.suppress(Exception):  # perhaps it is gone already
            client.delete_registered_model_tag(name, key)


def _tags(client: "MlflowClient", name: str) -> dict[str, str]:
    return dict(client.get_registered_model(name).tags)


def _places(tags: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    return {
        key.removeprefix(_PLACE): json.loads(value)
        for key, value in tags.items()
        if key.startswith(_PLACE)
    }


def _told(place: Mapping[str, Any]) -> str:
    return f"'{place['what']}' of {place['by']}, since {place['since']}"
