"""`evaluate_model`: a model, its baseline and the colour histogram on one evaluation set."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from openmofi.config import parse_config
from openmofi.errors import InputError
from openmofi.evaluation import metrics
from openmofi.evaluation.bootstrap import Draws
from openmofi.evaluation.config import EvaluateConfig
from openmofi.evaluation.embedders import (
    HISTOGRAM,
    Embedder,
    array_embedder,
    colour_histogram,
    find_model,
    is_array,
    model_embedder,
)
from openmofi.evaluation.report import Measured, build
from openmofi.evaluation.suites import SUITE_VERSION, Bench, Scores, prepare, read_scores, score
from openmofi.evaluation.tracked import track
from openmofi.evaluation_data.layouts import read_evaluation_data
from openmofi.keys import recipe_key
from openmofi.models.device import check_device
from openmofi.progress import say
from openmofi.storage import Store, open_store
from openmofi.versions import Manifest, manifest_key, read_manifest, write_manifest

KIND = "evaluation"
REPORT_VERSION = 3  # raised by hand when the report or the manifest changes for the same scores


@dataclass(frozen=True)
class _Request:
    """What is compared: model URIs or array files by role, on which data."""

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
    root: str = "",
) -> str:
    """Run the suites on the candidate, the baseline and a colour histogram, and report.

    Args:
        candidate: URI of a model manifest, any other model (see `embedders.find_model`), which is
            imported first, or a ``.npy`` of vectors of the evaluation set in its order.
        data: The evaluation set, see `openmofi.evaluation_data.layouts`.
        baseline: What to compare with, pair by pair, as ``candidate``; empty for none.
        config: `EvaluateConfig` as plain values.
        pipeline_run: Name of the parent run in MLflow; empty for runs of their own.
        root: The store that keeps the result. Empty: the candidate's own, if it is a manifest;
            else ``OPENMOFI_ROOT``, else ``./openmofi-data``.

    Returns:
        URI of the evaluation's manifest.

    Raises:
        InputError: Config, data or a model is not usable.
        StorageError: The store or the tracking server can't be reached.
    """
    parsed = _settled(parse_config(EvaluateConfig, config, where="evaluation config"))
    check_device(parsed.device)
    store = _store(candidate, root)
    found = read_evaluation_data(data)
    first, second = (_settled_source(source, store) for source in (candidate, baseline))
    request = _Request(first, second, data, pipeline_run)
    embedders = _embedders(request, parsed)
    bench = prepare(store, found, parsed)
    return _finished(bench, embedders, request) or _evaluate(bench, embedders, request)


def _finished(bench: Bench, embedders: Mapping[str, Embedder], request: _Request) -> str:
    """URI of the evaluation if it was done before, tracked once more; else empty."""
    key = _recipe(bench, embedders)
    uri = Manifest(bench.store, KIND, key).uri
    if not bench.store.exists(manifest_key(KIND, key)):
        return ""
    say(f"evaluate: reused {uri}")
    if request.pipeline_run or os.environ.get("MLFLOW_RUN_ID"):
        track(read_manifest(uri, KIND), request.pipeline_run)
    return uri


def _evaluate(bench: Bench, embedders: Mapping[str, Embedder], request: _Request) -> str:
    key = _recipe(bench, embedders)
    measured = [_measure(bench, role, embedder) for role, embedder in embedders.items()]
    content = _publish_report(bench, measured, request, key)
    # The manifest comes last: a retry after a failure to track does both again.
    track(Manifest(bench.store, KIND, key, content), request.pipeline_run)
    return write_manifest(bench.store, KIND, key, content).uri


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
        InputError: The folder is gone, or it or one beside it holds other images by now.
    """
    content = evaluation.content
    digest = read_manifest(model, "model").digest
    if content["suite_version"] == SUITE_VERSION:
        kept = read_scores(evaluation.store, digest, content["data_digest"], content["protocol"])
        if kept is not None:
            return kept
    data = read_evaluation_data(content["data"])
    parsed = parse_config(EvaluateConfig, content["config"], where="evaluation config")
    if data.images.digest != content["data_digest"]:
        raise InputError(f"{content['data']} has changed since {evaluation.uri}; evaluate again")
    bench = prepare(evaluation.store, data, parsed)
    if bench.protocol != content["protocol"]:
        raise InputError(
            f"the training or index images, or the drawing, have changed since {evaluation.uri}; "
            "evaluate again"
        )
    embedder = model_embedder(model, device=parsed.device, batch_size=parsed.batch_size)
    return score(bench, embedder)


