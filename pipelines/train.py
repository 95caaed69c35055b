"""`train`: one recipe on training shards that exist, evaluated and registered."""

from typing import Any

from kfp import dsl

from components.evaluate_model import evaluate_model
from components.register_model import register_model
from components.train_model import train_model
from pipelines.placement import CPU, GPU_INFERENCE, GPU_TRAINING, Placement, on_pools


def judge(
    place: Placement,
    *,
    candidate: Any,
    baseline: Any,
    data: Any,
    evaluate: Any,
    registration: Any,
    names: dict[str, Any],
) -> None:
    """Add evaluation and registration of a model to a pipeline.

    Args:
        place: The pipeline's placement.
        candidate: URI of the model.
        baseline: URI of the model to compare with, or an empty string.
        data: Held-out images, see `evaluate_model`.
        evaluate: Configuration of the evaluation.
        registration: Configuration of the gate.
        names: ``model_name`` and ``run_name``.
    """
    evaluation = place(
        evaluate_model(
            candidate=candidate,
            baseline=baseline,
            data=data,
            config=evaluate,
            run_name=names["run_name"],
        )
    )
    place(
        register_model(
            model=candidate, evaluation=evaluation.outputs["Output"], config=registration, **names
        )
    )


@dsl.pipeline(name="openmofi-train", description="Train, evaluate and register one model.")
@on_pools(CPU, GPU_INFERENCE, GPU_TRAINING)
def train(
    place: Placement,
    training_shards: str,
    model_name: str,
    evaluation_data: str,
    run_name: str,
    baseline: str = "",
    training: dict = {},
    evaluate: dict = {},
    registration: dict = {},
    training_nodes: dict = {},
):
    """Train, evaluate and register one model.

    Args:
        place: Puts each step on its pool; no parameter in KFP.
        training_shards: URI of the `training_shards` manifest, as `curate` prints it.
        model_name: What the model is called, in MLflow's registry too.
        evaluation_data: Held-out images: class folders, GPR1200, ImageNet or Karpathy's JSON.
        run_name: Name of this run, the parent in MLflow.
        baseline: URI of the `model` manifest to compare with; empty for none.
        training: Section TrainConfig.
        evaluate: Section EvaluateConfig.
        registration: Section RegisterConfig.
        training_nodes: Section NodesConfig.
    """
    model = place(
        train_model(
            training_shards=training_shards,
            model_name=model_name,
            config=training,
            run_name=run_name,
            nodes=training_nodes,
        )
    )
    judge(
        place,
        candidate=model.outputs["Output"],
        baseline=baseline,
        data=evaluation_data,
        evaluate=evaluate,
        registration=registration,
        names={"model_name": model_name, "run_name": run_name},
    )
