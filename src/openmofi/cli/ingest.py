"""``openmofi ingest plan`` and ``openmofi ingest run``."""

import argparse
from pathlib import Path


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    room = commands.add_parser("ingest", help="copy a crawl into the pool and check every pair")
    actions = room.add_subparsers(title="actions", required=True, metavar="ACTION")

    plan = actions.add_parser(
        "plan", help="cut a source into groups of shards; prints one group a line, ingests nothing"
    )
    plan.add_argument("--root", required=True, help="folder or s3://bucket/prefix")
    plan.add_argument(
        "--source",
        required=True,
        help="tars, a folder of images with .txt, or a CSV/TSV/JSONL/Parquet table of paths",
    )
    plan.add_argument(
        "--groups", type=int, default=1, help="parts that may run at once; 0: as many as suit"
    )
    plan.add_argument("--config", type=Path, help="YAML of the ingest section")
    plan.add_argument("--price-per-hour", type=float, help="of one worker, for the estimate")
    plan.set_defaults(run=_plan)

    run = actions.add_parser("run", help="ingest groups; prints the URI of each samples table")
    run.add_argument("groups", nargs="+", metavar="GROUP", help="as printed by 'ingest plan'")
    run.add_argument("--workers", type=int, default=1, help="processes")
    run.set_defaults(run=_run)


def _plan(arguments: argparse.Namespace) -> None:
    from openmofi.config import read_yaml
    from openmofi.ingest.run import describe_group, plan_groups
    from openmofi.progress import say

    config = read_yaml(arguments.config) if arguments.config else None
    groups = plan_groups(
        arguments.root, source=arguments.source, groups=arguments.groups, config=config
    )
    for number, group in enumerate(groups):
        line = describe_group(group, price_per_hour=arguments.price_per_hour)
        say(f"group {number}: {line}")
        print(group)


def _run(arguments: argparse.Namespace) -> None:
    from openmofi.ingest.run import ingest_pairs

    for group in arguments.groups:
        print(ingest_pairs(group, workers=arguments.workers))
