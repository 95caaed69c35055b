"""The suites over one evaluation set: what each model scores on each query, cached by digest.

Embeddings are kept in the store under (model digest, data digest), so that a second suite, other
prompts or a later comparison cost no forward pass; scores under (model, data, protocol).
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from openmofi.errors import InputError
from openmofi.evaluation import metrics
from openmofi.evaluation.config import EvaluateConfig
from openmofi.evaluation.embedders import Embedder, model_embedder
from openmofi.evaluation.retrieval import FloatArray, IntArray, average_precisions, unit_rows
from openmofi.evaluation.typographic import (
    DRAWING_VERSION,
    TextFont,
    attack_jpeg,
    choose_targets,
    load_font,
    name_vectors,
)
from openmofi.evaluation.zero_shot import class_vectors, correct, predict
from openmofi.image_set import ImageSet
from openmofi.images import ImageProblemError, decode_image
from openmofi.keys import hash_json, recipe_key
from openmofi.progress import bar, say
from openmofi.records import from_parquet, to_parquet
from openmofi.storage import Store

SUITE_VERSION = 1  # raised by hand when a score of the same vectors changes
EMBEDDING_VERSION = 1  # raised by hand when an image's vector by the same model changes


@dataclass(frozen=True)
class Bench:
    """An evaluation set with everything that decides how models are measured on it.

    Attributes:
        store: Where embeddings and scores are kept.
        images: The evaluation set.
        config: Suites, prompts, sizes.
        font: What the attack is written with.
        targets: [C] class whose name is written on each class's pictures; None without the suite.
    """

    store: Store
    images: ImageSet
    config: EvaluateConfig
    font: TextFont
    targets: IntArray | None

    @property
    def protocol(self) -> str:
        """Digest of all that changes a score, beside model and data."""
        return hash_json([list(self.config.suites), list(self.config.templates), self._attack()])

    @property
    def attacked_digest(self) -> str:
        """Of the attacked pictures, as data of their own."""
        return hash_json([self.images.digest, self._attack()])

    def _attack(self) -> Any:
        targets = None if self.targets is None else self.targets.tolist()
        return [targets, self.font.digest, DRAWING_VERSION]


@dataclass(frozen=True)
class Scores:
    """What one model did on every query.

    Attributes:
        columns: Name to [N] numbers, see `openmofi.evaluation.metrics`.
        predicted: [N] class it named; None if it reads no text or nobody asked.
        predicted_attacked: The same on the attacked pictures.
    """

    columns: dict[str, npt.NDArray[np.float64]]
    predicted: IntArray | None = None
    predicted_attacked: IntArray | None = None


def prepare(store: Store, images: ImageSet, config: EvaluateConfig) -> Bench:
    """Choose what is written on the pictures, and with which font."""
    font = load_font(config.font)
    if "typographic" not in config.suites:
        return Bench(store, images, config, font, None)
    vectors = name_vectors(images.class_names)
    if config.target_model:
        embedder = model_embedder(config.target_model, device=config.device)
        vectors = _text_vectors(store, embedder, list(images.class_names))
    targets = choose_targets(images.class_names, vectors, config.confusions)
    return Bench(store, images, config, font, targets)


def score(bench: Bench, embedder: Embedder) -> Scores:
    """Run the suites on one model, or read what it scored before."""
    kept = read_scores(bench.store, embedder.digest, bench.images.digest, bench.protocol)
    if kept is not None:
        say(f"evaluate: reused the scores of {embedder.name}")
        return kept
    scores = _run_suites(bench, embedder)
    write_scores(bench.store, embedder.digest, bench.images.digest, bench.protocol, scores)
    return scores


def _run_suites(bench: Bench, embedder: Embedder) -> Scores:
    labels, suites = bench.images.labels, bench.config.suites
    vectors = image_vectors(bench, embedder)
    columns: dict[str, npt.NDArray[np.float64]] = {}
    if "retrieval" in suites:
        found = average_precisions(vectors, labels)
        columns |= {metrics.RETRIEVAL: found.ap, metrics.LEAVE_ONE_OUT: found.ap_leave_one_out}
        columns |= metrics.by_domain(columns, labels, bench.images.domains)
    if embedder.embed_texts is None or not {"zero_shot", "typographic"} & set(suites):
        return Scores(columns)

    def embed(texts: Sequence[str]) -> FloatArray:
        return _text_vectors(bench.store, embedder, texts)

    classes = class_vectors(embed, bench.images.class_names, bench.config.templates)
    predicted = predict(vectors, classes)
    if "zero_shot" in suites:
        columns[metrics.ZERO_SHOT] = correct(predicted, labels)
    if bench.targets is None:
        return Scores(columns, predicted)
    attacked = predict(attacked_vectors(bench, embedder), classes)
    columns[metrics.CLEAN] = correct(predicted, labels)
    columns[metrics.ATTACKED] = correct(attacked, labels)
    columns[metrics.FOOLED] = correct(attacked, bench.targets[labels])
    return Scores(columns, predicted, attacked)


def image_vectors(bench: Bench, embedder: Embedder) -> FloatArray:
    """Unit vectors [N, D] of the set's images, cached."""
    return _cached_vectors(bench, embedder, bench.images.digest, attacked=False)


