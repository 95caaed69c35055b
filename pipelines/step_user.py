"""As whom the steps run in their containers, and whether that user may write where they write."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from openmofi.errors import InputError

IMAGE_USER = 10001  # of docker/*.Dockerfile


@dataclass(frozen=True)
class StepUser:
    """Ids inside the containers.

    Args:
        uid: User.
        gid: Group.
        groups: Further groups.
        mapped: A rootless engine takes its 0 for whoever has started it.
    """

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    mapped: bool = False

    def may_write(self, path: Path) -> bool:
        """By the mode alone: without capabilities 0 is a user like others."""
        if self.mapped:
            return os.access(path, os.W_OK)
        status = path.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & 0o200)
        if status.st_gid in (self.gid, *self.groups):
            return bool(status.st_mode & 0o020)
        return bool(status.st_mode & 0o002)


def step_user(given: str, rootless: bool) -> StepUser:
    """The caller: what steps write into the mounted folders then belongs to the caller.

    Root's steps run as the images' own user instead. In a rootless engine the caller is called 0.

    Args:
        given: ``uid:gid`` from the command line; empty for none.
        rootless: The engine runs without root.

    Raises:
        InputError: ``given`` is something else.
    """
    if given:
        uid, _, gid = given.partition(":")
        if not (uid.isdigit() and (gid or uid).isdigit()):
            raise InputError(f"--user {given}: write numbers, such as --user 1000:1000")
        return StepUser(int(uid), int(gid or uid))
    if rootless:
        return StepUser(0, 0, mapped=True)
    uid, gid = os.getuid(), os.getgid()
    if uid == 0:
        return StepUser(IMAGE_USER, IMAGE_USER)
    return StepUser(uid, gid, tuple(sorted({*os.getgroups()} - {0, gid})))


def make_for(user: StepUser, folder: Path) -> None:
    """Make a folder, and give root's own to the user.

    Root's empty folder, and what root has put into a folder of the user's, as the checks before a
    run do. Nothing else changes its owner.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if _may_be_given(user, folder):
        os.chown(folder, user.uid, user.gid)
    if os.geteuid() == 0 and folder.stat().st_uid == user.uid != 0:
        for where, folders, files in os.walk(folder):
            for path in (os.path.join(where, name) for name in (*folders, *files)):
                if os.lstat(path).st_uid == 0:
                    os.chown(path, user.uid, user.gid, follow_symlinks=False)


def _may_be_given(user: StepUser, path: Path) -> bool:
    if os.geteuid() != 0 or user.uid == 0 or path.stat().st_uid != 0:
        return False
    empty = path.is_dir() and not any(path.iterdir())
    return empty or path.parent.stat().st_uid == user.uid


def check_writable(user: StepUser, paths: Iterable[Path]) -> None:
    """Refuse what a step would fail at after hours.

    Raises:
        InputError: A path that is there is not the user's to write.
    """
    for path in paths:
        if path.exists() and not (user.may_write(path) or _may_be_given(user, path)):
            ids = f"{user.uid}:{user.gid}"
            raise InputError(
                f"steps run as {ids}, who may not write {path}: chown -R {ids} {path}, or name "
                f"its owner with --user {path.stat().st_uid}:{path.stat().st_gid}"
            )
