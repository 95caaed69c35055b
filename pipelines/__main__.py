"""``python -m pipelines …``: compile the graphs, run one here or on a cluster, show its results."""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openmofi.errors import InputError, OpenMofiError
from pipelines.cluster import options
from pipelines.failures import StepCrashError

NAMES = ("curate", "train", "full", "refresh", "recut")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; 2 after one line about what the user can mend; 1 when a step crashed or a run that was
        waited for failed; 3 when it had not ended in time.
    """
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments) or 0)
    except OpenMofiError as error:
        print(f"pipelines: {error}", file=sys.stderr)
        return 2
    except StepCrashError as error:
        print(f"pipelines: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "pipelines: interrupted; run it again, what is done is not done twice", file=sys.stderr
        )
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pipelines",
        description="Compile the graphs, run one here or on a cluster, show what it made.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    compiling = commands.add_parser("compile", help="write one YAML file for each pipeline")
    compiling.add_argument("--out", type=Path, default=Path("build/pipelines"))
    options.add_pools(compiling)
    compiling.set_defaults(run=_compile)

    running = commands.add_parser("run", help="run a pipeline on this machine")
    running.add_argument("name", choices=NAMES)
    running.add_argument("--config", type=Path, required=True, help="YAML file")
    options.add_settings(running)
    running.add_argument("--run-name", default="", help="default: the pipeline and the time")
    running.add_argument("--out", type=Path, default=Path("build/runs"), help="logs and outputs")
    running.add_argument("--dry-run", action="store_true", help="check the inputs, run nothing")
    _add_runner(running)
    running.set_defaults(run=_run)

    report = commands.add_parser("report", help="show what a run made")
    report.add_argument("outputs", type=Path, help="outputs.json of a run, or its folder")
    report.set_defaults(run=_report)

    options.add_commands(commands, NAMES)
    return parser


def _add_runner(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runner",
        choices=("subprocess", "docker"),
        default="subprocess",
        help="docker: each step in its image, by Docker or Podman (docs/running-in-containers.md)",
    )
    group = parser.add_argument_group("with --runner docker")
    group.add_argument("--network", default="", help="default: none, unless an address needs one")
    group.add_argument("--user", default="", metavar="UID:GID", help="default: you, but not root")
    group.add_argument(
        "--mount",
        dest="mounts",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="one more file or folder that steps read; may be repeated",
    )


def _compile(arguments: argparse.Namespace) -> None:
    from pipelines.compile import compile_all
    from pipelines.pools import load_pools

    pools = load_pools(arguments.pools) if arguments.pools else None
    for path in compile_all(arguments.out, pools):
        print(path)


def _run(arguments: argparse.Namespace) -> None:
    from pipelines.config import load_config
    from pipelines.nodes import refuse_here
    from pipelines.preflight import check_inputs

    name = arguments.name
    config = load_config(name, arguments.config, arguments.settings)
    run_name = options.run_name(arguments)
    values = config.arguments(run_name)
    refuse_here(values)
    from pipelines.compile import PIPELINES
    from pipelines.local import run_locally
    from pipelines.report import describe_run
    from pipelines.runners import choose_runner

    folder = arguments.out / run_name
    runner, notes = choose_runner(arguments, PIPELINES[name], values, folder)
    todo = check_inputs(values)
    if arguments.dry_run:
        _show_plan(name, values, [*notes, *todo])
        return
    for note in notes:
        print(f"pipelines: {note}", file=sys.stderr)
    print(f"pipelines: {run_name}, root {config.resolved_root()}, logs {folder}", file=sys.stderr)
    groups = int(values.get("groups") or len(values.get("samples", [])) or 1)
    outputs = run_locally(PIPELINES[name], values, folder=folder, groups=groups, runner=runner)
    print(describe_run(outputs))
    again = shlex.join(["python", "-m", "pipelines", "report", str(folder)])
    print(f"This summary again: {again}")


def _show_plan(name: str, values: dict[str, Any], todo: list[str]) -> None:
    from pipelines.compile import PIPELINES
    from pipelines.local import task_titles
    from pipelines.placement import STEPS

    print(f"{name} would run with")
    for key, value in sorted(values.items()):
        print(f"  {key}: {value if isinstance(value, str) else json.dumps(value)}")
    print("steps, in no order, with their pools on a cluster")
    for task, title in sorted(task_titles(PIPELINES[name].pipeline_spec).items()):
        step = next((s for s in STEPS if task == s or task.startswith(f"{s}-")), "")
        if step:
            print(f"  {title}: {STEPS[step].pool.name}")
    for line in todo:
        print(line)


def _report(arguments: argparse.Namespace) -> None:
    from pipelines.report import describe_run
    from pipelines.steps import StepOutput

    path = arguments.outputs / "outputs.json" if arguments.outputs.is_dir() else arguments.outputs
    if not path.is_file():
        raise InputError(f"{path} is not there; a run writes it when it has succeeded")
    print(describe_run([StepOutput(**item) for item in json.loads(path.read_text())]))


if __name__ == "__main__":
    sys.exit(main())
