"""Training a small recognizer on generated texts that the alias matcher has labelled."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openmofi.config import parse_config
from openmofi.entities.knowledge_base import KnowledgeBase, open_knowledge_base
from openmofi.entities.recognition import templates
from openmofi.entities.recognition.card import write_card
from openmofi.entities.recognition.config import RecognizerTrainingConfig
from openmofi.entities.recognition.evaluation import evaluate_recognizer
from openmofi.entities.recognition.recognizer import load_recognizer
from openmofi.entities.recognition.surfaces import Surface, SurfaceSplit, split_surfaces
from openmofi.entities.recognition.texts import (
    Sentence,
    Writer,
    fillers,
    passages_of,
    write_without,
)
from openmofi.entities.sources import local_path
from openmofi.errors import InputError
from openmofi.files import new_folder
from openmofi.progress import say

EVALUATION = "evaluation.json"


def train_recognizer(
    knowledge_base: str, out: str, *, config: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Train a token classifier and write its folder, in the hub's layout.

    Texts are made from frames, the knowledge base's surface forms, and words and passages of its
    descriptions; their labels are what the alias matcher marks. Some surface forms are in no
    training text; the figures tell how many of those are found all the same.

    Args:
        knowledge_base: Folder or manifest URI.
        out: A new folder.
        config: Values of `RecognizerTrainingConfig`.

    Returns:
        What ``evaluation.json`` holds.

    Raises:
        InputError: ``out`` holds something, or the knowledge base is none or too small.
    """
    settings = parse_config(RecognizerTrainingConfig, config, where="train_recognizer")
    base = open_knowledge_base(knowledge_base)
    place = local_path(out)
    _check_place(place)
    with new_folder(place) as folder:
        split = split_surfaces(base, settings.held_out, settings.seed)
        sentences = _sentences(base, split, settings)
        say(f"train_recognizer: {len(sentences)} texts")
        _fit(folder, sentences, base, settings)
        used = {key for sentence in sentences for key in sentence.keys}
        seen = [one for one in split.train if one.key in used]
        evaluation = _evaluate(folder, base, split, seen, settings)
        evaluation["training"] = {"texts": len(sentences), "surfaces": len(seen)}
        text = json.dumps(evaluation, ensure_ascii=False, indent=1)
        (folder / EVALUATION).write_text(f"{text}\n", encoding="utf-8")
        write_card(folder, evaluation, base.head)
    return evaluation


def _sentences(
    base: KnowledgeBase, split: SurfaceSplit, settings: RecognizerTrainingConfig
) -> list[Sentence]:
    filled = fillers(split.train, templates.TRAINING_SYLLABLES, base.matcher, passages_of(base))
    writer = Writer(templates.TRAINING, filled, f"{settings.seed} training")
    return write_without(writer, settings.sentences, split.held_out_matcher)


def _fit(
    folder: Path,
    sentences: Sequence[Sentence],
    base: KnowledgeBase,
    settings: RecognizerTrainingConfig,
) -> None:
    # Seconds of imports.
    from openmofi.entities.recognition.fit import fit_classifier, fit_tokenizer, weak_labels

    texts = [one.text for one in sentences]
    tokenizer = fit_tokenizer(texts, settings.vocabulary_size)
    model = fit_classifier(
        weak_labels(texts, base.matcher, tokenizer),
        tokenizer,
        hidden_size=settings.hidden_size,
        layers=settings.layers,
        heads=settings.heads,
        steps=settings.steps,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        seed=settings.seed,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _evaluate(
    folder: Path,
    base: KnowledgeBase,
    split: SurfaceSplit,
    seen: Sequence[Surface],
    settings: RecognizerTrainingConfig,
) -> dict[str, Any]:
    """Of the model as it is loaded from its files."""
    recognizer = load_recognizer(str(folder), device="cpu", batch_size=64)
    figures = evaluate_recognizer(recognizer, base, split, seen, settings.seed)
    return {
        "recognizer": recognizer.digest,
        "knowledge_base": base.digest,
        "config": settings.model_dump(),
        **figures,
    }


def _check_place(out: Path) -> None:
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise InputError(f"{out} exists and is not empty; choose another folder")
