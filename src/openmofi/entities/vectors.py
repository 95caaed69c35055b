"""Entity vectors: sparse tf-idf of name, aliases, description and graph neighbours.

Made when the knowledge base is built and mapped when it is used. No download, no training: two
senses of a word differ in the words around them, and a caption shares some of those.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.entities.arrays import ArrayWriter, map_array
from openmofi.entities.kernels_hash import Hashes, Ints, fixed
from openmofi.entities.kernels_settle import Vectors
from openmofi.entities.kernels_vectors import weigh
from openmofi.entities.priors import Postings
from openmofi.entities.terms import stop_hashes, term_hashes
from openmofi.entities.text import tokenize
from openmofi.errors import InputError
from openmofi.progress import bar

Floats = npt.NDArray[np.float64]

_BATCH = 20_000  # entities at a time
_PARENT = 0.5  # weight of a parent's words against the entity's own
_CHILD = 0.25  # of a child's
_BUCKET_BITS = 16  # of a hash, by which a term is found
_MAX_CHILDREN = 16  # the first by id; "animal" would else hold every word


@dataclass(frozen=True)
class EntityVectors:
    """Unit vectors of all entities in CSR form, over hashed terms.

    Args:
        terms: ``[terms]`` sorted hashes.
        idf: ``[terms]`` inverse document frequency, scaled to at most 1.
        starts: ``[entities + 1]`` where each entity's entries begin.
        columns: Index into ``terms``.
        values: Weights, the greatest of an entity first; each entity's have the Euclidean length 1.
    """

    terms: Hashes
    idf: npt.NDArray[np.float32]
    starts: Ints
    columns: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]

    def rows(self, entities: Ints) -> tuple[Ints, Ints, Floats]:
        """All entries of some entities: position in ``entities``, term, value."""
        if len(entities) and not 0 <= entities.min() <= entities.max() < len(self.starts) - 1:
            raise damaged_vectors()
        begins, ends = self.starts[entities], self.starts[entities + 1]
        if not ((begins >= 0) & (begins <= ends) & (ends <= len(self.columns))).all():
            raise damaged_vectors()
        lengths = ends - begins
        owners = np.repeat(np.arange(len(entities)), lengths)
        shift = np.repeat(begins - (np.cumsum(lengths) - lengths), lengths)
        entries = np.arange(len(owners)) + shift
        columns = self.columns[entries].astype(np.int64)
        if len(columns) and not 0 <= columns.min() <= columns.max() < len(self.terms):
            raise damaged_vectors()
        return owners, columns, self.values[entries].astype(float)

    @functools.cached_property
    def searched(self) -> Vectors:
        """What the compiled linking reads."""
        bounds = np.arange(1 << _BUCKET_BITS, dtype=np.uint64) << np.uint64(64 - _BUCKET_BITS)
        buckets = np.append(np.searchsorted(self.terms, bounds), len(self.terms))
        return Vectors(
            fixed(self.terms),
            buckets,
            np.uint64(64 - _BUCKET_BITS),
            fixed(self.idf),
            fixed(self.starts),
            fixed(self.columns),
            fixed(self.values),
        )


_TYPES = {
    "terms": ("u8",),
    "idf": ("f4",),
    "starts": ("i8",),
    "columns": ("i4",),
    "values": ("f4",),
}


def load_vectors(folder: Path) -> EntityVectors:
    """Map the arrays of ``folder``; an `InputError` names a file that is missing or damaged."""
    arrays = {name: map_array(folder / f"{name}.npy", types) for name, types in _TYPES.items()}
    vectors = EntityVectors(**arrays)
    for one, other in (("terms", "idf"), ("columns", "values")):
        if len(arrays[one]) != len(arrays[other]):
            raise InputError(f"{folder}: {one}.npy and {other}.npy do not fit; build it again")
    return vectors


def damaged_vectors() -> InputError:
    """The error for what is found out when vectors are read."""
    return InputError("the entity vectors contradict each other; build the knowledge base again")


def write_vectors(
    folder: Path, entities: pa.Table, surfaces: pa.Array, postings: Postings, edges: Ints
) -> None:
    """Make the vectors of all entities and write one ``.npy`` file an array.

    Args:
        folder: Where to.
        entities: name and description, by row.
        surfaces: The aliases.
        postings: Whose they are.
        edges: ``[edges, 2]`` rows of child and parent, sorted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stops = stop_hashes()
    starts, hashes, counts = _own_terms(entities, surfaces, postings, stops)
    terms, frequency = np.unique(hashes, return_counts=True)  # an entity has each term once
    idf = np.log(1 + len(entities) / np.maximum(frequency, 1))
    idf = (idf / idf.max(initial=1e-9)).astype(np.float32)
    columns = np.searchsorted(terms, hashes).astype(np.int32)
    del hashes
    lent = _lenders(edges, len(entities))
    for name, array in (("terms", terms), ("idf", idf)):
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    lengths = [np.zeros(1, np.int64)]
    with (
        ArrayWriter(folder / "columns.npy", np.dtype(np.int32)) as to_columns,
        ArrayWriter(folder / "values.npy", np.dtype(np.float32)) as to_values,
    ):
        for begin, end in _blocks(len(entities), "entity vectors"):
            length, block, values = weigh(begin, end, starts, columns, counts, *lent, idf)
            lengths.append(length)
            to_columns.append(block)
            to_values.append(values)
    np.save(folder / "starts.npy", np.cumsum(np.concatenate(lengths)), allow_pickle=False)


