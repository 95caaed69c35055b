"""An evaluation set with everything that decides how models are measured on it."""

from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from openmofi.errors import InputError
from openmofi.evaluation.config import EvaluateConfig
from openmofi.evaluation.embedders import model_embedder
from openmofi.evaluation.retrieval import IntArray
from openmofi.evaluation.typographic import (
    DRAWING_VERSION,
    EXACT,
    TextFont,
    Writing,
    attack_jpeg,
    choose_targets,
    load_font,
    name_vectors,
)
from openmofi.evaluation.vectors import open_image, text_vectors
from openmofi.evaluation_data.captions import Captions
from openmofi.evaluation_data.image_set import ImageSet, class_keys
from openmofi.evaluation_data.imagenet import synset_among
from openmofi.evaluation_data.layouts import EvaluationData
from openmofi.evaluation_data.parts import read_part, taken_out, without_copies
from openmofi.keys import hash_json
from openmofi.storage import Store

ATTACKS = {"typographic", "typographic_grid"}
READ_TEXT = {"zero_shot", "image_text", *ATTACKS}  # left out for a model without a text tower
_LEARN = {"knn", "linear_probe"}


@dataclass(frozen=True)
class Bench:
    """An evaluation set and a protocol.

    Attributes:
        store: Where embeddings and scores are kept.
        images: The evaluation set.
        config: Suites, prompts, sizes.
        font: What the attack is written with.
        targets: [C] class whose name is written on each class's pictures; None without the suite.
        captions: Of the images; None for a set of classes.
        train: Images of a folder of their own to learn from.
        learned: Indices of the set's own images that are learned from, and not tested on.
        index: Images of a folder of their own to search.
        queries: Indices of the images that search the rest of the set, where there is no such
            folder.
    """

    store: Store
    images: ImageSet
    config: EvaluateConfig
    font: TextFont
    targets: IntArray | None
    captions: Captions | None = None
    train: ImageSet | None = None
    learned: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    index: ImageSet | None = None
    queries: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @property
    def protocol(self) -> str:
        """Digest of all that changes a score, beside model and data."""
        parts = [list(self.config.suites), list(self.config.templates), self._attack()]
        beside = self._beside()
        return hash_json([*parts, beside] if beside else parts)

    @property
    def attacked_digest(self) -> str:
        """Of the attacked pictures, as data of their own."""
        return hash_json([self.images.digest, self._attack()])

    @property
    def groups(self) -> IntArray | None:
        """[N] what a bootstrap draws at once: classes; None for captions: single images."""
        return self.images.labels if self.captions is None else None

    def written_digest(self, writing: Writing, indices: IntArray) -> str:
        """Of some pictures attacked in another way than the exact one."""
        return hash_json([self.attacked_digest, list(astuple(writing)), indices.tolist()])

    def _attack(self) -> Any:
        targets = None if self.targets is None else self.targets.tolist()
        return [targets, self.font.digest, DRAWING_VERSION]

    def _beside(self) -> dict[str, Any]:
        """What the suites beside the first three depend on."""
        suites, config = set(self.config.suites), self.config
        found: dict[str, Any] = {}
        if suites & _LEARN:
            found["train"] = self.train.digest if self.train else self.learned.tolist()
        if "knn" in suites:
            found["knn"] = [config.knn_neighbours, config.knn_temperature]
        if "query_index" in suites:
            found["index"] = self.index.digest if self.index else self.queries.tolist()
        if "image_text" in suites:
            found["caption_prefix"] = config.caption_prefix
        if "typographic_grid" in suites:
            found["grid"] = config.grid.model_dump(mode="json")
        return found


