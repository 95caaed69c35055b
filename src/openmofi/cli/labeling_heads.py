"""``openmofi labeling heads``: scores of linear heads over recorded embeddings."""

import argparse
from pathlib import Path


def add_action(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the action to ``openmofi labeling``."""
    heads = actions.add_parser(
        "heads", help="by hand: scores of linear heads over recorded embeddings, with quantiles"
    )
    heads.add_argument(
        "--embeddings",
        required=True,
        nargs="+",
        metavar="URI",
        help="manifests of image_embeddings, one for each group of shards",
    )
    heads.add_argument(
        "--samples", required=True, nargs="+", metavar="URI", help="manifests, of the same pool"
    )
    heads.add_argument(
        "--head",
        required=True,
        action="append",
        metavar="NAME=FILE",
        help="safetensors of weight and bias, a path or a store's URI; repeatable",
    )
    heads.add_argument("--out", required=True, type=Path, help="Parquet file to write")
    heads.set_defaults(run=_heads)


def _heads(arguments: argparse.Namespace) -> None:
    from openmofi.labeling.head_scores import SHARES, score_heads

    made = score_heads(
        arguments.embeddings, arguments.samples, _named(arguments.head), arguments.out
    )
    print(f"{arguments.out}: {made.scored} of {made.images} images have scores")
    width = max(map(len, made.quantiles))
    names = ["min", *(f"{100 * share:g}%" for share in SHARES[1:-1]), "max"]
    print(f"{'':<{width}}" + "".join(f"{name:>10}" for name in names))
    for column, values in made.quantiles.items():
        print(f"{column:<{width}}" + "".join(f"{value:>10.4f}" for value in values))


def _named(heads: list[str]) -> dict[str, str]:
    from openmofi.errors import InputError

    found: dict[str, str] = {}
    for given in heads:
        name, _, location = given.partition("=")
        if not name or not location or name in found:
            raise InputError(f"--head {given}: write NAME=FILE, each name once")
        found[name] = location
    return found
