"""The matcher against a slow, obvious twin that normalises every span of the text anew."""

import dataclasses
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmofi.entities.index import build_index, load_index
from openmofi.entities.matcher import AliasMatcher
from openmofi.entities.text import surface_key
from openmofi.errors import InputError

Span = tuple[int, int, str]


def matcher(
    *aliases: str, stops: tuple[str, ...] = (), plurals: Mapping[str, str] | None = None
) -> AliasMatcher:
    keys = sorted({surface_key(alias) for alias in aliases} - {""}, key=str.encode)
    rows = np.arange(len(keys) + 1)
    index = build_index(
        keys,
        rows,
        rows[:-1].astype(np.int32),
        np.ones(len(keys), np.float32),
        stops=[surface_key(stop) for stop in stops],
        plurals=plurals,
    )
    return AliasMatcher(index)


def found(one: AliasMatcher, text: str) -> list[Span]:
    matches = one.match([text])
    spans = zip(
        matches.starts.tolist(), matches.ends.tolist(), matches.aliases.tolist(), strict=True
    )
    return [(start, end, one.index.key(alias)) for start, end, alias in spans]


def surfaces(one: AliasMatcher, text: str) -> list[str]:
    return [text[start:end] for start, end, _ in found(one, text)]


# --- the twin ------------------------------------------------------------------------------------


def twin_tokens(text: str) -> list[tuple[int, int]]:
    tokens: list[tuple[int, int, str]] = []
    for place, character in enumerate(text):
        kind = unicodedata.category(character)[0]
        touching = bool(tokens) and tokens[-1][1] == place
        if kind == "M" and touching:
            tokens[-1] = (tokens[-1][0], place + 1, tokens[-1][2])
        elif kind == "S" or "\u4e00" <= character <= "\u9fff":
            tokens.append((place, place + 1, "solo"))
        elif kind in "LN" and touching and tokens[-1][2] == "word":
            tokens[-1] = (tokens[-1][0], place + 1, "word")
        elif kind in "LN":
            tokens.append((place, place + 1, "word"))
    return [(start, end) for start, end, _ in tokens]


def twin_key(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text.replace("\u2019", "'")).casefold()
    folded = unicodedata.normalize("NFKC", folded)
    spaced = "".join(
        " " if c.isspace() or unicodedata.category(c) in ("Pd", "Pc") else c for c in folded
    )
    return " ".join(spaced.split(" ")) if "  " not in spaced else " ".join(spaced.split())


def twin_borders(text: str, tokens: list[tuple[int, int]]) -> tuple[list[bool], list[bool]]:
    starts, ends = [True] * len(tokens), [True] * len(tokens)
    for i in range(1, len(tokens)):
        between = text[tokens[i - 1][1] : tokens[i][0]]
        word = twin_key(text[slice(*tokens[i])])
        if between in ("'", "\u2019") and len(word) <= 2:
            starts[i] = False
            ends[i - 1] = word == "s"
        numbers = text[tokens[i - 1][1] - 1] + text[tokens[i][0]]
        if between in (".", ",") and numbers.isdecimal():
            starts[i] = ends[i - 1] = False
    return starts, ends


def twin_readings(key: str, word: str, plurals: Mapping[str, str]) -> list[str]:
    readings, head = [key], key.removesuffix(word)
    if word in plurals:
        readings.append(head + plurals[word])
    if not word.endswith(("ss", "us", "is")):
        if word.endswith("ies") and len(word) >= 4:
            readings.append(head + word[:-3] + "y")
        if word.endswith("s") and len(word) >= 3:
            readings.append(head + word[:-1])
        if word.endswith("es") and len(word) >= 4:
            readings.append(head + word[:-2])
        if word.endswith("men") and len(word) >= 4:
            readings.append(head + word[:-3] + "man")
    return readings


def twin(text: str, keys: set[str], stops: set[str], plurals: Mapping[str, str]) -> list[Span]:
    tokens = twin_tokens(text)
    may_start, may_end = twin_borders(text, tokens)
    result, i = [], 0
    while i < len(tokens):
        step = 1
        for j in reversed(range(i, len(tokens) if may_start[i] else i)):
            key = twin_key(text[tokens[i][0] : tokens[j][1]])
            readings = twin_readings(key, twin_key(text[slice(*tokens[j])]), plurals)
            hit = next((reading for reading in readings if reading in keys | stops), None)
            if hit is not None and may_end[j]:
                if hit not in stops:
                    result.append((tokens[i][0], tokens[j][1], hit))
                step = j - i + 1
                break
        i += step
    return result


UNITS = ["a", "B", "b", "s", "es", "ies", "y", "men", "man", "\u00e9", "e\u0301", "ß", "Σ", "ς",
         "ﬁ", " ", " ", "  ", "-", "\u00a0", "'", "\u2019", ". ", ", ", ".", "0", "7", "北",
         "京", "+", "\U0001f98a"]  # fmt: skip
fragments = st.lists(st.sampled_from(UNITS), min_size=1, max_size=6).map("".join)


