"""Train one model: data in, a published model out. Safe to run again, and to kill."""

import json
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from openmofi.config import parse_config
from openmofi.progress import say
from openmofi.store_wait import StoreWait, store_wait
from openmofi.training.building import RunPlan, build_data, build_module, plan_run
from openmofi.training.callbacks import EPOCHS, CheckpointWriter, ProgressLog, ToldToStop
from openmofi.training.checkpoint import Checkpoints
from openmofi.training.config import TrainConfig
from openmofi.training.data import check_inputs
from openmofi.training.loading import step_loader
from openmofi.training.metrics_queue import LogMetrics, lasting_log, patience_s
from openmofi.training.module import EmbeddingModule
from openmofi.training.publish import publish_model
from openmofi.training.shards import TrainingShards, open_shards
from openmofi.training.trainer import Ranks, make_trainer, quiet_lightning
from openmofi.versions import read_manifest

_EXIT_TERMINATED = 143  # 128 + SIGTERM, as a shell reports it


def train_model(
    training_shards: str,
    *,
    config: Mapping[str, Any] | None = None,
    name: str,
    pipeline_run: str = "",
) -> str:
    """Train a backbone on training shards and publish it as a model.

    The same shards and config are trained once: a second call finds the model by its recipe. A
    run that was killed goes on at its last checkpoint; on a CPU it ends with the same bits as one
    that was not. After SIGTERM it saves its state and exits with code 143. Started by torchrun,
    each rank calls it.

    Args:
        training_shards: Manifest URI.
        config: See `TrainConfig`.
        name: What the run is called in MLflow and in the log.
        pipeline_run: Parent run in MLflow; empty: the run stands alone.

    Returns:
        URI of a ``model`` manifest; on ranks after the first an empty string.

    Raises:
        InputError: The config or the data cannot be trained on; found before the first step.
        LossNotFiniteError: With the step and the uids of its samples.
    """
    settings = parse_config(TrainConfig, config, where="train")
    patience_s()  # a wrong one is told before work starts
    ranks = Ranks.from_environment(settings.batch_size)
    manifest = read_manifest(training_shards, "training_shards")
    plan = plan_run(settings, manifest, name)
    if finished := finished_model(plan):
        if not ranks.is_first:
            return ""
        say(f"train {name}: reused {finished}, trained before on the same shards and config")
        return finished
    with store_wait() as waited, open_shards(manifest, streamed=settings.stream_shards) as shards:
        _check(settings, shards)
        if not ranks.is_first:
            _fit(plan, shards, ranks, log=lambda *_: None)
            return ""
        uri = _finish(plan, _train(plan, shards, ranks, pipeline_run))
    say(f"train {name}: {waited.describe()}")
    return uri


def describe_run(
    training_shards: str, *, config: Mapping[str, Any] | None = None, name: str
) -> str:
    """Check a run as `train_model` would before its first step, and say what it would be.

    Raises:
        InputError: As `train_model`.
    """
    from openmofi.training.cost import describe, run_cost

    settings = parse_config(TrainConfig, config, where="train")
    plan = plan_run(settings, read_manifest(training_shards, "training_shards"), name)
    with open_shards(plan.manifest, streamed=settings.stream_shards) as shards:
        _check(settings, shards)
        facts = _facts(plan, shards)
        cost = describe(run_cost(settings, classes=shards.classes))
    done = Checkpoints(plan.manifest.store, plan.recipe).latest()
    return "\n".join(
        [
            f"{facts['samples']} samples, {facts['classes']} classes, {facts['steps']} steps, "
            f"{facts['epochs']:.1f} epochs",
            cost,
            f"recipe {plan.recipe}, {finished_model(plan) or f'{done} steps done'}",
        ]
    )


def _check(settings: TrainConfig, shards: TrainingShards) -> None:
    supervised = any(objective.kind == "supervised" for objective in settings.objectives)
    check_inputs(shards, batch_size=settings.batch_size, supervised=supervised)


def _finish(plan: RunPlan, uri: str) -> str:
    """Record the model under its recipe; only then are the checkpoints of no use."""
    store = plan.manifest.store
    record = {"model": uri.removeprefix(f"{store.uri}/")}
    store.put(plan.record_key, json.dumps(record).encode())
    Checkpoints(store, plan.recipe).remove()
    return uri


def finished_model(plan: RunPlan) -> str:
    """URI of the model that the same recipe made before, or an empty string."""
    store = plan.manifest.store
    if not store.exists(plan.record_key):
        return ""
    key: str = json.loads(store.get(plan.record_key))["model"]
    return f"{store.uri}/{key}" if store.exists(key) else ""


