"""What a run made, as a table on the terminal."""

import json
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openmofi.dataset.versions.changes import describe_changes
from openmofi.summary import manifest_kind
from openmofi.tracking.server import given_uri
from openmofi.tracking.values import without_secrets
from openmofi.versions import Manifest, read_manifest, sum_counts
from pipelines.steps import StepOutput
from pipelines.tables import table

Made = tuple[StepOutput, Manifest]

_TEXT_WIDTH = 76
_TIE = "\N{NO-BREAK SPACE}"  # between a cause and its number
_KINDS_THAT_SEE_SAMPLES = {
    "samples", "mentions", "image_embeddings", "entity_scores", "text_regions", "masked_scores",
    "dataset",
}  # fmt: skip
_PUBLISHING = "publish-dataset"  # shows a data set again that another step has made
_KINDS_TO_HAND_ON = {"dataset", "training_shards", "model", "evaluation"}
_SHOWN_METRICS = {
    "retrieval/map": "retrieval mAP",
    "retrieval/map_leave_one_out": "retrieval mAP, leave-one-out",
    "zero_shot/top1": "zero-shot top-1",
    "typographic/clean": "typographic, clean",
    "typographic/attacked": "typographic, attacked",
    "typographic/retention": "typographic, retention",
}


def describe_run(outputs: Sequence[StepOutput]) -> str:
    """Counts by step and cause, metrics side by side, where to look next.

    Args:
        outputs: What the steps have made.
    """
    made = [(output, read_manifest(output.uri, manifest_kind(output.uri))) for output in outputs]
    parts = [_steps(made), *_evaluations(made), _addresses(made), _where_to_look(made)]
    return "\n\n".join(part for part in parts if part)


def _steps(made: Sequence[Made]) -> str:
    """One line a step; groups of a fan-out are added up."""
    counts: dict[str, dict[str, int]] = {}
    totals: dict[str, dict[str, int]] = {}
    seconds: dict[str, float] = {}
    for output, manifest in made:
        seconds[output.step] = seconds.get(output.step, 0.0) + output.seconds
        if manifest.kind in _KINDS_THAT_SEE_SAMPLES and output.step != _PUBLISHING:
            for found, name in ((counts, "counts"), (totals, "totals")):
                parts = [found.get(output.step, {}), manifest.content.get(name) or {}]
                found[output.step] = sum_counts(parts)
    rows = []
    for step, spent in seconds.items():
        causes = _listed(counts.get(step, {}))
        others = _listed(totals.get(step, {}))
        seen = str(sum(counts.get(step, {}).values()) or "")
        text = f"{causes}; {others}" if others else causes
        rows += _wrapped([step, f"{spent:.1f}", seen], text)
    return table(["step", "seconds", "seen", "by cause; and what was found"], rows)


def _listed(numbers: Mapping[str, int]) -> str:
    """Largest first, without zeros."""
    ordered = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {number}" for name, number in ordered if number)


def _wrapped(row: Sequence[str], text: str) -> list[list[str]]:
    """One row, and rows below it for what does not fit."""
    lines = textwrap.wrap(re.sub(r" (?=\d)", _TIE, text), _TEXT_WIDTH, break_long_words=False)
    first, *more = [line.replace(_TIE, " ") for line in lines] or [""]
    return [[*row, first], *([*[""] * len(row), line] for line in more)]


def _evaluations(made: Sequence[Made]) -> Iterable[str]:
    for _, manifest in made:
        if manifest.kind != "evaluation":
            continue
        content = manifest.content
        roles = sorted(content["metrics"], key=lambda r: (r != "candidate", r != "baseline", r))
        metrics = [content["metrics"][role] for role in roles]
        heads = [_heading(role, content["models"].get(role, "")) for role in roles]
        if content["paired"]:
            heads.append("candidate - baseline")
        rows = []
        for name, title in _SHOWN_METRICS.items():
            if any(name in values for values in metrics):
                row = [title, *(_percent(values.get(name)) for values in metrics)]
                rows.append(
                    row + [_difference(content["paired"].get(name))] * bool(content["paired"])
                )
        yield table(["in percent", *heads], rows)


def _heading(role: str, model: str) -> str:
    plain = role.replace("_", " ")
    return plain if model in ("", plain) else f"{plain}: {model}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _difference(paired: Mapping[str, Any] | None) -> str:
    """On the same queries, with its interval."""
    if not paired or paired["low"] is None:
        return "-"
    verdict = " (noise)" if paired["noise"] else ""
    return f"{paired['value']:+.1f} [{paired['low']:+.1f}, {paired['high']:+.1f}]{verdict}"


def _addresses(made: Sequence[Made]) -> str:
    """What a person may hand to another pipeline."""
    return table(
        ["made by", "manifest"],
        [[o.step, o.uri] for o, m in made if m.kind in _KINDS_TO_HAND_ON and o.step != _PUBLISHING],
    )


def _where_to_look(made: Sequence[Made]) -> str:
    lines = []
    for output, manifest in made:
        content = manifest.content
        if output.step == _PUBLISHING:
            lines.append(("published", manifest.uri))
        elif manifest.kind == "dataset":
            lines += _of_dataset(output.step, manifest)
        elif manifest.kind == "evaluation":
            lines.append(("report", _address(manifest, content["report"])))
        elif manifest.kind == "data_decision":
            answer = "passed" if content["passed"] else "refused"
            lines.append(("data gate", "; ".join([answer, *content["reasons"]])))
        elif manifest.kind == "registration":
            version = f"{content['name']} version {content['version']} {content['decision']}"
            lines.append(("registry", "; ".join([version, *content["reasons"]])))
    if any(manifest.kind in ("model", "registration") for _, manifest in made):
        lines.append(("MLflow", _how_to_open_mlflow()))
    width = max((len(name) for name, _ in lines), default=0)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)


def _of_dataset(step: str, manifest: Manifest) -> list[tuple[str, str]]:
    """Its card, and what changed against its parent."""
    content = manifest.content
    lines = [(f"data card, {step}", _address(manifest, content["card"]))]
    if content.get("changes"):
        found = json.loads(manifest.store.get(content["changes"]))
        lines.append((f"changes, {step}", describe_changes(found)))
    return lines


def _how_to_open_mlflow() -> str:
    tracking = given_uri()
    if tracking.startswith("http"):
        return without_secrets(tracking)
    return f"mlflow ui --backend-store-uri {without_secrets(tracking)}, then http://127.0.0.1:5000"


def _address(manifest: Manifest, key: str) -> str:
    """A path that a browser opens, for a folder; the object's URI elsewhere."""
    return f"{manifest.store.uri}/{key}".removeprefix("file://")
