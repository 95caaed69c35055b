"""The matcher equals its slow twin on texts of all scripts, whole columns at a time too."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmofi.entities.index_build import build_index
from openmofi.entities.matcher import AliasMatcher, Spans
from openmofi.entities.text import surface_key
from support import matcher_twin as twin
from support.matchers import UNITS, matcher, mentions, respelled, units

# Few words and what bars or bends them, so that most of a text is an alias.
WORDS = ["a", "s", "x", "by", "bie", "ae", "bman", "9", "0", "\u00bd", "1", "\u5317", "+"]
PLURAL_WORDS = ["bies", "aes", "bmen", "xs", "axes", "as"]
GAPS = [" ", " ", "'", "\u2019", ".", ",", "-", ""]

PLURALS = st.dictionaries(
    st.sampled_from(PLURAL_WORDS), st.sampled_from(["a", "x", "by", "xy"]), max_size=3
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, list[str], list[str]]:
    """A text, and aliases and stop phrases most of which stand in it, spelled in some other way."""
    parts = draw(units)
    places = st.integers(0, len(parts))

    def phrase(a: int, b: int, way: int) -> str:
        return respelled("".join(parts[min(a, b) : max(a, b)]), way)

    inside = st.builds(phrase, places, places, st.integers(0, 9))
    outside = st.lists(st.sampled_from(UNITS), min_size=1, max_size=3).map("".join)
    aliases = draw(st.lists(st.one_of(inside, inside, outside), max_size=10))
    stops = draw(st.lists(st.one_of(inside, outside), max_size=2))
    return "".join(parts), aliases, stops


@st.composite
def dense_cases(draw: st.DrawFn) -> tuple[str, list[str], list[str]]:
    """Many short aliases in a text of few words."""
    word, gap = st.sampled_from(WORDS), st.sampled_from(GAPS)
    pairs = st.builds("".join, st.tuples(word, gap, word))
    aliases = draw(st.lists(st.one_of(word, pairs, st.sampled_from(PLURAL_WORDS)), max_size=16))
    any_word = st.sampled_from(WORDS + PLURAL_WORDS)
    text = draw(st.lists(st.tuples(any_word, gap).map("".join), min_size=2, max_size=9))
    return "".join(text), aliases, draw(st.lists(st.one_of(word, pairs), max_size=1))


def keys(phrases: list[str]) -> set[str]:
    return {twin.surface_key(phrase) for phrase in phrases} - {""}


@settings(max_examples=1500)
@given(st.one_of(cases(), dense_cases()), PLURALS, st.booleans())
def test_equals_the_slow_twin(
    case: tuple[str, list[str], list[str]], plurals: dict[str, str], nested: bool
) -> None:
    text, aliases, stops = case
    one = matcher(*aliases, stops=stops, plurals=plurals)
    expected = twin.mentions(text, keys(aliases), keys(stops), plurals, nested=nested)
    assert mentions(one, text, nested=nested) == expected


@settings(max_examples=400)
@given(cases())
def test_offsets_cut_out_the_alias(case: tuple[str, list[str], list[str]]) -> None:
    text, aliases, stops = case
    one = matcher(*aliases, stops=stops)
    for mention in mentions(one, text, nested=True):
        key = twin.surface_key(text[mention.start : mention.end])
        word = key[-4:].rpartition(" ")[2]  # enough of the last word for any ending
        assert mention.key in set(twin.readings(key, word, {}))


@settings(max_examples=400)
@given(cases())
def test_every_alias_is_found_when_it_stands_alone(
    case: tuple[str, list[str], list[str]],
) -> None:
    _, aliases, _ = case
    one = matcher(*aliases)
    for key in keys(aliases):
        row = one.look_up(key)
        assert row is not None
        assert one.index.key(row) == key
        assert [m.key for m in mentions(one, key)] in ([key], [])
        starts, ends = one.match([key]).tokens.may_start, one.match([key]).tokens.may_end
        assert bool(mentions(one, key)) >= bool(starts[0] and ends[-1])


@given(
    st.dictionaries(st.sampled_from(UNITS), st.lists(st.integers(0, 99), max_size=4), max_size=40),
    st.lists(st.sampled_from(UNITS), max_size=8),
)
def test_candidates_stay_with_their_alias(by_unit: dict[str, list[int]], stops: list[str]) -> None:
    wanted = {surface_key(unit): rows for unit, rows in by_unit.items()}
    wanted.pop("", None)
    keys = sorted(wanted, key=str.encode)
    lists = [wanted[key] for key in keys]
    entities = np.array([row for rows in lists for row in rows], np.int32)
    one = AliasMatcher(
        build_index(
            keys,
            np.cumsum([0, *map(len, lists)]),
            entities,
            (entities / 100).astype(np.float32),
            stops=[surface_key(stop) for stop in stops],
        )
    )
    for key in wanted.keys() | {surface_key(stop) for stop in stops} - {""}:
        row = one.look_up(key)
        assert row is not None
        rows, priors = one.candidates(row)
        assert rows.tolist() == wanted.get(key, [])
        assert np.allclose(priors * 100, rows)
        assert one.index.is_stop(row) == (key in map(surface_key, stops))


# --- columns -------------------------------------------------------------------------------------

TEXTS = [
    "a red fox", None, "", "two foxes, e\u0301cole", "\u00e9cole", "the red fox den" * 40, None,
    "\U00020000 fox", "a\U0001f98afox", "\u00bd fox",
] * 3  # fmt: skip


@pytest.fixture(scope="module")
def foxes() -> AliasMatcher:
    return matcher("fox", "red fox", "fox den", "\u00e9cole", "\U0001f98a", "1", stops=["the"])


def rows(spans: Spans) -> list[tuple[int, ...]]:
    return list(zip(*(column.tolist() for column in vars(spans).values()), strict=True))


def one_by_one(one: AliasMatcher, texts: list[str | None], nested: bool) -> list[tuple[int, ...]]:
    result = []
    for row, text in enumerate(texts):
        found = one.match([text or ""], nested=nested)
        columns = (found.starts, found.ends, found.aliases, found.nested)
        result += [(row, *span) for span in zip(*(c.tolist() for c in columns), strict=True)]
    return result


COLUMNS = {
    "string": pa.array(TEXTS, pa.string()),
    "large_string": pa.array(TEXTS, pa.large_string()),
    "string_view": pa.array(TEXTS, pa.string_view()),
    "dictionary": pa.array(TEXTS).dictionary_encode(),
    "chunked": pa.chunked_array([pa.array(TEXTS[:4]), pa.array([], pa.string()), TEXTS[4:]]),
    "no chunks": pa.chunked_array([], pa.string()),
    "nothing": pa.array([], pa.string()),
    "nulls": pa.nulls(3),
    "nulls of strings": pa.nulls(3, pa.string()),
    "empty buffers": pa.Array.from_buffers(pa.string(), 0, [None, *2 * [pa.py_buffer(b"")]]),
}


@pytest.mark.parametrize("name", sorted(COLUMNS))
@pytest.mark.parametrize("nested", [False, True])
def test_any_column_equals_its_texts_one_by_one(
    foxes: AliasMatcher, name: str, nested: bool
) -> None:
    column = COLUMNS[name]
    expected = one_by_one(foxes, column.to_pylist(), nested)
    assert rows(foxes.match_column(column, nested=nested)) == expected
    assert len(expected) > 50 or not column.to_pylist() or column.null_count == len(column)


@pytest.mark.parametrize("begin", range(0, 12, 3))
@pytest.mark.parametrize("name", ["string", "large_string", "dictionary", "chunked"])
def test_a_slice_is_numbered_from_its_own_start(foxes: AliasMatcher, name: str, begin: int) -> None:
    column = COLUMNS[name].slice(begin, 7)
    expected = one_by_one(foxes, TEXTS[begin : begin + 7], False)
    assert rows(foxes.match_column(column)) == expected != []


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads_finds_the_same(foxes: AliasMatcher, threads: int) -> None:
    texts = TEXTS * 300  # more than three batches
    column = pa.chunked_array([texts[:5000], texts[5000:]])
    expected = [
        (row + lap * len(TEXTS), *span)
        for lap in range(300)
        for row, *span in one_by_one(foxes, TEXTS, True)
    ]
    assert rows(foxes.match_column(column, threads=threads, nested=True)) == expected


def test_garbled_bytes_of_a_column_separate_words(foxes: AliasMatcher) -> None:
    texts = [
        b"red\xff fox",
        b"e\xcc\x81cole \xed\xa0\x80 \xf0\x9f",
        b"\xc3",
        b"fox\xc3",
        b"fox\xf7\xbf\xbf\xbffox e\xcc\x81",
    ]
    column = pa.array(texts, pa.binary()).view(pa.string())
    found = rows(foxes.match_column(column))
    assert [span[:3] for span in found] == [
        (0, 5, 8), (1, 0, 6), (3, 0, 3), (4, 0, 3), (4, 4, 7),
    ]  # fmt: skip


def test_a_surface_key_is_that_of_the_twin_for_every_unit() -> None:
    assert [surface_key(unit) for unit in UNITS] == [twin.surface_key(unit) for unit in UNITS]
