"""The suites over one evaluation set: what each model scores on each query, cached by digest."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt
from PIL import Image

from openmofi.evaluation import (
    image_text,
    knn,
    linear_probe,
    metrics,
    query_index,
    typographic_grid,
)
from openmofi.evaluation.bench import READ_TEXT, Bench, attacked_picture, prepare, read_image
from openmofi.evaluation.embedders import Embedder
from openmofi.evaluation.retrieval import FloatArray, IntArray, average_precisions
from openmofi.evaluation.scores import (
    SUITE_VERSION,
    Scores,
    merged,
    read_scores,
    write_scores,
)
from openmofi.evaluation.typographic import EXACT, Writing
from openmofi.evaluation.vectors import (
    EMBEDDING_VERSION,
    Pictures,
    picture_vectors,
    same_width,
    set_vectors,
    text_vectors,
)
from openmofi.evaluation.zero_shot import class_vectors, correct, predict
from openmofi.images import decode_image
from openmofi.progress import say

__all__ = [
    "EMBEDDING_VERSION",
    "SUITE_VERSION",
    "Bench",
    "Scores",
    "attacked_picture",
    "attacked_vectors",
    "image_vectors",
    "prepare",
    "read_image",
    "read_scores",
    "score",
    "write_scores",
]


def score(bench: Bench, embedder: Embedder) -> Scores:
    """Run the suites on one model, or read what it scored before.

    Raises:
        InputError: An image does not open, the model gives no usable vectors, or there is too
            little to learn from.
    """
    kept = read_scores(bench.store, embedder.digest, bench.images.digest, bench.protocol)
    if kept is not None:
        say(f"evaluate: reused the scores of {embedder.name}")
        return kept
    scores = replace(_run_suites(bench, embedder), groups=bench.groups)
    write_scores(bench.store, embedder.digest, bench.images.digest, bench.protocol, scores)
    return scores


def image_vectors(bench: Bench, embedder: Embedder) -> FloatArray:
    """Unit vectors [N, D] of the set's images, cached."""
    return set_vectors(bench.store, embedder, bench.images)


def attacked_vectors(bench: Bench, embedder: Embedder) -> FloatArray:
    """Unit vectors [N, D] of the attacked pictures, cached."""
    indices = range(len(bench.images.paths))
    draw = partial(_attacked_image, bench, EXACT)
    pictures = Pictures(bench.attacked_digest, indices, draw, "attacked")
    return picture_vectors(bench.store, embedder, pictures)


def _run_suites(bench: Bench, embedder: Embedder) -> Scores:
    suites = [suite for suite in _RUNNERS if suite in bench.config.suites]
    if embedder.embed_texts is None:
        suites = [suite for suite in suites if suite not in READ_TEXT]
    if not suites:
        return Scores({})
    vectors = image_vectors(bench, embedder)
    return merged(_RUNNERS[suite](bench, embedder, vectors) for suite in suites)


def _retrieval(bench: Bench, embedder: Embedder, vectors: FloatArray) -> Scores:
    labels = bench.images.labels
    found = average_precisions(vectors, labels)
    columns = {metrics.RETRIEVAL: found.ap, metrics.LEAVE_ONE_OUT: found.ap_leave_one_out}
    return Scores(columns | metrics.by_domain(columns, labels, bench.images.domains))


def _query_index(bench: Bench, embedder: Embedder, vectors: FloatArray) -> Scores:
    labels = bench.images.labels
    queries = np.ones(len(labels), dtype=bool)
    if bench.index is None:
        queries[:] = False
        queries[bench.queries] = True
        index, index_labels = vectors[~queries], labels[~queries]
    else:
        index, index_labels = set_vectors(bench.store, embedder, bench.index), bench.index.labels
        same_width(embedder, vectors, index, what="the index")
    found = query_index.search(vectors[queries], labels[queries], index, index_labels)
    columns = {name: _spread(values, queries) for name, values in found.columns.items()}
    return Scores(columns, facts={query_index.WITHOUT_POSITIVE: found.without_positive})


def _knn(bench: Bench, embedder: Embedder, vectors: FloatArray) -> Scores:
    train, train_labels, tested = _learned_from(bench, embedder, vectors)
    predicted = knn.knn_predict(
        train,
        train_labels,
        vectors[tested],
        neighbours=bench.config.knn_neighbours,
        temperature=bench.config.knn_temperature,
    )
    right = correct(predicted, bench.images.labels[tested])
    return Scores({knn.TOP1: _spread(right, tested)})


