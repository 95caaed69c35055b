"""Options of the commands that speak to a cluster."""

import argparse
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from openmofi.errors import InputError
from pipelines.cluster.timing import seconds

CHANGES = ("pause", "resume", "delete")
SERVICE_ACCOUNT = "openmofi-pipeline"  # k8s/base makes it


def add_commands(commands: Any, names: Sequence[str]) -> None:
    """Add the commands to those of ``python -m pipelines``.

    Args:
        commands: The sub-parsers.
        names: Of the pipelines.
    """
    submitting = _command(commands, "submit", "run a pipeline on a cluster")
    submitting.add_argument("name", choices=names)
    _add_content(submitting)
    submitting.add_argument(
        "--run-name",
        default="",
        help="submitted again, it is the same run; default: the pipeline and the time",
    )
    _add_waiting(submitting)

    scheduling = _command(commands, "schedule", "run a pipeline again and again; list, pause …")
    scheduling.add_argument("name", choices=(*names, "list", *CHANGES))
    scheduling.add_argument("schedule", nargs="?", default="", help="which one to pause …")
    _add_content(scheduling, required=False)
    scheduling.add_argument("--cron", default="", help='"0 0 3 * * *": six fields, seconds first')
    scheduling.add_argument("--every", default="", help="such as 30m, 6h or 1d")
    scheduling.add_argument("--paused", action="store_true", help="have it there, but off")
    scheduling.add_argument("--schedule-name", default="", help="default: the pipeline's")

    status = _command(commands, "status", "show a run, or the latest runs")
    _add_run(status, needed=False)
    logs = _command(commands, "logs", "show what a run's steps have printed")
    _add_run(logs)
    logs.add_argument("step", nargs="?", default="", help="its title; default: all steps")
    logs.add_argument("--follow", action="store_true", help="until the run has ended")
    retrying = _command(commands, "retry", "start the failed steps of a run again")
    _add_run(retrying)
    _add_waiting(retrying)
    _add_run(_command(commands, "cancel", "end a run"))


def _command(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text)
    group = parser.add_argument_group("the Pipelines API")
    group.add_argument("--endpoint", default="", help="default: KF_PIPELINES_ENDPOINT")
    group.add_argument(
        "--port-forward",
        default="",
        metavar="NAMESPACE",
        help="reach it by kubectl, where Kubeflow Pipelines is installed in NAMESPACE",
    )
    group.add_argument("--namespace", default="", help="yours, where a server has several users")

    def run(arguments: argparse.Namespace) -> int:
        from pipelines.cluster.commands import run_command

        return run_command(name, arguments)

    parser.set_defaults(run=run)
    return parser


def add_settings(parser: argparse.ArgumentParser) -> None:
    """What overrides the configuration file."""
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="KEY=VALUE",
        help="overrides the file, such as assemble.min_score=0.3; may be repeated",
    )  # fmt: skip


def add_pools(parser: argparse.ArgumentParser) -> None:
    """Where steps run."""
    parser.add_argument(
        "--pools", type=Path, metavar="FILE", help="where steps run, see docs/placement.md"
    )


def run_name(arguments: argparse.Namespace) -> str:
    """As given; by default the pipeline and the time."""
    return arguments.run_name or f"{arguments.name}-{datetime.now():%Y%m%d-%H%M%S}"


def _add_content(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    parser.add_argument("--config", type=Path, required=required, help="YAML file, as for run")
    add_settings(parser)
    add_pools(parser)
    parser.add_argument("--experiment", default="", help="default: the pipeline's name in KFP")
    parser.add_argument("--service-account", default=SERVICE_ACCOUNT, help="default: %(default)s")
    parser.add_argument("--mlflow-experiment", default="", help="for KFP's MLflow plug-in")
    parser.add_argument(
        "--unchecked",
        action="store_true",
        help="do not look at the inputs: the store can't be reached from here",
    )


def _add_run(parser: argparse.ArgumentParser, *, needed: bool = True) -> None:
    parser.add_argument(
        "run_id", nargs=None if needed else "?", default="", metavar="RUN", help="its id or name"
    )


def _add_waiting(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--wait",
        action="store_true",
        help="follow it; the exit status is 0, 1 if it failed, 3 if --timeout is over",
    )
    parser.add_argument("--timeout", type=_duration, default=None, help="such as 90m; it goes on")
    parser.add_argument(
        "--poll", type=_duration, default=10, metavar="TIME", help="between looks; default: 10s"
    )


def _duration(text: str) -> int:
    try:
        return seconds(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
