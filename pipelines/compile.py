"""Compile every pipeline to one YAML file each."""

from pathlib import Path
from typing import Any

from kfp import compiler

from pipelines.curate import curate
from pipelines.full import full
from pipelines.recut import recut
from pipelines.refresh import refresh
from pipelines.train import train

PIPELINES: dict[str, Any] = {
    "curate": curate,
    "train": train,
    "full": full,
    "refresh": refresh,
    "recut": recut,
}


def compile_all(folder: Path) -> list[Path]:
    """Write ``<folder>/<name>.yaml`` for each pipeline, with its placement.

    The images are those of ``components.images``, from the environment.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, pipeline in PIPELINES.items():
        path = folder / f"{name}.yaml"
        compiler.Compiler().compile(pipeline, str(path))
        paths.append(path)
    return paths
