"""The whole linking against a twin of dicts and sets, over texts of a small vocabulary."""

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmofi.entities.config import LinkConfig
from openmofi.entities.kernels_candidates import REASONS
from openmofi.entities.knowledge_base import KnowledgeBase
from openmofi.entities.linker import EntityLinker, Links
from support.entities import linking_base
from support.linking_twin import LinkingTwin

WORDS = (
    "hot dog", "hot dogs", "sea lion", "john doe", "john does", "a red", "red polly",
    "dog", "dogs", "hound", "hot", "dog", "red", "animal", "polar", "bear", "bears", "lion",
    "lions", "sea", "sheep", "pants", "pant", "glass", "glasses", "bongo", "drum", "drums", "barn",
    "horse", "horses", "galloping", "gallops", "snow", "swim", "swims", "swimming", "two", "2",
    "5", "number", "us", "it", "can", "cans", "left", "photo", "photos", "picture", "spring",
    "springs", "joy", "georgia", "atlanta", "tbilisi", "chicago", "seal", "seals", "stamp", "mane",
    "farm", "singer", "film", "band", "city", "water", "metal", "the", "a", "his", "my", "in",
    "of", "with", "and", "is", "to", "she", "not", "old", "white", "quickly", "polly", "men",
    "man", "crane", "cranes", "beast", "close", "up", "stock", "photo", "tincan", "thing", "john",
    "doe", "does", "unknown", "x", "\u00e9cole", "I\u00b2", "\u00bd",
)  # fmt: skip
JOINTS = (
    " ", " ", " ", " ", ", ", ". ", "-", "/", " '", "' ", "'s ", "n't ", " (", ") ", ": ", "!",
    "? ", "_", "\n", ".", " \u201c", "\u201d ", "",
)  # fmt: skip

shapes = st.sampled_from([str, str, str.upper, str.title, str.capitalize])
words = st.builds(lambda word, shape: shape(word), st.sampled_from(WORDS), shapes)
pieces = st.tuples(words, st.sampled_from(JOINTS))
texts = st.builds(
    lambda some, shape: shape("".join(itertools.chain(*some))),
    st.lists(pieces, max_size=12),
    st.sampled_from([str, str, str, str.upper, str.title, str.lower]),
)
documents = st.lists(st.lists(texts, min_size=1, max_size=3), max_size=3)

CONFIGS: list[dict[str, Any]] = [
    {},
    {"rounds": 4, "mention_weight": 2.0, "context_weight": 3.0},
    {"rounds": 1, "max_candidates": 1, "kind_weights": {}},
    {"mention_weight": 0, "not_shown": ["animal", "location"], "popularity_weight": 0},
    {"context_weight": 0, "prior_weight": 2, "case_weight": 0},
    {"singular_share": 0, "head_share": 0.6, "not_shown": [], "max_candidates": 64},
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeBase:
    return linking_base(tmp_path_factory.mktemp("kb"))


@pytest.fixture(scope="module")
def pairs(base: KnowledgeBase) -> list[tuple[EntityLinker, LinkingTwin]]:
    parsed = [LinkConfig.model_validate(config) for config in CONFIGS]
    return [(EntityLinker(base, one), LinkingTwin(base, one)) for one in parsed]


def linked(linker: EntityLinker, some: Sequence[Sequence[str]]) -> Links:
    owners = [number for number, texts in enumerate(some) for _ in texts]
    return linker.link([text for texts in some for text in texts], owners)


def names_of(links: Links) -> list[frozenset[str]]:
    return [frozenset(text.split(",")) - {""} for text in links.reason_names.to_pylist()]


def compare(pair: tuple[EntityLinker, LinkingTwin], some: Sequence[Sequence[str]]) -> None:
    """Everything equal; numbers nearly, since one side has 32 bits in places."""
    linker, twin = pair
    links = linked(linker, some)
    wanted, dropped = twin.link(some)
    got = list(
        zip(
            links.mentions.tolist(), links.texts.tolist(), links.starts.tolist(),
            links.ends.tolist(), links.entities.tolist(), links.ranks.tolist(), names_of(links),
            strict=True,
        )
    )  # fmt: skip
    assert got == [link[:7] for link in wanted]
    for name, column in (("prior", "priors"), ("agreement", "agreements"), ("score", "scores")):
        values = [getattr(link, name) for link in wanted]
        np.testing.assert_allclose(getattr(links, column), values, atol=1e-4, err_msg=name)
    assert Counter(links.dropped_by_rule()) == dropped


@pytest.mark.parametrize("number", range(len(CONFIGS)))
@given(documents)
@settings(max_examples=100)
def test_linking_equals_its_twin(
    pairs: list[tuple[EntityLinker, LinkingTwin]], number: int, some: list[list[str]]
) -> None:
    compare(pairs[number], some)


def test_the_vocabulary_reaches_all_rules_and_reasons(
    pairs: list[tuple[EntityLinker, LinkingTwin]],
) -> None:
    """Else the comparison would say little."""
    generator = random.Random(5)
    shapes = (str, str, str.upper, str.title, str.capitalize)
    some = [
        [
            "".join(
                generator.choice(shapes)(generator.choice(WORDS)) + generator.choice(JOINTS)
                for _ in range(generator.randint(1, 12))
            )
            for _ in range(generator.randint(1, 3))
        ]
        for _ in range(400)
    ]
    compare(pairs[0], some)
    links = linked(pairs[0][0], some)
    assert min(links.dropped_by_rule().values()) > 5
    reached = Counter(name for names in names_of(links) for name in names)
    assert set(reached) == set(REASONS)
    assert min(reached.values()) > 5
    assert np.count_nonzero(links.agreements > 0.1) > 100
