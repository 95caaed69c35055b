"""``openmofi demo-crawl``."""

import argparse
from pathlib import Path


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    crawl = commands.add_parser(
        "demo-crawl", help="write a seeded crawl of drawn pictures, with its truth beside it"
    )
    crawl.add_argument("--out", type=Path, required=True, help="folder to make")
    crawl.add_argument("--pairs", type=int, default=4000, help="image/alt-text pairs")
    crawl.add_argument("--seed", type=int, default=1)
    crawl.add_argument(
        "--labeler-pairs", type=int, help="pairs of the labeler's own crawl; as many by default"
    )
    crawl.add_argument(
        "--domains", default="flags", help="what is drawn: flags, butterflies, vases, with commas"
    )
    crawl.add_argument("--workers", type=int, default=2, help="processes")
    crawl.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from openmofi.demo.crawl import write_demo_crawl

    out = write_demo_crawl(
        arguments.out,
        pairs=arguments.pairs,
        seed=arguments.seed,
        labeler_pairs=arguments.labeler_pairs,
        domains=arguments.domains.split(","),
        workers=arguments.workers,
    )
    print(out)
