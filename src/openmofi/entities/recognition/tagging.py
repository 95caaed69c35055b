"""Tagging schemes: what the labels of a token classifier say about where spans begin and end."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from openmofi.entities.kernels_hash import Ints
from openmofi.entities.vectors import Floats
from openmofi.errors import InputError

# Letters of IOB1, BIO, IOBES, BILOU and BMES. "B" alone is a prefix without a kind.
_PREFIXED = re.compile(r"([BIMELSU])(?:[-_](.*))?", re.DOTALL)
_SPECIAL = re.compile(r"\[.*\]|<.*>", re.DOTALL)  # [PAD], [CLS]: some models label those too
_BEGINS = frozenset("BSU")
_ENDS = frozenset("ELSU")


@dataclass(frozen=True)
class Tag:
    """One label of a model.

    Args:
        prefix: ``B``, ``I`` and so on; empty for plain labels, ``O`` outside.
        label: The kind of entity; empty outside.
    """

    prefix: str
    label: str


@dataclass(frozen=True)
class Words:
    """The words of one text as the model labelled them."""

    starts: Ints  # [words] code points of the text; past its end if the word is empty
    ends: Ints  # [words]
    tags: Ints  # [words] number of the label
    scores: Floats  # [words] its probability


@dataclass
class SpanList:
    """Spans of many texts, in order."""

    texts: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


def read_tags(labels: Sequence[str], name: str) -> tuple[Tag, ...]:
    """Read the scheme off all labels of a model: prefixed if every one but ``O`` is.

    Args:
        labels: By number.
        name: What the model is called in the message.

    Raises:
        InputError: No label says "outside", or no other is there.
    """
    outside = [label.upper() == "O" or bool(_SPECIAL.fullmatch(label)) for label in labels]
    inside = [label for label, is_outside in zip(labels, outside, strict=True) if not is_outside]
    if not any(outside) or not inside:
        known = ", ".join(labels[:6])
        raise InputError(
            f"{name}: its labels ({known}) must be 'O' and kinds of entities, such as B-PER"
        )
    matched = [_PREFIXED.fullmatch(label) for label in inside]
    is_prefixed = all(matched)
    tags = []
    for label, is_outside in zip(labels, outside, strict=True):
        match = _PREFIXED.fullmatch(label)
        if is_outside:
            tags.append(Tag("O", ""))
        elif is_prefixed and match:
            tags.append(Tag(match[1], match[2] or ""))
        else:
            tags.append(Tag("", label))
    return tuple(tags)


def decode(text: str, number: int, words: Words, tags: Sequence[Tag], found: SpanList) -> None:
    """Add the spans of a text to ``found``; what contradicts the scheme is read leniently.

    A span ends where its label does; a new one begins there, at ``B``, or after ``E``. Thus IOB1
    and BIO need not be told apart.
    """
    chosen = [tags[tag] for tag in words.tags.tolist()]
    open_since = -1
    before = 0  # no two spans share a character
    for place, tag in enumerate([*chosen, Tag("O", "")]):
        last = chosen[place - 1] if place else Tag("O", "")
        if open_since >= 0 and not _continues(last, tag):
            before = _add(text, number, words, (open_since, place), last.label, before, found)
            open_since = -1
        if open_since < 0 and tag.prefix != "O":
            open_since = place


def _continues(last: Tag, tag: Tag) -> bool:
    if tag.prefix == "O" or tag.label != last.label:
        return False
    return tag.prefix not in _BEGINS and last.prefix not in _ENDS


def _add(
    text: str,
    number: int,
    words: Words,
    places: tuple[int, int],
    label: str,
    before: int,
    found: SpanList,
) -> int:
    """Add one span without the white space around it; where the next one may begin."""
    first, stop = places
    start = max(int(words.starts[first:stop].min()), before)
    end = int(words.ends[first:stop].max())
    surface = text[start:end]
    start += len(surface) - len(surface.lstrip())
    end = start + len(surface.strip())
    if start >= end:
        return before
    found.texts.append(number)
    found.starts.append(start)
    found.ends.append(end)
    found.scores.append(float(words.scores[first:stop].mean()))
    found.labels.append(label)
    return end
