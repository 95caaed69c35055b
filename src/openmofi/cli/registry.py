"""``openmofi register`` and ``openmofi registry …``: the gate, and a person's word after it."""

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

    registry = commands.add_parser("registry", help="look at registered models, promote, roll back")
    _add_verbs(registry.add_subparsers(title="verbs", required=True, metavar="VERB"))


def _add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    listing = verbs.add_parser("list", help="versions, newest first, and who was champion when")
    listing.add_argument("name", metavar="NAME")
    listing.set_defaults(run=_list)

    showing = verbs.add_parser("show", help="all that is known of a version, as JSON")
    showing.add_argument("name", metavar="NAME")
    showing.add_argument("version", metavar="VERSION|ALIAS")
    showing.set_defaults(run=_show)

    promoting = verbs.add_parser("promote", help="make a version the champion")
    promoting.add_argument("name", metavar="NAME")
    promoting.add_argument("version", metavar="VERSION|ALIAS")
    promoting.add_argument("--reason", default="", help="recorded")
    promoting.add_argument(
        "--force", action="store_true", help="although the gate refused it; needs --reason"
    )
    promoting.set_defaults(run=_promote)

    returning = verbs.add_parser("rollback", help="make the champion before the champion again")
    returning.add_argument("name", metavar="NAME")
    returning.add_argument("--to", default="", metavar="VERSION", help="an earlier champion")
    returning.add_argument("--reason", required=True, help="recorded")
    returning.set_defaults(run=_rollback)


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


def _list(arguments: argparse.Namespace) -> None:
    from openmofi.registry.versions import list_versions

    for line in list_versions(arguments.name):
        print(line)


def _show(arguments: argparse.Namespace) -> None:
    from openmofi.registry.versions import show_version

    print(show_version(arguments.name, arguments.version))


def _promote(arguments: argparse.Namespace) -> None:
    from openmofi.registry.promotion import promote

    promote(arguments.name, arguments.version, reason=arguments.reason, force=arguments.force)


def _rollback(arguments: argparse.Namespace) -> None:
    from openmofi.registry.promotion import rollback

    rollback(arguments.name, to=arguments.to, reason=arguments.reason)
