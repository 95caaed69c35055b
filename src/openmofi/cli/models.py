"""``openmofi models``: bring a model into the store, read a model's card."""

import argparse


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    room = commands.add_parser("models", help="bring a model into the store, read its card")
    actions = room.add_subparsers(title="actions", required=True, metavar="ACTION")
    parser = actions.add_parser(
        "import", help="copy a model's weights, tokenizer and preprocessing; prints its URI"
    )
    parser.add_argument("--root", required=True, help="store: folder, file:///… or s3://…")
    parser.add_argument(
        "--source",
        required=True,
        help="open_clip architecture; or hf-hub:org/name or a folder, in open_clip's layout or of "
        "a dual encoder of transformers (CLIP, SigLIP)",
    )
    parser.add_argument(
        "--pretrained", default="", help="open_clip's tag or a weights file, with an architecture"
    )
    parser.set_defaults(run=_import)

    card = actions.add_parser(
        "card", help="print the card of a trained model: use, data, recipe, limits (Markdown)"
    )
    card.add_argument("--model", required=True, metavar="URI", help="manifest")
    card.set_defaults(run=_card)


def _import(arguments: argparse.Namespace) -> None:
    from openmofi.models.importing import import_model

    print(import_model(arguments.root, source=arguments.source, pretrained=arguments.pretrained))


def _card(arguments: argparse.Namespace) -> None:
    from openmofi.training.card import read_card

    print(read_card(arguments.model), end="")
