"""Finding entities with any token-classification model of transformers.

A model's labels say where mentions are, a knowledge base is not needed for it. Windows of one
length are read together and none is padded, so a text's neighbours cannot change its spans.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from openmofi.entities.kernels_hash import Ints
from openmofi.entities.recognition.files import RecognizerFiles, digest_of, load_files
from openmofi.entities.recognition.tagging import SpanList, Words, decode
from openmofi.entities.recognition.windows import TokenizedText, Window, tokenize_texts, windows_of
from openmofi.entities.vectors import Floats

_GROUP = 128  # batches whose windows are sorted by length together
_BATCH_TOKENS = 512  # a window; models that read longer ones read fewer at once


@dataclass(frozen=True)
class RecognizedSpans:
    """What a model takes for mentions, by text, then by place; none overlap."""

    texts: Ints  # [spans] which text
    starts: Ints  # [spans] where it begins, in code points of the text as it was given
    ends: Ints  # [spans] where it ends
    scores: Floats  # [spans] mean probability of its words' labels, each that of its first token
    labels: list[str]  # [spans] kind of entity, without prefix

    def __len__(self) -> int:
        return len(self.labels)


class Recognizer:
    """A loaded model."""

    def __init__(self, files: RecognizerFiles, *, batch_size: int) -> None:
        self._files = files
        self._batch_size = batch_size

    @functools.cached_property
    def digest(self) -> str:
        """Of labels, tokenizer and weights: the same for one model in a folder and on a hub."""
        return digest_of(self._files)

    def find(self, texts: Sequence[str]) -> RecognizedSpans:
        """The mentions of some texts.

        Spans begin and end with words, and with no white space. A word's label is that of its
        first token. Long texts are read in windows that overlap, whole. Scores, not spans, may
        differ by rounding between batch sizes.
        """
        found = SpanList()
        for group in self._groups(tokenize_texts(self._files.tokenizer, texts)):
            for one, (tags, scores) in zip(group, self._classify(group), strict=True):
                words = Words(one.starts, one.ends, tags[one.firsts], scores[one.firsts])
                decode(texts[one.number], one.number, words, self._files.tags, found)
        return RecognizedSpans(
            texts=np.array(found.texts, np.int64),
            starts=np.array(found.starts, np.int64),
            ends=np.array(found.ends, np.int64),
            scores=np.array(found.scores, np.float64),
            labels=found.labels,
        )

    def _groups(self, texts: Iterable[TokenizedText]) -> Iterator[list[TokenizedText]]:
        """Texts that are sorted together."""
        group: list[TokenizedText] = []
        windows = 0
        for text in texts:
            group.append(text)
            windows += 1 + len(text.ids) // self._files.room
            if windows >= _GROUP * self._batch_size:
                yield group
                group, windows = [], 0
        if group:
            yield group

    def _classify(self, group: Sequence[TokenizedText]) -> list[tuple[Ints, Floats]]:
        """Number and probability of each token's label."""
        results = [
            (np.zeros(len(one.ids), np.int64), np.zeros(len(one.ids), np.float64)) for one in group
        ]
        for batch in self._batches(group):
            tags, scores = self._read([group[w.text].ids[w.start : w.stop] for w in batch])
            for row, window in enumerate(batch):
                kept = slice(window.kept_from, window.kept_to)
                inside = slice(window.kept_from - window.start, window.kept_to - window.start)
                results[window.text][0][kept] = tags[row, inside]
                results[window.text][1][kept] = scores[row, inside]
        return results

    def _batches(self, group: Sequence[TokenizedText]) -> Iterator[list[Window]]:
        """Windows of one length, so that none needs padding."""
        by_length: dict[int, list[Window]] = {}
        for place, one in enumerate(group):
            for window in windows_of(place, len(one.ids), self._files.room):
                by_length.setdefault(window.stop - window.start, []).append(window)
        for length in sorted(by_length):
            windows = by_length[length]
            size = max(1, min(self._batch_size, self._batch_size * _BATCH_TOKENS // length))
            for begin in range(0, len(windows), size):
                yield windows[begin : begin + size]

    def _read(self, ids: Sequence[Ints]) -> tuple[Ints, Floats]:
        """``[windows, tokens]`` the likeliest label of each token, and its probability."""
        import torch

        files = self._files
        rows = [[*files.prefix, *row.tolist(), *files.suffix] for row in ids]
        tokens = torch.tensor(rows, device=files.device)
        first, stop = len(files.prefix), len(files.prefix) + len(ids[0])
        with torch.inference_mode():
            logits = files.model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits
            scores, tags = logits[:, first:stop].softmax(-1).max(-1)
        return tags.cpu().numpy(), scores.cpu().numpy().astype(np.float64)


def load_recognizer(where: str, *, device: str = "auto", batch_size: int = 32) -> Recognizer:
    """Load a token-classification model of transformers.

    Args:
        where: A folder as ``save_pretrained`` writes it, or a hub id. Its labels may be IOB1, BIO,
            IOBES, BILOU, or plain kinds beside ``O``.
        device: ``auto``, ``cpu`` or a CUDA device.
        batch_size: Windows that are read at once.

    Raises:
        InputError: A file is missing or damaged, the id is out of reach, the tokenizer gives no
            offsets, or the weights are not of a trained token classifier.
    """
    return Recognizer(load_files(where, device), batch_size=batch_size)
