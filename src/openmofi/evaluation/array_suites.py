"""The suites that need vectors and labels alone, over ``.npy`` files: no model and no images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from openmofi.errors import InputError
from openmofi.evaluation import knn, linear_probe, metrics, query_index
from openmofi.evaluation.bootstrap import Draws
from openmofi.evaluation.config import EvaluateConfig
from openmofi.evaluation.retrieval import (
    FloatArray,
    IntArray,
    average_precisions,
    check_embeddings,
    load_array,
)
from openmofi.evaluation.scores import Scores, merged
from openmofi.evaluation.zero_shot import correct

_NEEDS = {"retrieval": "", "knn": "train", "linear_probe": "train", "query_index": "index"}


@dataclass(frozen=True)
class ArrayFiles:
    """Vectors and what they show.

    Attributes:
        embeddings: ``.npy`` of floats [N, D]; rows are L2-normalised here.
        labels: ``.npy`` of integers [N].
    """

    embeddings: Path
    labels: Path


def evaluate_array_suites(
    tested: ArrayFiles,
    *,
    train: ArrayFiles | None = None,
    index: ArrayFiles | None = None,
    config: EvaluateConfig | None = None,
) -> dict[str, Any]:
    """Every suite that the given files allow, or those of the config.

    Args:
        tested: Vectors that are tested on.
        train: What ``knn`` and ``linear_probe`` learn from.
        index: What ``query_index`` searches, with the tested vectors as queries.
        config: Suites and options; None for all that is possible, by the usual options.

    Returns:
        ``metrics`` in percent with their intervals, and ``facts``, as plain values.

    Raises:
        InputError: A file is missing or not usable, or a suite lacks its files.
    """
    given = {"": tested, "train": train, "index": index}
    options = config or EvaluateConfig()
    suites = list(_NEEDS) if config is None else list(config.suites)
    for suite in suites:
        if suite not in _NEEDS:
            raise InputError(f"the suite '{suite}' needs a model, not arrays")
        if config is not None and given[_NEEDS[suite]] is None:
            raise InputError(f"the suite '{suite}' needs --{_NEEDS[suite]}-embeddings and -labels")
    suites = [suite for suite in suites if given[_NEEDS[suite]] is not None]
    loaded = {role: _load(files) for role, files in given.items() if files is not None}
    _check_widths(given, loaded)
    scores = merged(_run(suite, loaded[""], loaded[_NEEDS[suite]], options) for suite in suites)
    draws = Draws(options.bootstrap_samples, options.confidence, options.seed)
    intervals = metrics.summarise(scores.columns, draws, loaded[""][1])
    return {"metrics": metrics.plain(intervals), "facts": dict(scores.facts)}


def _run(
    suite: str,
    tested: tuple[FloatArray, IntArray],
    beside: tuple[FloatArray, IntArray],
    options: EvaluateConfig,
) -> Scores:
    """One suite on ``tested``; ``beside`` is what it learns from or searches."""
    vectors, labels = tested
    if suite == "retrieval":
        found = average_precisions(vectors, labels)
        columns = {metrics.RETRIEVAL: found.ap, metrics.LEAVE_ONE_OUT: found.ap_leave_one_out}
        return Scores(columns)
    if suite == "query_index":
        searched = query_index.search(vectors, labels, *beside)
        facts = {query_index.WITHOUT_POSITIVE: searched.without_positive}
        return Scores(searched.columns, facts=facts)
    if suite == "knn":
        neighbours, temperature = options.knn_neighbours, options.knn_temperature
        predicted = knn.knn_predict(
            *beside, vectors, neighbours=neighbours, temperature=temperature
        )
        return Scores({knn.TOP1: correct(predicted, labels)})
    return _probe(tested, beside, options)


def _probe(
    tested: tuple[FloatArray, IntArray],
    train: tuple[FloatArray, IntArray],
    options: EvaluateConfig,
) -> Scores:
    from openmofi.models.device import resolve_device

    vectors, labels = tested
    probe = linear_probe.fit_probe(*train, device=resolve_device(options.device))
    predicted = probe.classifier.predict(vectors)
    columns = linear_probe.probe_columns(predicted, labels, np.ones(len(labels), dtype=bool))
    facts = {linear_probe.C: probe.c, linear_probe.VALIDATION: 100 * probe.validation}
    return Scores(columns, facts=facts)


def _load(files: ArrayFiles) -> tuple[FloatArray, IntArray]:
    try:
        return check_embeddings(load_array(files.embeddings), load_array(files.labels))
    except InputError as error:
        if str(files.embeddings) in str(error) or str(files.labels) in str(error):
            raise
        raise InputError(f"{files.embeddings}, {files.labels}: {error}") from None


def _check_widths(
    given: Mapping[str, ArrayFiles | None], loaded: Mapping[str, tuple[FloatArray, IntArray]]
) -> None:
    widths = {role: vectors.shape[1] for role, (vectors, _) in loaded.items()}
    for role, width in widths.items():
        files = given[role]
        if width != widths[""] and files is not None:
            raise InputError(
                f"{files.embeddings} holds vectors of {width} numbers, the tested ones have "
                f"{widths['']}: they are not of one space"
            )