def _linear_probe(bench: Bench, embedder: Embedder, vectors: FloatArray) -> Scores:
    from openmofi.models.device import resolve_device

    train, train_labels, tested = _learned_from(bench, embedder, vectors)
    device = resolve_device(bench.config.device)
    probe = linear_probe.fit_probe(train, train_labels, device=device)
    predicted = probe.classifier.predict(vectors)
    columns = linear_probe.probe_columns(predicted, bench.images.labels, tested)
    facts = {linear_probe.C: probe.c, linear_probe.VALIDATION: 100 * probe.validation}
    return Scores(columns, facts=facts)


def _zero_shot(bench: Bench, embedder: Embedder, vectors: FloatArray) -> Scores:
    predicted = predict(vectors, _class_vectors(bench, embedder, vectors))
    return Scores({metrics.ZERO_SHOT: correct(predicted, bench.images.labels)}, predicted)


def _image_text(bench: Bench, embedder: Embedder, vectors: FloatArray) -> Scores:
    assert bench.captions is not None  # prepare has seen to it
    texts = [bench.config.caption_prefix + text for text in bench.captions.texts]
    found = text_vectors(bench.store, embedder, texts)
    same_width(embedder, vectors, found, what="texts")
    return Scores(image_text.recall_columns(vectors, found, bench.captions.owners))


def _typographic(bench: Bench, embedder: Embedder, vectors: FloatArray) -> Scores:
    assert bench.targets is not None  # prepare has seen to it
    labels = bench.images.labels
    classes = _class_vectors(bench, embedder, vectors)
    predicted = predict(vectors, classes)
    attacked = predict(attacked_vectors(bench, embedder), classes)
    columns = {
        metrics.CLEAN: correct(predicted, labels),
        metrics.ATTACKED: correct(attacked, labels),
        metrics.FOOLED: correct(attacked, bench.targets[labels]),
    }
    return Scores(columns, predicted, attacked)


def _typographic_grid(bench: Bench, embedder: Embedder, vectors: FloatArray) -> Scores:
    images, grid = len(vectors), bench.config.grid
    chosen = typographic_grid.drawn_on(grid, images)
    drawn = np.zeros(images, dtype=bool)
    drawn[chosen] = True
    labels = bench.images.labels[chosen]
    classes = _class_vectors(bench, embedder, vectors)
    right = correct(predict(vectors[chosen], classes), labels)
    columns = {typographic_grid.CLEAN: _spread(right, drawn)}
    for name, writing in typographic_grid.cells(grid).items():
        digest = bench.written_digest(writing, chosen)
        draw = partial(_attacked_image, bench, writing)
        pictures = Pictures(digest, chosen.tolist(), draw, name)
        found = picture_vectors(bench.store, embedder, pictures)
        columns[name] = _spread(correct(predict(found, classes), labels), drawn)
    return Scores(columns)


# In the order in which they run: what needs no further forward pass comes first.
_RUNNERS: dict[str, Callable[[Bench, Embedder, FloatArray], Scores]] = {
    "retrieval": _retrieval,
    "query_index": _query_index,
    "knn": _knn,
    "linear_probe": _linear_probe,
    "zero_shot": _zero_shot,
    "image_text": _image_text,
    "typographic": _typographic,
    "typographic_grid": _typographic_grid,
}


def _learned_from(
    bench: Bench, embedder: Embedder, vectors: FloatArray
) -> tuple[FloatArray, IntArray, npt.NDArray[np.bool_]]:
    """Training vectors [T, D] and labels [T], and which images [N] are tested on."""
    tested = np.ones(len(vectors), dtype=bool)
    if bench.train is None:
        tested[bench.learned] = False
        return vectors[bench.learned], bench.images.labels[bench.learned], tested
    train = set_vectors(bench.store, embedder, bench.train)
    same_width(embedder, vectors, train, what="training images")
    return train, bench.train.labels, tested


def _class_vectors(bench: Bench, embedder: Embedder, vectors: FloatArray) -> FloatArray:
    def embed(texts: Sequence[str]) -> FloatArray:
        return text_vectors(bench.store, embedder, texts)

    classes = class_vectors(embed, bench.images.class_names, bench.config.templates)
    same_width(embedder, vectors, classes, what="texts")
    return classes


def _attacked_image(bench: Bench, writing: Writing, index: int) -> Image.Image:
    return decode_image(attacked_picture(bench, index, writing))


def _spread(
    values: npt.NDArray[np.float64], judged: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """One value an image [N]: NaN where it is no query."""
    column = np.full(len(judged), np.nan)
    column[judged] = values
    return column
