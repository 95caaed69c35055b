import itertools
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmofi.entities.text import surface_key, tokenize


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
