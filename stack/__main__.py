"""``python -m stack up|status|env|down``: an S3 and an MLflow server on this machine."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from openmofi.errors import InputError, OpenMofiError
from stack import services, settings
from stack.secret_files import write_secretly
from stack.settings import Stack

_FOLDER = Path("build/stack")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; 1 when `status` finds something down; 2 after one line about what the user can mend.
    """
    arguments = _parser().parse_args(argv)
    arguments.folder = arguments.folder.absolute()
    try:
        return int(arguments.run(arguments))
    except OpenMofiError as error:
        print(f"stack: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stack: interrupted; run it again, or 'down'", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stack", description="S3 and MLflow on this machine.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    starting = commands.add_parser("up", help="start what does not run, wait until it answers")
    for name in ("s3", "mlflow", "postgres"):
        starting.add_argument(f"--{name}-port", type=int, metavar="PORT")
    starting.set_defaults(run=_up)

    asking = commands.add_parser("status", help="what runs, and where; 1 if something does not")
    asking.set_defaults(run=_status)

    leading = commands.add_parser("env", help="print the line that leads a shell to the servers")
    leading.add_argument("who", nargs="?", choices=("pipeline", "reader"), default="pipeline")
    leading.set_defaults(run=_env)

    stopping = commands.add_parser("down", help="stop all; the data stays")
    stopping.add_argument("--purge", action="store_true", help="remove data and secrets as well")
    stopping.set_defaults(run=_down)

    for command in (starting, asking, leading, stopping):
        command.add_argument("--folder", type=Path, default=_FOLDER, help="default: build/stack")
    return parser


def _up(arguments: argparse.Namespace) -> int:
    services.check_installed()
    with services.locked(arguments.folder):
        stack = settings.load(arguments.folder) or settings.create(arguments.folder)
        asked = settings.with_ports(
            stack,
            s3=arguments.s3_port,
            mlflow=arguments.mlflow_port,
            postgres=arguments.postgres_port,
        )
        if asked != stack and any(services.pids(stack, name) for name in services.SERVICES):
            raise InputError("it runs on other ports; stop it first: python -m stack down")
        services.up(asked)
        write_secretly(stack.folder / "stack.json", asked.ports.model_dump_json())
    _show(asked)
    print("In your shell, as the pipeline, which reads and writes, or as a reader:")
    for who in ("pipeline", "reader"):
        print(f"  {_line(asked, who)}")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    return 0 if _show(_existing(arguments.folder)) else 1


def _env(arguments: argparse.Namespace) -> int:
    print(_line(_existing(arguments.folder), arguments.who))
    return 0


def _down(arguments: argparse.Namespace) -> int:
    stack = settings.load(arguments.folder)
    if stack is None:
        print(f"no stack in {arguments.folder}")
        return 0
    with services.locked(stack.folder):
        services.down(stack)
        if arguments.purge:
            services.purge(stack)
    print(f"stopped; {'removed' if arguments.purge else 'the data stays in'} {stack.folder}")
    return 0


def _existing(folder: Path) -> Stack:
    stack = settings.load(folder)
    if stack is None:
        raise InputError(f"no stack in {folder}; start one: python -m stack up")
    return stack


def _show(stack: Stack) -> bool:
    """Print a line a service; whether all run."""
    where = {
        "postgres": f"127.0.0.1:{stack.ports.postgres}",
        "s3": stack.s3_endpoint,
        "mlflow": stack.tracking_uri,
    }
    healthy = True
    for service in services.SERVICES:
        runs = services.is_up(stack, service)
        healthy = healthy and runs
        ids = " ".join(str(pid) for pid in services.pids(stack, service)) or "none"
        print(f"{service:9} {'running' if runs else 'down':8} {where[service]:24} pids {ids}")
    return healthy


def _line(stack: Stack, who: str) -> str:
    return f". {stack.folder / who}.env"


if __name__ == "__main__":
    sys.exit(main())
