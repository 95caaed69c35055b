from pathlib import Path

import pytest

from openmofi.entities.wordnet import read_wordnet, wordnet_rows
from openmofi.errors import InputError
from support.entities import DATA_NOUN, INDEX_NOUN, write_wordnet


def test_a_synset_is_an_entity(tmp_path: Path) -> None:
    source = read_wordnet(write_wordnet(tmp_path), 16)
    entities = {entity.entity_id: entity for entity in wordnet_rows(tmp_path)}
    assert sorted(entities) == ["n00000010", "n00000020", "n00000030", "n00000040"]
    person = entities["n00000040"]
    assert person.name == "person"
    assert [alias for alias, _ in person.aliases] == ["person", "human being", "man"]
    assert entities["n00000030"].instance_of == ("n00000040",)
    assert source.plurals == {"men": "man", "human beings": "human being"}
    assert source.notice == "A licence of the maker of this file.\n"


def test_the_description_is_the_gloss_without_examples(tmp_path: Path) -> None:
    source = list(wordnet_rows(write_wordnet(tmp_path)))
    described = {entity.entity_id: entity.description for entity in source}
    assert described["n00000010"] == "a being that moves"
    assert described["n00000020"] == "wading bird of marshes"


def test_weights_follow_sense_order_and_tagging(tmp_path: Path) -> None:
    source = list(wordnet_rows(write_wordnet(tmp_path)))
    weights = {e.entity_id: dict(e.aliases) for e in source}
    assert weights["n00000030"]["Crane"] > weights["n00000020"]["crane"] > 0
    # "animal" occurs in the tagged corpus, "beast" does not; both are first senses.
    assert weights["n00000010"]["animal"] > weights["n00000010"]["beast"]


@pytest.mark.parametrize("name", ["data.noun", "index.noun", "noun.exc"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (write_wordnet(tmp_path) / name).unlink()
    with pytest.raises(InputError, match=f"{name}$"):
        read_wordnet(tmp_path, 16)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"data_noun": DATA_NOUN[:-20]}, r"data.noun, line 5 .*cut short"),
        ({"data_noun": DATA_NOUN.replace(" | wading", " wading")}, r"data.noun, line 3 .*gloss"),
        ({"data_noun": DATA_NOUN.replace("n 02 animal", "n 07 animal")}, r"line 2 .*counts"),
        ({"data_noun": DATA_NOUN.replace("n 02 animal", "n zz animal")}, r"line 2 is no WNDB"),
        ({"data_noun": DATA_NOUN + DATA_NOUN}, r"line 7: synset 00000010 occurs twice"),
        ({"data_noun": DATA_NOUN[: DATA_NOUN.index("00000040 18")]}, r"00000040 of .*data.noun"),
        ({"data_noun": "  1 licence only\n"}, r"holds no synset"),
        ({"index_noun": INDEX_NOUN.replace("n 2 1 @ 2 1", "n 3 1 @ 2 1")}, r"index.noun, line 4"),
        ({"index_noun": INDEX_NOUN.replace("beast n", "beast v")}, r"index.noun, line 3"),
        ({"noun_exc": "men\n"}, r"noun.exc, line 1 .*singular"),
    ],
)
def test_garbled_files_are_one_line(tmp_path: Path, changed: dict[str, str], message: str) -> None:
    write_wordnet(tmp_path, **changed)
    with pytest.raises(InputError, match=message) as caught:
        list(read_wordnet(tmp_path, 16).parts())
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    path = write_wordnet(tmp_path) / "index.noun"
    path.write_bytes(path.read_bytes() + b"\xff\xfe n 1 0 1 0 00000010\n")
    with pytest.raises(InputError, match=r"index\.noun, line .*UTF-8"):
        list(read_wordnet(tmp_path, 16).parts())


def test_a_notice_has_an_end_whatever_the_file_holds(tmp_path: Path) -> None:
    write_wordnet(tmp_path, data_noun="  1 a licence of many words\n" * 10_000 + DATA_NOUN)
    source = read_wordnet(tmp_path, 16)
    assert source.notice.startswith("a licence of many words\n")
    assert len(source.notice) < 1 << 16
    assert sum(len(part.entities) for part in source.parts()) == 4
