import itertools
import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmofi.entities.text import surface_key, tokenize
from openmofi.entities.unicode_tables import LIMIT, SLOW, unicode_tables
from support import matcher_twin as twin
from support.matchers import SCRIPTS, texts

Cut = list[tuple[int, int, bool, bool, str]]


def cut(batch: list[str]) -> list[Cut]:
    """Each text's tokens: place in the text, whether a mention may start or end, as folded."""
    tokens = tokenize(batch)
    result: list[Cut] = [[] for _ in batch]
    columns = (tokens.texts, tokens.first, tokens.last, tokens.may_start, tokens.may_end)
    for number, (text, *rest) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
        result[text].append((*rest, tokens.key(number, number)))
    return result


def twin_cut(text: str) -> Cut:
    folded = twin.characters(text)
    return [
        (
            folded[one.begin].begin,
            folded[one.end - 1].end,
            one.may_start,
            one.may_end,
            twin.key_of(folded[one.begin : one.end]),
        )
        for one in twin.cut(folded)
    ]


def words(text: str) -> list[str]:
    tokens = tokenize([text])
    return [text[a:b] for a, b in zip(tokens.first, tokens.last, strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A red-crowned crane.", ["A", "red", "crowned", "crane"]),
        ("C++ & C#", ["C", "+", "+", "&", "C", "#"]),
        ("LEGO™ set", ["LEGO", "™", "set"]),
        ("北京市 map", ["北", "京", "市", "map"]),
        ("👩‍🚒 at work", ["👩", "🚒", "at", "work"]),
        ("cafe\u0301 bar", ["cafe\u0301", "bar"]),
        ("", []),
        (" ... ", []),
    ],
)
def test_words_follow_unicode_and_point_into_the_original(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("STRASSE", "straße"),
        ("e\u0301cole", "École"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("ﬁreﬂy", "firefly"),
        ("ｶﾞﾝﾀﾞﾑ", "ガンダム"),
        ("각", "\u1100\u1161\u11a8"),
        ("T-shirt", "t  shirt"),
        ("jack-o\u2019-lantern", "jack o' lantern"),
        ("soft\u00adhyphen", "softhyphen"),
        ("e\u00ad\u0301cole", "école"),
        ("ㄱㅏ", "가"),
        ("ﾡￂ", "가"),
        ("5″ ŉ", "5'' 'n"),
        ("x\u0316\u00ad\u0321", "x\u0321\u0316"),  # marks in canonical order, whatever is between
        ("x\u0316\ufe0f\u0321", "x\u0321\u0316"),
        ("½", "1\u20442"),
        ("“Fuji”", "fuji"),
    ],
)
def test_spellings_of_one_name_have_one_key(one: str, other: str) -> None:
    assert surface_key(one) == surface_key(other) != ""


@pytest.mark.parametrize(
    ("one", "other"), [("dog. House", "dog house"), ("I", "\u0131"), ("AT&T", "at t"), ("C", "C++")]
)
def test_other_names_have_other_keys(one: str, other: str) -> None:
    assert surface_key(one) != surface_key(other)


@pytest.mark.parametrize(
    ("text", "starts", "ends"),
    [
        ("don't", ["don"], ["t"]),
        ("Ann's", ["Ann"], ["Ann", "s"]),
        ("0.50 €", ["0", "€"], ["50", "€"]),
        ("½ cup", ["½", "cup"], ["½", "cup"]),
    ],
)
def test_no_mention_begins_or_ends_inside_a_word(
    text: str, starts: list[str], ends: list[str]
) -> None:
    tokens = tokenize([text])
    shown = words(text)
    assert [w for w, may in zip(shown, tokens.may_start, strict=True) if may] == starts
    assert [w for w, may in zip(shown, tokens.may_end, strict=True) if may] == ends


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=4))
def test_a_batch_is_its_texts_one_by_one(texts: list[str]) -> None:
    tokens = tokenize(texts)
    for number, text in enumerate(texts):
        alone = tokenize([text])
        chosen = tokens.texts == number
        assert tokens.first[chosen].tolist() == alone.first.tolist()
        assert tokens.last[chosen].tolist() == alone.last.tolist()
        assert tokens.may_start[chosen].tolist() == alone.may_start.tolist()


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cf",)), max_size=40))
def test_offsets_are_in_order_inside_the_text(text: str) -> None:
    tokens = tokenize([text])
    spans = list(zip(tokens.first.tolist(), tokens.last.tolist(), strict=True))
    assert all(0 <= a < b <= len(text) for a, b in spans)
    assert all(a <= c and b <= d for (a, b), (c, d) in itertools.pairwise(spans))
    # Every letter of the original lies in some token, unless folding makes it something else.
    covered = {i for a, b in spans for i in range(a, b)}
    letters = {i for i, c in enumerate(text) if c.isalpha() and unicodedata.category(c) != "Lm"}
    assert letters <= covered


def test_lone_surrogates_are_separators() -> None:
    assert words("cat\ud800dog") == ["cat", "dog"]


# --- all of Unicode ------------------------------------------------------------------------------


@settings(max_examples=600)
@given(texts)
def test_tokens_equal_the_slow_twin(text: str) -> None:
    assert cut([text]) == [twin_cut(text)]


@settings(max_examples=400)
@given(texts)
def test_folding_character_by_character_equals_folding_the_whole(text: str) -> None:
    folded = twin.fold(re.sub("[\ud800-\udfff]", "\uffff", text))
    whole = "".join(" " if twin.Character(c, 0, 0).kind == " " else c for c in folded)
    tokens = tokenize([text])
    # The buffer is the whole text, but for spaces in a row.
    assert tokens.buffer == re.sub(" +", " ", whole)


@settings(max_examples=600)
@given(texts)
def test_folding_twice_changes_nothing(text: str) -> None:
    key = surface_key(text)
    assert surface_key(key) == key == twin.surface_key(text)


@settings(max_examples=400)
@given(st.lists(texts, min_size=1, max_size=4))
def test_the_tables_fold_as_python_does(batch: list[str]) -> None:
    # A letter that composes with a mark makes its whole text one that Python folds.
    slowly = cut([f"{text} e\u0301" for text in batch])
    assert [tokens[:-1] for tokens in slowly] == cut(batch)


def test_every_code_point_of_the_tables_is_folded_as_python_does() -> None:
    tables = unicode_tables()
    changed = tables.fold != np.arange(LIMIT)
    odd = np.flatnonzero((changed & (tables.fold != SLOW)) | (tables.kinds != tables.kinds[0x61]))
    points = [code for code in odd.tolist() if not 0xD800 <= code < 0xE000 and code % 5 < 2]
    assert len(points) > 10_000
    batch = [f"a{chr(code)}b {chr(code)}\u0316" for code in points]
    slowly = cut([f"{text} e\u0301" for text in batch])
    fast = cut(batch)
    assert [code for code, a, b in zip(points, slowly, fast, strict=True) if a[:-1] != b] == []


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_pairs_of_neighbours_equal_the_twin(script: str) -> None:
    batch = [one + other for one, other in itertools.product(SCRIPTS[script], repeat=2)]
    batch += [f"x{text}x" for text in batch]
    assert cut(batch) == [twin_cut(text) for text in batch]
