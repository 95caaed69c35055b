"""Which single words are no mention: each rule, and where it ends."""

from pathlib import Path

import pytest

from openmofi.entities.build import build_knowledge_base_folder
from openmofi.entities.config import LinkConfig
from openmofi.entities.knowledge_base import load_knowledge_base_folder
from openmofi.entities.linker import EntityLinker, Links
from support.entities import write_csv

# Written small, all of them names of one thing each, so that only the rules can drop them.
THINGS = (
    "two", "5", "seven", "hundred", "dog", "duck", "barn", "red", "golden", "chinese", "young",
    "swim", "barks", "jumps", "jumping", "painted", "snow", "left", "north", "last", "photo",
    "background", "horse", "the sea", "sea", "polly", "lily", "fence", "number", "wall", "fog",
    "run",
)  # fmt: skip
NAMES = ("US", "It", "Can", "Image", "Red", "Rover")


@pytest.fixture(scope="module")
def linker(tmp_path_factory: pytest.TempPathFactory) -> EntityLinker:
    folder = tmp_path_factory.mktemp("kb")
    rows = [
        {"entity_id": word, "name": word, "aliases": "", "description": "", "kind": "artifact"}
        for word in (*THINGS, *NAMES)
    ]
    rows.append({**rows[0], "entity_id": "fear", "name": "fear", "kind": "feeling"})
    table = str(write_csv(folder / "kb.csv", rows))
    base = load_knowledge_base_folder(build_knowledge_base_folder(str(folder / "kb"), csv=table))
    return EntityLinker(base, LinkConfig())


def surfaces(links: Links, text: str) -> list[str]:
    spans = zip(links.starts.tolist(), links.ends.tolist(), links.ranks.tolist(), strict=True)
    return [text[start:end] for start, end, rank in spans if rank == 0]


@pytest.mark.parametrize(
    ("text", "word", "rule"),
    [
        # A number counts what follows; behind a noun, or alone, it is a name.
        ("two ducks", "two", "number"),
        ("two of them", "two", "number"),
        ("fence number 5", "5", ""),
        ("number 5 on the wall", "5", ""),
        ("the wall, 5 ducks", "5", "number"),
        ("seven", "seven", ""),
        ("the seven", "seven", ""),
        ("with seven", "seven", "number"),
        ("seven, at sea", "seven", ""),
        # Digits are numbers, whatever their value; a hundred is one by words.txt.
        ("5 ducks", "5", "number"),
        ("a hundred ducks", "hundred", "number"),
        # What a noun has before it is no noun; alone, or after another such word, it may be.
        ("a red barn", "red", "adjective"),
        ("the red", "red", ""),
        ("red", "red", ""),
        ("painted in red", "red", "adjective"),
        ("a golden red", "red", ""),
        ("the barn is red", "red", "adjective"),
        ("the barn, red", "red", ""),
        ("red, white and blue", "red", ""),
        ("chinese lanterns", "chinese", "adjective"),
        ("a duck and its young", "young", ""),
        ("young (a dog)", "young", ""),
        ("red quickly fades", "red", "adjective"),  # nothing follows but an adverb; not alone
        ("a red quickly gone", "red", ""),
        ("a red lily", "red", "adjective"),  # an alias in -ly is no adverb
        # A verb follows what can do something, or stands before its object.
        ("dogs can swim", "swim", "verb"),
        ("they swim", "swim", "verb"),
        ("to swim", "swim", "verb"),
        ("a swim", "swim", ""),
        ("swim", "swim", ""),
        ("after a long swim in the sea", "swim", ""),
        ("horse jumping fences", "jumping", "verb"),
        ("a horse jumping in snow", "jumping", "verb"),
        ("show jumping", "jumping", ""),
        ("horse jumps over a wall", "jumps", "verb"),
        ("two jumps in snow", "jumps", ""),
        ("jumps in snow", "jumps", ""),  # no noun before it: it may be one
        ("the barks loudly", "barks", ""),
        ("dog barks loudly", "barks", "verb"),
        ("dog barks at the wall", "barks", "verb"),
        ("dog barks", "barks", ""),  # nothing says which
        ("painted wall", "painted", "verb"),
        ("a painted wall", "painted", "verb"),
        ("painted the wall", "painted", "verb"),
        ("don't run", "run", "verb"),
        ("the dog's run", "run", ""),
        # Never, whatever stands around it.
        ("the left", "left", "direction"),
        ("left of the barn", "left", "direction"),
        ("north", "north", "direction"),
        ("at last", "last", "direction"),
        # No mention on their own.
        ("it is a dog", "it", "function_word"),
        ("the sea", "the sea", ""),  # but as a part of a longer alias
        ("a photo of a dog", "photo", "chatter"),
        ("dog, white background", "background", "chatter"),
        # What is shouted among small letters is a name, if there is one.
        ("a map of the US", "US", ""),
        ("a map with us", "us", "function_word"),
        ("A MAP OF THE US", "US", "function_word"),
        ("a novel, IT", "IT", ""),
        ("I saw It there", "It", "function_word"),
        ("the dog we CAN see", "CAN", ""),
        ("we CAN do this", "CAN", "function_word"),  # no small word that a title would change
        ("an IMAGE of snow", "IMAGE", ""),
        ("a PHOTO of snow", "PHOTO", "chatter"),  # no entity is called so with a capital
        # No noun is asked for what pictures do not show.
        ("their fear", "fear", "not_shown"),
    ],
)  # fmt: skip
def test_rules(linker: EntityLinker, text: str, word: str, rule: str) -> None:
    links = linker.link([text])
    assert (word in surfaces(links, text)) == (not rule)
    if rule:
        assert links.dropped_by_rule()[rule] >= 1


