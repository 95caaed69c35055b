"""What a run is made of, from its config: the plan, the module, the data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from openmofi.keys import hash_json
from openmofi.models.backbones import create_backbone, create_tokenizer, read_backbone_config
from openmofi.training.activation_checkpointing import checkpoint_activations
from openmofi.training.augmentation import Augmentation
from openmofi.training.compiling import compile_towers
from openmofi.training.config import TrainConfig
from openmofi.training.data import ImageReader, TrainingData
from openmofi.training.draws import integer
from openmofi.training.module import EmbeddingModule
from openmofi.training.objectives import HeadPlan, Objective, build_objectives
from openmofi.training.optimisation import Optimisation
from openmofi.training.order import SampleOrder
from openmofi.training.resampling import balanced_weights
from openmofi.training.shards import TrainingShards, forgotten
from openmofi.training.texts import SampleTexts
from openmofi.training.trainer import ALONE, Ranks
from openmofi.training.warm_start import (
    StartModel,
    check_start,
    find_start,
    load_start,
    read_start_rows,
)
from openmofi.versions import Manifest

STAGE_VERSION = 2

_MIB = 1 << 20


@dataclass(frozen=True)
class RunPlan:
    """One run, before anything is read but the manifest."""

    settings: TrainConfig
    manifest: Manifest
    name: str
    recipe: str
    start: StartModel | None
    model_config: dict[str, Any]
    preprocess_config: dict[str, Any]

    @property
    def record_key(self) -> str:
        """Where the finished model's address is kept."""
        return f"trained/{self.recipe}.json"


def plan_run(settings: TrainConfig, manifest: Manifest, name: str) -> RunPlan:
    """Resolve the backbone and name the run by its recipe.

    Raises:
        InputError: The initial model is another one than the backbone, or not to be found.
    """
    model_config, preprocess = read_backbone_config(settings.backbone)
    start = find_start(settings.initial_model) if settings.initial_model else None
    if start is not None:
        check_start(start, model_config, preprocess)
    # The backbone counts by its content: a file may change under its name.
    digest = start.digest if start else None
    parts = [settings.semantic(), model_config, preprocess, digest]
    gone = forgotten(manifest)
    recipe = hash_json(["train", STAGE_VERSION, parts, manifest.digest, *([gone] if gone else [])])
    return RunPlan(settings, manifest, name, recipe, start, model_config, preprocess)


def build_module(
    plan: RunPlan, shards: TrainingShards, *, first_step: int, ranks: Ranks = ALONE
) -> EmbeddingModule:
    """Backbone, objectives and optimisation; weights as at the very beginning of the run."""
    settings = plan.settings
    counts = torch.from_numpy(shards.vocabulary.column("images").to_numpy().copy())
    head = HeadPlan(
        counts,
        dim=int(plan.model_config["embed_dim"]),
        seed=settings.seed,
        betas=settings.betas,
        rank=ranks.rank,
        world_size=ranks.world_size,
    )
    objectives = build_objectives(settings.objectives, head)
    backbone = _backbone(plan)
    if plan.start is not None and not first_step:  # else the checkpoint has them
        load_start(plan.start, backbone)
        _start_rows(plan.start, objectives, shards)
    optimisation = Optimisation(
        learning_rate=settings.learning_rate,
        warmup_steps=settings.warmup_steps,
        max_steps=settings.max_steps,
        weight_decay=settings.weight_decay,
        betas=settings.betas,
        clip_norm=settings.clip_norm,
    )
    if not any(objective.text_mix for objective in objectives):
        _freeze_texts(backbone)
    return EmbeddingModule(
        backbone,
        objectives,
        optimisation,
        pixel_mean=plan.preprocess_config["mean"],
        pixel_std=plan.preprocess_config["std"],
        first_step=first_step,
        ema_decay=settings.ema_decay,
        log_every=settings.log_every,
    )


def _backbone(plan: RunPlan) -> torch.nn.Module:
    settings = plan.settings
    backbone = create_backbone(settings.backbone, seed=integer(settings.seed, "backbone"))
    if settings.activation_checkpointing:
        checkpoint_activations(backbone)
    if settings.compiled:
        compile_towers(backbone, "cuda" if torch.cuda.is_available() else "cpu")
    return backbone


def _start_rows(start: StartModel, objectives: Sequence[Objective], shards: TrainingShards) -> None:
    heads = [objective.head for objective in objectives if objective.head is not None]
    if heads:
        known = read_start_rows(start, shards.vocabulary)
        for head in heads:
            head.set_rows(known.classes, known.rows)


def _freeze_texts(backbone: torch.nn.Module) -> None:
    """Nothing trains them, and DDP would wait for their gradients."""
    images = {id(p) for p in backbone.visual.parameters()}  # type: ignore[union-attr]
    for parameter in backbone.parameters():
        parameter.requires_grad_(id(parameter) in images)


def build_data(
    plan: RunPlan, shards: TrainingShards, module: EmbeddingModule, ranks: Ranks = ALONE
) -> TrainingData:
    """Batches for ``module``'s objectives."""
    settings = plan.settings
    size = plan.preprocess_config["size"]
    height, width = (size, size) if isinstance(size, int) else size
    augmentation = Augmentation(
        (height, width),
        interpolation=plan.preprocess_config["interpolation"],
        **settings.augmentation.model_dump(),
    )
    weights = None
    if settings.entity_balance:
        labels = shards.samples.column("labels")
        weights = balanced_weights(labels, shards.classes, settings.entity_balance)
    mixes = {o.name: o.text_mix for o in module.objectives if o.text_mix is not None}
    tokenizer = create_tokenizer(settings.backbone)
    return TrainingData(
        ImageReader(shards, cache_bytes=settings.image_cache_mb * _MIB),
        augmentation,
        SampleTexts(shards.vocabulary, tokenizer, mixes, seed=settings.seed),
        SampleOrder(
            shards.rows,
            seed=settings.seed,
            window_shards=settings.window_shards,
            weights=weights,
        ),
        seed=settings.seed,
        batch_size=settings.batch_size,
        accumulate=settings.accumulate,
        rank=ranks.rank,
        world_size=ranks.world_size,
    )
