"""``openmofi labeling``: embed images, score entities."""

import argparse
from pathlib import Path
from typing import Any


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    room = commands.add_parser("labeling", help="embed images and score entities")
    actions = room.add_subparsers(title="actions", required=True, metavar="ACTION")
    embed = actions.add_parser("embed", help="embed images; prints the URI of image_embeddings")
    embed.add_argument("--samples", required=True, help="manifest URI")
    label = actions.add_parser("label", help="score entities; prints the URI of entity_scores")
    label.add_argument("--embeddings", required=True, help="manifest URI of image_embeddings")
    label.add_argument("--mentions", required=True, help="manifest URI")
    label.add_argument("--kb", required=True, help="manifest URI of the knowledge base")
    for parser, run in ((embed, _embed), (label, _label)):
        parser.add_argument("--model", required=True, help="manifest URI")
        parser.add_argument("--config", type=Path, help="YAML file with this step's options")
        parser.add_argument("--workers", type=int, default=1, help="processes (default 1)")
        parser.set_defaults(run=run)


def _embed(arguments: argparse.Namespace) -> None:
    from openmofi.labeling.embed import embed_images

    print(
        embed_images(
            arguments.samples,
            arguments.model,
            config=_options(arguments.config),
            workers=arguments.workers,
        )
    )


def _label(arguments: argparse.Namespace) -> None:
    from openmofi.labeling.score import label_images

    print(
        label_images(
            arguments.embeddings,
            arguments.mentions,
            arguments.kb,
            arguments.model,
            config=_options(arguments.config),
            workers=arguments.workers,
        )
    )


def _options(path: Path | None) -> dict[str, Any] | None:
    from openmofi.config import read_yaml

    return read_yaml(path) if path else None
