"""Aliases that are no kind of their last words, against a naive walk up the graph."""

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmofi.entities import heads
from openmofi.entities.build import build_knowledge_base_folder
from openmofi.entities.heads import with_own_names
from openmofi.entities.index import MatcherIndex
from openmofi.entities.index_build import build_index
from openmofi.entities.kernels_candidates import NAMES_OWN
from openmofi.entities.knowledge_base import load_knowledge_base_folder
from support.entities import write_csv

WORDS = ("dog", "dogs", "hot", "bear", "the", "polar", "o'er")
STOPS = ("the", "hot bear")
LEVELS = 16

Aliases = dict[str, list[int]]


def index_of(aliases: Aliases) -> tuple[MatcherIndex, pa.Array]:
    names = sorted(aliases, key=str.encode)
    owners = [aliases[name] for name in names]
    flat = np.array([one for some in owners for one in some], np.int32)
    starts = np.cumsum([0, *map(len, owners)])
    index = build_index(names, starts, flat, np.ones(len(flat), np.float32), stops=STOPS)
    return index, pa.array(names, pa.large_string())


def found(aliases: Aliases, edges: list[tuple[int, int]], entities: int) -> set[tuple[str, int]]:
    """The postings with the flag."""
    index, surfaces = index_of(aliases)
    array = np.array(sorted(edges), np.int64).reshape(-1, 2)
    marked = with_own_names(index, surfaces, array, entities)
    result = set()
    for alias in range(len(index)):
        for i in range(*marked.posting_starts[alias : alias + 2].tolist()):
            assert not marked.posting_flags[i] & ~np.uint8(NAMES_OWN)
            if marked.posting_flags[i]:
                result.add((index.key(alias), int(marked.posting_entities[i])))
    return result


def wanted(aliases: Aliases, edges: list[tuple[int, int]]) -> set[tuple[str, int]]:
    result = set()
    for alias, entities in aliases.items():
        head = head_of(alias, aliases)
        for entity in entities if head and alias not in STOPS else ():
            if not above(entity, edges) & set(aliases[head]):
                result.add((alias, entity))
    return result


def head_of(alias: str, aliases: Aliases) -> str:
    """The longest of its last words that is an alias as it stands or in the singular."""
    words = alias.split(" ")
    for begin in range(1, len(words)):
        last = " ".join(words[begin:])
        for one in (last, last.removesuffix("s")):
            if one in aliases or one in STOPS:
                if one in STOPS:
                    break
                return one
    return ""


def above(entity: int, edges: list[tuple[int, int]]) -> set[int]:
    """The entity and all at most 16 steps above it."""
    seen = level = {entity}
    for _ in range(LEVELS):
        level = {parent for child, parent in edges if child in level} - seen
        seen = seen | level
    return seen


@settings(max_examples=300)
@given(st.integers(0, 10**9))
def test_equals_a_naive_walk(seed: int) -> None:
    draw = random.Random(seed)
    size = draw.choice((3, 8, 40))
    names = {" ".join(draw.choices(WORDS, k=draw.choice((1, 1, 2, 2, 3, 4)))) for _ in range(12)}
    aliases = {one: draw.sample(range(size), draw.choice((1, 2, 3))) for one in names}
    chain = [(one, one + 1) for one in range(size - 1)] if draw.random() < 0.5 else []
    edges = {(draw.randrange(size), draw.randrange(size)) for _ in range(draw.choice((0, 3, 9)))}
    edges |= set(chain)
    assert found(aliases, list(edges), size) == wanted(aliases, list(edges))


@pytest.mark.parametrize(("levels", "own"), [(16, False), (17, True)])
def test_sixteen_levels_are_walked(levels: int, own: bool) -> None:
    edges = [(one, one + 1) for one in range(levels)]
    aliases = {"polar bear": [0], "bear": [levels]}
    assert found(aliases, edges, levels + 1) == ({("polar bear", 0)} if own else set())


def test_a_circle_ends() -> None:
    edges = [(0, 1), (1, 2), (2, 0), (0, 0), (3, 3)]
    assert found({"hot dog": [0], "dog": [3]}, edges, 4) == {("hot dog", 0)}


def test_what_has_too_much_above_it_counts_as_a_kind() -> None:
    few = [(0, one) for one in range(2, 4000)]
    many = [(0, one) for one in range(2, 6000)]
    aliases = {"hot dog": [0], "dog": [1]}
    assert found(aliases, few, 6000) == {("hot dog", 0)}
    assert found(aliases, many, 6000) == set()
    assert found(aliases, [(0, 1), *many], 6000) == set()


def test_the_size_of_batches_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    aliases = {
        f"{word} dog": [number] for number, word in enumerate(("hot", "the hot", "polar", "x", "y"))
    } | {"dog": [2], "hot dog": [0, 2]}
    index, surfaces = index_of(aliases)
    edges = np.array([[1, 2]])
    flags = with_own_names(index, surfaces, edges, 5).posting_flags
    assert 0 < np.count_nonzero(flags) < len(flags)
    for size in (1, 2, 5):
        monkeypatch.setattr(heads, "_BATCH", size)
        assert np.array_equal(with_own_names(index, surfaces, edges, 5).posting_flags, flags)


def test_a_knowledge_base_tells_hot_dogs_from_polar_bears(tmp_path: Path) -> None:
    row = {"description": "", "aliases": "", "prior": "", "parents": ""}
    rows = [
        {**row, "entity_id": "1", "name": "dog", "parents": "animal"},
        {**row, "entity_id": "2", "name": "hot dog", "parents": "food"},
        {**row, "entity_id": "3", "name": "bear", "parents": "animal"},
        {**row, "entity_id": "4", "name": "polar bear", "parents": "9"},
        {**row, "entity_id": "5", "name": "guide dog", "aliases": "dog guide", "parents": "1"},
        {**row, "entity_id": "9", "name": "ursine", "parents": "3"},
    ]
    table = str(write_csv(tmp_path / "kb.csv", rows))
    base = load_knowledge_base_folder(build_knowledge_base_folder(str(tmp_path / "kb"), csv=table))

    def own(surface: str) -> bool:
        alias = base.matcher.look_up(surface)
        assert alias is not None
        begin, end = base.matcher.index.posting_starts[alias : alias + 2].tolist()
        return bool(base.matcher.index.posting_flags[begin] & NAMES_OWN) and end > begin

    assert [own(one) for one in ("hot dog", "polar bear", "guide dog", "dog guide", "dog")] == [
        True, False, False, False, False,
    ]  # fmt: skip