@settings(max_examples=250, deadline=None)
@given(
    st.lists(fragments, min_size=1, max_size=12),
    st.lists(fragments, max_size=3),
    st.lists(fragments, min_size=1, max_size=8).map("".join),
    st.dictionaries(st.sampled_from(["as", "bs", "men"]), st.sampled_from(["a", "b"]), max_size=2),
)
def test_equals_the_slow_twin(
    aliases: list[str], stops: list[str], text: str, plurals: dict[str, str]
) -> None:
    one = matcher(*aliases, stops=tuple(stops), plurals=plurals)
    keys = {surface_key(alias) for alias in aliases} - {""}
    stop_keys = {surface_key(stop) for stop in stops} - {""}
    assert found(one, text) == twin(text, keys, stop_keys, plurals)


# --- single rules --------------------------------------------------------------------------------


def test_the_longest_alias_wins_and_the_next_starts_after_it() -> None:
    one = matcher("arctic", "arctic fox", "fox", "fox terrier")
    assert surfaces(one, "An Arctic fox terrier, a fox.") == ["Arctic fox", "fox"]


@pytest.mark.parametrize(
    ("text", "surface", "key"),
    [
        ("three horses", "horses", "horse"),
        ("boxes", "boxes", "box"),
        ("ripe cherries", "cherries", "cherry"),
        ("two arctic wolves", "arctic wolves", "arctic wolf"),
        ("firemen", "firemen", "fireman"),
        ("the horse's saddle", "horse", "horse"),
        ("the horses\u2019 saddles", "horses", "horse"),
    ],
)
def test_plurals_and_possessives(text: str, surface: str, key: str) -> None:
    one = matcher("horse", "box", "cherry", "arctic wolf", "fireman", plurals={"wolves": "wolf"})
    [(start, end, alias)] = found(one, text)
    assert (text[start:end], alias) == (surface, key)


def test_a_word_that_is_an_alias_is_not_read_as_a_plural() -> None:
    one = matcher("glasses", "glass", "new", "news", "cactu")
    assert [key for _, _, key in found(one, "glasses news cactus")] == ["glasses", "news"]


def test_stop_phrases_consume_their_words() -> None:
    one = matcher("the", "the hague", "photo", "stock", "white", stops=("the", "stock photo"))
    text = "The stock photos of The Hague, white stock"
    assert surfaces(one, text) == ["The Hague", "white", "stock"]


def test_a_colliding_hash_makes_no_match() -> None:
    one = matcher("fox", "red fox")
    [(start, end, _)] = found(one, "a red fox")
    index = one.index
    # As if another string had the hash of "red fox": the stored one differs in a letter.
    records = index.records.copy()
    place = bytes(records).index(b"red fox")
    records[place] = ord("b")
    other = AliasMatcher(dataclasses.replace(index, records=records))
    assert (start, end) == (2, 9)
    assert found(other, "a red fox") == [(6, 9, "fox")]
    assert other.look_up("red fox") is None


def test_a_batch_equals_its_texts() -> None:
    one = matcher("fox", "red fox", "fox den")
    texts = ["a red", "fox", "", "a red fox den", "🦊 fox"]
    matches = one.match(texts)
    spans = list(zip(matches.texts.tolist(), matches.starts.tolist(), strict=True))
    assert spans == [(1, 0), (3, 2), (4, 2)]


def test_a_matcher_with_nothing_in_it_finds_nothing() -> None:
    assert found(matcher(), "a text") == []


def test_saved_and_mapped_it_finds_the_same(tmp_path: Path) -> None:
    one = matcher("red fox", "fox", "goose", stops=("a",), plurals={"geese": "goose"})
    one.index.save(tmp_path)
    again = AliasMatcher.load(tmp_path)
    assert found(again, "a red fox, geese") == found(one, "a red fox, geese") != []
    assert again.look_up("fox") is not None
    assert again.look_up("wolf") is None


@pytest.mark.parametrize(
    "name", ["slots.npy", "buckets.npy", "records.npy", "fold.npy", "matcher.json"]
)
@pytest.mark.parametrize("keep", [0, 20, -3])
def test_a_file_cut_short_is_named(tmp_path: Path, name: str, keep: int) -> None:
    matcher("red fox", "fox").index.save(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=name):
        load_index(tmp_path)


def test_another_format_version_is_refused(tmp_path: Path) -> None:
    matcher("fox").index.save(tmp_path)
    head = tmp_path / "matcher.json"
    head.write_text(head.read_text().replace('"format": 2', '"format": 99'))
    with pytest.raises(InputError, match="format 99"):
        load_index(tmp_path)


def test_many_aliases_are_all_found_again() -> None:
    generator = np.random.default_rng(0)
    letters = np.array(list("abcdefgh"))
    names = sorted(
        {
            " ".join("".join(generator.choice(letters, 4)) for _ in range(generator.integers(1, 4)))
            for _ in range(3000)
        }
    )
    one = matcher(*names)
    matches = one.match(names)
    whole = {
        names[text]
        for text, start, end in zip(
            matches.texts.tolist(), matches.starts.tolist(), matches.ends.tolist(), strict=True
        )
        if (start, end) == (0, len(names[text]))
    }
    assert whole == set(names)
