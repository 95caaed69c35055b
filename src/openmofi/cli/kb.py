"""``openmofi kb``: build a knowledge base, and look into it."""

import argparse
from pathlib import Path
from typing import Any

from openmofi.config import read_yaml
from openmofi.errors import InputError


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    room = commands.add_parser("kb", help="build a knowledge base, look names up in it")
    inner = room.add_subparsers(title="commands", required=True, metavar="COMMAND")

    build = inner.add_parser("build", help="from a Wikidata dump, WordNet, CSV or JSONL")
    build.add_argument("--wikidata", default="", help="JSON dump: .json, .json.gz, .json.bz2")
    build.add_argument("--wordnet", default="", help="folder with data.noun, index.noun, noun.exc")
    build.add_argument("--csv", default="", help="CSV or JSONL of entities")
    build.add_argument("--workers", type=int, default=1, help="processes that parse the dump")
    _add_output(build)
    build.set_defaults(run=_build)

    merge = inner.add_parser("merge", help="put several knowledge bases together")
    merge.add_argument("bases", nargs="+", help="folders or manifest URIs")
    _add_output(merge)
    merge.set_defaults(run=_merge)

    show = inner.add_parser("show", help="the candidates of a name, with priors")
    show.add_argument("name")
    show.add_argument("--kb", required=True, help="a knowledge base's folder or manifest URI")
    show.set_defaults(run=_show)


def _add_output(command: argparse.ArgumentParser) -> None:
    where = command.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", help="write a plain folder")
    where.add_argument("--root", help="write to a store, print the manifest's URI")
    command.add_argument("--config", type=Path, help="YAML of the knowledge base's settings")
    command.add_argument(
        "--encoder", default="", help="text encoder (folder or hub id): add dense entity vectors"
    )


def _build(arguments: argparse.Namespace) -> None:
    if arguments.workers < 1:
        raise InputError(f"--workers must be 1 or more, got {arguments.workers}")
    _write(
        arguments,
        wikidata=arguments.wikidata,
        wordnet=arguments.wordnet,
        csv=arguments.csv,
        workers=arguments.workers,
    )


def _merge(arguments: argparse.Namespace) -> None:
    if len(arguments.bases) < 2:
        raise InputError("kb merge needs two knowledge bases or more")
    _write(arguments, merge=arguments.bases)


def _write(arguments: argparse.Namespace, **sources: Any) -> None:
    from openmofi.entities.build import build_knowledge_base, build_knowledge_base_folder

    config = read_yaml(arguments.config) if arguments.config else {}
    if arguments.encoder:
        config = {**config, "encoder": arguments.encoder}
    sources["config"] = config
    if arguments.out:
        print(build_knowledge_base_folder(arguments.out, **sources))
    else:
        print(build_knowledge_base(arguments.root, **sources))


def _show(arguments: argparse.Namespace) -> None:
    from openmofi.entities.knowledge_base import open_knowledge_base

    base = open_knowledge_base(arguments.kb)
    candidates = base.candidates(arguments.name)
    if not candidates:
        print(f"'{arguments.name}' is no alias in this knowledge base")
    elif base.is_stop_phrase(arguments.name):
        print(f"'{arguments.name}' is a stop phrase: in a text it is not a mention")
    width = max((len(entity_id) for entity_id, _ in candidates), default=0)
    for entity_id, prior in candidates:
        kind = base.kind(entity_id)
        name = base.name(entity_id) + (f" ({kind})" if kind else "")
        described = f"{name}: {base.description(entity_id)}".rstrip(": ")
        print(f"{prior:.3f}  {entity_id:<{width}}  {described}")
