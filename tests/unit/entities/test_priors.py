"""P(entity | surface), against a version over dicts; and plurals of several words."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmofi.entities.build import build_knowledge_base_folder
from openmofi.entities.knowledge_base import load_knowledge_base_folder
from openmofi.entities.priors import mix_priors
from support.entities import NOUN_EXC, write_csv, write_wordnet

# (surface, entity, source): weight; the flag of each is 1 << source
Weights = dict[tuple[int, int, int], float]

weights = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(0, 2)),
    st.one_of(st.just(0.0), st.floats(1e-6, 1e6), st.just(1e30)),
    min_size=1,
)


def obvious(given: Weights, are_priors: list[bool]) -> dict[int, dict[int, float]]:
    """What `mix_priors` says, surface by surface."""
    mixed: dict[int, dict[int, float]] = {}
    for surface in {surface for surface, _, _ in given}:
        by_source: dict[int, dict[int, float]] = defaultdict(dict)
        for (one, entity, source), weight in given.items():
            if one == surface:
                by_source[source][entity] = weight
        chances: dict[int, float] = defaultdict(float)
        for source, candidates in by_source.items():
            total = sum(candidates.values())
            for entity, weight in candidates.items():
                if not are_priors[source]:
                    weight = weight / total if total else 1 / len(candidates)
                chances[entity] += weight / len(by_source)
        mixed[surface] = chances
    return mixed


def run(given: Weights, are_priors: list[bool]) -> dict[int, list[tuple[int, float]]]:
    """`mix_priors` on surfaces without gaps: candidates in their order."""
    surfaces = sorted({surface for surface, _, _ in given})
    rows = sorted(given)
    found = mix_priors(
        np.array([surfaces.index(surface) for surface, _, _ in rows]),
        np.array([entity for _, entity, _ in rows]),
        np.array([source for _, _, source in rows]),
        np.array([given[row] for row in rows]),
        np.array([1 << source for _, _, source in rows], np.uint8),
        np.array(are_priors),
    )
    assert len(found.starts) == len(surfaces) + 1
    owners = np.repeat(surfaces, np.diff(found.starts)).tolist()
    for surface, entity, bits in zip(owners, found.entities, found.flags, strict=True):
        said = [source for one, other, source in rows if (one, other) == (surface, entity)]
        assert bits == sum(1 << source for source in said)
    pairs = list(zip(found.entities.tolist(), found.priors.tolist(), strict=True))
    bounds = found.starts.tolist()
    return {
        surface: pairs[begin:end]
        for surface, begin, end in zip(surfaces, bounds, bounds[1:], strict=False)
    }


@given(weights)
def test_equals_the_version_over_dicts_and_adds_up_to_one(given: Weights) -> None:
    wanted = obvious(given, [False] * 3)
    found = run(given, [False] * 3)
    assert found.keys() == wanted.keys()
    for surface, candidates in found.items():
        assert dict(candidates) == pytest.approx(dict(wanted[surface]), rel=1e-5, abs=1e-7)
        assert len(candidates) == len(wanted[surface])
        assert sum(prior for _, prior in candidates) == pytest.approx(1, abs=1e-5)
        assert candidates == sorted(candidates, key=lambda pair: (-pair[1], pair[0]))


@given(weights, st.lists(st.booleans(), min_size=3, max_size=3))
def test_what_is_a_prior_already_is_taken_as_it_is(given: Weights, flags: list[bool]) -> None:
    # A source of priors holds shares: what the others' weights are turned into.
    shares = dict(given)
    for surface, _, source in given:
        cell = [key for key in given if (key[0], key[2]) == (surface, source)]
        for key in cell:
            total = sum(given[one] for one in cell)
            share = given[key] / total if total else 1 / len(cell)
            shares[key] = float(np.float32(share)) if flags[source] else given[key]
    assert run(shares, flags) == run(given, [False] * 3)


def test_two_sources_have_one_voice_each() -> None:
    # Source 0 counts pages, source 1 ranks senses: 0 and 1 of the first, 1 and 2 of the second.
    given = {(0, 0, 0): 300.0, (0, 1, 0): 100.0, (0, 1, 1): 1.0, (0, 2, 1): 0.25}
    assert run(given, [False, False])[0] == [
        (1, pytest.approx((0.25 + 0.8) / 2)),
        (0, pytest.approx(0.75 / 2)),
        (2, pytest.approx(0.2 / 2)),
    ]


def test_candidates_that_weigh_nothing_are_equal_and_in_order() -> None:
    assert run({(0, 5, 0): 0.0, (0, 2, 0): 0.0}, [False])[0] == [(2, 0.5), (5, 0.5)]


def test_weights_of_a_table_become_priors_however_large(tmp_path: Path) -> None:
    rows = [
        {"entity_id": f"e{number}", "name": "Georgia", "aliases": "", "description": "", "prior": x}
        for number, x in enumerate(["1e30", "1e30", "0"])
    ]
    table = str(write_csv(tmp_path / "kb.csv", rows))
    base = load_knowledge_base_folder(build_knowledge_base_folder(str(tmp_path / "kb"), csv=table))
    assert base.candidates("georgia") == [("e0", 0.5), ("e1", 0.5), ("e2", 0.0)]
    assert np.isfinite(base.entities["popularity"].to_numpy()).all()


def test_phrases_in_the_plural_are_aliases_of_their_own_source(tmp_path: Path) -> None:
    plurals = "persons_of_rank human_being\nPersons_of_Rank man\nmen man\n"
    wordnet = str(write_wordnet(tmp_path / "wordnet", noun_exc=NOUN_EXC + plurals))
    rows = [{"entity_id": "mine", "name": "human being", "aliases": "", "description": ""}]
    table = str(write_csv(tmp_path / "kb.csv", rows))
    folder = build_knowledge_base_folder(str(tmp_path / "kb"), csv=table, wordnet=wordnet)
    base = load_knowledge_base_folder(folder)
    # The table says nothing of plurals; two spellings of one plural do not make it count twice.
    assert base.matcher.look_up("persons of rank") is not None
    assert base.candidates("persons of rank") == [("n00000040", 1.0)]
    assert base.candidates("human beings") == [("n00000040", 1.0)]
    assert dict(base.candidates("human being")) == {"n00000040": 0.5, "mine": 0.5}
    assert base.matcher.look_up("men") is None  # a single word is reduced by the matcher


def test_a_plural_has_no_more_words_than_any_alias(tmp_path: Path) -> None:
    long = "_".join(["of"] * 70 + ["men"])
    wordnet = str(write_wordnet(tmp_path / "wordnet", noun_exc=f"{long} man\nhis_men man\n"))
    folder = build_knowledge_base_folder(str(tmp_path / "kb"), wordnet=wordnet)
    base = load_knowledge_base_folder(folder)
    assert base.candidates("his men") == [("n00000040", 1.0)]
    assert base.matcher.look_up(long.replace("_", " ")) is None
