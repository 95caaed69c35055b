"""One run of a small pipeline on a root of its own, from a crawl to a registered model.

The steps are called in this process, as their components call them, so that a run takes seconds.
"""

import os
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from openmofi.storage import open_store
from openmofi.tracking import PIPELINE_TAG, mlflow_client
from support.evaluation import write_image_set
from support.toy_crawl import write_workplace
from support.training import write_backbone

if TYPE_CHECKING:
    from mlflow.entities import Run

BUCKET = "openmofi"  # of the stack
STEPS = 20  # of the training
LOGGED_STEPS = list(range(2, STEPS + 1, 2))


@dataclass
class Day:
    """One pipeline run in a root and under a name of its own; `work` may be called again."""

    inputs: Path
    name: str = field(default_factory=lambda: f"day-{uuid.uuid4().hex[:8]}")
    made: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> str:
        """Where it writes."""
        return f"s3://{BUCKET}/{self.name}"

    def left(self) -> Counter[str]:
        """All that it has left: digests, objects, runs with their metrics' points, versions."""
        made = {step: uri for step, uri in self.made.items() if step != "registration"}
        found = [f"{step} {Path(uri).stem}" for step, uri in made.items()]
        found += [f"object {_unnamed(info.key)}" for info in open_store(self.root).list()]
        client = mlflow_client()
        for run in self.runs():
            name = f"{run.info.run_name}".replace(self.name, "day")
            found.append(f"run {name} {run.info.status}")
            for metric in run.data.metrics:
                points = client.get_metric_history(run.info.run_id, metric)
                found += [f"point {name} {metric} {point.step}" for point in points]
        versions = client.search_model_versions(f"name = '{self.name}'")
        return Counter([*found, *(f"version {version.version}" for version in versions)])

    def runs(self) -> "list[Run]":
        """Of MLflow: the pipeline's and its tasks'."""
        client = mlflow_client()
        experiments = [one.experiment_id for one in client.search_experiments()]
        return list(client.search_runs(experiments, f"tags.`{PIPELINE_TAG}` = '{self.name}'"))

    def work(self, last: str = "registration") -> None:
        """All steps from the first one on, to ``last``."""
        os.environ["OPENMOFI_CACHE"] = str(self.inputs / "cache")
        self.made = {}
        for step, action in _STEPS.items():
            self.made[step] = action(self)
            if step == last:
                return


def _unnamed(key: str) -> str:
    """A registration holds the model's name, which is the day's."""
    return "manifests/registration" if key.startswith("manifests/registration/") else key


def _ingest(day: Day) -> str:
    from openmofi.ingest.run import ingest_pairs, plan_groups

    [group] = plan_groups(day.root, source=str(day.inputs / "crawl"))
    return ingest_pairs(group)


def _embed(day: Day) -> str:
    from openmofi.labeling.embed import embed_images
    from openmofi.models.importing import import_model

    labeler = import_model(day.root, source=str(day.inputs / "labeler"))
    return embed_images(day.made["ingest"], labeler, config={"decode_workers": 1})


def _assemble(day: Day) -> str:
    from openmofi.dataset.assemble import assemble_dataset

    others = dict.fromkeys(("mentions", "image_embeddings", "entity_scores", "text_regions"), ())
    raw = {"require_entities": False}
    samples = [day.made["ingest"]]
    return assemble_dataset(samples=samples, **others, knowledge_base="", config=raw)


def _shards(day: Day) -> str:
    from openmofi.dataset.training_shards import build_shards

    return build_shards(day.made["assembly"])


def _train(day: Day) -> str:
    from openmofi.training.run import train_model

    config = {
        "backbone": str(day.inputs / "small.json"), "objectives": "clip", "max_steps": STEPS,
        "batch_size": 8, "checkpoint_every": 6, "log_every": 2, "warmup_steps": 2,
    }  # fmt: skip
    shards = day.made["training shards"]
    return train_model(shards, config=config, name="model", pipeline_run=day.name)


def _evaluate(day: Day) -> str:
    from openmofi.evaluation.run import evaluate_model

    config = {"suites": ["retrieval"], "bootstrap_samples": 100}
    return evaluate_model(
        day.made["training"],
        data=str(day.inputs / "evaluation"),
        config=config,
        pipeline_run=day.name,
    )


def _register(day: Day) -> str:
    from openmofi.registry.register import register_model

    return register_model(
        day.made["training"],
        day.made["evaluation"],
        name=day.name,
        config={"floor": 0.0, "gallery_images": 0},
        pipeline_run=day.name,
    )


_STEPS: Mapping[str, Callable[[Day], str]] = {
    "ingest": _ingest,
    "embedding": _embed,
    "assembly": _assemble,
    "training shards": _shards,
    "training": _train,
    "evaluation": _evaluate,
    "registration": _register,
}


def write_inputs(folder: Path) -> Path:
    """A crawl, a labeler, a backbone and an evaluation set."""
    folder.mkdir(parents=True, exist_ok=True)
    write_workplace(folder, shards=2, samples=16)
    write_backbone(folder)
    write_image_set(folder / "evaluation")
    return folder
