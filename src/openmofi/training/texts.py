"""Which label and which text stand for a sample, and the text's tokens."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import pyarrow as pa
import torch

from openmofi.training.draws import uniforms

KINDS = ("alt_text", "name", "name_and_description")
ALT_TEXT_ONLY = {"alt_text": 1.0}

_CACHED_TEXTS = 1 << 16

# When a sample comes: the epoch, or for its repeats in an epoch another name a repeat.
Turn = int | str
Tokenizer = Callable[[list[str]], torch.Tensor]
TextMixes = Mapping[str, Mapping[str, float]]


class SampleTexts:
    """Draws one label and one text a sample, as a function of (seed, turn, uid).

    Args:
        vocabulary: `openmofi.records.VOCABULARY`, class ``i`` in row ``i``.
        tokenizer: ``list[str]`` to ``int64[B, context]``.
        mixes: Weights of the kinds of text (`KINDS`), by the objective that asks for them.
        seed: Another one gives other draws.
    """

    def __init__(
        self, vocabulary: pa.Table, tokenizer: Tokenizer, mixes: TextMixes, *, seed: int
    ) -> None:
        self._names: list[str] = vocabulary.column("name").to_pylist()
        self._descriptions: list[str] = vocabulary.column("description").to_pylist()
        self._mixes = mixes
        self._seed = seed
        # The same few thousand texts come again every epoch.
        self._tokens = lru_cache(maxsize=_CACHED_TEXTS)(lambda text: tokenizer([text])[0])

    def label(self, turn: Turn, sample: Mapping[str, Any]) -> int:
        """One of the sample's class indices, all equally likely; -1 without any."""
        labels: list[int] = sample["labels"]
        if not labels:
            return -1
        (draw,) = uniforms(1, self._seed, turn, sample["uid"], "label")
        return labels[int(draw * len(labels))]

    def text(self, objective: str, turn: Turn, sample: Mapping[str, Any], label: int) -> str:
        """One of the sample's texts; its alt text when there is no label (-1)."""
        alt_text: str = sample["alt_text"]
        if label < 0:
            return alt_text
        (draw,) = uniforms(1, self._seed, turn, sample["uid"], "text")
        kind = _pick(self._mixes[objective], draw)
        name, description = self._names[label], self._descriptions[label]
        if kind == "alt_text":
            return alt_text or name
        if kind == "name" or not description:
            return name
        return f"{name}, {description}"

    def tokens(
        self, turns: Sequence[Turn], samples: Sequence[Mapping[str, Any]], labels: Sequence[int]
    ) -> dict[str, torch.Tensor]:
        """Tokens ``int64[B, context]`` of a batch, by objective."""
        rows = list(zip(turns, samples, labels, strict=True))
        return {
            name: torch.stack([self._tokens(self.text(name, *row)) for row in rows])
            for name in self._mixes
        }


def _pick(mix: Mapping[str, float], draw: float) -> str:
    left = draw * sum(mix.values())
    chosen = ""
    for kind in KINDS:
        weight = mix.get(kind, 0.0)
        if weight > 0:
            chosen = kind
            if left < weight:
                break
        left -= weight
    return chosen
