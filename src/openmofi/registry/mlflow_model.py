"""A model folder as an MLflow model: code, weights, signature and pinned requirements."""

import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import openmofi
from openmofi.storage import local_folder
from openmofi.versions import Manifest

# What the logged code imports, directly or through this package, whose source goes with it.
_REQUIREMENTS = (
    "mlflow", "torch", "torchvision", "open_clip_torch", "timm", "transformers", "safetensors",
    "numpy", "pandas", "pillow", "pyarrow", "pydantic", "PyYAML", "ImageHash", "minio", "tqdm",
)  # fmt: skip


def log_pyfunc(model: Manifest, *, run_id: str) -> str:
    """Log a model of the store to MLflow under a run; return its ``models:/m-…`` URI.

    Args:
        model: Manifest of kind ``model``; its folder is copied into MLflow's artifacts.
        run_id: The run that it belongs to.
    """
    import mlflow

    folder = local_folder(model.store, model.content["prefix"], model.digest)
    package = Path(openmofi.__file__).parent
    with mlflow.start_run(run_id=run_id, nested=True), warnings.catch_warnings():
        # It asks for an input example; the signature is given in full instead.
        warnings.simplefilter("ignore", UserWarning)
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(package / "registry" / "pyfunc_model.py"),
            artifacts={"model": str(folder)},
            code_paths=[str(package)],
            signature=signature(),
            pip_requirements=requirements(),
            metadata={"openmofi.model_digest": model.digest},
        )
    return str(info.model_uri)


def signature() -> Any:
    """Any single column in; kind, embedding and entities out; ``kind`` and ``top_k`` as params."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType, Array, Object, Property

    entity = Object(
        [
            Property("entity_id", DataType.string),
            Property("name", DataType.string),
            Property("score", DataType.double),
        ]
    )
    return ModelSignature(
        # Unnamed, because a plain list of paths, bytes or texts must pass as it is.
        inputs=Schema([ColSpec(AnyType())]),  # type: ignore[no-untyped-call]
        outputs=Schema(
            [
                ColSpec(DataType.string, "kind"),
                ColSpec(Array(DataType.double), "embedding"),
                ColSpec(Array(entity), "entities", required=False),
            ]
        ),
        params=ParamSchema(
            [ParamSpec("kind", DataType.string, "auto"), ParamSpec("top_k", DataType.long, 5)]
        ),
    )


def requirements() -> list[str]:
    """The versions that are installed here, without local parts such as ``+cpu``."""
    pinned = []
    for name in _REQUIREMENTS:
        try:
            pinned.append(f"{name}=={version(name).partition('+')[0]}")
        except PackageNotFoundError:
            continue  # transformers is there only with a text tower that needs it
    return pinned
