"""Mentions of the matcher, of a model, and of both."""

from pathlib import Path

import numpy as np
import pytest

from openmofi.entities.config import LinkConfig
from openmofi.entities.kernels_match import HEADS, NESTED, PLAIN, RECOGNIZED, STOPPED
from openmofi.entities.knowledge_base import KnowledgeBase
from openmofi.entities.linker import EntityLinker
from openmofi.entities.mentions import mentions_of
from openmofi.entities.text import text_array, tokenize
from openmofi.errors import InputError
from support.entities import linking_base
from support.recognizers import write_recognizer

Rows = list[tuple[str, str, int]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeBase:
    return linking_base(tmp_path_factory.mktemp("kb"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Marks some words wherever they stand; a two-word name too."""
    marked = {
        "red": "B-LOC", "dogs": "B-LOC", "swim": "B-LOC", "hot": "B-PER", "dog": "I-PER",
        "can": "B-PER", "it": "B-PER", "unknown": "B-LOC", "left": "B-LOC",
    }  # fmt: skip
    words = {**dict.fromkeys(("a", "two", "barn", "we", "the", "horse"), "O"), **marked}
    return str(write_recognizer(tmp_path_factory.mktemp("model"), words))


def rows_of(base: KnowledgeBase, text: str, **config: str) -> Rows:
    """Surface, alias and kind of each row."""
    texts = text_array([text])
    tokens = tokenize(texts, base.matcher.index.tables)
    rows = mentions_of(base.matcher, LinkConfig.model_validate(config)).rows(tokens, texts)
    assert rows.shape[1] == 5
    return [
        (text[tokens.first[first] : tokens.last[last]], base.matcher.index.key(alias), what)
        for alias, first, last, what, _ in rows.tolist()
    ]


def surfaces(base: KnowledgeBase, text: str, **config: str) -> list[str]:
    settings = LinkConfig.model_validate({"not_shown": [], "max_candidates": 1, **config})
    links = EntityLinker(base, settings).link([text])
    return [text[a:b] for a, b in zip(links.starts, links.ends, strict=True)]


def test_the_matcher_gives_heads_and_stop_phrases(base: KnowledgeBase) -> None:
    assert rows_of(base, "a hot dog and two dogs") == [
        ("a", "a", STOPPED),
        ("hot dog", "hot dog", PLAIN),
        ("dog", "dog", NESTED),
        ("and", "and", STOPPED),
        ("two", "two", PLAIN),
        ("dogs", "dogs", PLAIN),
    ]


def test_a_plural_that_is_an_alias_knows_its_singular(base: KnowledgeBase) -> None:
    tokens = tokenize(["dogs pants dog bears men glasses sheep"], base.matcher.index.tables)
    rows = base.matcher.rows(tokens, HEADS | STOPPED)
    key = base.matcher.index.key
    names = [(key(row[0]), key(row[4]) if row[4] >= 0 else "") for row in rows.tolist()]
    assert names == [
        ("dogs", "dog"), ("pants", "pant"), ("dog", ""), ("bears", "bear"), ("man", ""),
        ("glasses", "glass"), ("sheep", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "kinds"), [(PLAIN, {PLAIN}), (STOPPED, {PLAIN, STOPPED}), (HEADS, {PLAIN, NESTED})]
)
def test_only_what_is_wanted_is_given(base: KnowledgeBase, wanted: int, kinds: set[int]) -> None:
    rows = base.matcher.rows(tokenize(["the hot dog"], base.matcher.index.tables), wanted)
    assert set(rows[:, 3].tolist()) == kinds


def test_a_head_is_the_longest_end_and_the_only_one(base: KnowledgeBase) -> None:
    rows = rows_of(base, "red hot dogs")
    assert rows == [("red hot", "red hot", PLAIN), ("dogs", "dogs", PLAIN)]
    rows = rows_of(base, "a tin can")
    assert [row for row in rows if row[2] == NESTED] == []  # "can" is a stop word


def test_a_model_marks_what_counts(base: KnowledgeBase, model: str) -> None:
    config = {"mentions": "recognizer", "recognizer": model}
    # It marks "red", which lies inside of an alias, and "unknown", which is none.
    assert rows_of(base, "a red barn", **config) == [("red", "red", RECOGNIZED)]
    assert rows_of(base, "a red horse", **config) == [("red", "red", RECOGNIZED)]
    assert rows_of(base, "unknown horse", **config) == []
    assert rows_of(base, "a hot dog", **config) == [("hot dog", "hot dog", RECOGNIZED)]
    assert rows_of(base, "two dogs", **config) == [("dogs", "dogs", RECOGNIZED)]


def test_rows_stand_in_the_order_of_the_text(base: KnowledgeBase, model: str) -> None:
    texts = text_array(["red dogs swim", "", "it can swim red hot dog", "horse"])
    tokens = tokenize(texts, base.matcher.index.tables)
    for name in ("recognizer", "both"):
        config = LinkConfig.model_validate({"mentions": name, "recognizer": model})
        rows = mentions_of(base.matcher, config).rows(tokens, texts)
        outer = rows[rows[:, 3] != NESTED]
        assert (np.diff(outer[:, 1]) > 0).all()
        assert len(outer) > 4


def test_what_a_model_marks_overrules_the_rules(base: KnowledgeBase, model: str) -> None:
    text = "a red horse can swim left of two dogs"
    assert surfaces(base, text) == ["horse", "dogs"]
    both = {"mentions": "both", "recognizer": model}
    assert surfaces(base, text, **both) == ["red", "horse", "can", "swim", "left", "dogs"]
    alone = {"mentions": "recognizer", "recognizer": model}
    assert surfaces(base, text, **alone) == ["red", "can", "swim", "left", "dogs"]


def test_heads_go_on_beside_a_model(base: KnowledgeBase, model: str) -> None:
    settings = LinkConfig(mentions="both", recognizer=model, head_share=0.4, max_candidates=5)
    links = EntityLinker(base, settings).link(["a hot dog"])
    found = {"a hot dog"[a:b] for a, b in zip(links.starts, links.ends, strict=True)}
    assert found == {"hot dog", "dog"}


def test_texts_without_words(base: KnowledgeBase, model: str) -> None:
    for name in ("recognizer", "both"):
        for text in ("", "...", "\U0001f98a", "\x00"):
            config = {"mentions": name, "recognizer": model}
            assert [row for row in rows_of(base, text, **config) if row[2] == RECOGNIZED] == []


def test_a_model_that_is_none_is_refused(base: KnowledgeBase, tmp_path: Path) -> None:
    settings = LinkConfig(mentions="both", recognizer=str(tmp_path))
    with pytest.raises(InputError) as caught:
        EntityLinker(base, settings)
    assert len(str(caught.value).splitlines()) == 1
