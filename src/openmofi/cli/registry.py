"""``openmofi register``: hold a model against the gate and register it."""

import argparse
from pathlib import Path


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    parser = commands.add_parser(
        "register", help="register a model in MLflow if it passes; prints the registration's URI"
    )
    parser.add_argument("model", help="URI of the model manifest")
    parser.add_argument("evaluation", help="URI of its evaluation manifest")
    parser.add_argument("--name", required=True, help="of the registered model")
    parser.add_argument("--config", type=Path, metavar="FILE.yaml", help="values of RegisterConfig")
    parser.add_argument("--pipeline-run", default="", help="name of the parent run in MLflow")
    parser.set_defaults(run=_register)


def _register(arguments: argparse.Namespace) -> None:
    from openmofi.config import read_yaml
    from openmofi.registry.register import register_model

    print(
        register_model(
            arguments.model,
            arguments.evaluation,
            name=arguments.name,
            config=read_yaml(arguments.config) if arguments.config else None,
            pipeline_run=arguments.pipeline_run,
        )
    )
