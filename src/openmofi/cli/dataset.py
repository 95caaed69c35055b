"""``openmofi dataset``: assemble versions of the data set, cut training shards, look at counts."""

import argparse
from pathlib import Path

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
    assemble.add_argument("--parent", default="", metavar="URI", help="data set to grow from")
    assemble.add_argument("--config", type=Path, metavar="FILE.yaml", help="of AssembleConfig")
    assemble.set_defaults(run=_assemble)

    build = verbs.add_parser("build-shards", help="copy kept samples into training tars")
    build.add_argument("--dataset", required=True, metavar="URI")
    build.add_argument("--config", type=Path, metavar="FILE.yaml", help="values of ShardsConfig")
    build.add_argument("--workers", type=int, default=1, help="shards at once (default 1)")
    build.set_defaults(run=_build_shards)

    show = verbs.add_parser("show", help="counts of a data set, by step and cause")
    show.add_argument("dataset", metavar="URI")
    show.set_defaults(run=_show)


def _assemble(arguments: argparse.Namespace) -> None:
    from openmofi.config import read_yaml
    from openmofi.dataset.assemble import assemble_dataset

    uri = assemble_dataset(
        **{kind: getattr(arguments, kind) for kind in _TABLES},
        knowledge_base=arguments.knowledge_base,
        config=read_yaml(arguments.config) if arguments.config else None,
        parent=arguments.parent,
    )
    print(uri)


def _build_shards(arguments: argparse.Namespace) -> None:
    from openmofi.config import read_yaml
    from openmofi.dataset.training_shards import build_shards

    config = read_yaml(arguments.config) if arguments.config else None
    print(build_shards(arguments.dataset, config=config, workers=arguments.workers))


def _show(arguments: argparse.Namespace) -> None:
    from openmofi.dataset.causes import Cause, funnel
    from openmofi.versions import read_manifest

    manifest = read_manifest(arguments.dataset, "dataset")
    content = manifest.content
    counts = dict(content["counts"])
    left = sum(counts.values())
    print(f"{'seen':<38}{'':>10}{left:>10}")
    for step, cause, dropped in funnel(counts):
        left -= dropped
        print(f"{step:<16}{cause:<22}{-dropped:>10}{left:>10}")
    splits = " + ".join(f"{name} {number}" for name, number in content["splits"].items())
    print(f"kept {counts[Cause.KEPT]} = {splits}")
    print(", ".join(f"{name} {number}" for name, number in content["totals"].items()))
    print(f"card: {manifest.store.uri}/{content['card']}")
