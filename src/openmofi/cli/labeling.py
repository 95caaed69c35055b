"""``openmofi labeling``: images to embeddings, candidates to scores, scores to a cut."""

import argparse
from pathlib import Path
from typing import Any

from openmofi.cli import labeling_heads, labeling_quality


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    room = commands.add_parser("labeling", help="find out which entities an image shows")
    actions = room.add_subparsers(title="actions", required=True, metavar="ACTION")
    _add_by_hand(actions)
    labeling_quality.add_actions(actions)
    labeling_heads.add_action(actions)
    _add_stages(actions)


def _add_by_hand(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    label = actions.add_parser(
        "label", help="by hand: score the linked entities of a folder of tar shards"
    )
    label.add_argument("--pairs", required=True, type=Path, help="folder of WebDataset tars")
    label.add_argument(
        "--mentions", required=True, type=Path, help="Parquet file of `openmofi entities link`"
    )
    label.add_argument("--kb", required=True, help="a knowledge base's folder or manifest URI")
    label.add_argument(
        "--model",
        required=True,
        help="a dual encoder's folder (open_clip's or transformers' layout) or manifest URI",
    )
    label.add_argument("--out", required=True, type=Path, help="Parquet file to write")
    label.add_argument("--config", type=Path, help="YAML of the labeling options (LabelConfig)")
    label.add_argument("--embed-config", type=Path, help="YAML of how images are embedded")
    label.set_defaults(run=_label)


def _add_stages(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    embed = actions.add_parser("embed", help="stage: samples to image_embeddings; prints the URI")
    embed.add_argument("--samples", required=True, help="manifest URI")
    embed.set_defaults(run=_embed)
    ahead = actions.add_parser(
        "embed-entities", help="stage: encode a knowledge base's entities ahead of `score`"
    )
    ahead.set_defaults(run=_embed_entities)
    score = actions.add_parser("score", help="stage: mentions to entity_scores; prints the URI")
    score.add_argument("--embeddings", required=True, help="manifest URI of image_embeddings")
    score.add_argument("--mentions", required=True, help="manifest URI")
    score.add_argument("--workers", type=int, default=1, help="processes (default 1)")
    score.set_defaults(run=_score)
    mask = _add_mask(actions)
    for parser in (ahead, score):
        parser.add_argument("--kb", required=True, help="manifest URI of the knowledge base")
    for parser in (embed, ahead, score, mask):
        parser.add_argument("--model", required=True, help="manifest URI")
        parser.add_argument("--config", type=Path, help="YAML file with this step's options")


def _add_mask(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    mask = actions.add_parser(
        "mask", help="stage: scores of images with their text covered; prints the URI"
    )
    for name, kind in (
        ("samples", "samples"),
        ("embeddings", "image_embeddings"),
        ("regions", "text_regions"),
    ):
        mask.add_argument(
            f"--{name}", required=True, nargs="+", metavar="URI", help=f"manifests of {kind}"
        )
    mask.set_defaults(run=_mask)
    return mask


def _label(arguments: argparse.Namespace) -> None:
    from openmofi.labeling.pairs import label_pairs

    counts = label_pairs(
        arguments.pairs,
        arguments.mentions,
        arguments.kb,
        arguments.model,
        arguments.out,
        config=_options(arguments.config),
        embed=_options(arguments.embed_config),
    )
    linked = counts.labeled + counts.failed
    print(
        f"{arguments.out}: {counts.scores} scores of {counts.labeled} images; seen {counts.images} "
        f"= labeled {counts.labeled} + failed {counts.failed} + no_candidates "
        f"{counts.images - linked}"
    )


def _embed(arguments: argparse.Namespace) -> None:
    from openmofi.labeling.embed import embed_images

    print(embed_images(arguments.samples, arguments.model, config=_options(arguments.config)))


def _embed_entities(arguments: argparse.Namespace) -> None:
    from openmofi.labeling.entities import embed_entities

    print(embed_entities(arguments.kb, arguments.model, config=_options(arguments.config)))


def _score(arguments: argparse.Namespace) -> None:
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


def _mask(arguments: argparse.Namespace) -> None:
    from openmofi.labeling.masked import score_masked_images

    print(
        score_masked_images(
            arguments.samples,
            arguments.embeddings,
            arguments.regions,
            arguments.model,
            config=_options(arguments.config),
        )
    )


def _options(path: Path | None) -> dict[str, Any] | None:
    from openmofi.config import read_yaml

    return read_yaml(path) if path else None
