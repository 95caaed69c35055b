"""Spelling variants against a version over dictionaries, and in a knowledge base."""

import itertools
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmofi.entities.build import build_knowledge_base_folder
from openmofi.entities.kernels_candidates import IS_NAME, IS_VARIANT, WRITTEN_SMALL
from openmofi.entities.knowledge_base import KnowledgeBase, load_knowledge_base_folder
from openmofi.entities.priors import Postings
from openmofi.entities.variants import with_variants
from support.entities import write_csv


class Candidate(NamedTuple):
    entity: int
    prior: float
    flags: int


Aliases = dict[str, list[Candidate]]

# Pieces that make each other up, of one to four bytes a letter; and what is no letter.
PIECES = (
    "sea", "seas", "hor", "horse", "shore", "ore", "hores", "\u00e4rm", "\u00e4rmel", "mel",
    "\U00010428\U00010429\U0001042a", "ab", "fox7", "\u4eac\u5317\u4eac", "o'er",
)  # fmt: skip
STOPS = ("ore", "sea shore", "seahorse")
surfaces = st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).flatmap(
    lambda pieces: st.sampled_from(("", " ", "  ", ".")).map(lambda gap: gap.join(pieces))
)
candidates = st.dictionaries(
    st.integers(0, 4),
    st.tuples(st.sampled_from((0.0, 0.25, 0.5)), st.sampled_from((0, WRITTEN_SMALL, IS_NAME, 3))),
    min_size=1,
    max_size=3,
).map(lambda found: [Candidate(entity, *rest) for entity, rest in found.items()])
aliases = st.dictionaries(surfaces, candidates, min_size=1, max_size=12)


def is_letters(word: str) -> bool:
    """At least three letters of one token: Han has a token a letter."""
    is_han = any("\u4e00" <= letter <= "\u9fff" for letter in word)
    return len(word) >= 3 and word.isalpha() and not is_han


def spelled(given: Aliases) -> dict[str, set[str]]:
    """The variants, and the aliases that each is made from."""
    small = {
        one
        for one, found in given.items()
        if any(c.flags & WRITTEN_SMALL for c in found) and one not in STOPS
    }
    made: dict[str, set[str]] = defaultdict(set)
    for one in small:
        words = one.split(" ")
        if len(words) == 2 and all(map(is_letters, words)):
            made["".join(words)].add(one)
        if len(words) == 1 and is_letters(one):
            cuts = [(one[:i], one[i:]) for i in range(3, len(one) - 2)]
            pair = next((cut for cut in cuts if set(cut) <= small), None)
            if pair and all(map(is_letters, pair)):
                made[" ".join(pair)].add(one)
    return {one: of for one, of in made.items() if one not in given and one not in STOPS}


def mixed(given: Aliases, of: set[str]) -> dict[int, tuple[float, int]]:
    """Prior and flags of each candidate of a variant: the mean over the aliases it is made from."""
    found: dict[int, tuple[float, int]] = {}
    for one in of:
        small = [c for c in given[one] if c.flags & WRITTEN_SMALL]
        total = sum(c.prior for c in small)
        for entity, prior, flags in small:
            share = prior / total if total else 1 / len(small)
            before, bits = found.get(entity, (0.0, 0))
            found[entity] = before + share / len(of), bits | flags | IS_VARIANT
    return found


def postings_of(given: Aliases) -> tuple[pa.Array, Postings]:
    names = sorted(given, key=str.encode)
    rows = [sorted(given[one], key=lambda c: (-c.prior, c.entity)) for one in names]
    entities, priors, flags = zip(*itertools.chain(*rows), strict=True)
    return pa.array(names, pa.large_string()), Postings(
        np.cumsum([0, *map(len, rows)]),
        np.array(entities, np.int32),
        np.array(priors, np.float32),
        np.array(flags, np.uint8),
    )


