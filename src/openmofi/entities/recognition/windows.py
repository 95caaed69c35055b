"""Texts as a model's tokens with offsets, and the windows in which the model reads them."""

import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from openmofi.entities.kernels_hash import Bools, Ints
from openmofi.entities.text import SURROGATE
from openmofi.progress import bar

_PIECE = 10_000  # characters; tokenizers take ten times the memory of their tokens
_CALL = 200_000  # characters tokenized at once
_REPLACEMENT = "\ufffd"


def _table(characters: Iterable[str]) -> Bools:
    """By code point, whether it is one of the characters."""
    table = np.zeros(sys.maxunicode + 1, np.bool_)
    table[[ord(character) for character in characters]] = True
    return table


_IS_SPACE = _table(character for character in map(chr, range(0x3001)) if character.isspace())
# Some tokenizers cut at white space only, so that a word may end with these.
_IS_CLOSING = _table(".,;:!?\"')]}\u00bb\u2026\u201d\u2019\u3001\u3002\uff0c")


@dataclass(frozen=True)
class TokenizedText:
    """One text; the places are code points of it as it was given."""

    number: int  # which text
    ids: Ints  # [tokens]
    firsts: Ints  # [words] first token of each word
    starts: Ints  # [words] where it begins; past its end if no character is left of it
    ends: Ints  # [words]


class Window(NamedTuple):
    """A stretch of a text's tokens that the model reads at once."""

    text: int  # place among the texts that are read together
    start: int
    stop: int
    kept_from: int  # what is taken over: each token from where it has most around it
    kept_to: int


class _Piece(NamedTuple):
    number: int
    begin: int
    text: str


class _Part(NamedTuple):
    number: int
    ids: Ints
    starts: Ints
    ends: Ints
    words: Ints


def tokenize_texts(tokenizer: Any, texts: Sequence[str]) -> Iterator[TokenizedText]:
    """Tokens of each text that has any, without the special ones.

    Long texts go through the tokenizer in pieces, so that memory does not grow with them much.
    """
    shown = bar(texts, label="recognize entities", total=len(texts), unit=" texts")
    parts = _parts(tokenizer, _pieces(shown))
    for number, grouped in itertools.groupby(parts, lambda part: part.number):
        columns = list(zip(*grouped, strict=True))[1:]
        ids, starts, ends, words = map(np.concatenate, columns)
        if len(ids):
            yield _tokenized(number, texts[number], ids, starts, ends, words)


def windows_of(text: int, tokens: int, room: int) -> list[Window]:
    """Windows of at most ``room`` tokens that overlap by a quarter; the last ends with the text."""
    step = room - room // 4
    last = max(tokens - room, 0)
    starts = [*range(0, last, step), last]
    borders = [
        0,
        *((one + room + other) // 2 for one, other in itertools.pairwise(starts)),
        tokens,
    ]
    return [
        Window(text, start, min(start + room, tokens), *borders[place : place + 2])
        for place, start in enumerate(starts)
    ]


def _pieces(texts: Iterable[str]) -> Iterator[_Piece]:
    """Each text, cut before white space where it is long."""
    for number, text in enumerate(texts):
        begin = 0
        while begin < len(text):
            end = begin + _PIECE
            if end < len(text):
                cut = max(text.rfind(space, end - _PIECE // 2, end) for space in " \n\t")
                end = cut if cut > 0 else end
            # Tokenizers refuse halves of surrogate pairs; the offsets stay.
            yield _Piece(number, begin, SURROGATE.sub(_REPLACEMENT, text[begin:end]))
            begin = end


def _parts(tokenizer: Any, pieces: Iterable[_Piece]) -> Iterator[_Part]:
    for batch in _calls(pieces):
        encoded = tokenizer(
            [piece.text for piece in batch],
            add_special_tokens=False,
            return_attention_mask=False,
            verbose=False,  # it would warn of long texts
        )
        for piece, encoding in zip(batch, encoded.encodings, strict=True):
            offsets = np.array(encoding.offsets, np.int64).reshape(-1, 2) + piece.begin
            words = [-1 if word is None else word + piece.begin for word in encoding.word_ids]
            ids = np.array(encoding.ids, np.int64)
            yield _Part(piece.number, ids, offsets[:, 0], offsets[:, 1], np.array(words, np.int64))


def _calls(pieces: Iterable[_Piece]) -> Iterator[list[_Piece]]:
    batch: list[_Piece] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += len(piece.text)
        if size >= _CALL:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _tokenized(
    number: int, text: str, ids: Ints, starts: Ints, ends: Ints, words: Ints
) -> TokenizedText:
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    is_space = _IS_SPACE[codes]
    starts, ends = _without_spaces(is_space, starts, ends)
    firsts = np.flatnonzero(_begin_words(is_space, words, starts, ends))
    # A closing mark after the first token is left out of the word, not of the text's tokens.
    closing = np.concatenate(([0], np.cumsum(_IS_CLOSING[codes])))
    counted = ends > starts
    is_mark = closing[ends] - closing[starts] == ends - starts
    is_mark[firsts] = False
    word_ends = np.maximum.reduceat(np.where(counted & ~is_mark, ends, 0), firsts)
    word_starts = np.minimum.reduceat(np.where(counted, starts, len(text)), firsts)
    return TokenizedText(number, ids, firsts, word_starts, word_ends)


def _without_spaces(is_space: Bools, starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Offsets without the white space that some tokenizers count to a word.

    Tokens of nothing else become empty ones before the next character, whose word they may begin.
    """
    solid = np.flatnonzero(~is_space)
    if not len(solid):
        return starts, starts
    after = np.searchsorted(solid, starts)
    before = np.searchsorted(solid, ends) - 1
    first = np.where(after < len(solid), solid[np.minimum(after, len(solid) - 1)], len(is_space))
    last = np.where(before >= 0, solid[np.maximum(before, 0)] + 1, 0)
    return first, np.maximum(first, last)


def _begin_words(is_space: Bools, words: Ints, starts: Ints, ends: Ints) -> Bools:
    """Which tokens begin a word: another number, or white space before it.

    Tokenizers without a pre-tokenizer give a whole text one number.
    """
    spaces = np.concatenate(([0], np.cumsum(is_space)))
    begins = np.ones(len(words), np.bool_)
    begins[1:] = (words[1:] != words[:-1]) | (spaces[starts[1:]] > spaces[ends[:-1]])
    return begins
