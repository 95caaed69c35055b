"""A store of models, data sets and evaluations, made up, for the tests of the comparison."""

from pathlib import Path
from typing import Any

import numpy as np

from openmofi.config import parse_config
from openmofi.evaluation import metrics
from openmofi.evaluation.bootstrap import Draws
from openmofi.evaluation.config import EvaluateConfig
from openmofi.evaluation.suites import SUITE_VERSION, Scores, write_scores
from openmofi.evaluation_data.class_folders import read_class_folders
from openmofi.evaluation_data.image_set import ImageSet
from openmofi.storage import open_store
from openmofi.versions import write_manifest
from support.evaluation import write_image_set

DRAWS = Draws(samples=200)


class Shelf:
    """Publishes what training and evaluation would, without doing either."""

    def __init__(self, folder: Path) -> None:
        self.store = open_store(str(folder / "store"))
        self.folder = folder / "set"
        write_image_set(self.folder, images=10)
        self.images: ImageSet = read_class_folders(self.folder)

    def dataset(self, digest: str, **changes: Any) -> str:
        content = {
            "counts": {"kept": 70, "text_region": 30},
            "splits": {"train": 60, "validation": 10},
            "totals": {"labels": 80, "entities": 9, "classes": 9},
            "config": {"min_score": 0.25, "text": {"policy": "any_text", "drop_text": True}},
            "min_score": 0.25,
            "shards": [{}, {}],
            "knowledge_base": "k" * 32,
            "table_digests": {"samples": "s" * 32},
            **changes,
        }
        return write_manifest(self.store, "dataset", digest, content).uri

    def model(self, digest: str, *, dataset: str = "", **config: Any) -> str:
        origin = {
            "kind": "trained",
            "name": f"run of {digest}",
            "config": {"batch_size": 64, "objectives": [{"kind": "contrastive"}], **config},
            "steps": 100,
            "samples": 60,
            "seconds": float(sum(digest.encode())),
            "mlflow_run_id": "",
            "dataset": dataset.rpartition("/")[2].removesuffix(".json"),
            "dataset_uri": dataset,
        }
        content = {"origin": origin, "dim": 16, "image_size": 64}
        return write_manifest(self.store, "model", digest, content).uri

    def evaluation(
        self,
        key: str,
        *,
        candidate: str,
        columns: dict[str, Any] | None,
        protocol: str = "p",
        **changes: Any,
    ) -> str:
        """Of one model; ``columns`` None leaves the store without its scores by query."""
        digest = candidate.rpartition("/")[2].removesuffix(".json")
        config = {"bootstrap_samples": DRAWS.samples, "confidence": DRAWS.confidence}
        parsed = parse_config(EvaluateConfig, config, where="test")
        content = {
            "suite_version": SUITE_VERSION,
            "protocol": protocol,
            "config": parsed.model_dump(mode="json"),
            "data": str(self.folder),
            "data_digest": self.images.digest,
            "images": len(self.images.paths),
            "classes": len(self.images.class_names),
            "models": {"candidate": f"model {digest}"},
            "candidate": digest,
            "candidate_uri": candidate,
            "baseline": "",
            "baseline_uri": "",
            **changes,
        }
        found = metrics.summarise(columns or {}, DRAWS, self.images.labels)
        content["intervals"] = {"candidate": metrics.plain(found)}
        content["metrics"] = {"candidate": metrics.values(found)}
        if columns is not None:
            scores = Scores(dict(columns))
            write_scores(self.store, digest, content["data_digest"], protocol, scores)
        return write_manifest(self.store, "evaluation", key, content).uri


def columns(seed: int, *, plus: float = 0.0) -> dict[str, Any]:
    """Scores of 30 queries that are hard and easy by themselves, and ``plus`` for the model."""
    hard = np.random.default_rng(9).random(30) / 2
    own = np.random.default_rng(seed).normal(0, 0.01, 30)
    right = (hard + own + plus > 0.25).astype(float)
    return {metrics.RETRIEVAL: hard + own + plus, metrics.ZERO_SHOT: right}