def prepare(store: Store, data: EvaluationData | ImageSet, config: EvaluateConfig) -> Bench:
    """Choose what is written on the pictures, what is learned from and what is searched.

    Args:
        store: See `Bench`.
        data: The evaluation set; class folders alone may come as their images.
        config: See `Bench`.

    Raises:
        InputError: The data lacks what a suite needs.
    """
    if isinstance(data, ImageSet):
        data = EvaluationData(data, class_keys(data))
    suites, images = set[str](config.suites), data.images
    _check(data, suites)
    none = np.empty(0, dtype=np.int64)
    train, learned = _learning(data, config) if suites & _LEARN else (None, none)
    index, queries = _searched(data, config) if "query_index" in suites else (None, none)
    font = load_font(config.font)
    return Bench(
        store=store,
        images=images,
        config=config,
        font=font,
        targets=_targets(store, images, config) if suites & ATTACKS else None,
        captions=data.captions,
        train=train,
        learned=learned,
        index=index,
        queries=queries,
    )


def attacked_picture(bench: Bench, index: int, writing: Writing = EXACT) -> bytes:
    """The attacked JPEG of one image."""
    if bench.targets is None:
        raise InputError("attacked pictures need the suite 'typographic'")
    written = bench.images.class_names[bench.targets[bench.images.labels[index]]]
    return attack_jpeg(read_image(bench, index), written, bench.font, writing)


def read_image(bench: Bench, index: int) -> Image.Image:
    """One image of the set; `InputError` that names its file if it does not open."""
    return open_image(bench.images, index)


def _check(data: EvaluationData, suites: set[str]) -> None:
    if data.captions is not None and suites != {"image_text"}:
        other = sorted(suites - {"image_text"})[0]
        raise InputError(
            f"the suite '{other}' needs classes, and the evaluation set has captions instead: set "
            "'suites' to [image_text]"
        )
    if data.captions is None and "image_text" in suites:
        raise InputError(
            "the suite 'image_text' needs captions: give the data in Karpathy's layout, "
            "dataset_*.json beside its images"
        )
    synset = synset_among(data.images.class_names)
    if synset and suites & READ_TEXT:
        raise InputError(
            f"the class '{synset}' goes by its synset, which no model can read: give names in "
            "classes.csv beside the class folders, or LOC_synset_mapping.txt beside val"
        )


def _targets(store: Store, images: ImageSet, config: EvaluateConfig) -> IntArray:
    vectors = name_vectors(images.class_names)
    if config.target_model:
        embedder = model_embedder(config.target_model, device=config.device)
        vectors = text_vectors(store, embedder, list(images.class_names))
    return choose_targets(images.class_names, vectors, config.confusions)


def _learning(data: EvaluationData, config: EvaluateConfig) -> tuple[ImageSet | None, IntArray]:
    """Training images of a folder, or indices of some of the set's own."""
    none = np.empty(0, dtype=np.int64)
    folder = config.train_data or data.train
    if folder:
        role = "train_data"
        part = read_part(folder, data.keys, role=role, per_class=config.train_per_class)
        part = without_copies(part, data.images, role=role)
        if not part.paths:
            raise InputError(f"{role} {folder} holds images of the evaluation set alone")
        return part, none
    if not config.train_per_class:
        raise InputError(
            "'linear_probe' and 'knn' learn from training images: set 'train_data', or "
            "'train_per_class' to take some out of the evaluation set"
        )
    learned = taken_out(data.images, config.train_per_class)
    if not len(learned):
        raise InputError("'train_per_class': no class of the evaluation set has an image to spare")
    return None, learned


def _searched(data: EvaluationData, config: EvaluateConfig) -> tuple[ImageSet | None, IntArray]:
    """Images of a folder to search, or indices of the images that search the others."""
    if not config.index_data:
        return None, taken_out(data.images, config.queries_per_class)
    role = "index_data"
    part = read_part(config.index_data, data.keys, role=role)
    part = without_copies(part, data.images, role=role)
    if not part.paths:
        raise InputError(f"{role} {config.index_data} holds images of the evaluation set alone")
    return part, np.empty(0, dtype=np.int64)
