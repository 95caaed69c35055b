"""Which pictures the report shows and what it says of them, as plain values."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from openmofi.evaluation import metrics, pictures
from openmofi.evaluation.report.measured import Measured
from openmofi.evaluation.retrieval import FloatArray
from openmofi.evaluation.suites import Bench

_QUERIES = 8
_HITS = 8
_MISSED = 4
_ATTACKED = 12
MOST_MODELS = 4  # in grids of pictures, so that a page has a bound

Facts = dict[str, Any]


def nearest_facts(
    bench: Bench, models: Sequence[Measured], vectors: dict[str, FloatArray]
) -> list[Facts]:
    """Queries from the candidate's worst to its best: what each model finds, what is missed.

    Args:
        bench: The set.
        models: The candidate first.
        vectors: [N, D] of unit length, by role.

    Returns:
        One mapping a query: ``query`` (a picture, ``score`` in percent), ``positives`` (other
        pictures of its class), ``found`` by role (pictures, ``right``), ``missed`` (pictures of
        the class that the candidate ranks behind those shown, with their ``rank``).
    """
    column = models[0].scores.columns.get(metrics.LEAVE_ONE_OUT)
    labels = bench.images.labels
    if column is None or len(column) != len(labels):
        return []
    facts = []
    for query in pictures.spread_queries(column, _QUERIES):
        orders = {role: pictures.ranking(rows, query) for role, rows in vectors.items()}
        found = {
            role: [
                {**picture(bench, i), "right": bool(labels[i] == labels[query])}
                for i in order[:_HITS].tolist()
            ]
            for role, order in orders.items()
        }
        ranks = np.flatnonzero(labels[orders[models[0].role]] == labels[query])
        missed = [
            {**picture(bench, int(orders[models[0].role][rank])), "rank": int(rank) + 1}
            for rank in ranks[ranks >= _HITS][:_MISSED]
        ]
        asked = {**picture(bench, query), "score": 100 * float(column[query])}
        facts.append({"query": asked, "positives": len(ranks), "found": found, "missed": missed})
    return facts


def attack_facts(bench: Bench, models: Sequence[Measured]) -> Facts:
    """Some attacked pictures with what each model calls them, and how often it fell for the text.

    Returns:
        ``outcomes`` by role: ``right``, ``text`` (called by what is written) and ``other``, in
        pictures; ``cards``: pictures, what is ``written`` on them, and what each role ``said``.
        Empty without the suite.
    """
    readers = [model for model in models if model.scores.predicted_attacked is not None]
    if bench.targets is None or not readers:
        return {}
    written = bench.targets[bench.images.labels]
    return {
        "outcomes": {model.role: _outcome(bench, model) for model in readers},
        "cards": [
            {
                **picture(bench, i),
                "written": bench.images.class_names[written[i]],
                "said": {model.role: _said(bench, model, i) for model in readers[:MOST_MODELS]},
            }
            for i in pictures.one_per_class(bench.images.labels, _ATTACKED)
        ],
    }


def picture(bench: Bench, index: int) -> Facts:
    """A picture of the set: its index, its file within the set, its class."""
    images = bench.images
    return {
        "index": index,
        "image": "/".join(images.paths[index].parts[-2:]),
        "class": images.class_names[images.labels[index]],
    }


def _outcome(bench: Bench, model: Measured) -> Facts:
    said = model.scores.predicted_attacked
    assert said is not None
    assert bench.targets is not None
    labels = bench.images.labels
    right = int((said == labels).sum())
    text = int((said == bench.targets[labels]).sum())
    return {"right": right, "text": text, "other": len(labels) - right - text}


def _said(bench: Bench, model: Measured, index: int) -> Facts:
    assert model.scores.predicted_attacked is not None
    said = int(model.scores.predicted_attacked[index])
    right = bool(said == bench.images.labels[index])
    return {"class": bench.images.class_names[said], "right": right}
