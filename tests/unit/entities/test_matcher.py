"""Single rules of the matcher; `test_matcher_properties` has them all at once."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from openmofi.entities.kernels_hash import hash_stretches
from openmofi.entities.matcher import AliasMatcher
from support.matchers import matcher

Span = tuple[int, int, str]


def found(one: AliasMatcher, text: str) -> list[Span]:
    matches = one.match([text])
    spans = zip(
        matches.starts.tolist(), matches.ends.tolist(), matches.aliases.tolist(), strict=True
    )
    return [(start, end, one.index.key(alias)) for start, end, alias in spans]


def surfaces(one: AliasMatcher, text: str) -> list[str]:
    return [text[start:end] for start, end, _ in found(one, text)]


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


@pytest.mark.parametrize(
    ("word", "key"), [("axes", "axe"), ("pies", "py"), ("oxes", "ox"), ("omens", "omen")]
)
def test_of_two_readings_the_first_rule_counts(word: str, key: str) -> None:
    one = matcher("ax", "axe", "pie", "py", "ox", "oxe", "omen", plurals={"oxes": "ox"})
    assert [k for _, _, k in found(one, word)] == [key]


def test_inner_mentions_keep_to_the_borders_of_words() -> None:
    one = matcher("don't panic", "don", "t panic", "panic", "0.50 coin", "0", "50 coin", "coin")
    text = "Don't panic! 0.50 coins"
    matches = one.match([text], nested=True)
    spans = zip(matches.starts.tolist(), matches.ends.tolist(), strict=True)
    assert [text[a:b] for a, b in spans] == ["Don't panic", "panic", "0.50 coins", "coins"]


def test_an_inner_stop_phrase_is_no_mention() -> None:
    one = matcher("the fox den", "the", "fox", stops=["the"])
    matches = one.match(["The fox den, the fox"], nested=True)
    keys = [one.index.key(alias) for alias in matches.aliases.tolist()]
    assert keys == ["the fox den", "fox", "fox"]
    assert matches.nested.tolist() == [False, True, False]


def test_stop_phrases_consume_their_words() -> None:
    one = matcher("the", "the hague", "photo", "stock", "white", stops=("the", "stock photo"))
    text = "The stock photos of The Hague, white stock"
    assert surfaces(one, text) == ["The Hague", "white", "stock"]


def test_a_colliding_hash_makes_no_match() -> None:
    one = matcher("fox", "red fox")
    [(start, end, _)] = found(one, "a red fox")
    index = one.index
    # As if other words had the hash of "red fox": in the stored sequence one is another word.
    records = index.records.copy()
    records[1] ^= 1
    other = AliasMatcher(dataclasses.replace(index, records=records))
    assert (start, end) == (2, 9)
    assert found(other, "a red fox") == [(6, 9, "fox")]
    assert other.look_up("red fox") is None


def test_what_stands_between_words_is_compared_too() -> None:
    index = matcher("red.fox").index
    records = index.records.copy()
    records[-index.id_bytes] ^= 1  # the gap stands last
    other = AliasMatcher(dataclasses.replace(index, records=records))
    assert [key for _, _, key in found(AliasMatcher(index), "red.fox")] == ["red.fox"]
    assert found(other, "red.fox") == []


def test_a_colliding_hash_makes_no_word() -> None:
    index = matcher("fox").index
    records = index.word_records.copy()
    records[bytes(records).index(b"fox")] = ord("b")
    other = AliasMatcher(dataclasses.replace(index, word_records=records))
    assert found(other, "a fox") == []
    assert other.look_up("fox") is None


def hash_of(key: str) -> int:
    codes = np.frombuffer(key.encode("utf-32-le"), np.uint32)
    return int(hash_stretches(codes, np.array([0]), np.array([len(codes)]))[0])


@pytest.mark.parametrize("change", [lambda word: word + "x", lambda word: word[:-1]])
def test_a_longer_or_shorter_word_of_the_same_hash_makes_no_match(
    change: Callable[[str], str],
) -> None:
    words = ("fox", "crane", "goose", "wolf", "heron", "stoat")
    word = next(w for w in words if hash_of(w) >> 63 == hash_of(change(w)) >> 63)  # one bucket
    index = matcher(change(word)).index
    records = index.word_records.copy()
    records[:4] = list((hash_of(word) & 0xFFFFFFFF).to_bytes(4, "little"))
    other = AliasMatcher(dataclasses.replace(index, word_records=records))
    assert found(other, word) == []
    assert other.look_up(word) is None


def test_a_batch_equals_its_texts() -> None:
    one = matcher("fox", "red fox", "fox den")
    texts = ["a red", "fox", "", "a red fox den", "🦊 fox"]
    matches = one.match(texts)
    spans = list(zip(matches.texts.tolist(), matches.starts.tolist(), strict=True))
    assert spans == [(1, 0), (3, 2), (4, 2)]


def test_no_mention_runs_from_one_text_into_the_next() -> None:
    one = matcher("\u5317\u4eac", "ab")
    assert len(one.match(["\u5317", "\u4eac", "a", "b"]).starts) == 0
    assert len(one.match(["\u5317\u4eac", "ab"]).starts) == 2


def test_a_matcher_with_nothing_in_it_finds_nothing() -> None:
    assert found(matcher(), "a text") == []


def test_saved_and_mapped_it_finds_the_same(tmp_path: Path) -> None:
    one = matcher("red fox", "fox", "goose", stops=("a",), plurals={"geese": "goose"})
    one.index.save(tmp_path)
    again = AliasMatcher.load(tmp_path)
    assert found(again, "a red fox, geese") == found(one, "a red fox, geese") != []
    assert again.look_up("fox") is not None
    assert again.look_up("wolf") is None


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
