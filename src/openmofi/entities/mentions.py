"""Where mentions come from: the alias matcher, a token-classification model, or both."""

from typing import Protocol

import numpy as np
import pyarrow as pa

from openmofi.entities.config import LinkConfig
from openmofi.entities.kernels_hash import Bools, Ints
from openmofi.entities.kernels_match import HEADS, NESTED, RECOGNIZED, STOPPED
from openmofi.entities.matcher import AliasMatcher
from openmofi.entities.recognition.recognizer import (
    RecognizedSpans,
    Recognizer,
    load_recognizer,
)
from openmofi.entities.text import Tokens


class Mentions(Protocol):
    """What finds mentions."""

    def rows(self, tokens: Tokens, texts: pa.Array) -> Ints:
        """As `openmofi.entities.kernels_match.search` gives them."""


def mentions_of(matcher: AliasMatcher, settings: LinkConfig) -> Mentions:
    """What the settings ask for; a model is loaded here."""
    if settings.mentions == "matcher":
        return MatcherMentions(matcher)
    recognizer = load_recognizer(settings.recognizer)
    return RecognizerMentions(matcher, recognizer, matched=settings.mentions == "both")


class MatcherMentions:
    """All aliases, the longest first; the rules drop what no noun is."""

    def __init__(self, matcher: AliasMatcher) -> None:
        self._matcher = matcher

    def rows(self, tokens: Tokens, texts: pa.Array) -> Ints:
        """As `openmofi.entities.kernels_match.search` gives them."""
        return self._matcher.rows(tokens, HEADS | STOPPED)


class RecognizerMentions:
    """What a model marks and the knowledge base knows, as it stands or as a plural.

    Args:
        matcher: Of the knowledge base.
        recognizer: The model.
        matched: Keep what the matcher finds too; then the model overrules the rules.
    """

    def __init__(self, matcher: AliasMatcher, recognizer: Recognizer, *, matched: bool) -> None:
        self._matcher = matcher
        self._recognizer = recognizer
        self._matched = matched

    def rows(self, tokens: Tokens, texts: pa.Array) -> Ints:
        """As `openmofi.entities.kernels_match.search` gives them, what the model marked marked."""
        spans = self._recognizer.find(texts.to_pylist())
        rows = self._matcher.rows(tokens, (HEADS if self._matched else NESTED) | STOPPED)
        marked = _is_span(rows, tokens, spans)
        if self._matched:
            rows[marked & (rows[:, 3] != NESTED), 3] = RECOGNIZED
            return rows
        rows = rows[marked]
        rows[:, 3] = RECOGNIZED
        return rows[np.argsort(rows[:, 1], kind="stable")]


def _is_span(rows: Ints, tokens: Tokens, spans: RecognizedSpans) -> Bools:
    """``[rows]`` whether the model marked exactly these words."""
    wanted = set(zip(spans.texts.tolist(), spans.starts.tolist(), spans.ends.tolist(), strict=True))
    first, last = rows[:, 1], rows[:, 2]
    places = zip(
        tokens.texts[first].tolist(),
        tokens.first[first].tolist(),
        tokens.last[last].tolist(),
        strict=True,
    )
    return np.array([place in wanted for place in places], np.bool_)
