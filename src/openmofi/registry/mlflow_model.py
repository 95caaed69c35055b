"""A model folder as an MLflow model: code, weights, gallery, signature and pinned requirements."""

import tempfile
import warnings
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openmofi
from openmofi import tracking
from openmofi.models.stored import model_folder
from openmofi.registry.gallery import Chosen, write_gallery
from openmofi.versions import Manifest

if TYPE_CHECKING:
    from mlflow import MlflowClient

GALLERY_TAG, GALLERY_IMAGES_TAG = "openmofi.gallery_digest", "openmofi.gallery_images"

# What the logged code imports, directly or through this package, whose source goes with it.
_REQUIREMENTS = (
    "mlflow", "torch", "torchvision", "open_clip_torch", "timm", "transformers", "safetensors",
    "numpy", "pandas", "pillow", "pyarrow", "pydantic", "PyYAML", "ImageHash", "minio", "tqdm",
)  # fmt: skip


def find_logged(client: "MlflowClient", run_id: str, tags: Mapping[str, str]) -> str | None:
    """A model that an earlier try has logged with these tags, whole: its id, ``m-…``.

    Args:
        client: Of the tracking server.
        run_id: A run of the experiment to look in.
        tags: All of them must be there.
    """
    experiment = client.get_run(run_id).info.experiment_id
    text = " AND ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    for found in client.search_logged_models([experiment], filter_string=text):
        if str(found.status) == "READY":
            return str(found.model_id)
    return None


def log_pyfunc(
    model: Manifest, gallery: Chosen | None, *, run_id: str, tags: Mapping[str, str]
) -> str:
    """Log a model of the store to MLflow under a run; return its id, ``m-…``.

    Args:
        model: Manifest of kind ``model``; its folder is copied into MLflow's artifacts.
        gallery: What it answers with as neighbours; it is embedded now.
        run_id: The run that it belongs to.
        tags: Of the logged model; the gallery's are added.
    """
    import mlflow

    folder = model_folder(model)
    package = Path(openmofi.__file__).parent
    with tempfile.TemporaryDirectory(prefix="openmofi-gallery-") as temporary:
        artifacts, tags = {"model": str(folder)}, dict(tags)
        if gallery is not None:
            beside = Path(temporary, "gallery")  # its name in MLflow, too
            beside.mkdir()
            tags[GALLERY_TAG] = write_gallery(gallery, model, beside)
            tags[GALLERY_IMAGES_TAG] = str(len(gallery.rows))
            artifacts["gallery"] = str(beside)
        with mlflow.start_run(run_id=run_id, nested=True), warnings.catch_warnings():
            # It asks for an input example; the signature is given in full instead.
            warnings.simplefilter("ignore", UserWarning)
            info = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(package / "registry" / "pyfunc_model.py"),
                artifacts=artifacts,
                code_paths=[str(package)],
                signature=signature(),
                pip_requirements=requirements(),
                metadata={"openmofi.model_digest": model.digest},
                params=_params(model),
                tags=tags,
            )
    return str(info.model_id)


def tie(
    client: "MlflowClient", run_id: str, model_id: str, model: Manifest, found: Manifest
) -> None:
    """Tie data and results to a logged model, so that its page shows them and a search finds it.

    Args:
        client: Of the tracking server.
        run_id: The run that logged it.
        model_id: Of the logged model.
        model: Its manifest: the data set that it learned from becomes an input of the run.
        found: The manifest of its evaluation: the data set, and each metric with model and data.
    """
    run = tracking.TrackedRun(client, run_id)
    origin, content = model.origin, found.content
    if origin.get("dataset"):
        uri = str(origin.get("dataset_uri", ""))
        run.log_dataset("training shards", digest=origin["dataset"], uri=uri)
    dataset = run.log_dataset(
        Path(content["data"]).name or "evaluation",
        digest=content["data_digest"],
        uri=content["data"],
        context="evaluation",
    )
    run.log_metrics(content["metrics"]["candidate"], model_id=model_id, dataset=dataset)


def _params(model: Manifest) -> dict[str, str]:
    """How it was trained, as a logged model takes it: secrets left out, values cut."""
    origin = model.origin
    kept = ("name", "backbone", "config", "steps", "samples", "dataset", "recipe")
    # Below one name, since MLflow adds the params of the run that registers.
    return tracking.flatten_params(
        {"training": {key: origin[key] for key in kept if key in origin}}
    )


def signature() -> Any:
    """Any single column in; kind, embedding, entities and neighbours out; and the params."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType, Array, Object, Property

    def record(*texts: str) -> Object:
        columns = [Property(name, DataType.string) for name in texts]
        return Object([*columns, Property("score", DataType.double)])

    entity = record("entity_id", "name")
    neighbour = record("uid", "url", "licence", "entity_id", "name")
    return ModelSignature(
        # Unnamed, because a plain list of images or texts must pass as it is.
        inputs=Schema([ColSpec(AnyType())]),  # type: ignore[no-untyped-call]
        outputs=Schema(
            [
                ColSpec(DataType.string, "kind"),
                ColSpec(Array(DataType.double), "embedding"),
                ColSpec(Array(entity), "entities", required=False),
                ColSpec(Array(neighbour), "neighbours", required=False),
            ]
        ),
        params=ParamSchema(
            [
                ParamSpec("kind", DataType.string, "auto"),
                ParamSpec("top_k", DataType.long, 5),
                ParamSpec("neighbours", DataType.long, 5),
            ]
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
