"""Linking batches of texts in one process."""

import resource
import time
from collections import defaultdict

import numpy as np
import pytest

from openmofi.entities import linker as linker_module
from openmofi.entities.build import build_knowledge_base_folder
from openmofi.entities.config import LinkConfig
from openmofi.entities.knowledge_base import KnowledgeBase, load_knowledge_base_folder
from openmofi.entities.linker import EntityLinker
from openmofi.entities.terms import stop_hashes, term_hashes
from support.entities import GEORGIA, linking_base, write_csv

TEXTS = [
    "Flag of Georgia, photographed in Tbilisi",
    "Flag of Georgia, photographed in Atlanta",
    "A stock photo of nothing at all",
    "",
    "the Peach State",
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeBase:
    folder = tmp_path_factory.mktemp("kb")
    table = write_csv(folder / "kb.csv", GEORGIA)
    return load_knowledge_base_folder(
        build_knowledge_base_folder(str(folder / "kb"), csv=str(table))
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeBase:
    return linking_base(tmp_path_factory.mktemp("world"))


def best(base: KnowledgeBase, text: str, **config: object) -> list[tuple[str, str]]:
    """Surface and entity of each mention."""
    links = EntityLinker(base, LinkConfig.model_validate(config)).link([text])
    ids = base.entity_ids(links.entities).to_pylist()
    rows = zip(links.starts.tolist(), links.ends.tolist(), ids, links.ranks.tolist(), strict=True)
    return [(text[start:end], entity) for start, end, entity, rank in rows if rank == 0]


def test_posteriors_equal_the_formula_written_out(base: KnowledgeBase) -> None:
    settings = LinkConfig(rounds=3, mention_weight=0.7, context_weight=4)
    text = "Georgia: Georgia, near Tbilisi, in the south of Europe"
    links = EntityLinker(base, settings).link([text])

    dense = np.zeros((len(base), len(base.vectors.terms)))
    for row in range(len(base)):
        begin, end = base.vectors.starts[row : row + 2]
        dense[row, base.vectors.columns[begin:end]] = base.vectors.values[begin:end]
    rows = {name: i for i, name in enumerate(base.entities.column("entity_id").to_pylist())}
    country, state, city = rows["Q230"], rows["Q1428"], rows["Q994"]

    def words(*names: str) -> np.ndarray:
        total = np.zeros(dense.shape[1])
        for name in names:
            tokens = base.matcher.match([name]).tokens
            for word in term_hashes(tokens, stop_hashes())[0]:
                total += (base.vectors.terms == word) * base.vectors.idf
        return total

    said = np.zeros(dense.shape[1])
    begin, end = base.vectors.starts[city : city + 2]
    some = slice(begin, min(begin + 8, end))  # its greatest terms
    said[base.vectors.columns[some]] = base.vectors.values[some]
    context = words("Tbilisi", "south", "Europe") + 0.7 * said
    # Nothing is known of their kinds; both are called so, and written as names are.
    logits = {
        row: settings.prior_weight * np.log(prior)
        + settings.popularity_weight * np.log1p(weight)
        + settings.name_weight
        + 4 * (dense[row] @ context) / np.linalg.norm(context)
        for row, prior, weight in ((country, 1 / 3, 1), (state, 2 / 3, 2))
    }
    total = sum(np.exp(value) for value in logits.values())
    got = dict(zip(links.entities.tolist(), links.scores.tolist(), strict=True))
    for row, value in logits.items():
        assert got[row] == pytest.approx(np.exp(value) / total, abs=1e-5)


def test_the_other_mentions_are_settled_together(base: KnowledgeBase) -> None:
    linker = EntityLinker(base, LinkConfig(max_candidates=1))
    together = linker.link(["Georgia", "Tbilisi"], [7, 7])
    apart = linker.link(["Georgia", "Tbilisi"])
    ids = [base.entity_ids(links.entities).to_pylist() for links in (together, apart)]
    assert ids == [["Q230", "Q994"], ["Q1428", "Q994"]]


def test_the_same_word_twice_bears_no_witness_for_itself(base: KnowledgeBase) -> None:
    linker = EntityLinker(base, LinkConfig())
    once, often = linker.link(["Georgia"]), linker.link(["Georgia, Georgia and Georgia"])
    assert often.found == 3
    assert set(often.scores.tolist()) == set(once.scores.tolist())
    assert not often.agreements.any()


@pytest.mark.parametrize("texts", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 60, 10**6])
def test_borders_of_batches_change_nothing(
    base: KnowledgeBase, monkeypatch: pytest.MonkeyPatch, texts: int, size: int
) -> None:
    linker = EntityLinker(base, LinkConfig())
    some = TEXTS * 3
    owners = np.arange(len(some)) * 2 // 3
    whole = linker.link(some, owners)
    monkeypatch.setattr(linker_module, "_BATCH_TEXTS", texts)
    monkeypatch.setattr(linker_module, "_BATCH_BYTES", size)
    cut = linker.link(some, owners)
    for name, column in vars(whole).items():
        np.testing.assert_array_equal(getattr(cut, name), column, err_msg=name)
    assert whole.found > 0


def test_more_texts_than_a_batch_holds(base: KnowledgeBase) -> None:
    linker = EntityLinker(base, LinkConfig())
    links, alone = linker.link(TEXTS * 900), linker.link(TEXTS)
    assert links.found == 900 * alone.found
    assert links.mentions.max() == links.found - 1
    last = links.texts >= len(TEXTS) * 899
    np.testing.assert_array_equal(links.entities[last], alone.entities)
    np.testing.assert_array_equal(links.scores[last], alone.scores)
    np.testing.assert_array_equal(links.dropped, 900 * alone.dropped)


@pytest.mark.parametrize(
    "text",
    ["", "\U0001f98a" * 9, "مرحبا بالعالم", "\x00\x01\x02 Georgia\x1b", "\u202eGeorgia\u202c",
     "\ud83d Georgia \udc00", "Georgia\u0301 \u200b"],
    ids=["empty", "emoji", "right-to-left", "control", "turned", "surrogates", "marked"],
)  # fmt: skip
def test_odd_texts_are_linked_or_left(base: KnowledgeBase, text: str) -> None:
    found = [surface for surface, _ in best(base, text)]
    assert found == ["Georgia"] * ("Georgia" in text and "\u0301" not in text)


def test_no_texts_and_no_documents(base: KnowledgeBase) -> None:
    linker = EntityLinker(base, LinkConfig())
    for links in (linker.link([]), linker.link([], []), linker.link(["", ""], [0, 0])):
        assert links.found == links.ambiguous == len(links.ranks) == 0
        assert links.reason_names.to_pylist() == []
        assert set(links.dropped_by_rule().values()) == {0}


def test_a_megabyte_in_one_text(world: KnowledgeBase) -> None:
    linker = EntityLinker(world, LinkConfig(max_candidates=1, mention_weight=0))
    sentence = "the Georgia city near Tbilisi, water of a spring, seals on a farm and a crane. "
    once = linker.link([sentence])  # compiled now
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    links = linker.link([sentence * 13_000])
    assert time.monotonic() - began < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600_000  # KiB
    assert links.found == 13_000 * once.found
    # A text that says the same more often points the same way.
    np.testing.assert_allclose(links.agreements[-len(once.ranks) :], once.agreements, atol=1e-3)
    ends = links.ends[-len(once.ranks) :] - 12_999 * len(sentence)
    np.testing.assert_array_equal(ends, once.ends)


@pytest.mark.parametrize(
    ("text", "config", "wanted"),
    [
        ("a hot dog", {}, [("hot dog", "hotdog")]),
        ("a hot dog", {"head_share": 0.9, "singular_share": 0}, [("dog", "dog")]),
        ("a polar bear", {"head_share": 0.9, "singular_share": 0}, [("polar bear", "polarbear")]),
        ("grey pants", {"singular_share": 0}, [("pants", "pants")]),
        ("two dogs", {}, [("dogs", "dog")]),
        ("two dogs", {"singular_share": 0}, [("dogs", "dogs")]),
        ("tall men", {}, [("men", "n00000040")]),
        ("a tincan", {}, [("tincan", "can")]),
        ("sheep", {}, [("sheep", "sheep")]),
    ],
)
def test_heads_and_plurals(
    world: KnowledgeBase, text: str, config: dict[str, float], wanted: list[tuple[str, str]]
) -> None:
    assert best(world, text, **config) == wanted


def test_a_word_that_is_its_own_plural_keeps_its_whole_prior(world: KnowledgeBase) -> None:
    links = EntityLinker(world, LinkConfig()).link(["sheep"])
    assert links.priors.tolist() == [1.0]


def test_one_alias_with_a_head_and_without(world: KnowledgeBase) -> None:
    # "does" is a stop word, so that "John Does" has no head; both are one group.
    linker = EntityLinker(world, LinkConfig(head_share=0.4))
    for text in ("John Doe met John Does", "John Does met John Doe"):
        links = linker.link([text])
        spans = defaultdict(set)
        for number, start, end in zip(links.mentions, links.starts, links.ends, strict=True):
            assert 0 <= start < end
            spans[int(number)].add(text[start:end])
        assert all(span <= {"John Doe", "John Does", "Doe"} for span in spans.values())
        assert len(spans) == 2


def test_a_mention_of_what_no_picture_shows_is_dropped(world: KnowledgeBase) -> None:
    assert best(world, "a joy") == []
    assert best(world, "a joy", not_shown=[]) == [("joy", "joy")]
    # Only the likeliest meaning is asked.
    text = "a coil and bent metal: the spring"
    assert ("spring", "coil") in best(world, text, kind_weights={"artifact": 9, "time": 0})
    assert "spring" not in dict(best(world, text, kind_weights={"artifact": -9, "time": 9}))