@given(aliases)
def test_equals_the_version_over_dictionaries(given: Aliases) -> None:
    found = with_variants(*postings_of(given), STOPS)
    wanted = spelled(given)
    names = found.surfaces.to_pylist()
    assert names == sorted([*given, *wanted], key=str.encode)
    assert found.variants == len(wanted)
    _, *columns = found.postings
    rows = [Candidate(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
    for name, begin, end in zip(names, *map(list, bounds(found.postings)), strict=True):
        here = rows[begin:end]
        assert here == sorted(here, key=lambda c: (-c.prior, c.entity))
        if name in given:
            assert sorted(here) == sorted(given[name])
        else:
            by_entity = mixed(given, wanted[name])
            assert {c.entity: c.flags for c in here} == {
                one: flags for one, (_, flags) in by_entity.items()
            }
            assert {c.entity: c.prior for c in here} == pytest.approx(
                {one: prior for one, (prior, _) in by_entity.items()}, abs=1e-6
            )


def bounds(postings: Postings) -> tuple[list[int], list[int]]:
    return postings.starts[:-1].tolist(), postings.starts[1:].tolist()


def test_a_variant_of_several_aliases_unites_them() -> None:
    given = {
        "sea shore": [Candidate(0, 0.25, 1), Candidate(1, 0.75, 0), Candidate(2, 0.0, 1)],
        "seas hore": [Candidate(2, 1.0, 3)],
    }
    found = with_variants(*postings_of(given), ())
    assert found.surfaces.to_pylist() == ["sea shore", "seas hore", "seashore"]
    assert found.postings.starts.tolist() == [0, 3, 4, 6]
    assert found.postings.entities[4:].tolist() == [0, 2]
    assert found.postings.priors[4:].tolist() == [0.5, 0.5]
    assert found.postings.flags[4:].tolist() == [5, 7]


def test_of_several_cuts_the_first_is_taken_also_where_it_is_an_alias() -> None:
    words = {one: [Candidate(0, 1.0, 1)] for one in ("war", "warp", "lane", "plane", "warplane")}
    assert with_variants(*postings_of(words), ()).surfaces.to_pylist() == [
        "lane", "plane", "war", "war plane", "warp", "warplane",
    ]  # fmt: skip
    known = words | {"war plane": [Candidate(1, 1.0, 0)]}
    assert with_variants(*postings_of(known), ()).variants == 0


# --- in a knowledge base -------------------------------------------------------------------------

ROWS = [
    {"entity_id": one, "name": name, "aliases": aliases, "description": "", "prior": "1"}
    for one, name, aliases in (
        ("a", "kiwi fruit", "Kiwi Fruit"),
        ("b", "goalpost", ""),
        ("c", "goal", ""),
        ("d", "post", ""),
        ("e", "Goalpost", ""),
        ("f", "New Castle", ""),
        ("g", "warplane", ""),
        ("h", "war", "warp"),
        ("i", "plane", "lane"),
        ("j", "background", "back"),
        ("k", "ground", "close up"),
        ("l", "4wheel drive", "wheel-drive"),
        ("m", "dewdrop", "dew|drop|dew drop of glass"),
    )
]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_csv(tmp_path_factory.mktemp("table") / "kb.csv", ROWS))


@pytest.fixture(scope="module")
def base(table: str) -> KnowledgeBase:
    out = Path(table).parent / "kb"
    return load_knowledge_base_folder(build_knowledge_base_folder(str(out), csv=table))


@pytest.mark.parametrize(
    ("text", "entities"),
    [
        ("kiwifruit", ["a"]),
        ("KiwiFruits", ["a"]),
        ("a goal post", ["b"]),  # not the name Goalpost
        ("goal-posts", ["b"]),
        ("newcastle", []),
        ("war plane", ["g"]),
        ("warp lane", ["h", "i"]),
        ("back ground", ["k"]),  # "background" is a stop phrase, and so is "back"
        ("closeup", []),
        ("wheeldrive", ["l"]),
        ("dew drops", ["m"]),
        ("dew drop of glass", ["m"]),
    ],
)
def test_variants_are_found_in_texts(base: KnowledgeBase, text: str, entities: list[str]) -> None:
    found = base.matcher.match([text])
    rows = [base.matcher.candidates(alias)[0].astype(np.int64) for alias in found.aliases.tolist()]
    assert [one for row in rows for one in base.entity_ids(row).to_pylist()] == entities


def test_variants_are_counted_and_are_in_the_matcher_alone(
    base: KnowledgeBase, table: str, tmp_path: Path
) -> None:
    plain = build_knowledge_base_folder(str(tmp_path / "kb"), csv=table, config={"variants": False})
    count = base.head["counts"]["spelling_variants"]
    without = load_knowledge_base_folder(plain)
    assert without.head["counts"]["spelling_variants"] == 0
    assert len(base.matcher.index) - len(without.matcher.index) == count == 5
    flags = without.matcher.index.posting_flags
    assert not (flags & IS_VARIANT).any()
    surfaces = pq.read_table(base.folder / "aliases.parquet")["surface"].to_pylist()
    assert "goal post" not in surfaces
    for path in plain.rglob("*"):
        if path.is_file() and path.parent.name != "matcher" and path.name != "kb.json":
            assert path.read_bytes() == (base.folder / path.relative_to(plain)).read_bytes()
