"""Who is the champion, who was, and why: the alias, and its history as tags of the model.

A change is a few writes, and MLflow has no transaction. So the change is written down first, as one
tag, and each of the writes may be repeated: whoever comes next finds the tag and ends what was
begun (`settle`). All of it happens within a `turns.turn`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from openmofi.progress import say
from openmofi.registry.turns import Turn, now, whoever

if TYPE_CHECKING:
    from mlflow import MlflowClient

CANDIDATE, CHAMPION = "candidate", "champion"
SINCE_TAG, UNTIL_TAG = "openmofi.champion_since", "openmofi.champion_until"
ROLLED_BACK_TAG = "openmofi.rolled_back"

_CHANGE = "openmofi.champion."  # and a number of four digits
_MOVING = "openmofi.moving"
_HEADING = "## Champions (kept by OpenMOFI)"
_SHOWN = 10  # changes in the description; the tags hold all


@dataclass(frozen=True)
class Change:
    """The alias ``champion`` went from one version to another.

    Attributes:
        number: Counts from 1.
        version: The new champion.
        before: The old one; empty for none.
        how: ``gate``, ``promote`` or ``rollback``.
        by: User and machine.
        at: UTC.
        why: The gate's first reason, or what a person said.
    """

    number: int
    version: str
    before: str
    how: str
    by: str
    at: str
    why: str


def read_history(tags: Mapping[str, str]) -> list[Change]:
    """All changes, the oldest first, from the tags of a registered model."""
    return [Change(**json.loads(tags[key])) for key in sorted(tags) if key.startswith(_CHANGE)]


def former_champions(history: Iterable[Change]) -> list[str]:
    """Versions that a rollback can go back to, the last one last; the end is the champion.

    A rollback takes what it left behind off the list, so a second one goes one further back
    instead of forward again.
    """
    found: list[str] = []
    for change in history:
        if change.before and change.before not in found[-1:]:
            found.append(change.before)  # set by hand, or before there was a history
        if change.how == "rollback" and change.version in found:
            while found[-1] != change.version:
                found.pop()
        elif change.version not in found[-1:]:
            found.append(change.version)
    return found


def crown(turn: Turn, version: str, *, how: str, why: str) -> None:
    """Make a version the champion, and record it; nothing if it is already."""
    model = turn.client.get_registered_model(turn.name)
    before = str(model.aliases.get(CHAMPION, ""))
    if before == version:
        return
    numbers = [change.number for change in read_history(model.tags)]
    change = Change(max(numbers, default=0) + 1, version, before, how, whoever(), now(), why)
    turn.check()
    turn.client.set_registered_model_tag(turn.name, _MOVING, json.dumps(asdict(change)))
    _apply(turn.client, turn.name, change)


def settle(turn: Turn) -> None:
    """End the change that a killed process has begun, if there is one."""
    begun = turn.client.get_registered_model(turn.name).tags.get(_MOVING)
    if not begun:
        return
    change = Change(**json.loads(begun))
    turn.check()
    if not version_exists(turn.client, turn.name, change.version):  # someone has deleted it since
        turn.client.delete_registered_model_tag(turn.name, _MOVING)
        return
    say(f"{turn.name}: ending the {change.how} to version {change.version} that was cut off")
    _apply(turn.client, turn.name, change)


def version_exists(client: "MlflowClient", name: str, version: str) -> bool:
    """Whether a registered model has this version."""
    from mlflow.exceptions import MlflowException

    try:
        client.get_model_version(name, version)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return False
    return True


def _apply(client: "MlflowClient", name: str, change: Change) -> None:
    """Every write of a change, in an order that may be repeated from its start."""
    client.set_registered_model_alias(name, CHAMPION, change.version)
    if change.how == "rollback":
        take_candidate(client, name, change.before)
    text = json.dumps(asdict(change), sort_keys=True)
    client.set_registered_model_tag(name, f"{_CHANGE}{change.number:04d}", text)
    if change.before and version_exists(client, name, change.before):
        _mark_old(client, name, change)
    _mark_new(client, name, change)
    model = client.get_registered_model(name)
    described = _described(model.description or "", read_history(model.tags))
    client.update_registered_model(name, description=described)
    client.delete_registered_model_tag(name, _MOVING)


def take_candidate(client: "MlflowClient", name: str, version: str) -> None:
    """Remove the alias ``candidate`` if a version has it."""
    aliases: Mapping[str, Any] = client.get_registered_model(name).aliases
    if str(aliases.get(CANDIDATE, "")) == version:
        client.delete_registered_model_alias(name, CANDIDATE)


def _mark_old(client: "MlflowClient", name: str, change: Change) -> None:
    client.set_model_version_tag(name, change.before, UNTIL_TAG, change.at)
    if change.how == "rollback":
        client.set_model_version_tag(name, change.before, ROLLED_BACK_TAG, change.why)


def _mark_new(client: "MlflowClient", name: str, change: Change) -> None:
    client.set_model_version_tag(name, change.version, SINCE_TAG, change.at)
    present = client.get_model_version(name, change.version).tags
    for tag in (UNTIL_TAG, ROLLED_BACK_TAG):
        if tag in present:
            client.delete_model_version_tag(name, change.version, tag)


def _described(text: str, history: Sequence[Change]) -> str:
    """What people wrote, and below it the last changes as a table, which the UI draws."""
    lines = ["| version | before | when (UTC) | how | by | why |", "|---|---|---|---|---|---|"]
    for one in reversed(history[-_SHOWN:]):
        cells = (one.version, one.before or "none", one.at, one.how, one.by, one.why)
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    own = text.partition(_HEADING)[0].rstrip()
    return "\n".join([*([own, ""] if own else []), _HEADING, "", *lines])
