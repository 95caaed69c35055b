"""Compile every pipeline to one YAML file each."""

from pathlib import Path
from typing import Any

from kfp import compiler, dsl

from pipelines.curate import curate
from pipelines.full import full
from pipelines.placement import building_with
from pipelines.pools import Pools
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


def build(name: str, pools: Pools | None = None) -> Any:
    """A pipeline's graph, built with the constants of a pools file where one is given."""
    pipeline = PIPELINES[name]
    if pools is None:
        return pipeline
    with building_with(pools.settings):
        made = dsl.pipeline(name=pipeline.name, description=pipeline.description)
        return made(pipeline.pipeline_func)


def compile_all(folder: Path, pools: Pools | None = None) -> list[Path]:
    """Write ``<folder>/<name>.yaml`` for each pipeline, with its placement.

    The images are those of ``components.images``, from the environment.

    Args:
        folder: Made where it is missing.
        pools: A pools file's content; what it says is compiled in, as defaults of the parameters
            where there are parameters for it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in PIPELINES:
        path = folder / f"{name}.yaml"
        pipeline = build(name, pools)
        defaults = pools.arguments(pipeline.component_spec.inputs) if pools else None
        compiler.Compiler().compile(pipeline, str(path), pipeline_parameters=defaults)
        paths.append(path)
    return paths
