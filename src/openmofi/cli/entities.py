"""``openmofi entities``: link texts to a knowledge base."""

import argparse
from pathlib import Path

from openmofi.config import read_yaml


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    room = commands.add_parser("entities", help="link alt texts to a knowledge base")
    inner = room.add_subparsers(title="commands", required=True, metavar="COMMAND")

    link = inner.add_parser("link", help="link the captions of a folder of tar shards")
    link.add_argument("--kb", required=True, help="a knowledge base's folder or manifest URI")
    link.add_argument("--pairs", required=True, type=Path, help="folder of WebDataset tars")
    link.add_argument("--out", required=True, type=Path, help="Parquet file to write")
    link.add_argument("--config", type=Path, help="YAML of the linking settings")
    link.set_defaults(run=_link)

    run = inner.add_parser("run", help="the stage: a samples table to a mentions table")
    run.add_argument("--samples", required=True, help="manifest URI of the samples")
    run.add_argument("--kb", required=True, help="manifest URI of the knowledge base")
    run.add_argument("--config", type=Path, help="YAML of the linking settings")
    run.add_argument("--workers", type=int, default=1, help="processes")
    run.set_defaults(run=_run)


def _link(arguments: argparse.Namespace) -> None:
    from openmofi.entities.pairs import link_pairs

    config = read_yaml(arguments.config) if arguments.config else None
    counts = link_pairs(arguments.kb, arguments.pairs, arguments.out, config=config)
    print(
        f"{arguments.out}: {counts.mentions} mentions, {counts.candidates} candidates in "
        f"{counts.linked} of {counts.samples} captions"
    )


def _run(arguments: argparse.Namespace) -> None:
    from openmofi.entities.link import link_entities

    config = read_yaml(arguments.config) if arguments.config else None
    print(link_entities(arguments.samples, arguments.kb, config=config, workers=arguments.workers))
