"""``openmofi textregions``: where text stands in pictures."""

import argparse
from pathlib import Path

from openmofi.cli import textregions_preview


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    room = commands.add_parser("textregions", help="find text in pictures")
    verbs = room.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = verbs.add_parser("run", help="the stage: text regions of every sample of a pool")
    run.add_argument("--samples", required=True, metavar="URI", help="manifest of kind samples")
    run.add_argument("--config", type=Path, metavar="FILE.yaml", help="values of DetectConfig")
    run.add_argument("--workers", type=int, default=1, help="processes (default 1)")
    run.set_defaults(run=_run)

    detect = verbs.add_parser("detect", help="text regions of a folder of tars, without a store")
    detect.add_argument("--pairs", required=True, type=Path, metavar="DIR", help="WebDataset tars")
    detect.add_argument("--out", required=True, type=Path, metavar="REGIONS.parquet")
    detect.add_argument("--config", type=Path, metavar="FILE.yaml", help="values of DetectConfig")
    detect.add_argument("--workers", type=int, default=1, help="processes (default 1)")
    detect.set_defaults(run=_detect)
    textregions_preview.add_action(verbs)


def _run(arguments: argparse.Namespace) -> None:
    from openmofi.config import read_yaml
    from openmofi.textregions.detect import detect_text

    config = read_yaml(arguments.config) if arguments.config else None
    print(detect_text(arguments.samples, config=config, workers=arguments.workers))


def _detect(arguments: argparse.Namespace) -> None:
    from openmofi.config import read_yaml
    from openmofi.stage import describe_counts
    from openmofi.textregions.pairs import detect_pairs

    config = read_yaml(arguments.config) if arguments.config else None
    counts = detect_pairs(arguments.pairs, arguments.out, config=config, workers=arguments.workers)
    print(f"{arguments.out}: {describe_counts(counts)}")
