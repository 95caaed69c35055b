"""How the steps of a run are started, by the options of ``python -m pipelines run``."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from openmofi.errors import InputError
from openmofi.files import cache_folder
from pipelines.confinement import confine, database_of, written
from pipelines.local import Runner
from pipelines.processes import Processes


def choose_runner(
    options: argparse.Namespace, pipeline: Any, arguments: Mapping[str, Any], folder: Path
) -> tuple[Runner, list[str]]:
    """The runner that was asked for, after a look at all that it needs.

    Args:
        options: ``runner``, ``network``, ``user`` and ``mounts``.
        pipeline: What will run.
        arguments: Its parameters.
        folder: Of the run.

    Returns:
        The runner, and lines for people: warnings, and for a dry run what steps may reach.

    Raises:
        InputError: Something is missing, in one line with the fix.
    """
    if options.runner == "subprocess":
        if options.network or options.user or options.mounts:
            raise InputError("--network, --user and --mount are for --runner docker")
        return Processes(), []
    missing = [path for path in options.mounts if not path.exists()]
    if missing:
        raise InputError(f"--mount {missing[0]}: it is not there")
    return _in_containers(options, pipeline, arguments, folder)


def _in_containers(
    options: argparse.Namespace, pipeline: Any, arguments: Mapping[str, Any], folder: Path
) -> tuple[Runner, list[str]]:
    from pipelines.containers import Containers
    from pipelines.engine import check_engine, images_of
    from pipelines.step_user import check_writable, make_for, step_user

    engine = check_engine(images_of(pipeline.pipeline_spec))
    user = step_user(options.user, engine.rootless)
    # Apart from ours, and by owner: what lies in a cache is trusted and, compiled, run.
    home = cache_folder().absolute() / f"containers-{user.uid}"
    confinement = confine(arguments, home=home, mounts=options.mounts, network=options.network)
    check_writable(user, [*_written(arguments), home, folder / "kfp"])
    for path in written(arguments)[:1]:
        make_for(user, path)  # the look at the inputs makes it too, and would make it ours
    runner = Containers(confinement, user, engine.images)
    notes = list(engine.warnings)
    if options.dry_run:
        notes += [*confinement.lines(), f"  steps run as {user.uid}:{user.gid}"]
    return runner, notes


def _written(arguments: Mapping[str, Any]) -> Iterator[Path]:
    """What steps write to, and what they add to within it, where an earlier run has made it."""
    database = database_of(arguments)
    for path in written(arguments):
        yield path
        if database and path == database.parent:
            yield from (database, path / "mlruns", *_folders(path / "mlruns"))
        else:
            yield from _folders(path)


def _folders(path: Path) -> list[Path]:
    return [inner for inner in path.iterdir() if inner.is_dir()] if path.is_dir() else []
