"""A trained model as a folder, in the store, under a manifest."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from safetensors.torch import save_file
from torch import Tensor

from openmofi.keys import hash_file, hash_folder, hash_json
from openmofi.models.backbones import export_folder
from openmofi.storage import put_folder
from openmofi.training.building import RunPlan
from openmofi.training.card import describe, write_card
from openmofi.training.module import EmbeddingModule
from openmofi.training.shards import TrainingShards
from openmofi.training.warm_start import CLASS_ROWS_FILE, VOCABULARY_FILE, count_start_rows
from openmofi.versions import Manifest, manifest_key, write_manifest

TRAINING_FILE = "training.json"


def publish_model(
    plan: RunPlan,
    shards: TrainingShards,
    module: EmbeddingModule,
    class_rows: Mapping[str, Tensor],
    *,
    facts: Mapping[str, Any],
    run_facts: Mapping[str, Any],
) -> str:
    """Write the folder to ``models/<digest>``, then its manifest; return the manifest's URI.

    The digest covers weights, class rows, vocabulary and ``facts``: resumed runs have the same. It
    is written once: a run that was killed after this, and ends again, finds its model as it is.

    Args:
        plan: Of the run.
        shards: Whose vocabulary the model has.
        module: After its last step.
        class_rows: [classes, dim], by objective.
        facts: What the run was: recipe, data, steps. Equal runs have equal facts.
        run_facts: What may differ between equal runs: name, MLflow run, seconds.
    """
    store = plan.manifest.store
    run_facts = {**run_facts, **_beginning(plan, shards, has_rows=bool(class_rows))}
    with tempfile.TemporaryDirectory(prefix="openmofi-model-") as temporary:
        folder = Path(temporary)
        export_folder(module.backbone, plan.model_config, plan.preprocess_config, folder)
        classes = _write_class_rows(class_rows, folder)
        pq.write_table(shards.vocabulary, folder / VOCABULARY_FILE)
        digest = hash_json([hash_folder(folder), dict(facts)])
        key = manifest_key("model", digest)
        if store.exists(key):
            return f"{store.uri}/{key}"
        _describe(folder, plan, module, digest, facts, run_facts)
        files = {path.name: hash_file(path) for path in sorted(folder.iterdir())}
        put_folder(store, f"models/{digest}", folder)
    content = {
        "prefix": f"models/{digest}",
        "files": files,
        "origin": {"kind": "trained", **facts, **run_facts},
        "dim": int(plan.model_config["embed_dim"]),
        "image_size": plan.model_config["vision_cfg"].get("image_size", 224),
        "classes": classes,
    }
    return write_manifest(store, "model", digest, content).uri


def _beginning(plan: RunPlan, shards: TrainingShards, *, has_rows: bool) -> dict[str, Any]:
    """The model that a warm start began with. Its digest counts already, in the recipe."""
    if plan.start is None:
        return {}
    rows = count_start_rows(plan.start, shards.vocabulary) if has_rows else 0
    start = {"source": plan.start.source, "digest": plan.start.digest, "class_rows": rows}
    return {"initial_model": start}


def _describe(
    folder: Path,
    plan: RunPlan,
    module: EmbeddingModule,
    digest: str,
    facts: Mapping[str, Any],
    run_facts: Mapping[str, Any],
) -> None:
    """What no digest covers: the facts for programs, and the card for people."""
    body = json.dumps({**facts, **run_facts}, indent=1, sort_keys=True)
    (folder / TRAINING_FILE).write_text(body + "\n", encoding="utf-8")
    described = describe(
        module.backbone,
        plan.model_config,
        plan.settings.model_dump(mode="json"),
        facts=facts,
        run_facts=run_facts,
        uri=Manifest(plan.manifest.store, "model", digest).uri,
    )
    write_card(folder, described)


def _write_class_rows(rows: Mapping[str, Tensor], folder: Path) -> int:
    """The class rows, where an objective has some; returns their number."""
    for one in rows.values():
        path = folder / CLASS_ROWS_FILE
        save_file({"rows": one.detach().cpu().contiguous()}, path)
        path.chmod(0o644)  # safetensors leaves it readable by its owner only
    return sum(len(one) for one in rows.values())
