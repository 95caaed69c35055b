import argparse
import json
from pathlib import Path
from typing import Any


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    parser = commands.add_parser(
        "train", help="train a model on training shards", description=_train.__doc__
    )
    parser.add_argument("--training-shards", required=True, metavar="URI", help="manifest")
    parser.add_argument("--name", required=True, help="of the run, in MLflow and in the log")
    given = parser.add_mutually_exclusive_group()
    given.add_argument(
        "--config", type=Path, metavar="FILE", help="YAML, such as configs/training/demo-clip.yaml"
    )
    given.add_argument("--config-json", metavar="JSON", help="the same where there is no file")
    parser.add_argument("--pipeline-run", default="", metavar="NAME", help="parent run in MLflow")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check everything, and print samples, epochs and cost instead of training",
    )
    parser.set_defaults(run=_train)


def _train(arguments: argparse.Namespace) -> None:
    """Train a model and print its manifest URI. Killed, it goes on where it was.

    On several processes: torchrun --nproc-per-node N -m openmofi train …
    """
    from openmofi.training.run import describe_run, train_model

    config = _config(arguments)
    if arguments.dry_run:
        print(describe_run(arguments.training_shards, config=config, name=arguments.name))
        return
    uri = train_model(
        arguments.training_shards,
        config=config,
        name=arguments.name,
        pipeline_run=arguments.pipeline_run,
    )
    if uri:  # the first rank's
        print(uri)


def _config(arguments: argparse.Namespace) -> dict[str, Any] | None:
    from openmofi.config import read_yaml
    from openmofi.errors import InputError

    if arguments.config_json is None:
        return read_yaml(arguments.config) if arguments.config else None
    try:
        config = json.loads(arguments.config_json)
    except ValueError as error:
        raise InputError(f"--config-json is not valid JSON: {error}") from None
    if not isinstance(config, dict):
        raise InputError(f"--config-json must hold an object, not a {type(config).__name__}")
    return config
