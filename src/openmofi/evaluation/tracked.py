"""What MLflow is told of an evaluation: a run a model, and the pipeline's headline numbers."""

import math
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from openmofi.evaluation import wording
from openmofi.evaluation.config import NO_RESULT
from openmofi.evaluation.metrics import headline
from openmofi.tracking import TrackedRun, tracked_run
from openmofi.tracking.models import logged_model, recipe_params
from openmofi.versions import Manifest, read_manifest


def track(evaluation: Manifest, pipeline_run: str) -> None:
    """One child run a model, with its metrics; the report hangs on each.

    Args:
        evaluation: Its manifest; it need not be in the store yet.
        pipeline_run: Name of the parent run; empty for none.
    """
    content = evaluation.content
    data = Path(content["data"]).name or "evaluation"
    for role in content["metrics"]:
        with tracked_run(
            f"evaluate {content['models'][role]} on {data}",
            pipeline_run=pipeline_run,
            tags=_tags(evaluation, role),
            params=_params(content),
            attach=role == "candidate",
        ) as run:
            model = _model(evaluation, role)
            dataset = _log_data(run, content)
            found = ""
            if model is not None:
                name = content["models"][role].rpartition(" (")[0]
                found = logged_model(run, model, name=name, trained_here=False)
            run.log_metrics(tracked_metrics(content, role), model_id=found, dataset=dataset)
            _attach_report(evaluation, run)
            if role == "candidate" and run.parent is not None:
                _tell_parent(run, run.parent, evaluation, model)


def tracked_metrics(content: Mapping[str, Any], role: str) -> dict[str, float]:
    """Every metric in percent; of the headline also the interval, ``<metric>_low`` and ``_high``.

    Args:
        content: Of an evaluation's manifest.
        role: Of the model in it.
    """
    values: dict[str, float] = dict(content["metrics"][role])
    for name in _shown(content, role):
        bounds = {end: content["intervals"][role][name][end] for end in ("low", "high")}
        values |= {
            f"{name}_{end}": value
            for end, value in bounds.items()
            if value is not None and math.isfinite(value)
        }
    return values


def _shown(content: Mapping[str, Any], role: str) -> list[str]:
    return [m for m in headline(content["metrics"][role]) if not wording.is_grid(m)]


def _tags(evaluation: Manifest, role: str) -> dict[str, str]:
    content = evaluation.content
    tags = {
        "openmofi.step": "evaluate",
        "openmofi.role": role,
        "openmofi.model": content["models"][role],
        "openmofi.evaluation": evaluation.digest,
        "openmofi.evaluation_uri": evaluation.uri,
        "openmofi.data": content["data"],
        "openmofi.data_digest": content["data_digest"],
    }
    if role in ("candidate", "baseline"):
        tags["openmofi.model_digest"] = content[role]
    return tags


def _params(content: Mapping[str, Any]) -> dict[str, Any]:
    """What can change a result; where the data lies is a tag."""
    config = {k: v for k, v in content["config"].items() if k not in NO_RESULT}
    return {"suite_version": content["suite_version"], "config": config}


def _model(evaluation: Manifest, role: str) -> Manifest | None:
    """None for vectors from a file, and for the histogram."""
    uri = str(evaluation.content.get(f"{role}_uri", ""))
    return read_manifest(uri, "model") if "/manifests/" in uri else None


def _log_data(run: TrackedRun, content: Mapping[str, Any]) -> tuple[str, str]:
    return run.log_dataset(
        Path(content["data"]).name or "evaluation",
        digest=content["data_digest"],
        uri=content["data"],
        context="evaluation",
        facts={"num_rows": content["images"], "classes": content["classes"]},
    )


def _attach_report(evaluation: Manifest, run: TrackedRun) -> None:
    with tempfile.TemporaryDirectory(prefix="openmofi-report-") as folder:
        for name in ("report", "report_json"):
            key = evaluation.content[name]
            path = Path(folder, Path(key).name)
            path.write_bytes(evaluation.store.get(key))
            run.log_file(path, "evaluation")


def _tell_parent(
    run: TrackedRun, parent: TrackedRun, evaluation: Manifest, model: Manifest | None
) -> None:
    """What makes two pipeline runs two rows: recipe, data, headline numbers, a way to the rest."""
    content = evaluation.content
    shown = _shown(content, "candidate")
    names = {f"{name}{end}" for name in shown for end in ("", "_low", "_high")}
    found = tracked_metrics(content, "candidate")
    parent.log_metrics({name: value for name, value in found.items() if name in names})
    _log_data(parent, content)
    if model is not None:
        origin = model.origin
        parent.log_params(recipe_params(model))
        if origin.get("dataset"):
            parent.log_dataset(
                "training shards",
                digest=origin["dataset"],
                uri=str(origin.get("dataset_uri", "")),
                facts={"num_rows": origin.get("samples"), "classes": origin.get("classes")},
            )
    parent.set_tags(
        {
            "openmofi.model_digest": content["candidate"],
            "openmofi.evaluation_uri": evaluation.uri,
            "mlflow.note.content": "\n".join(_note(run, content, shown)),
        }
    )


def _note(run: TrackedRun, content: Mapping[str, Any], shown: list[str]) -> Iterator[str]:
    """The description in MLflow's UI, in Markdown."""
    experiment = run.client.get_run(run.run_id).info.experiment_id
    report = f"#/experiments/{experiment}/runs/{run.run_id}/artifacts/evaluation/report.html"
    name, images = content["models"]["candidate"], content["images"]
    # The UI shows the first lines, and the rest when asked.
    yield f"**{name}** on {images:,} images, in percent ([report]({quote(report, safe='#/')}))"
    yield ""
    yield "| metric | value | interval |"
    yield "| --- | --- | --- |"
    for name in shown:
        interval = content["intervals"]["candidate"][name]
        span = wording.span(interval) or "-"
        yield f"| {wording.title(name)} | {wording.number(interval)} | {span} |"
