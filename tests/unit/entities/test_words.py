"""``words.txt``: its form, and the classes that are made of it."""

import itertools
from collections import Counter
from importlib import resources

import pytest

from openmofi.entities import words
from openmofi.entities.text import surface_key
from openmofi.entities.words import stop_phrases, word_classes, words_digest
from support.linking_twin_words import classes_of

STOPS = (
    "determiners", "pronouns", "prepositions", "conjunctions", "auxiliaries", "adverbs", "fillers",
    "chatter",
)  # fmt: skip
OTHERS = ("colours", "demonyms", "adjectives", "numbers", "directions", "verbs")
NOUNS = "nouns all the same"


def sections() -> dict[str, list[str]]:
    """The file by the rules in its first lines."""
    found: dict[str, list[str]] = {}
    text = resources.files("openmofi.entities").joinpath("words.txt").read_text("utf-8")
    for line in text.splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("["):
            assert line.endswith("]")
            assert line[1:-1] not in found, line
            some = found.setdefault(line[1:-1], [])
        elif line:
            some.extend(entry.strip() for entry in line.split(","))
    return found


def test_all_sections_are_read_and_none_else() -> None:
    assert [*sections()] == [*STOPS, *OTHERS, NOUNS]


def test_entries_are_surface_keys_and_stand_once_in_a_section() -> None:
    for name, entries in sections().items():
        repeated = [entry for entry, count in Counter(entries).items() if count > 1]
        assert not repeated, name
        for entry in entries:
            assert entry == surface_key(entry) != "", (name, entry)


def test_stop_words_are_in_one_section_and_are_no_qualifiers() -> None:
    found = sections()
    shared = {
        (one, other): set(found[one]) & set(found[other])
        for one, other in itertools.combinations((*STOPS, *OTHERS[:-1]), 2)
    }
    # "to" announces a verb, "only" may stand before a noun.
    assert {pair: entries for pair, entries in shared.items() if entries} == {
        ("prepositions", "auxiliaries"): {"to"},
        ("adverbs", "adjectives"): {"only"},
    }


def test_verbs_that_are_stop_words_too_are_few() -> None:
    found = sections()
    stops = {entry for name in STOPS for entry in found[name]}
    assert set(found["verbs"]) & stops == {"let", "own", "please", "use"}


def test_nouns_all_the_same_are_forms_of_verbs() -> None:
    found = sections()
    forms = {form for verb in found["verbs"] for form, _ in words._forms(verb)}
    assert not set(found[NOUNS]) - forms


@pytest.mark.parametrize(
    ("word", "classes"),
    [
        ("the", {"determiner"}),
        ("to", {"preposition", "auxiliary"}),
        ("photo", {"chatter"}),
        ("please", {"chatter", "verb"}),
        ("red", {"adjective"}),
        ("welsh", {"adjective"}),
        ("seven", {"number"}),
        ("left", {"direction"}),
        ("walk", {"verb"}),
        ("walked", {"participle"}),
        ("walking", {"participle"}),
        ("walks", set()),  # a noun all the same
        ("carries", {"third_person"}),
        ("carried", {"participle"}),
        ("carrying", {"participle"}),
        ("plays", set()),
        ("played", {"participle"}),
        ("enjoys", {"third_person"}),
        ("catches", {"third_person"}),
        ("washes", {"third_person"}),
        ("fixes", {"third_person"}),
        ("kisses", set()),
        ("carved", {"participle"}),
        ("carving", set()),
        ("hopping", {"participle"}),  # of hop
        ("hoping", {"participle"}),  # of hope
        ("swimming", {"participle"}),
        ("fleeing", {"participle"}),
        ("fixing", {"participle"}),
        ("fixxing", set()),
        ("eating", {"participle"}),
        ("building", set()),
        ("close", {"adjective", "verb"}),
        ("photos", set()),
        ("stock photo", set()),  # phrases have no class
        ("dog", set()),
    ],
)
def test_classes(word: str, classes: set[str]) -> None:
    assert classes_of(word) == classes


def test_every_word_of_the_file_is_in_the_table() -> None:
    names = ("determiner", "pronoun", "preposition", "conjunction", "auxiliary", "adverb",
             "chatter", "chatter", "adjective", "adjective", "adjective", "number", "direction",
             "verb")  # fmt: skip
    found = sections()
    for section, name in zip((*STOPS, *OTHERS), names, strict=True):
        for entry in found[section]:
            if " " not in entry:
                assert name in classes_of(entry), entry


def test_the_table_has_room_and_no_word_is_lost() -> None:
    table = word_classes()
    used = int((table.classes > 0).sum())
    assert 2 * used < len(table.hashes)
    assert len(table.hashes) & (len(table.hashes) - 1) == 0


def test_stop_phrases_are_those_of_the_file() -> None:
    found = sections()
    assert [*stop_phrases()] == [*dict.fromkeys(e for name in STOPS for e in found[name])]
    assert {"the", "white background", "hd"} <= {*stop_phrases()}


def test_the_digest_is_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    before = words_digest()
    monkeypatch.setattr(words, "_data", lambda: b"[determiners]\na\n")
    words_digest.cache_clear()
    try:
        assert words_digest() != before
    finally:
        monkeypatch.undo()
        words_digest.cache_clear()
    assert words_digest() == before