def _settled(config: EvaluateConfig) -> EvaluateConfig:
    """With absolute folders, since an evaluation may be taken up again from elsewhere."""
    folders = {name: getattr(config, name) for name in ("train_data", "index_data")}
    return config.model_copy(
        update={name: _absolute(value) for name, value in folders.items() if value}
    )


def _absolute(path: str) -> str:
    plain = unquote(path.removeprefix("file://")) if path.startswith("file://") else path
    return str(Path(plain).absolute())


def _store(candidate: str, root: str) -> Store:
    if not root and "/manifests/" in candidate:
        return read_manifest(candidate, "model").store
    return open_store(root or os.environ.get("OPENMOFI_ROOT") or "openmofi-data")


def _settled_source(source: str, store: Store) -> str:
    """A manifest's URI, an array's absolute path, or empty."""
    if not source:
        return ""
    return _absolute(source) if is_array(source) else find_model(source, store.uri)


def _embedders(request: _Request, config: EvaluateConfig) -> dict[str, Embedder]:
    found = {"candidate": _embedder(request.candidate, config)}
    if request.baseline:
        found["baseline"] = _embedder(request.baseline, config)
    return {**found, HISTOGRAM: colour_histogram()}


def _embedder(source: str, config: EvaluateConfig) -> Embedder:
    if is_array(source):
        return array_embedder(Path(source))
    return model_embedder(source, device=config.device, batch_size=config.batch_size)


def _recipe(bench: Bench, embedders: Mapping[str, Embedder]) -> str:
    digests = {role: embedder.digest for role, embedder in embedders.items()}
    digests |= {"data": bench.images.digest, "protocol": bench.protocol}
    config = {**bench.config.semantic(), "report": REPORT_VERSION}
    return recipe_key(KIND, SUITE_VERSION, config, digests, [])


def _measure(bench: Bench, role: str, embedder: Embedder) -> Measured:
    say(f"evaluate: {role.replace('_', ' ')}, {embedder.name}")
    scores = score(bench, embedder)
    draws = draws_of(bench.config)
    intervals = metrics.summarise(scores.columns, draws, bench.groups)
    return Measured(role, embedder, scores, intervals)


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
            bench.groups,
        )
    prefix = f"{KIND}/{key}"
    content = {
        **_identity(bench, by_role, request),
        "metrics": {m.role: metrics.values(m.intervals) for m in measured},
        "intervals": {m.role: metrics.plain(m.intervals) for m in measured},
        "paired": metrics.plain(paired),
        "facts": {m.role: dict(m.scores.facts) for m in measured},
        "report": f"{prefix}/report.html",
        "report_json": f"{prefix}/report.json",
    }
    report = build(bench, measured, paired)
    bench.store.put(content["report"], report.html.encode())
    beside = {"digest": key, **content, "shown": report.shown}
    text = json.dumps(beside, indent=1, sort_keys=True, ensure_ascii=False)
    bench.store.put(content["report_json"], text.encode())
    return content


def _identity(bench: Bench, by_role: Mapping[str, Measured], request: _Request) -> dict[str, Any]:
    return {
        "suite_version": SUITE_VERSION,
        "protocol": bench.protocol,
        "config": bench.config.model_dump(mode="json"),
        "data": _absolute(request.data),
        "data_digest": bench.images.digest,
        "images": len(bench.images.paths),
        "classes": len(bench.images.class_names),
        "models": {role: model.embedder.name for role, model in by_role.items()},
        "candidate": by_role["candidate"].embedder.digest,
        "candidate_uri": request.candidate,
        "baseline": by_role["baseline"].embedder.digest if "baseline" in by_role else "",
        "baseline_uri": request.baseline,
    }
