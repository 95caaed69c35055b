"""``openmofi evaluate``: a model on an evaluation set, or retrieval over arrays of your own."""

import argparse
from pathlib import Path


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    room = commands.add_parser("evaluate", help="measure a model, or embeddings of your own")
    actions = room.add_subparsers(title="actions", required=True, metavar="ACTION")

    run = actions.add_parser("run", help="all suites on a model; prints the evaluation's URI")
    run.add_argument("candidate", help="URI of the model manifest")
    run.add_argument("--data", required=True, help="class folders: DIR/<class>/*.jpg")
    run.add_argument("--baseline", default="", help="URI of the model manifest to compare with")
    run.add_argument("--config", type=Path, metavar="FILE.yaml", help="values of EvaluateConfig")
    run.add_argument("--pipeline-run", default="", help="name of the parent run in MLflow")
    run.set_defaults(run=_run)

    retrieval = actions.add_parser(
        "retrieval", help="GPR1200's mAP in percent, with and without the self-match"
    )
    retrieval.add_argument(
        "--embeddings", required=True, type=Path, metavar="E.npy", help="floats, N x D"
    )
    retrieval.add_argument("--labels", required=True, type=Path, metavar="L.npy", help="N integers")
    retrieval.add_argument("--json", action="store_true", help="print JSON")
    retrieval.set_defaults(run=_retrieval)


def _run(arguments: argparse.Namespace) -> None:
    from openmofi.config import read_yaml
    from openmofi.evaluation.run import evaluate_model

    print(
        evaluate_model(
            arguments.candidate,
            data=arguments.data,
            baseline=arguments.baseline,
            config=read_yaml(arguments.config) if arguments.config else None,
            pipeline_run=arguments.pipeline_run,
        )
    )


def _retrieval(arguments: argparse.Namespace) -> None:
    import json

    from openmofi.evaluation.arrays import evaluate_arrays

    found = evaluate_arrays(arguments.embeddings, arguments.labels)
    if arguments.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name}: {value:.2f}" if isinstance(value, float) else f"{name}: {value}")
