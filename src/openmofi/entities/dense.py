"""Dense entity vectors: what a text encoder makes of name and description, mixed with the graph.

Beside the sparse ones of `openmofi.entities.vectors`, if a knowledge base is built with an encoder.
A text is compared with them without sharing a word.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.entities.arrays import map_array
from openmofi.entities.kernels_hash import Ints
from openmofi.entities.text_encoder import TextEncoder, Vectors
from openmofi.errors import InputError
from openmofi.progress import bar

HEAD = "dense.json"
TEMPLATE = "{name}, {description}"  # the bare name if there is no description

_PARENTS = 0.25  # weight of the parents' mean against the entity's own vector
_ENCODED = 1_024  # entities at a time
_BLOCK = 8_192  # entities, edges or pairs at a time: 12 MB of 384 dimensions


@dataclass(frozen=True)
class DenseVectors:
    """Unit vectors of all entities, by entity row.

    Args:
        vectors: ``[entities, dimension]``, mapped.
        mean: ``[dimension]``, of all entities.
        encoder: What the user called the encoder.
        digest: Of the encoder: texts must be encoded with the same one.
    """

    vectors: npt.NDArray[np.float16]
    mean: npt.NDArray[np.float32]
    encoder: str
    digest: str

    def __len__(self) -> int:
        return len(self.vectors)

    def cosines(
        self, texts: Vectors, text_rows: Ints, entity_rows: Ints, *, centred: bool = True
    ) -> npt.NDArray[np.float32]:
        """Cosines of pairs of a text and an entity, in bounded memory.

        Args:
            texts: ``[T, dimension]`` unit vectors of the same encoder.
            text_rows: ``[P]`` rows of ``texts``.
            entity_rows: ``[P]`` entities.
            centred: Subtract the entities' mean from both: what all of them share tells nothing,
                and hides what they do not.

        Returns:
            ``[P]`` from -1 to 1.

        Raises:
            InputError: There is no such entity, the texts are another encoder's, or the file is
                damaged there.
        """
        if texts.shape[1] != len(self.mean):
            raise InputError(
                f"texts have vectors of {texts.shape[1]} dimensions, the knowledge base of "
                f"{len(self.mean)}: encode them with '{self.encoder}'"
            )
        if len(entity_rows) and not 0 <= entity_rows.min() <= entity_rows.max() < len(self):
            raise _damaged()
        shift = self.mean if centred else np.zeros_like(self.mean)
        found = np.zeros(len(text_rows), np.float32)
        for begin in range(0, len(found), _BLOCK):
            pairs = slice(begin, begin + _BLOCK)
            ours = _unit(texts[text_rows[pairs]] - shift)
            theirs = _unit(self.vectors[entity_rows[pairs]].astype(np.float32) - shift)
            found[pairs] = np.einsum("pd,pd->p", ours, theirs)
        if not np.isfinite(found).all():
            raise _damaged()
        return found.clip(-1, 1)


def load_dense(folder: Path) -> DenseVectors:
    """Map the arrays of ``folder``; an `InputError` names a file that is missing or damaged."""
    head = folder / HEAD
    try:
        content: Any = json.loads(head.read_text(encoding="utf-8"))
        encoder, digest = str(content["encoder"]), str(content["digest"])
        dimension = int(content["dimension"])
        if dimension < 1:
            raise ValueError(dimension)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise InputError(f"{head} is missing or damaged; build it again") from None
    vectors = map_array(folder / "vectors.npy", ("f2",), dimension)
    mean = map_array(folder / "mean.npy", ("f4",))
    if len(mean) != dimension or not np.isfinite(mean).all():
        raise InputError(f"{folder}: mean.npy does not fit {HEAD} or is damaged; build it again")
    return DenseVectors(vectors, mean, encoder, digest)


def write_dense(folder: Path, entities: pa.Table, edges: Ints, encoder: TextEncoder) -> None:
    """Make the vectors of all entities: ``unit(own + 0.25 * mean of the parents' own)``.

    Memory does not grow with the number of entities.

    Args:
        folder: Where to.
        entities: name and description, by row.
        edges: ``[edges, 2]`` rows of child and parent, sorted.
        encoder: Makes an entity's own vector.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shape = (len(entities), encoder.dimension)
    own_path = folder / "own.npy"
    own = np.lib.format.open_memmap(own_path, "w+", np.float16, shape)
    for begin, end in _blocks(len(entities), _ENCODED, "encode entities"):
        own[begin:end] = encoder.encode(_texts(entities.slice(begin, end - begin)), label="")
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float16, shape)
    edges = np.unique(edges, axis=0) if len(edges) else edges
    total = np.zeros(encoder.dimension)
    for begin, end in _blocks(len(entities), _BLOCK, "mix with parents"):
        vectors[begin:end] = _unit(own[begin:end] + _PARENTS * _parents(own, edges, begin, end))
        total += vectors[begin:end].sum(axis=0, dtype=np.float64)
    vectors.flush()
    del own
    own_path.unlink()
    mean = (total / len(entities)).astype(np.float32)
    np.save(folder / "mean.npy", mean, allow_pickle=False)
    head = {
        "encoder": encoder.name,
        "digest": encoder.digest,
        "dimension": encoder.dimension,
        "template": TEMPLATE,
    }
    (folder / HEAD).write_text(json.dumps(head, indent=1, ensure_ascii=False), encoding="utf-8")


def _blocks(entities: int, size: int, label: str) -> Iterator[tuple[int, int]]:
    for begin in bar(range(0, entities, size), label=label, unit="block"):
        yield begin, min(begin + size, entities)


def _texts(entities: pa.Table) -> list[str]:
    columns = (entities["name"].to_pylist(), entities["description"].to_pylist())
    pairs = zip(*columns, strict=True)
    return [TEMPLATE.format(name=name, description=text) if text else name for name, text in pairs]


def _parents(own: npt.NDArray[np.float16], edges: Ints, begin: int, end: int) -> Vectors:
    """``[end - begin, dimension]`` mean of the parents' own vectors; 0 of entities without one."""
    sums = np.zeros((end - begin, own.shape[1]), np.float32)
    first, last = np.searchsorted(edges[:, 0], [begin, end])
    for start in range(first, last, _BLOCK):  # one entity alone may have a million parents
        children, parents = edges[start : min(start + _BLOCK, last)].T
        owners, starts = np.unique(children, return_index=True)
        sums[owners - begin] += np.add.reduceat(own[parents].astype(np.float32), starts)
    counts = np.bincount(edges[first:last, 0] - begin, minlength=end - begin)
    sums /= np.maximum(counts, 1)[:, None]
    return sums


def _unit(vectors: Vectors) -> Vectors:
    """Rows of length 1; 0 stays 0."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    unit: Vectors = vectors / np.maximum(lengths, 1e-12)[:, None]
    return unit


def _damaged() -> InputError:
    return InputError("the dense entity vectors are damaged or too few; build them again")
