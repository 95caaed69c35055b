"""The report for people: one HTML file that needs nothing beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from openmofi.evaluation import metrics, pictures
from openmofi.evaluation.bootstrap import Interval
from openmofi.evaluation.embedders import Embedder
from openmofi.evaluation.suites import Bench, Scores, image_vectors

_GRID_QUERIES = 8
_ATTACKED_PICTURES = 12
_CLASSES_SHOWN = 8

_TITLES = {
    metrics.RETRIEVAL: "Retrieval mAP",
    metrics.LEAVE_ONE_OUT: "Retrieval mAP, leave-one-out",
    metrics.ZERO_SHOT: "Zero-shot top-1",
    metrics.CLEAN: "Typographic: clean",
    metrics.ATTACKED: "Typographic: attacked",
    metrics.RETENTION: "Typographic: retention",
    metrics.FOOLED: "Typographic: called by the text",
}

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--good:#2a8a3e;--bad:#c0392b;--soft:#8882}
body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:0 auto;padding:1rem}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2rem}
.wide{overflow-x:auto}table{border-collapse:collapse}
th,td{padding:.3rem .7rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}small{opacity:.7}
.row{display:flex;gap:4px;align-items:center;overflow-x:auto;margin:.2rem 0}
.row img{height:56px;border:3px solid transparent;border-radius:4px}
.row img.right{border-color:var(--good)}.row img.wrong{border-color:var(--bad)}
.row span{flex:0 0 6.5rem;font-size:.8rem;overflow-wrap:anywhere}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(170px,1fr));gap:.8rem}
.cards figure{margin:0;padding:.5rem;background:var(--soft);border-radius:6px;font-size:.85rem}
.cards img{width:100%;max-width:144px}.good{color:var(--good)}.bad{color:var(--bad)}
"""


@dataclass(frozen=True)
class Measured:
    """One model's part of an evaluation."""

    role: str  # candidate, baseline or colour_histogram
    embedder: Embedder
    scores: Scores
    intervals: Mapping[str, Interval]


def render(
    bench: Bench, models: Sequence[Measured], paired: Mapping[str, metrics.Difference]
) -> str:
    """The whole page.

    Args:
        bench: The set and the protocol.
        models: The candidate first.
        paired: Candidate minus baseline; empty without a baseline.
    """
    images = bench.images
    title = f"Evaluation of {models[0].embedder.name}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{len(images.paths)} images of {len(images.class_names)} classes, data version "
        f"<code>{images.digest[:12]}</code>. All figures in percent, with "
        f"{100 * bench.config.confidence:g} % bootstrap intervals over queries "
        f"({bench.config.bootstrap_samples} resamples). Retrieval mAP counts the query itself as "
        "its first hit (GPR1200); leave-one-out does not. Retention is attacked / clean.</p>",
        "<h2>Models and suites</h2>",
        _metrics_table(models, paired),
        _domains(models),
        _class_section(bench, models[0]),
        _grid_section(bench, models),
        _attack_section(bench, models),
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><body>{''.join(parts)}</body></html>"
    )


def _metrics_table(models: Sequence[Measured], paired: Mapping[str, metrics.Difference]) -> str:
    names = metrics.headline(name for model in models for name in model.intervals)
    head = [_heading(model) for model in models]
    if paired:
        head.append("candidate minus baseline")
    rows = []
    for name in names:
        cells = [_cell(model.intervals.get(name)) for model in models]
        if paired:
            cells.append(_difference(paired.get(name)))
        rows.append([_TITLES[name], *cells])
    return _table(["", *head], rows)


def _heading(model: Measured) -> str:
    role = model.role.replace("_", " ")
    name = (
        "" if role == model.embedder.name else f"<br><small>{escape(model.embedder.name)}</small>"
    )
    return f"{role}{name}"


def _cell(interval: Interval | None) -> str:
    if interval is None or not np.isfinite(interval.value):
        return "-"
    if not np.isfinite(interval.low):
        return f"{interval.value:.1f}"
    return f"{interval.value:.1f} <small>{interval.low:.1f} to {interval.high:.1f}</small>"


def _difference(difference: metrics.Difference | None) -> str:
    if difference is None or not np.isfinite(difference.low):
        return "-"
    kind, verdict = "", "noise"
    if not difference.noise:
        kind, verdict = ("good", "better") if difference.value > 0 else ("bad", "worse")
    return (
        f'<span class="{kind}">{difference.value:+.1f} <small>{difference.low:+.1f} to '
        f"{difference.high:+.1f}</small> {verdict}</span>"
    )


