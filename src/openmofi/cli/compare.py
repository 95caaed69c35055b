"""``openmofi compare``: models side by side, and what differed in their data and recipe."""

import argparse


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    parser = commands.add_parser(
        "compare",
        help="metrics of models side by side, paired, and what differed in data and recipe",
        description=_compare.__doc__,
    )
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="MLflow run id (of training, evaluation, registration or a pipeline), or URI of a "
        "model's or an evaluation's manifest; the first is what the others are held against",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_compare)


def _compare(arguments: argparse.Namespace) -> None:
    """Compare models on what is kept of their evaluations; nothing is measured anew.

    MLflow runs are looked up at MLFLOW_TRACKING_URI.
    """
    import json

    from openmofi.evaluation.comparison.compare import compare_runs
    from openmofi.evaluation.comparison.table import comparison_text

    facts = compare_runs(arguments.runs)
    if arguments.json:
        print(json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        print(comparison_text(facts))
