"""``openmofi …``: each stage by hand. One module a room adds its commands."""

import argparse
import os
import select
import sys
from collections.abc import Sequence

from openmofi import __version__
from openmofi.cli import (
    compare,
    dataset,
    demo,
    entities,
    evaluation,
    ingest,
    kb,
    labeling,
    models,
    registry,
    textregions,
    training,
)
from openmofi.errors import OpenMofiError

_ROOMS = (
    demo, kb, models, ingest, entities, labeling, textregions, dataset, training, evaluation,
    compare, registry,
)  # fmt: skip


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(prog="openmofi", description="Each step of OpenMOFI, by hand.")
    parser.add_argument("--version", action="version", version=f"openmofi {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for room in _ROOMS:
        room.add_commands(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; 2 after one line about what was wrong; 141 if who read the output has gone.
    """
    arguments = build_parser().parse_args(argv)
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except OpenMofiError as error:
        print(f"openmofi: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        if not _reader_has_gone():
            raise
        return 141  # what a shell tells of a program that SIGPIPE ended
    return 0


def _reader_has_gone() -> bool:
    """Whether stdout is what broke, as behind ``| head``; then nothing more is written to it."""
    asked = select.poll()
    asked.register(sys.stdout, 0)
    if not any(event & select.POLLERR for _, event in asked.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True