def _train(plan: RunPlan, shards: TrainingShards, ranks: Ranks, pipeline_run: str) -> str:
    """Run all steps inside a tracked run, and publish: what the first rank does."""
    from openmofi.tracking import tracked_run  # MLflow takes seconds to import
    from openmofi.training import tracked

    settings = plan.settings
    facts = _facts(plan, shards)
    checkpoints = Checkpoints(plan.manifest.store, plan.recipe)
    first_step = checkpoints.latest()
    say(
        f"train {plan.name}: {facts['samples']} samples, {shards.classes} classes, "
        f"{settings.max_steps} steps, {facts['epochs']:.1f} epochs"
        + (f"; goes on after step {first_step}" if first_step else "")
    )
    started = time.monotonic()
    name, tags = tracked.run_name(plan), tracked.run_tags(plan)
    params = tracked.run_params(plan, facts)
    with tracked_run(name, pipeline_run=pipeline_run, tags=tags, params=params) as run:
        tracked.record_inputs(run, plan, facts)
        metrics: dict[str, float] = {}
        # Of a run that was killed after its checkpoint: these steps are done again.
        logged = {point.step for point in run.client.get_metric_history(run.run_id, EPOCHS)}
        points = tracked.Points(run, logged)

        def log(values: dict[str, float], step: int) -> None:
            metrics.update(values)
            points.log(values, step)

        with lasting_log(log, checkpoints, first_step=first_step) as queue:
            module = _fit(plan, shards, ranks, queue)
        run_facts = {
            "name": plan.name,
            "backbone": settings.backbone,
            "dataset_uri": plan.manifest.content.get("dataset_uri", ""),
            "mlflow_run_id": run.run_id,
            "metrics": metrics,
            "seconds": round(time.monotonic() - started, 1),
        }
        rows = _class_rows(module, checkpoints, ranks)
        uri = publish_model(plan, shards, module, rows, facts=facts, run_facts=run_facts)
        tracked.record_model(run, plan, uri)
    say(f"train {plan.name}: {uri}")
    return uri


def _facts(plan: RunPlan, shards: TrainingShards) -> dict[str, Any]:
    """What the run is: the same for equal runs."""
    settings, content = plan.settings, plan.manifest.content
    samples = sum(shards.rows)
    return {
        "recipe": plan.recipe,
        "config": settings.semantic(),
        "training_shards": plan.manifest.digest,
        "dataset": content["dataset"],
        "samples": samples,
        "classes": shards.classes,
        "steps": settings.max_steps,
        "epochs": settings.max_steps * settings.batch_size * settings.accumulate / samples,
    }


def _class_rows(
    module: EmbeddingModule, checkpoints: Checkpoints, ranks: Ranks
) -> dict[str, Tensor]:
    """All rows [classes, dim], by objective; other ranks have left theirs in the checkpoint."""
    heads = {o.name: o.head for o in module.objectives if o.head is not None}
    if ranks.world_size == 1:
        return {name: head.rows for name, head in heads.items()}
    return {name: torch.cat([rows for _, rows in checkpoints.class_rows(name)]) for name in heads}


def _fit(plan: RunPlan, shards: TrainingShards, ranks: Ranks, log: LogMetrics) -> EmbeddingModule:
    """Run the steps that are left."""
    settings = plan.settings
    checkpoints = Checkpoints(plan.manifest.store, plan.recipe)
    first_step = checkpoints.latest()
    module = build_module(plan, shards, first_step=first_step, ranks=ranks)
    if first_step == settings.max_steps:  # stopped after its last step, before it was published
        checkpoints.load(module, None)
        return _finished_module(module)
    data = build_data(plan, shards, module, ranks)
    loader = step_loader(data, range(first_step, settings.max_steps), workers=settings.workers)
    writer = CheckpointWriter(checkpoints, every=settings.checkpoint_every, last=settings.max_steps)
    with store_wait() as waited, quiet_lightning():
        progress = _progress(plan, shards, log, waited)
        try:
            make_trainer(settings, [writer, progress], ranks).fit(module, loader)
        except ToldToStop:
            say(f"train {plan.name}: told to stop; saved after step {module.step}")
            raise SystemExit(_EXIT_TERMINATED) from None
        finally:
            data.images.close()
    if module.step != settings.max_steps:
        raise RuntimeError(f"training stopped at step {module.step} of {settings.max_steps}")
    return _finished_module(module)


def _progress(
    plan: RunPlan, shards: TrainingShards, log: LogMetrics, waited: StoreWait
) -> ProgressLog:
    return ProgressLog(
        f"train {plan.name}",
        log,
        max_steps=plan.settings.max_steps,
        samples_a_step=plan.settings.batch_size * plan.settings.accumulate,
        samples=sum(shards.rows),
        log_every=plan.settings.log_every,
        waited=waited,
    )


def _finished_module(module: EmbeddingModule) -> EmbeddingModule:
    """As it is published: with the average's weights, if there is one."""
    if module.average is not None:
        module.average.copy_to(module.backbone)
    return module.eval()
