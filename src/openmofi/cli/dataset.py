"""``openmofi dataset``: assemble versions of the data set and cut training shards.

Other verbs stand in modules of their own, each with `add_verbs`.
"""

import argparse
from pathlib import Path

from openmofi.cli import dataset_export, dataset_takedown, dataset_versions
from openmofi.errors import InputError

_MODULES = (dataset_versions, dataset_takedown, dataset_export)
_TABLES = (
    "samples", "mentions", "image_embeddings", "entity_scores", "text_regions", "masked_scores",
)  # fmt: skip


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    room = commands.add_parser("dataset", help="assemble, cut into training shards, show")
    verbs = room.add_subparsers(title="commands", required=True, metavar="COMMAND")

    assemble = verbs.add_parser("assemble", help="decide which samples are in, with which labels")
    for kind in _TABLES:
        assemble.add_argument(
            f"--{kind.replace('_', '-')}",
            nargs="+",
            default=[],
            metavar="URI",
            help=f"manifests of kind {kind}, one a group of shards",
            required=kind == "samples",
        )
    assemble.add_argument("--knowledge-base", default="", metavar="URI")
    assemble.add_argument(
        "--parent",
        action="append",
        default=[],
        metavar="URI",
        help="data set to grow from: a manifest, ROOT@NAME, or published:NAME in the same root",
    )
    assemble.add_argument("--config", type=Path, metavar="FILE.yaml", help="of AssembleConfig")
    assemble.add_argument("--workers", type=int, default=1, help="shards at once (default 1)")
    assemble.add_argument(
        "--memory", default="", metavar="SIZE", help="of its database, as 4GB (default: half)"
    )
    assemble.set_defaults(run=_assemble)

    build = verbs.add_parser("build-shards", help="copy kept samples into training tars")
    build.add_argument("--dataset", required=True, metavar="URI")
    build.add_argument("--config", type=Path, metavar="FILE.yaml", help="values of ShardsConfig")
    build.add_argument("--workers", type=int, default=1, help="shards at once (default 1)")
    build.set_defaults(run=_build_shards)

    for module in _MODULES:
        module.add_verbs(verbs)


def _assemble(arguments: argparse.Namespace) -> None:
    from openmofi.config import read_yaml
    from openmofi.dataset.assemble import assemble_dataset

    if len(arguments.parent) > 1:
        raise InputError(
            f"--parent is given {len(arguments.parent)} times, and a version grows from one; give "
            "what is published last, whose vocabulary holds the others' if it grew from them"
        )
    uri = assemble_dataset(
        **{kind: getattr(arguments, kind) for kind in _TABLES},
        knowledge_base=arguments.knowledge_base,
        config=read_yaml(arguments.config) if arguments.config else None,
        parent="".join(arguments.parent),
        workers=arguments.workers,
        resources={"memory": arguments.memory},
    )
    print(uri)


def _build_shards(arguments: argparse.Namespace) -> None:
    from openmofi.config import read_yaml
    from openmofi.dataset.training_shards import build_shards

    config = read_yaml(arguments.config) if arguments.config else None
    print(build_shards(arguments.dataset, config=config, workers=arguments.workers))
