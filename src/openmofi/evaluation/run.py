"""`evaluate_model`: a model, its baseline and the colour histogram on one evaluation set."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openmofi import tracking
from openmofi.config import parse_config
from openmofi.errors import InputError
from openmofi.evaluation import metrics
from openmofi.evaluation.bootstrap import Draws
from openmofi.evaluation.config import EvaluateConfig
from openmofi.evaluation.embedders import HISTOGRAM, Embedder, colour_histogram, model_embedder
from openmofi.evaluation.report import Measured, render
from openmofi.evaluation.suites import SUITE_VERSION, Bench, Scores, prepare, read_scores, score
from openmofi.image_set import read_image_set
from openmofi.keys import recipe_key
from openmofi.progress import say
from openmofi.versions import Manifest, read_manifest, write_manifest

KIND = "evaluation"
REPORT_VERSION = 1  # raised by hand when the report or the manifest changes for the same scores


@dataclass(frozen=True)
class _Request:
    """What is compared: model URIs by role, on which folder."""

    candidate: str
    baseline: str
    data: str
    pipeline_run: str


def evaluate_model(
    candidate: str,
    *,
    data: str,
    baseline: str = "",
    config: Mapping[str, Any] | None = None,
    pipeline_run: str = "",
) -> str:
    """Run the suites on the candidate, the baseline and a colour histogram, and report.

    Args:
        candidate: URI of a model manifest; its store keeps the result.
        data: Class folder, see `openmofi.image_set`.
        baseline: URI of the model to compare with, pair by pair; empty for none.
        config: `EvaluateConfig` as plain values.
        pipeline_run: Name of the parent run in MLflow; empty for runs of their own.

    Returns:
        URI of the evaluation's manifest.

    Raises:
        InputError: Config, data or a model is not usable.
        StorageError: The store or the tracking server can't be reached.
    """
    request = _Request(candidate, baseline, data, pipeline_run)
    parsed = parse_config(EvaluateConfig, config, where="evaluation config")
    store = read_manifest(candidate, "model").store
    embedders = _embedders(request, parsed)
    bench = prepare(store, read_image_set(data), parsed)
    key = _recipe(bench, embedders)
    finished = Manifest(store, KIND, key).uri
    if store.exists(f"manifests/{KIND}/{key}.json"):
        say(f"evaluate: reused {finished}")
        if pipeline_run or os.environ.get("MLFLOW_RUN_ID"):
            _track(read_manifest(finished, KIND), request)
        return finished
    measured = [_measure(bench, role, embedder) for role, embedder in embedders.items()]
    content = _publish_report(bench, measured, request, key)
    # The manifest comes last: a retry after a failure to track does both again.
    _track(Manifest(store, KIND, key, content), request)
    return write_manifest(store, KIND, key, content).uri


def draws_of(config: EvaluateConfig) -> Draws:
    """The bootstrap that a config asks for."""
    return Draws(config.bootstrap_samples, config.confidence, config.seed)


def scores_for(evaluation: Manifest, model: str) -> Scores:
    """What any model scores on the data and by the protocol of a finished evaluation.

    Read if it was measured before; else the model is evaluated now, from the folder that the
    evaluation was made from.

    Args:
        evaluation: Manifest of kind ``evaluation``.
        model: URI of a model manifest.

    Raises:
        InputError: The folder is gone, or holds other images by now.
    """
    content = evaluation.content
    digest = read_manifest(model, "model").digest
    if content["suite_version"] == SUITE_VERSION:
        kept = read_scores(evaluation.store, digest, content["data_digest"], content["protocol"])
        if kept is not None:
            return kept
    images = read_image_set(content["data"])
    if images.digest != content["data_digest"]:
        raise InputError(f"{content['data']} has changed since {evaluation.uri}; evaluate again")
    parsed = parse_config(EvaluateConfig, content["config"], where="evaluation config")
    bench = prepare(evaluation.store, images, parsed)
    embedder = model_embedder(model, device=parsed.device, batch_size=parsed.batch_size)
    return score(bench, embedder)


def _embedders(request: _Request, config: EvaluateConfig) -> dict[str, Embedder]:
    options = {"device": config.device, "batch_size": config.batch_size}
    found = {"candidate": model_embedder(request.candidate, **options)}  # type: ignore[arg-type]
    if request.baseline:
        found["baseline"] = model_embedder(request.baseline, **options)  # type: ignore[arg-type]
    return {**found, HISTOGRAM: colour_histogram()}


def _recipe(bench: Bench, embedders: Mapping[str, Embedder]) -> str:
    digests = {role: embedder.digest for role, embedder in embedders.items()}
    digests |= {"data": bench.images.digest, "protocol": bench.protocol}
    config = {**bench.config.semantic(), "report": REPORT_VERSION}
    return recipe_key(KIND, SUITE_VERSION, config, digests, [])


def _measure(bench: Bench, role: str, embedder: Embedder) -> Measured:
    say(f"evaluate: {role.replace('_', ' ')}, {embedder.name}")
    scores = score(bench, embedder)
    return Measured(
        role, embedder, scores, metrics.summarise(scores.columns, draws_of(bench.config))
    )


def _publish_report(
    bench: Bench, measured: Sequence[Measured], request: _Request, key: str
) -> dict[str, Any]:
    """Write the HTML and JSON reports; return what the manifest says."""
    by_role = {model.role: model for model in measured}
    paired: dict[str, metrics.Difference] = {}
    if "baseline" in by_role:
        paired = metrics.compare(
            by_role["candidate"].scores.columns,
            by_role["baseline"].scores.columns,
            draws_of(bench.config),
        )
    prefix = f"{KIND}/{key}"
    content = {
        **_identity(bench, by_role, request),
        "metrics": {m.role: metrics.values(m.intervals) for m in measured},
        "intervals": {m.role: metrics.plain(m.intervals) for m in measured},
        "paired": metrics.plain(paired),
        "report": f"{prefix}/report.html",
        "report_json": f"{prefix}/report.json",
    }
    bench.store.put(content["report"], render(bench, measured, paired).encode())
    text = json.dumps({"digest": key, **content}, indent=1, sort_keys=True, ensure_ascii=False)
    bench.store.put(content["report_json"], text.encode())
    return content


def _identity(bench: Bench, by_role: Mapping[str, Measured], request: _Request) -> dict[str, Any]:
    return {
        "suite_version": SUITE_VERSION,
        "protocol": bench.protocol,
        "config": bench.config.model_dump(mode="json"),
        "data": str(Path(request.data.removeprefix("file://")).absolute()),
        "data_digest": bench.images.digest,
        "images": len(bench.images.paths),
        "classes": len(bench.images.class_names),
        "models": {role: model.embedder.name for role, model in by_role.items()},
        "candidate": by_role["candidate"].embedder.digest,
        "candidate_uri": request.candidate,
        "baseline": by_role["baseline"].embedder.digest if "baseline" in by_role else "",
        "baseline_uri": request.baseline,
    }


def _track(evaluation: Manifest, request: _Request) -> None:
    """One child run a model, with its metrics; the report hangs on each."""
    content = evaluation.content
    for role, values in content["metrics"].items():
        tags = {
            "openmofi.step": "evaluate",
            "openmofi.role": role,
            "openmofi.model": content["models"][role],
            "openmofi.evaluation": evaluation.digest,
            "openmofi.data_digest": content["data_digest"],
        }
        if role in ("candidate", "baseline"):
            tags["openmofi.model_digest"] = content[role]
        params = {"data": content["data"], "suite_version": content["suite_version"]}
        with tracking.tracked_run(
            f"evaluate {role.replace('_', ' ')}",
            pipeline_run=request.pipeline_run,
            tags=tags,
            params={**params, "config": content["config"]},
            metrics=values,
            attach=role == "candidate",
        ) as run:
            _attach_report(evaluation, run)


def _attach_report(evaluation: Manifest, run: tracking.TrackedRun) -> None:
    with tempfile.TemporaryDirectory(prefix="openmofi-report-") as folder:
        for name in ("report", "report_json"):
            key = evaluation.content[name]
            path = Path(folder, Path(key).name)
            path.write_bytes(evaluation.store.get(key))
            run.log_file(path, "evaluation")
