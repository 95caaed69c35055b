"""Entity vectors against a dense version that is easy to see through."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmofi.entities import vectors
from openmofi.entities.kernels_vectors import LONGEST
from openmofi.entities.priors import Postings
from openmofi.entities.terms import stop_hashes, term_hashes
from openmofi.entities.text import tokenize
from openmofi.entities.vectors import load_vectors, write_vectors
from openmofi.keys import hash_folder

# No stop words; "crane" and "cranes" are one term.
WORDS = ("fox", "crane", "cranes", "river", "tall", "bird", "red", "harbour")
texts = st.lists(st.sampled_from([*WORDS, "the", "of"]), max_size=4).map(" ".join)


class Graph:
    """Entities with their words, and edges of child and parent."""

    def __init__(
        self,
        described: list[tuple[str, str]],
        aliases: dict[str, set[int]],
        edges: set[tuple[int, int]],
    ) -> None:
        self.described = described  # name, description
        self.aliases = aliases  # surface: entities
        self.edges = sorted(edges)

    def write(self, folder: Path) -> None:
        surfaces = sorted(self.aliases)
        owners = [sorted(self.aliases[surface]) for surface in surfaces]
        postings = Postings(
            np.cumsum([0, *map(len, owners)]),
            np.array([one for some in owners for one in some], np.int32),
            np.zeros(sum(map(len, owners)), np.float32),
            np.zeros(sum(map(len, owners)), np.uint8),
        )
        table = pa.table(
            {
                "name": [name for name, _ in self.described],
                "description": [text for _, text in self.described],
            }
        )
        edges = np.array(self.edges, np.int64).reshape(-1, 2)
        write_vectors(folder, table, pa.array(surfaces, pa.string()), postings, edges)

    def dense(self) -> list[dict[str, float]]:
        """The vectors, by term."""
        own = [Counter(terms(f"{name} {text}")) for name, text in self.described]
        for surface, entities in self.aliases.items():
            for entity in entities:
                own[entity].update(terms(surface))
        idf = {
            term: math.log(1 + len(own) / sum(term in words for words in own))
            for words in own
            for term in words
        }
        edges = sorted(set(self.edges))
        found = []
        for entity, words in enumerate(own):
            total = Counter({term: float(count) for term, count in words.items()})
            children = [child for child, parent in edges if parent == entity][:16]
            parents = [parent for child, parent in edges if child == entity]
            for weight, others in ((0.5, parents), (0.25, children)):
                for other in others:
                    for term, count in own[other].items():
                        total[term] += weight * count
            vector = {term: math.sqrt(count) * idf[term] for term, count in total.items()}
            length = math.sqrt(sum(value**2 for value in vector.values()))
            found.append({term: value / length for term, value in vector.items()})
        return found


def terms(text: str) -> list[str]:
    return [{"cranes": "crane"}.get(x, x) for x in text.split() if x not in ("the", "of")]


def read(folder: Path) -> list[dict[str, float]]:
    """The same from the files, hashes turned into words again."""
    written = load_vectors(folder)
    hashes, _ = term_hashes(tokenize([" ".join(WORDS)]), stop_hashes())
    words = {
        int(value): word for value, word in zip(hashes, WORDS, strict=True) if word != "cranes"
    }
    assert len(words) == len(WORDS) - 1
    rows = []
    for begin, end in zip(written.starts, written.starts[1:], strict=False):
        columns = written.columns[begin:end].tolist()
        values = written.values[begin:end].tolist()
        pairs = list(zip(values, columns, strict=True))
        assert pairs == sorted(pairs, key=lambda pair: (-pair[0], pair[1]))
        assert len(set(columns)) == len(columns) <= LONGEST
        names = [words[int(written.terms[column])] for column in columns]
        rows.append(dict(zip(names, values, strict=True)))
    return rows


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    described = draw(st.lists(st.tuples(texts, texts), min_size=1, max_size=8))
    entity = st.integers(0, len(described) - 1)
    aliases = draw(st.dictionaries(texts.filter(bool), st.sets(entity, min_size=1), max_size=6))
    edges = draw(st.sets(st.tuples(entity, entity).filter(lambda pair: pair[0] != pair[1])))
    return Graph(described, aliases, edges)


def assert_equal(found: list[dict[str, float]], wanted: list[dict[str, float]]) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one == pytest.approx(other, rel=1e-5)
        assert not one or math.hypot(*one.values()) == pytest.approx(1, rel=1e-6)


@given(graphs())
def test_equals_the_dense_version(tmp_path_factory: pytest.TempPathFactory, graph: Graph) -> None:
    folder = tmp_path_factory.mktemp("vectors")
    graph.write(folder)
    assert_equal(read(folder), graph.dense())


def test_only_the_first_sixteen_children_lend_their_words(tmp_path: Path) -> None:
    # The parent is in the middle, one child's edge is there twice, as of two relations.
    described = [(f"bird {WORDS[row % 8]}", "") for row in range(24)]
    described[19] = ("harbour", "")  # the eighteenth child
    edges = {(row, 10) for row in range(24) if row != 10}
    graph = Graph(described, {}, edges)
    graph.edges = sorted([*graph.edges, (3, 10)])
    graph.write(tmp_path)
    assert_equal(read(tmp_path), graph.dense())


def test_only_the_greatest_terms_are_kept(tmp_path: Path) -> None:
    letters = [f"{one}{other}x" for one in "bcdfgh" for other in "jklmnp"]
    often = letters[::-1][:LONGEST]  # these stand there twice
    Graph([(" ".join(letters), " ".join(often))], {}, set()).write(tmp_path)
    written = load_vectors(tmp_path)
    hashes, _ = term_hashes(tokenize([" ".join(often)]), stop_hashes())
    assert len(letters) > LONGEST
    assert set(written.terms[written.columns].tolist()) == set(hashes.tolist())
    assert np.allclose(written.values, LONGEST**-0.5)


@given(graphs(), st.integers(1, 9))
def test_the_size_of_blocks_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, graph: Graph, size: int
) -> None:
    whole, blocks = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("blocks")
    graph.write(whole)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(vectors, "_BATCH", size)
        graph.write(blocks)
    assert hash_folder(whole) == hash_folder(blocks)


def test_entities_without_a_word_have_empty_vectors(tmp_path: Path) -> None:
    Graph([("the", ""), ("of", "the")], {}, {(0, 1)}).write(tmp_path)
    assert read(tmp_path) == [{}, {}]