def test_all_words_of_the_table_are_known(linker: EntityLinker) -> None:
    """So that none is missing only because it is no alias."""
    for word in THINGS:
        links = linker.link([f"x, {word}, x"])
        stops = links.dropped_by_rule()
        assert surfaces(links, f"x, {word}, x") == [word] or sum(stops.values()) == 1, word


@pytest.mark.parametrize("text", ["two dogs", "a red barn", "dogs can swim"])
def test_a_longer_alias_stands_anywhere(tmp_path: Path, text: str) -> None:
    row = {"entity_id": "x", "name": text, "aliases": "", "description": ""}
    table = str(write_csv(tmp_path / "kb.csv", [row]))
    out = build_knowledge_base_folder(str(tmp_path / "kb"), csv=table)
    links = EntityLinker(load_knowledge_base_folder(out), LinkConfig()).link([f"see {text} there"])
    assert surfaces(links, f"see {text} there") == [text]


# --- how a word is written -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("our dog is Rover", "case_fits"),
        ("Our dog is rover", "case_differs"),
        ("our dog is rover", ""),  # no capitals at all: none was to be expected
        ("OUR DOG IS ROVER", ""),
        ("Our Dog Rover", ""),  # a title says nothing
        ("The Rover Was Here", ""),
        ("Rover is our dog", ""),  # any sentence begins so
        ("here: Rover barks", ""),
        ("the dog. Rover barks", ""),
        ("they said 'Rover' today", ""),
        ("the dog (Rover) barks", ""),
        ("the dog, Rover, barks", "case_fits"),
        ("ROVER is our dog", "case_fits"),
        ("Rover and rover", "case_differs"),  # the second; the first begins the sentence
        ("a Rover, a rover", ""),  # written both ways
    ],
)
def test_case_speaks_for_names(linker: EntityLinker, text: str, reason: str) -> None:
    links = linker.link([text])
    [reasons] = {
        ",".join(one for one in names.split(",") if one.startswith("case"))
        for names, start, end in zip(
            links.reason_names.to_pylist(), links.starts, links.ends, strict=True
        )
        if text[start:end].lower() == "rover"
    }
    assert reasons == reason


def test_case_says_nothing_of_what_is_written_small(linker: EntityLinker) -> None:
    for text in ("we saw a Horse there", "We saw a horse there"):
        assert not any("case" in names for names in linker.link([text]).reason_names.to_pylist())
