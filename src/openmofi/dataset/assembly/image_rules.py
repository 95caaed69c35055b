"""What assembly knows by an image's embedding: scores of heads, and what evaluation holds too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.dataset.config import HeadRule
from openmofi.dataset.duplicates.vector_search import near_between
from openmofi.labeling.embed import read_embeddings
from openmofi.labeling.heads import LinearHead, read_head

Flags = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class BoundedHead:
    """A head, which of its outputs counts, and the bounds, which are allowed themselves."""

    head: LinearHead
    output: int
    rule: HeadRule

    def describe(self) -> dict[str, Any]:
        """What decides: the file's content, not its place."""
        return {
            "digest": self.head.digest,
            "output": self.head.outputs[self.output],
            "min": self.rule.min,
            "max": self.rule.max,
        }

    def refuses(self, scores: Scores) -> Flags:
        """Which of its scores [images] are out of bounds."""
        # Compared as float32, the type of the scores.
        low = -np.inf if self.rule.min is None else self.rule.min
        high = np.inf if self.rule.max is None else self.rule.max
        return (scores < np.float32(low)) | (scores > np.float32(high))


def read_heads(rules: Mapping[str, HeadRule], model: str) -> dict[str, BoundedHead]:
    """The heads of a config, by name.

    Args:
        rules: Of `AssembleConfig`.
        model: Digest of the model that embedded the pool.

    Raises:
        InputError: A file is no head, has no such output or was fitted on another model.
    """
    found = {}
    for name, rule in sorted(rules.items()):
        head = read_head(rule.file)
        head.check_encoder(model)
        found[name] = BoundedHead(head, head.output_index(rule.output), rule)
    return found


@dataclass(frozen=True)
class ImageRules:
    """All that is known by embedding alone, one shard at a time.

    Args:
        heads: With their bounds.
        held_out: [images, dim] of the evaluation sets; None: not compared.
        cosine: With one of ``held_out`` from which an image counts as the same.
    """

    heads: Sequence[BoundedHead] = ()
    held_out: npt.NDArray[np.float16] | None = None
    cosine: float = 1.0

    @property
    def needed(self) -> bool:
        """Whether embeddings must be read at all."""
        return bool(self.heads) or self.held_out is not None

    def known(self, embeddings: pa.Table) -> tuple[Flags, Scores, Flags]:
        """Which images are near an evaluation set's, and the heads' scores.

        Args:
            embeddings: A table of `records.image_embeddings_schema`.

        Returns:
            Bool [rows]; float32 [embedded, heads]; bool [rows], which of them are embedded.
        """
        vectors, places = read_embeddings(embeddings)
        near = np.zeros(len(vectors), bool)
        if self.held_out is not None:
            near[near_between(self.held_out, vectors, self.cosine)[:, 1]] = True
        scores = np.zeros((len(vectors), len(self.heads)), np.float32)
        for column, one in enumerate(self.heads):
            scores[:, column] = one.head.scores(vectors)[:, one.output]
        # Of an image without an embedding, the place is -1: what stands at the end.
        return np.append(near, False)[places], scores, places >= 0


def refused(heads: Sequence[BoundedHead], scores: Scores, embedded: Flags) -> Flags:
    """Which images the heads refuse, bool [rows].

    A score that is not known clears no bound: heads refuse images without an embedding.

    Args:
        heads: With their bounds.
        scores: Of `ImageRules.known`, as is ``embedded``.
        embedded: Which images have scores.
    """
    found = np.full(len(embedded), bool(heads))
    out = np.zeros(len(scores), np.bool_)
    for column, one in enumerate(heads):
        out |= one.refuses(scores[:, column])
    found[embedded] = out
    return found
