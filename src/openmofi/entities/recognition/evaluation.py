"""How well a recognizer finds surface forms, those that it has seen and those held out."""

from collections.abc import Mapping, Sequence
from typing import Any

from openmofi.entities.knowledge_base import KnowledgeBase
from openmofi.entities.matcher import AliasMatcher
from openmofi.entities.recognition import templates
from openmofi.entities.recognition.recognizer import Recognizer
from openmofi.entities.recognition.surfaces import Surface, SurfaceSplit
from openmofi.entities.recognition.texts import Sentence, Writer, fillers, free_of, write_without

_TEXTS = 3_000  # a kind of surfaces

Places = set[tuple[int, int, int]]  # text, start, end


def evaluate_recognizer(
    recognizer: Recognizer,
    base: KnowledgeBase,
    split: SurfaceSplit,
    seen: Sequence[Surface],
    seed: int,
) -> dict[str, Any]:
    """Exact-span precision, recall and F1 in frames that no training text had.

    What counts as right is where the frame put a surface form; that the matcher labelled the
    training texts plays no part.

    Args:
        recognizer: The trained one.
        base: The whole knowledge base.
        split: Its surface forms.
        seen: Those that were in a training text.
        seed: Of the texts.
    """
    frames = free_of(templates.EVALUATION, base.matcher)
    found: dict[str, Any] = {}
    for kind, surfaces, barred in (
        ("seen", seen, split.held_out_matcher),
        ("held_out", split.held_out, None),
    ):
        filled = fillers(surfaces, templates.EVALUATION_SYLLABLES, base.matcher)
        writer = Writer(frames, filled, f"{seed} {kind}")
        found[kind] = _compare(write_without(writer, _TEXTS, barred), recognizer, base, split)
    return found


def table_of(evaluation: Mapping[str, Any]) -> str:
    """The figures for a person, a line a system and kind of surface forms."""
    lines = [f"{'surface forms':<14} {'found by':<24} precision  recall     F1"]
    for kind in ("seen", "held_out"):
        for system, one in evaluation[kind]["systems"].items():
            figures = f"{one['precision']:9.3f} {one['recall']:7.3f} {one['f1']:6.3f}"
            lines.append(f"{kind.replace('_', ' '):<14} {system.replace('_', ' '):<24} {figures}")
    return "\n".join(lines)


def _compare(
    sentences: Sequence[Sentence], recognizer: Recognizer, base: KnowledgeBase, split: SurfaceSplit
) -> dict[str, Any]:
    texts = [one.text for one in sentences]
    gold = {(number, *span) for number, one in enumerate(sentences) for span in one.spans}
    spans = recognizer.find(texts)
    places = zip(spans.texts.tolist(), spans.starts.tolist(), spans.ends.tolist(), strict=True)
    systems = {
        "recognizer": set(places),
        "matcher_without_held_out": _matched(split.train_matcher, texts),
        "matcher": _matched(base.matcher, texts),
    }
    return {
        "texts": len(texts),
        "mentions": len(gold),
        "surfaces": len({key for one in sentences for key in one.keys}),
        "systems": {name: score_spans(places, gold) for name, places in systems.items()},
    }


def _matched(matcher: AliasMatcher, texts: Sequence[str]) -> Places:
    found = matcher.match(texts)
    return set(zip(found.texts.tolist(), found.starts.tolist(), found.ends.tolist(), strict=True))


def score_spans(found: Places, gold: Places) -> dict[str, float]:
    """Precision, recall and F1 of exact spans; 0 where there is nothing to divide by."""
    right = len(found & gold)
    precision = right / len(found) if found else 0.0
    recall = right / len(gold) if gold else 0.0
    total = precision + recall
    f1 = 2 * precision * recall / total if total else 0.0
    return {"spans": len(found), "precision": precision, "recall": recall, "f1": f1}
