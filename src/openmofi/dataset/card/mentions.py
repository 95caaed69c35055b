"""An alt text in pieces: what was linked in it, and what stands between.

Offsets of mentions are code points. A browser counts UTF-16 units, so texts are cut here and never
there.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

_LONGEST = 300  # code points of a text on the page
_BEFORE = 80  # of them before the first mention, where the text has to be cut in front


class Span(NamedTuple):
    """Where an entity is mentioned."""

    start: int  # code points of the original text
    end: int
    entity: str


class Piece(NamedTuple):
    """A part of a text; ``entity`` is empty where nothing is mentioned."""

    text: str
    entity: str


def segments(text: str, spans: Iterable[Span]) -> list[Piece]:
    """The text cut at its mentions; the pieces put together are the text again.

    Args:
        text: The original.
        spans: In order of importance: one that overlaps an earlier one is left out, as is one that
            does not lie in the text.
    """
    taken: list[Span] = []
    for span in spans:
        within = 0 <= span.start < span.end <= len(text)
        if within and all(span.end <= one.start or span.start >= one.end for one in taken):
            taken.append(span)
    return [piece for piece in _cut(text, sorted(taken)) if piece.text]


def shortened(text: str, spans: Sequence[Span]) -> tuple[str, list[Span]]:
    """A text of at most 300 code points and its spans, the first of which stays in view."""
    if len(text) <= _LONGEST:
        return text, list(spans)
    inside = [span for span in spans if 0 <= span.start < span.end <= len(text)]
    start = 0
    wide = _LONGEST - 2  # and a "…" at either end
    if inside and inside[0].end > wide:
        start = min(max(inside[0].start - _BEFORE, 0), len(text) - wide)
    window = text[start : start + wide]
    front = "…" if start else ""
    shift = start - len(front)
    short = front + window + ("…" if start + len(window) < len(text) else "")
    moved = [Span(s.start - shift, s.end - shift, s.entity) for s in inside]
    return short, [s for s in moved if s.start >= len(front) and s.end <= len(front + window)]


def _cut(text: str, spans: Sequence[Span]) -> Iterator[Piece]:
    at = 0
    for span in spans:
        yield Piece(text[at : span.start], "")
        yield Piece(text[span.start : span.end], span.entity)
        at = span.end
    yield Piece(text[at:], "")
