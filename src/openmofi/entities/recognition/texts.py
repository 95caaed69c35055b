"""Generated alt texts that know where their entities were put."""

import random
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from openmofi.entities.knowledge_base import KnowledgeBase
from openmofi.entities.matcher import AliasMatcher
from openmofi.entities.recognition import templates
from openmofi.entities.recognition.surfaces import Surface
from openmofi.errors import InputError

Span = tuple[int, int]

_ROUNDS = 20  # of generation; what holds a held-out surface is thrown away
_NOISE = 0.2  # texts with something before them, and with something after
_FROM_DESCRIPTIONS = 0.4  # of the texts, where there are descriptions
_PASSAGES = 60_000
_PASSAGE_WORDS = 10
_CASES: tuple[tuple[Callable[[str], str], float], ...] = (
    (str, 0.55),
    (str.lower, 0.2),
    (str.title, 0.15),
    (str.upper, 0.1),
)


@dataclass(frozen=True)
class Sentence:
    """A text and what its frame knows of it."""

    text: str
    spans: tuple[Span, ...]  # code points of the entities that were put in, in order
    keys: tuple[str, ...]  # their surface keys


@dataclass(frozen=True)
class Fillers:
    """What frames are filled with."""

    surfaces: Sequence[Surface]  # the most popular first
    adjectives: Sequence[str]
    numbers: Sequence[str]
    syllables: Sequence[str]  # of made-up words
    files: Sequence[str]  # frames of files' names
    before: Sequence[str]  # frames of what stands before a text
    after: Sequence[str]
    words: Sequence[str]  # of descriptions
    passages: Sequence[str]  # of descriptions, that may stand for a text; empty for none


def fillers(
    surfaces: Sequence[Surface],
    syllables: Sequence[str],
    matcher: AliasMatcher,
    passages: Sequence[str] = (),
) -> Fillers:
    """Fillers; those that are neither surfaces nor passages hold no alias."""
    words = sorted({word for passage in passages for word in passage.split() if word.isalpha()})
    return Fillers(
        surfaces=surfaces,
        adjectives=free_of(templates.ADJECTIVES, matcher),
        numbers=free_of([str(number * number // 7 + 3) for number in range(400)], matcher),
        syllables=syllables,
        files=free_of(templates.FILES, matcher),
        before=free_of(templates.BEFORE, matcher),
        after=free_of(templates.AFTER, matcher),
        words=free_of(words or templates.ADJECTIVES, matcher),
        passages=passages,
    )


def passages_of(base: KnowledgeBase) -> list[str]:
    """A few neighbouring words of many entities' descriptions.

    They bring the running text that frames have little of: without it a model takes every word
    that it does not know for an entity.
    """
    rows = np.unique(np.linspace(0, len(base) - 1, min(len(base), _PASSAGES)).astype(np.int64))
    draw = random.Random(0)
    passages = []
    for text in base.entities.column("description").take(pa.array(rows)).to_pylist():
        words = text.split()
        begin = draw.randint(0, max(0, len(words) - _PASSAGE_WORDS))
        passage = " ".join(words[begin : begin + draw.randint(1, _PASSAGE_WORDS)])
        passages += [passage] if passage else []
    return passages


class Writer:
    """Fills frames."""

    def __init__(self, frames: Sequence[str], fillers: Fillers, seed: str) -> None:
        self._frames = [_parse(frame) for frame in frames]
        self._files = [_parse(name) for name in fillers.files]
        self._before = [_parse(part) for part in fillers.before]
        self._after = [_parse(part) for part in fillers.after]
        self._fillers = fillers
        self._random = random.Random(seed)

    def write(self) -> Sentence:
        """One text."""
        draw = self._random
        if self._fillers.passages and draw.random() < _FROM_DESCRIPTIONS:
            frame = [(draw.choice(self._fillers.passages), "")]
        else:
            frame = list(draw.choice(self._frames))
        if draw.random() < _NOISE:
            frame = [*draw.choice(self._before), *frame]
        if draw.random() < _NOISE:
            frame = [*frame, *draw.choice(self._after)]
        case = draw.choices([case for case, _ in _CASES], [share for _, share in _CASES])[0]
        text, spans, keys = "", [], []
        for literal, slot in frame:
            text += case(literal)
            surface = self._surface() if slot in ("e", "es") else None
            if surface is not None:
                several = slot == "es" and surface.plural
                filled = case(surface.plural if several else surface.shown)
                spans.append((len(text), len(text) + len(filled)))
                keys.append(surface.key)
            else:
                filled = case(self._filler(slot))
            text += filled
        return Sentence(text, tuple(spans), tuple(keys))

    def _surface(self) -> Surface:
        """The popular ones more often than the rare."""
        surfaces = self._fillers.surfaces
        return surfaces[int(len(surfaces) * self._random.random() ** 2)]

    def _filler(self, slot: str) -> str:
        draw = self._random
        if slot == "adj":
            return draw.choice(self._fillers.adjectives)
        if slot == "w":
            return draw.choice(self._fillers.words)
        if slot == "n":
            return draw.choice(self._fillers.numbers)
        if slot == "x":
            word = "".join(draw.choices(self._fillers.syllables, k=draw.randint(2, 3)))
            return word.title() if draw.random() < 0.5 else word
        if slot == "file":
            parts = draw.choice(self._files)
            return "".join(literal + self._filler(inner) for literal, inner in parts)
        return ""


def write_without(writer: Writer, count: int, barred: AliasMatcher | None) -> list[Sentence]:
    """Texts in which a matcher finds nothing; fewer than ``count`` if it finds much.

    Raises:
        InputError: It finds something in every one.
    """
    kept: list[Sentence] = []
    for _ in range(_ROUNDS):
        batch = [writer.write() for _ in range(count)]
        if barred is not None:
            hit = set(np.unique(barred.match([one.text for one in batch]).texts).tolist())
            batch = [one for number, one in enumerate(batch) if number not in hit]
        kept += batch
        if len(kept) >= count:
            break
    if not kept:
        raise InputError("every generated text has a held-out surface form; set held_out lower")
    return kept[:count]


def free_of(frames: Sequence[str], matcher: AliasMatcher) -> list[str]:
    """The frames, or words, in which the matcher finds no alias; all if it does in each."""
    plain = [_SLOT.join(literal for literal, _ in _parse(frame)) for frame in frames]
    hit = set(matcher.match(plain).texts.tolist())
    return [frame for number, frame in enumerate(frames) if number not in hit] or list(frames)


_SLOT = "\ufffc"  # stands for what is filled in: no word, and no white space


def _parse(frame: str) -> list[tuple[str, str]]:
    """Literals, each with the slot after it, empty after the last."""
    return [(literal, slot or "") for literal, slot, _, _ in string.Formatter().parse(frame)]
