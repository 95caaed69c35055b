"""``openmofi evaluate``: a model on an evaluation set, or arrays of your own."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openmofi.evaluation.array_suites import ArrayFiles


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    room = commands.add_parser("evaluate", help="measure a model, or embeddings of your own")
    actions = room.add_subparsers(title="actions", required=True, metavar="ACTION")
    _add_run(actions)
    _add_arrays(actions)
    _add_hashes(actions)
    retrieval = actions.add_parser(
        "retrieval", help="GPR1200's mAP in percent, with and without the self-match"
    )
    _add_tested(retrieval)
    retrieval.set_defaults(run=_retrieval)


def _add_run(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    run = actions.add_parser("run", help="suites on a model; prints the evaluation's URI")
    run.add_argument(
        "candidate",
        help="URI of a model manifest, a model folder, hf-hub:org/name, an open_clip name with its "
        "weights (ViT-B-32@laion2b_s34b_b79k), or a .npy of vectors in the data's order",
    )
    run.add_argument(
        "--data",
        required=True,
        help="class folders (DIR/<class>/*.jpg), GPR1200's flat folder, ImageNet (DIR/val/<class>, "
        "DIR/train/<class>), or Karpathy's JSON beside its images",
    )
    run.add_argument("--baseline", default="", help="the model to compare with, as CANDIDATE")
    run.add_argument("--config", type=Path, metavar="FILE.yaml", help="values of EvaluateConfig")
    run.add_argument("--pipeline-run", default="", help="name of the parent run in MLflow")
    run.add_argument(
        "--root",
        default="",
        help="store of the result; default: the candidate's own, $OPENMOFI_ROOT or ./openmofi-data",
    )
    run.set_defaults(run=_run)


def _add_arrays(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    arrays = actions.add_parser(
        "arrays", help="retrieval, knn, linear_probe and query_index over .npy files"
    )
    _add_tested(arrays)
    for role, use in (("train", "knn and linear_probe learn from"), ("index", "is searched")):
        arrays.add_argument(f"--{role}-embeddings", type=Path, metavar="E.npy", help=f"what {use}")
        arrays.add_argument(f"--{role}-labels", type=Path, metavar="L.npy", help="its labels")
    arrays.add_argument("--config", type=Path, metavar="FILE.yaml", help="values of EvaluateConfig")
    arrays.set_defaults(run=_arrays)


def _add_hashes(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    hashes = actions.add_parser(
        "hashes", help="list a set's hashes, for assembly where its pictures may not be"
    )
    hashes.add_argument("data", help="as --data of run")
    hashes.add_argument("--out", required=True, type=Path, metavar="LIST.txt")
    hashes.set_defaults(run=_hashes)


def _add_tested(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--embeddings", required=True, type=Path, metavar="E.npy", help="floats, N x D"
    )
    parser.add_argument("--labels", required=True, type=Path, metavar="L.npy", help="N integers")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _hashes(arguments: argparse.Namespace) -> None:
    from openmofi.errors import InputError
    from openmofi.evaluation_data.hash_list import hash_list_text, is_hash_list
    from openmofi.evaluation_data.layouts import read_evaluation_data
    from openmofi.files import write_text

    if not is_hash_list(arguments.out):
        raise InputError(f"--out {arguments.out} must end in .txt, by which a list is known")
    images = read_evaluation_data(arguments.data).images
    text, broken = hash_list_text(images)
    write_text(text, arguments.out)
    print(
        f"{arguments.out}: {len(images.paths)} images of set {images.digest}, "
        f"{broken} of which do not decode"
    )


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
            root=arguments.root,
        )
    )


def _arrays(arguments: argparse.Namespace) -> None:
    import json

    from openmofi.config import parse_config, read_yaml
    from openmofi.evaluation.array_suites import ArrayFiles, evaluate_array_suites
    from openmofi.evaluation.config import EvaluateConfig

    config = None
    if arguments.config:
        path = arguments.config
        config = parse_config(EvaluateConfig, read_yaml(path), where=str(path))
    train, index = (
        _pair(role, getattr(arguments, f"{role}_embeddings"), getattr(arguments, f"{role}_labels"))
        for role in ("train", "index")
    )
    tested = ArrayFiles(arguments.embeddings, arguments.labels)
    found = evaluate_array_suites(tested, train=train, index=index, config=config)
    if arguments.json:
        print(json.dumps(found))
        return
    for name, interval in found["metrics"].items():
        print(f"{name}: {_told(interval)}")
    for name, value in found["facts"].items():
        print(f"{name}: {value:g}")


def _pair(role: str, embeddings: Path | None, labels: Path | None) -> "ArrayFiles | None":
    from openmofi.errors import InputError
    from openmofi.evaluation.array_suites import ArrayFiles

    if embeddings is None and labels is None:
        return None
    if embeddings is None or labels is None:
        raise InputError(f"--{role}-embeddings and --{role}-labels belong together")
    return ArrayFiles(embeddings, labels)


def _told(interval: dict[str, float | None]) -> str:
    if interval["value"] is None:
        return "-"
    if interval["low"] is None:
        return f"{interval['value']:.2f}"
    return f"{interval['value']:.2f} ({interval['low']:.2f} to {interval['high']:.2f})"


def _retrieval(arguments: argparse.Namespace) -> None:
    import json

    from openmofi.evaluation.arrays import evaluate_arrays

    found = evaluate_arrays(arguments.embeddings, arguments.labels)
    if arguments.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name}: {value:.2f}" if isinstance(value, float) else f"{name}: {value}")