def attacked_vectors(bench: Bench, embedder: Embedder) -> FloatArray:
    """Unit vectors [N, D] of the attacked pictures, cached."""
    return _cached_vectors(bench, embedder, bench.attacked_digest, attacked=True)


def read_image(bench: Bench, index: int) -> Image.Image:
    """One image of the set; `InputError` that names its file if it does not open."""
    path = bench.images.paths[index]
    try:
        return decode_image(path.read_bytes())
    except (ImageProblemError, OSError) as error:
        raise InputError(f"evaluation image {path} does not open: {error}") from None


def attacked_picture(bench: Bench, index: int) -> bytes:
    """The attacked JPEG of one image."""
    if bench.targets is None:
        raise InputError("attacked pictures need the suite 'typographic'")
    written = bench.images.class_names[bench.targets[bench.images.labels[index]]]
    return attack_jpeg(read_image(bench, index), written, bench.font)


def read_scores(store: Store, model: str, data: str, protocol: str) -> Scores | None:
    """What a model scored on a set by a protocol (all by digest); None if it was never run."""
    key = _scores_key(model, data, protocol)
    if not store.exists(key):
        return None
    table = from_parquet(store.get(key))
    arrays = {name: table.column(name).to_numpy() for name in table.column_names}
    predicted = arrays.pop("predicted", None)
    attacked = arrays.pop("predicted_attacked", None)
    return Scores(arrays, predicted, attacked)


def write_scores(store: Store, model: str, data: str, protocol: str, scores: Scores) -> None:
    """Keep what a model scored, for `read_scores`."""
    arrays = dict[str, Any](scores.columns)
    for name in ("predicted", "predicted_attacked"):
        if getattr(scores, name) is not None:
            arrays[name] = getattr(scores, name)
    store.put(_scores_key(model, data, protocol), to_parquet(pa.table(arrays)))


def _scores_key(model: str, data: str, protocol: str) -> str:
    digests = {"model": model, "data": data, "protocol": protocol}
    return f"evaluation/scores/{recipe_key('scores', SUITE_VERSION, {}, digests, [])}.parquet"


def _cached_vectors(bench: Bench, embedder: Embedder, data: str, *, attacked: bool) -> FloatArray:
    digests = {"model": embedder.digest, "data": data}
    key = f"evaluation/embeddings/{recipe_key('vectors', EMBEDDING_VERSION, {}, digests, [])}.npy"
    kept = _read_vectors(bench.store, key)
    if kept is not None:
        return kept
    vectors = _embed_all(bench, embedder, attacked=attacked)
    _write_vectors(bench.store, key, vectors)
    return vectors


def _embed_all(bench: Bench, embedder: Embedder, *, attacked: bool) -> FloatArray:
    parts = []
    size = embedder.batch_size
    starts = range(0, len(bench.images.paths), size)
    label = f"{embedder.name}{', attacked' if attacked else ''}"
    for start in bar(starts, label=label, total=len(starts), unit="batch"):
        indices = range(start, min(start + size, len(bench.images.paths)))
        images = list(_pictures(bench, indices, attacked=attacked))
        parts.append(_one_vector_each(embedder, embedder.embed_images(images), len(images)))
    return _unit(embedder, np.concatenate(parts))


def _pictures(bench: Bench, indices: range, *, attacked: bool) -> Iterator[Image.Image]:
    for index in indices:
        if attacked:
            yield decode_image(attacked_picture(bench, index))
        else:
            yield read_image(bench, index)


def _text_vectors(store: Store, embedder: Embedder, texts: Sequence[str]) -> FloatArray:
    if embedder.embed_texts is None:
        raise InputError(f"{embedder.name} reads no text")
    digests = {"model": embedder.digest, "texts": hash_json(list(texts))}
    key = f"evaluation/embeddings/{recipe_key('texts', EMBEDDING_VERSION, {}, digests, [])}.npy"
    kept = _read_vectors(store, key)
    if kept is not None:
        return kept
    vectors = _one_vector_each(embedder, embedder.embed_texts(texts), len(texts))
    _write_vectors(store, key, _unit(embedder, vectors))
    return _unit(embedder, vectors)


def _one_vector_each(embedder: Embedder, vectors: FloatArray, expected: int) -> FloatArray:
    if vectors.ndim != 2 or len(vectors) != expected:
        raise InputError(
            f"{embedder.name} gave vectors of shape {vectors.shape} for {expected} inputs"
        )
    return vectors


def _unit(embedder: Embedder, vectors: FloatArray) -> FloatArray:
    try:
        return unit_rows(vectors)
    except InputError as error:
        raise InputError(f"{embedder.name}: {error}") from None


def _read_vectors(store: Store, key: str) -> FloatArray | None:
    if not store.exists(key):
        return None
    vectors: FloatArray = np.load(io.BytesIO(store.get(key)), allow_pickle=False)
    return vectors


def _write_vectors(store: Store, key: str, vectors: FloatArray) -> None:
    sink = io.BytesIO()
    np.save(sink, vectors, allow_pickle=False)
    store.put(key, sink.getvalue())
