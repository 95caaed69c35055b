"""What holds of links for every text there is."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from openmofi.entities import linker as linker_module
from openmofi.entities.config import LinkConfig
from openmofi.entities.knowledge_base import KnowledgeBase
from openmofi.entities.linker import EntityLinker, Links
from openmofi.entities.text import surface_key, tokenize
from support import matchers
from support.entities import linking_base
from support.matcher_twin import readings

PIECES = (
    "dog", "Dogs", "hot dogs", "sea lion", "Georgia", "TBILISI", "US", "us", "it", "can", "5",
    "\u00bd", "two", "men", "spring", "John Doe", "John Does", "seal's", "\uff47lass", "\ufb01lm",
    "G\u0065\u0301orgia", "Polly", "crane\u00ad", "do\u200bg",
)  # fmt: skip
words = st.lists(st.one_of(st.sampled_from(PIECES), matchers.texts), max_size=8)
any_text = st.one_of(
    st.builds(str.join, st.sampled_from([" ", "", ", ", ". ", "\x00", "\u202e"]), words),
    st.text(st.characters(), max_size=40),  # halves of surrogate pairs too
)
many = st.lists(any_text, max_size=6)

ODD = [
    "\u0000dog\u0000",
    "\ud83d\udc36 dog \ud83d",
    "\u05d0dog \u202edogs",
    "\ufffedog",
    "İt DOG",
    "ǅog",
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeBase:
    return linking_base(tmp_path_factory.mktemp("kb"))


@pytest.fixture(scope="module")
def linker(base: KnowledgeBase) -> EntityLinker:
    return EntityLinker(base, LinkConfig(not_shown=(), max_candidates=64))


@pytest.fixture(scope="module")
def keys(base: KnowledgeBase) -> dict[int, set[str]]:
    """The surface keys of each entity."""
    index = base.matcher.index
    found: dict[int, set[str]] = defaultdict(set)
    for alias in range(len(index)):
        for entity in base.matcher.candidates(alias)[0].tolist():
            found[entity].add(index.key(alias))
    return found


def mentions_of(links: Links) -> dict[int, list[int]]:
    """Rows of each mention."""
    rows: dict[int, list[int]] = defaultdict(list)
    for row, mention in enumerate(links.mentions.tolist()):
        rows[mention].append(row)
    return rows


def of_text(links: Links, text: int, but: Sequence[str] = ("mentions", "texts", "dropped")) -> dict:  # type: ignore[type-arg]
    chosen = links.texts == text
    return {name: one[chosen].tolist() for name, one in vars(links).items() if name not in but}


@given(many)
@example(ODD)
@settings(max_examples=300)
def test_numbers_hold(linker: EntityLinker, some: list[str]) -> None:
    links = linker.link(some)
    rows = mentions_of(links)
    assert list(rows) == list(range(links.found))
    places = []
    for mention in rows.values():
        assert mention == list(range(mention[0], mention[-1] + 1))
        assert links.ranks[mention].tolist() == list(range(len(mention)))
        scores = links.scores[mention].tolist()
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) == pytest.approx(1, abs=1e-5)  # all candidates are kept here
        assert min(scores) >= 0
        assert -1e-6 < sum(links.priors[mention].tolist()) <= 1 + 1e-5
        assert len({*links.entities[mention].tolist()}) == len(mention)
        assert len({*links.texts[mention].tolist()}) == 1
        places.append((int(links.texts[mention[0]]), int(links.ends[mention[0]])))
    assert places == sorted(places)
    assert np.isfinite(links.scores).all()
    assert ((links.agreements >= 0) & (links.agreements <= 1 + 1e-4)).all()


@given(any_text)
@example(" ".join(ODD))
@settings(max_examples=300)
def test_spans_are_what_the_matcher_finds(
    base: KnowledgeBase, linker: EntityLinker, keys: dict[int, set[str]], text: str
) -> None:
    links = linker.link([text])
    tables, plurals = base.matcher.index.tables, base.matcher.index.plurals
    plain = base.matcher.match([text], nested=True)
    known = set(zip(plain.starts.tolist(), plain.ends.tolist(), strict=True))
    rows = zip(
        links.starts, links.ends, links.entities, links.reason_names.to_pylist(), strict=True
    )
    for start, end, entity, reasons in rows:
        assert 0 <= start < end <= len(text)
        surface = text[start:end]
        key = surface_key(surface, tables)
        # A stop phrase that is shouted is none of the matcher's mentions.
        assert (start, end) in known or (key in keys[int(entity)] and surface.isupper()), surface
        tokens = tokenize([surface], tables)
        last = len(tokens.starts) - 1
        firsts = range(last + 1) if "head" in reasons else [0]  # "John Does" may mean a doe
        assert any(
            keys[int(entity)]
            & {*readings(tokens.key(first, last), tokens.key(last, last), plurals)}
            for first in firsts
        ), surface


@given(many, any_text)
@example(ODD, "dog \ud800")
@settings(max_examples=150)
def test_a_text_more_changes_nothing(linker: EntityLinker, some: list[str], other: str) -> None:
    alone = linker.link(some)
    for texts, shift in (([*some, other], 0), ([other, *some], 1)):
        links = linker.link(texts)
        for text in range(len(some)):
            assert of_text(links, text + shift) == of_text(alone, text)
    assert linker.link([other]).dropped.tolist() == (links.dropped - alone.dropped).tolist()


@given(many, st.integers(1, 3))
@settings(max_examples=100)
def test_borders_of_batches_change_nothing(linker: EntityLinker, some: list[str], per: int) -> None:
    documents = [row // per for row in range(len(some))]
    whole = linker.link(some, documents)
    with pytest.MonkeyPatch.context() as patch:
        for size in (1, 2):
            patch.setattr(linker_module, "_BATCH_TEXTS", size)
            cut = linker.link(some, documents)
            for name, column in vars(whole).items():
                np.testing.assert_array_equal(getattr(cut, name), column, err_msg=name)


@given(any_text)
@settings(max_examples=100)
def test_fewer_candidates_are_the_first_ones(
    base: KnowledgeBase, linker: EntityLinker, text: str
) -> None:
    whole = linker.link([text])
    few = EntityLinker(base, LinkConfig(not_shown=(), max_candidates=2)).link([text])
    first = whole.ranks < 2
    for name in ("mentions", "starts", "ends", "entities", "scores", "ranks"):
        np.testing.assert_array_equal(getattr(few, name), getattr(whole, name)[first], err_msg=name)