def _domains(models: Sequence[Measured]) -> str:
    prefix = f"{metrics.RETRIEVAL}/"
    names = sorted({n for model in models for n in model.intervals if n.startswith(prefix)})
    if not names:
        return ""
    rows = [
        [escape(name.removeprefix(prefix)), *(_cell(model.intervals.get(name)) for model in models)]
        for name in names
    ]
    head = ["", *(model.role.replace("_", " ") for model in models)]
    return f"<h2>Retrieval mAP by domain</h2>{_table(head, rows)}"


def _class_section(bench: Bench, candidate: Measured) -> str:
    columns = candidate.scores.columns
    metric = next((m for m in (metrics.LEAVE_ONE_OUT, metrics.ZERO_SHOT) if m in columns), "")
    if not metric:
        return ""
    images = bench.images
    means = 100 * metrics.by_class(columns[metric], images.labels, len(images.class_names))
    order = [int(i) for i in np.argsort(means, kind="stable") if np.isfinite(means[i])]
    shown = min(_CLASSES_SHOWN, len(order) // 2)

    def row(i: int) -> list[str]:
        return [escape(images.class_names[i]), f"{means[i]:.1f}"]

    worst, best = [row(i) for i in order[:shown]], [row(i) for i in order[::-1][:shown]]
    head = _TITLES[metric]
    return (
        f"<h2>Classes of the candidate, by {head}</h2>"
        f"{_table(['worst', head], worst)}{_table(['best', head], best)}"
    )


def _grid_section(bench: Bench, models: Sequence[Measured]) -> str:
    column = models[0].scores.columns.get(metrics.LEAVE_ONE_OUT)
    if column is None:
        return ""
    queries = pictures.spread_queries(column, _GRID_QUERIES)
    vectors = {model.role: image_vectors(bench, model.embedder) for model in models}
    hits = {
        (query, role): pictures.nearest(rows, bench.images.labels, query)
        for query in queries
        for role, rows in vectors.items()
    }
    wanted = [*queries, *(hit.index for row in hits.values() for hit in row)]
    images = pictures.thumbnails(bench, wanted)
    parts = ["<h2>Nearest images</h2><p>From the candidate's worst query to its best. Green frame: "
             "of the query's class. Red: of another.</p>"]  # fmt: skip
    for query in queries:
        name = escape(bench.images.class_names[bench.images.labels[query]])
        parts.append(f'<div class="row"><span>{name}</span>{_image(images[query], name, "")}</div>')
        for role in vectors:
            row = "".join(
                _image(images[hit.index], _class_of(bench, hit.index), _side(hit.right))
                for hit in hits[query, role]
            )
            label = role.replace("_", " ")
            parts.append(f'<div class="row"><span><small>{label}</small></span>{row}</div>')
    return "".join(parts)


def _attack_section(bench: Bench, models: Sequence[Measured]) -> str:
    if bench.targets is None:
        return ""
    chosen = pictures.one_per_class(bench.images.labels, _ATTACKED_PICTURES)
    images = pictures.attacked_thumbnails(bench, chosen)
    readers = [m for m in models if m.scores.predicted_attacked is not None]
    cards = []
    for index in chosen:
        label = bench.images.labels[index]
        written = escape(bench.images.class_names[bench.targets[label]])
        lines = [f"<b>{_class_of(bench, index)}</b>, reads “{written}”"]
        lines += [_verdict(bench, model, index) for model in readers]
        body = "<br>".join(lines)
        cards.append(f"<figure>{_image(images[index], written, '')}<br>{body}</figure>")
    return (
        "<h2>Attacked pictures</h2><p>Another class's name is written on each picture; a model "
        f'should still name what it shows.</p><div class="cards">{"".join(cards)}</div>'
    )


def _verdict(bench: Bench, model: Measured, index: int) -> str:
    assert model.scores.predicted_attacked is not None
    said = int(model.scores.predicted_attacked[index])
    right = said == bench.images.labels[index]
    name = escape(bench.images.class_names[said])
    kind = "good" if right else "bad"
    return f'{model.role}: <span class="{kind}">{name}</span>'


def _class_of(bench: Bench, index: int) -> str:
    return escape(bench.images.class_names[bench.images.labels[index]])


def _side(right: bool) -> str:
    return "right" if right else "wrong"


def _image(source: str, name: str, kind: str) -> str:
    return f'<img class="{kind}" src="{source}" alt="{name}" title="{name}">'


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table of cells that are HTML already."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'
