"""A person's word: a version becomes the champion, or the one before becomes it again.

No gate is asked. Who, when and why are recorded, and whatever the gate refused needs a reason.
"""

import json
from typing import TYPE_CHECKING, Any

from openmofi import tracking
from openmofi.errors import InputError
from openmofi.progress import say
from openmofi.registry.champions import (
    CHAMPION,
    ROLLED_BACK_TAG,
    crown,
    former_champions,
    read_history,
    settle,
    version_exists,
)
from openmofi.registry.register import COMPLETE_TAG, MODEL_URI_TAG, RECORD_TAG
from openmofi.registry.turns import Turn, turn
from openmofi.registry.versions import registered_model, version_of

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


def promote(name: str, version: str, *, reason: str = "", force: bool = False) -> None:
    """Make a version the champion.

    Args:
        name: Of the registered model.
        version: Its number, or an alias such as ``candidate``.
        reason: Recorded; needed with ``force``.
        force: Although the gate refused it, it was rolled back, or its registration did not end.

    Raises:
        InputError: There is no such version, something speaks against it, or no reason is given.
        StorageError: The MLflow server can't be reached.
    """
    if force and not reason.strip():
        raise InputError("--force needs a --reason, which is recorded")
    client = tracking.mlflow_client()
    with tracking.told_in_one_line():
        version_of(client, name, version)  # before anybody waits
        with turn(client, name, f"promote {version}") as mine:
            settle(mine)
            found = version_of(client, name, version)
            number = str(found.version)
            if _is_champion(mine, number):
                say(f"registry: version {number} of {name} is the champion already")
                return
            _check(found, force)
            _say_what_it_was_compared_with(mine, found)
            crown(mine, number, how="promote", why=reason or "a person's word")
    say(f"registry: version {number} of {name} is the champion")


def rollback(name: str, *, to: str = "", reason: str) -> str:
    """Make the champion before this one the champion again; return its number.

    Args:
        name: Of the registered model.
        to: A version that was champion before; empty: the one before.
        reason: Recorded.

    Raises:
        InputError: There was none before, it was never champion, or no reason is given.
        StorageError: The MLflow server can't be reached.
    """
    if not reason.strip():
        raise InputError("a rollback needs a --reason, which is recorded")
    client = tracking.mlflow_client()
    with tracking.told_in_one_line():
        registered_model(client, name)  # before anybody waits
        with turn(client, name, f"rollback {to}".strip()) as mine:
            settle(mine)
            target = _target(mine, to)
            if _is_champion(mine, target):
                say(f"registry: version {target} of {name} is the champion already")
                return target
            crown(mine, target, how="rollback", why=reason)
    say(f"registry: version {target} of {name} is the champion again")
    return target


def _is_champion(mine: Turn, number: str) -> bool:
    return str(registered_model(mine.client, mine.name).aliases.get(CHAMPION, "")) == number


def _check(version: "ModelVersion", force: bool) -> None:
    """Refuse what speaks against a version, unless a person insists."""
    told = f"version {version.version} of {version.name}"
    if not version.tags.get(MODEL_URI_TAG) or RECORD_TAG not in version.tags:
        raise InputError(
            f"{told} was not registered by 'openmofi register', so no later model could be "
            "compared with it; register it first"
        )
    record: dict[str, Any] = json.loads(version.tags[RECORD_TAG])
    against = ""
    if COMPLETE_TAG not in version.tags:
        against = "its registration did not end; run it again"
    elif record["decision"] != "accepted":
        against = f"the gate refused it: {record['reasons'][0]}"
    elif ROLLED_BACK_TAG in version.tags:
        against = f"it was rolled back: {version.tags[ROLLED_BACK_TAG]}"
    if against and not force:
        raise InputError(f"{told} is not promoted: {against}; or insist with --force and --reason")


def _say_what_it_was_compared_with(mine: Turn, version: "ModelVersion") -> None:
    compared = (json.loads(version.tags[RECORD_TAG])["champion"] or {}).get("version", "")
    champion = str(registered_model(mine.client, mine.name).aliases.get(CHAMPION, ""))
    if champion and compared != champion:
        against = f"with version {compared}" if compared else "with no other"
        say(
            f"registry: version {version.version} was compared {against}; "
            f"the champion is version {champion} now"
        )


def _target(mine: Turn, to: str) -> str:
    model = registered_model(mine.client, mine.name)
    champion = str(model.aliases.get(CHAMPION, ""))
    history = read_history(model.tags)
    if to:
        once = {one.version for one in history} | {one.before for one in history}
        if to not in once or not version_exists(mine.client, mine.name, to):
            raise InputError(
                f"version {to} of {mine.name} is gone or was never champion, so there is no way "
                f"back to it; see 'openmofi registry list {mine.name}', or promote it"
            )
        return to
    before = [one for one in former_champions(history) if one != champion]
    if not champion or not before:
        raise InputError(f"{mine.name} had no champion before this one")
    if not version_exists(mine.client, mine.name, before[-1]):
        raise InputError(
            f"version {before[-1]}, the champion before, is deleted; name another with --to"
        )
    return before[-1]
