"""From entities with aliases to surface keys with candidates: P(entity | surface)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from openmofi.entities.sources import SourceEntity
from openmofi.entities.text import Ints, Tokens, tokenize

_BATCH = 20_000  # texts folded at a time


@dataclass(frozen=True)
class Surfaces:
    """Surface keys, sorted, each with its candidates (entity row, prior), likeliest first."""

    keys: list[str]
    postings: list[list[tuple[int, float]]]
    too_long: int  # aliases of more tokens than the matcher takes
    without_word: int  # aliases that are punctuation alone


def collect_surfaces(
    entities: Sequence[SourceEntity], plurals: Mapping[str, str], max_tokens: int
) -> Surfaces:
    """Group the aliases of all entities by surface key.

    Args:
        entities: Sorted by id; an entity's row is its place here.
        plurals: Irregular plural to singular, folded. Those of several words become aliases;
            the matcher itself knows those of one word.
        max_tokens: Longer aliases are left out.
    """
    weights: dict[str, dict[int, float]] = {}
    counts = {"too_long": 0, "without_word": 0}
    flat = [(row, alias) for row, entity in enumerate(entities) for alias in entity.aliases]
    keyed = surface_keys([alias for _, (alias, _) in flat])
    for (row, (_, weight)), (key, length) in zip(flat, keyed, strict=True):
        if not key or length > max_tokens:
            counts["too_long" if key else "without_word"] += 1
            continue
        for form in _forms(key):
            known = weights.setdefault(form, {})
            known[row] = max(weight, known.get(row, 0.0))
    for plural, singular in plurals.items():
        if " " in plural and singular in weights:
            weights.setdefault(plural, weights[singular])
    keys = sorted(weights)
    return Surfaces(keys=keys, postings=[_posting(weights[key]) for key in keys], **counts)


def surface_keys(texts: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Surface key and number of tokens of each text."""
    for begin in range(0, len(texts), _BATCH):
        batch = texts[begin : begin + _BATCH]
        tokens = tokenize(batch)
        first, count = _spans(tokens, len(batch))
        for start, length in zip(first.tolist(), count.tolist(), strict=True):
            yield (tokens.key(start, start + length - 1) if length else ""), length


def _spans(tokens: Tokens, texts: int) -> tuple[Ints, Ints]:
    count = np.bincount(tokens.texts, minlength=texts)
    return np.cumsum(count) - count, count


def _forms(key: str) -> list[str]:
    """The key, and without abbreviation marks: "st. louis" is also written "st louis"."""
    bare = key.replace(". ", " ")
    return [key] if bare == key else [key, bare]


def _posting(weights: Mapping[int, float]) -> list[tuple[int, float]]:
    total = sum(weights.values())
    if total == 0:  # only entities of weight 0 bear this name: none is likelier
        return [(row, 1 / len(weights)) for row in sorted(weights)]
    return sorted(
        ((row, weight / total) for row, weight in weights.items()),
        key=lambda posting: (-posting[1], posting[0]),
    )
