"""Entity vectors: sparse tf-idf of name, aliases, description and graph neighbours.

Made when the knowledge base is built and mapped when it is used. No download, no training: two
senses of a word differ in the words around them, and a caption shares some of those.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from openmofi.entities.arrays import map_array
from openmofi.entities.hashing import Hashes
from openmofi.entities.sources import SourceEntity
from openmofi.entities.terms import term_hashes
from openmofi.entities.text import Ints, tokenize

Floats = npt.NDArray[np.float64]

_BATCH = 10_000  # entities folded at a time
_PARENT = 0.5  # weight of a parent's words against the entity's own
_CHILD = 0.25  # of a child's
_MAX_CHILDREN = 16  # the first by id; "animal" would else hold every word


@dataclass(frozen=True)
class EntityVectors:
    """Unit vectors of all entities in CSR form, over hashed terms.

    Args:
        terms: ``[terms]`` sorted hashes.
        idf: ``[terms]`` inverse document frequency, scaled to at most 1.
        starts: ``[entities + 1]`` where each entity's entries begin.
        columns: Index into ``terms``, increasing within an entity.
        values: Weights; each entity's have the Euclidean length 1.
    """

    terms: Hashes
    idf: npt.NDArray[np.float32]
    starts: Ints
    columns: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]

    def save(self, folder: Path) -> None:
        """Write one ``.npy`` file an array."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in self.__dataclass_fields__:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)

    def rows(self, entities: Ints) -> tuple[Ints, Ints, Floats]:
        """All entries of some entities: position in ``entities``, term, value."""
        begins = self.starts[entities]
        lengths = self.starts[entities + 1] - begins
        owners = np.repeat(np.arange(len(entities)), lengths)
        shift = np.repeat(begins - (np.cumsum(lengths) - lengths), lengths)
        entries = np.arange(len(owners)) + shift
        return owners, self.columns[entries].astype(np.int64), self.values[entries].astype(float)

    def find_terms(self, hashes: Hashes) -> Ints:
        """Index of each term, -1 for words that no entity has."""
        if not len(self.terms):
            return np.full(len(hashes), -1, np.int64)
        places = np.minimum(np.searchsorted(self.terms, hashes), len(self.terms) - 1)
        return np.where(self.terms[places] == hashes, places, -1)


def load_vectors(folder: Path) -> EntityVectors:
    """Map the arrays of ``folder``; an `InputError` names a file that is missing or cut short."""
    names = EntityVectors.__dataclass_fields__
    return EntityVectors(**{name: map_array(folder / f"{name}.npy") for name in names})


def build_vectors(entities: Sequence[SourceEntity], edges: Ints) -> EntityVectors:
    """Vectors of entities and their neighbours.

    Args:
        entities: Sorted by id.
        edges: ``[edges, 2]`` rows of child and parent, sorted.
    """
    rows, hashes = _own_terms(entities)
    terms, columns = np.unique(hashes, return_inverse=True)
    starts = np.searchsorted(rows, np.arange(len(entities) + 1))
    known = np.unique(rows * max(1, len(terms)) + columns) % max(1, len(terms))
    frequency = np.bincount(known, minlength=len(terms))  # entities that have the term
    idf = np.log(1 + len(entities) / np.maximum(frequency, 1))
    idf /= idf.max(initial=1e-9)
    parts = [(rows, columns, np.ones(len(rows)))]
    children, parents = edges[:, 0], edges[:, 1]
    parts.append(_borrowed(starts, columns, children, parents, _PARENT))
    by_parent = np.lexsort((children, parents))
    rank = np.arange(len(edges)) - np.searchsorted(parents[by_parent], parents[by_parent])
    few = by_parent[rank < _MAX_CHILDREN]
    parts.append(_borrowed(starts, columns, parents[few], children[few], _CHILD))
    return _normalised(parts, len(entities), terms, idf)


def _own_terms(entities: Sequence[SourceEntity]) -> tuple[Ints, Hashes]:
    """Row and hash of every word of every entity, by row."""
    rows, hashes = [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)]
    for begin in range(0, len(entities), _BATCH):
        batch = entities[begin : begin + _BATCH]
        tokens = tokenize(
            ["; ".join([e.name, *(a for a, _ in e.aliases), e.description]) for e in batch]
        )
        found, counts = term_hashes(tokens)
        rows.append(tokens.texts[counts] + begin)
        hashes.append(found[counts])
    return np.concatenate(rows), np.concatenate(hashes)


def _borrowed(
    starts: Ints, columns: Ints, takers: Ints, givers: Ints, weight: float
) -> tuple[Ints, Ints, Floats]:
    """The givers' own terms as entries of the takers."""
    lengths = starts[givers + 1] - starts[givers]
    shift = np.repeat(starts[givers] - (np.cumsum(lengths) - lengths), lengths)
    entries = np.arange(len(shift)) + shift
    return np.repeat(takers, lengths), columns[entries], np.full(len(shift), weight)


def _normalised(
    parts: Sequence[tuple[Ints, Ints, Floats]], entities: int, terms: Hashes, idf: Floats
) -> EntityVectors:
    """Sum entries of one entity and term, damp by the square root, weigh by idf, scale to 1."""
    rows, columns, counts = (np.concatenate(part) for part in zip(*parts, strict=True))
    width = max(1, len(terms))
    cells, inverse = np.unique(rows * width + columns, return_inverse=True)
    rows, columns = cells // width, cells % width
    values = np.sqrt(np.bincount(inverse, counts, len(cells))) * idf[columns]
    norms = np.sqrt(np.bincount(rows, values**2, entities))
    return EntityVectors(
        terms=terms,
        idf=idf.astype(np.float32),
        starts=np.searchsorted(rows, np.arange(entities + 1)).astype(np.int64),
        columns=columns.astype(np.int32),
        values=(values / norms[rows]).astype(np.float32),
    )