def _blocks(entities: int, label: str) -> Iterator[tuple[int, int]]:
    begins = range(0, entities, _BATCH)
    for begin in bar(begins, label=label, unit="block"):
        yield begin, min(begin + _BATCH, entities)


def _own_terms(
    entities: pa.Table, surfaces: pa.Array, postings: Postings, stops: Hashes
) -> tuple[Ints, Hashes, npt.NDArray[np.float32]]:
    """Terms of each entity's own words and how often it has them, by row."""
    owners = np.repeat(np.arange(len(surfaces)), np.diff(postings.starts))
    by_entity = np.argsort(postings.entities, kind="stable")
    bounds = np.searchsorted(postings.entities[by_entity], np.arange(len(entities) + 1))
    parts: list[tuple[Ints, Hashes, npt.NDArray[np.float32]]] = []
    for begin, end in _blocks(len(entities), "entity terms"):
        places = by_entity[bounds[begin] : bounds[end]]
        texts = [
            (np.arange(begin, end), entities["name"].slice(begin, end - begin)),
            (postings.entities[places].astype(np.int64), surfaces.take(pa.array(owners[places]))),
            (np.arange(begin, end), entities["description"].slice(begin, end - begin)),
        ]
        rows, hashes = [], []
        for owner, column in texts:
            tokens = tokenize(_array(column))
            found, counted = term_hashes(tokens, stops)
            rows.append(owner[tokens.texts[counted]] - begin)
            hashes.append(found[counted])
        parts.append(_counted(np.concatenate(rows), np.concatenate(hashes), end - begin))
    lengths, hashes_of, counts = (np.concatenate(part) for part in zip(*parts, strict=True))
    return np.concatenate(([0], np.cumsum(lengths))), hashes_of, counts


def _counted(rows: Ints, hashes: Hashes, size: int) -> tuple[Ints, Hashes, npt.NDArray[np.float32]]:
    """Distinct (row, hash) pairs: how many a row has, the hashes, how often each stands there."""
    order = np.lexsort((hashes, rows))
    rows, hashes = rows[order], hashes[order]
    begins = np.ones(len(rows), np.bool_)
    begins[1:] = (np.diff(rows) != 0) | (hashes[1:] != hashes[:-1])
    firsts = np.flatnonzero(begins)
    counts = np.diff(np.append(firsts, len(rows))).astype(np.float32)
    return np.bincount(rows[firsts], minlength=size), hashes[firsts], counts


def _lenders(edges: Ints, entities: int) -> tuple[Ints, Ints, npt.NDArray[np.float32]]:
    """Whose words each entity gets besides its own: parents', and the first children's."""
    edges = np.unique(edges, axis=0) if len(edges) else edges
    children, parents = edges[:, 0], edges[:, 1]
    by_parent = np.lexsort((children, parents))
    rank = np.arange(len(edges)) - np.searchsorted(parents[by_parent], parents[by_parent])
    few = by_parent[rank < _MAX_CHILDREN]
    takers = np.concatenate((children, parents[few]))
    givers = np.concatenate((parents, children[few]))
    weights = np.repeat(np.array([_PARENT, _CHILD], np.float32), [len(edges), len(few)])
    order = np.argsort(takers, kind="stable")
    starts = np.searchsorted(takers[order], np.arange(entities + 1))
    return starts, givers[order], weights[order]


def _array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
