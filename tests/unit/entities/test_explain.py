"""Links explained: the pieces against the posterior, dropped words against the rules."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from openmofi.cli import main
from openmofi.entities.build import build_knowledge_base_folder
from openmofi.entities.config import KIND_WEIGHTS, NOT_SHOWN, LinkConfig
from openmofi.entities.explain import Evidence, Explanation, Mention, explain_texts
from openmofi.entities.knowledge_base import load_knowledge_base_folder
from openmofi.entities.linker import EntityLinker
from openmofi.errors import InputError
from support.encoders import write_encoder
from support.entities import GEORGIA, write_csv

# Words that the rules know, and homonyms of several kinds.
ROWS = [
    *GEORGIA,
    *(
        {
            "entity_id": entity_id,
            "name": name,
            "aliases": aliases,
            "description": description,
            "prior": prior,
            "parents": "",
        }
        for entity_id, name, aliases, description, prior in (
            ("Q1", "crane", "hoist", "machine that lifts heavy loads", "3"),
            ("Q2", "crane", "hoist", "wading bird of marshes, at home in Georgia", "1"),
            ("Q3", "Crane", "", "writer from Atlanta", "6"),
            ("Q4", "white", "", "a colour", "1"),
            ("Q5", "swimming", "", "the act of it", "1"),
            ("Q6", "two", "", "a number", "1"),
            ("Q7", "the", "", "an article", "1"),
            ("Q8", "stock photo", "", "a picture for sale", "1"),
            ("Q9", "north", "", "a direction", "1"),
            ("Q10", "polar crane", "", "crane in a reactor", "1"),
            ("Q11", "belly", "", "a part of the body", "1"),
            ("Q12", "WHO", "", "an organization", "1"),
        )
    ),
]
TEXTS = [
    "A crane lifts heavy loads",
    "Two cranes in the marshes of Georgia",
    "the writer Crane was born in Atlanta, Georgia",
    "a hoist, a polar crane",
    "Tbilisi",
    "",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("explain")
    table = str(write_csv(path / "kb.csv", ROWS))
    build_knowledge_base_folder(str(path / "kb"), csv=table)
    return str(path / "kb")


def softmax(totals: list[float]) -> list[float]:
    shares = [math.exp(total - max(totals)) for total in totals]
    return [share / sum(shares) for share in shares]


def check_sums(explanations: list[Explanation]) -> list[Mention]:
    """The pieces of each mention make its posteriors; returns those with several candidates."""
    mentions = [mention for one in explanations for mention in one.mentions]
    for mention in mentions:
        assert mention.more == 0
        found = softmax([one.evidence.total for one in mention.candidates])
        assert found == pytest.approx([one.posterior for one in mention.candidates], abs=1e-5)
    return [mention for mention in mentions if len(mention.candidates) > 1]


def test_the_pieces_add_up_to_the_posterior(folder: str) -> None:
    config = {
        "max_candidates": 64,
        "kind_weights": {"": -0.4},
        "prior_weight": 0.9,
        "popularity_weight": 0.3,
        "case_weight": 2.0,
    }
    open_ones = check_sums(explain_texts(folder, TEXTS, config=config))
    assert len(open_ones) >= 5
    pieces = [one.evidence for mention in open_ones for one in mention.candidates]
    assert {one.kind for one in pieces} == {-0.4}
    for piece in ("prior", "popularity", "name", "case", "text"):  # none is idle in these texts
        assert len({getattr(one, piece) for one in pieces}) > 1, piece


def test_each_piece_is_its_setting_times_what_was_found(folder: str) -> None:
    (one,) = explain_texts(folder, ["the writer Crane was born in Atlanta, Georgia"])
    (crane,) = (mention for mention in one.mentions if mention.surface == "Crane")
    writer = crane.candidates[0]
    assert (writer.entity_id, writer.reasons) == ("Q3", "name,case_fits")
    settings = LinkConfig()
    assert vars(writer.evidence) == pytest.approx(
        {
            "prior": settings.prior_weight * math.log(6 / 10),
            "popularity": settings.popularity_weight * math.log(1 + 6),
            "kind": 0.0,
            "name": settings.name_weight,
            "case": settings.case_weight,
            "text": settings.context_weight * writer.agreement,
            "encoder": 0.0,
        },
        abs=1e-6,
    )
    assert writer.agreement > 0


def test_what_is_explained_is_what_linking_says(folder: str) -> None:
    settings = LinkConfig(max_candidates=2)
    links = EntityLinker(load_knowledge_base_folder(folder), settings).link(TEXTS)
    explained = [
        (number, candidate.start, candidate.end, candidate.posterior)
        for number, one in enumerate(explain_texts(folder, TEXTS, config={"max_candidates": 2}))
        for mention in one.mentions
        for candidate in mention.candidates
    ]
    columns = (links.texts, links.starts, links.ends, links.scores)
    rows = zip(*(np.asarray(column).tolist() for column in columns), strict=True)
    assert explained == list(rows)
    assert len(explained) > len(TEXTS)


def test_candidates_that_are_not_kept_are_counted(folder: str) -> None:
    (one,) = explain_texts(folder, ["a crane"], config={"max_candidates": 1})
    (mention,) = one.mentions
    assert (len(mention.candidates), mention.more) == (1, 2)


def test_an_encoder_is_one_piece_more(tmp_path: Path) -> None:
    table = str(write_csv(tmp_path / "kb.csv", ROWS))
    encoder = str(write_encoder(tmp_path / "encoder"))
    base = str(tmp_path / "kb")
    build_knowledge_base_folder(base, csv=table, config={"encoder": encoder})
    config = {"encoder": encoder, "max_candidates": 64}
    open_ones = check_sums(explain_texts(base, TEXTS, config=config))
    assert all(one.evidence.encoder for mention in open_ones for one in mention.candidates)


@pytest.mark.parametrize(
    ("text", "surface", "rule"),
    [
        ("a white crane", "white", "adjective"),
        ("a white belly", "white", "adjective"),  # no adverb, since it is a mention
        ("a crane is swimming", "swimming", "verb"),
        ("Two cranes", "Two", "number"),
        ("stock photo of a crane", "stock photo", "chatter"),
        ("a crane in the north", "north", "direction"),
    ],
)
def test_dropped_words_name_their_rule(folder: str, text: str, surface: str, rule: str) -> None:
    (one,) = explain_texts(folder, [text])
    assert [(word.surface, word.rule) for word in one.dropped] == [(surface, rule)]
    (word,) = one.dropped
    assert text[word.start : word.end] == surface
    assert surface not in [mention.surface for mention in one.mentions]


def test_function_words_are_only_counted(folder: str) -> None:
    (one,) = explain_texts(folder, ["the crane and the crane"])
    assert (one.dropped, one.function_words) == ((), 3)


def test_a_function_word_in_capitals_is_told_as_linking_has_it(folder: str) -> None:
    shouted, plain = explain_texts(folder, ["WHO saw the crane", "who saw the crane"])
    assert [mention.surface for mention in shouted.mentions] == ["WHO", "crane"]
    assert (shouted.function_words, plain.function_words) == (1, 2)


def test_dropped_words_are_those_of_the_report(folder: str) -> None:
    texts = ["Two white cranes in the north, stock photo", "the white crane is swimming"]
    settings = LinkConfig()
    links = EntityLinker(load_knowledge_base_folder(folder), settings).link(texts)
    found = dict.fromkeys(links.dropped_by_rule(), 0)
    for one in explain_texts(folder, texts):
        found["function_word"] += one.function_words
        for word in one.dropped:
            found[word.rule] += 1
    assert found == links.dropped_by_rule()
    assert sum(found.values()) > 5


def test_what_no_picture_shows_is_dropped_with_its_meaning(folder: str) -> None:
    (one,) = explain_texts(folder, ["A crane"], config={"not_shown": [""]})
    (word,) = one.dropped
    assert (word.surface, word.rule, word.meaning) == ("crane", "not_shown", "Q1")
    assert one.mentions == ()


def test_the_command_prints_a_table_and_json(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "link.yaml"
    settings.write_text("max_candidates: 2\n")
    command = ["entities", "explain", "--kb", folder, "--config", str(settings)]
    assert main([*command, "a white crane", ""]) == 0
    table = capsys.readouterr().out
    assert '"a white crane"\n\n  crane (8 to 13)\n' in table
    assert "1 more candidates" in table
    assert "dropped: white (adjective), 1 function word\n" in table
    assert '""\n  no mention\n' in table
    lines = [line for line in table.splitlines() if "  Q" in line]
    assert len({line.index("  Q") for line in lines}) == 1  # aligned
    assert main([*command, "--json", "a white crane", ""]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [one["text"] for one in content] == ["a white crane", ""]
    (mention,) = content[0]["mentions"]
    best = mention["candidates"][0]
    assert set(best["evidence"]) == set(Evidence.__dataclass_fields__)
    assert (content[1]["mentions"], content[1]["dropped"]) == ([], [])


def test_bad_input_is_one_line(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["entities", "explain", "--kb", str(tmp_path), "a crane"]) == 2
    error = capsys.readouterr().err
    assert "is no knowledge base" in error
    assert error.count("\n") == 1
    with pytest.raises(InputError, match="encoder"):
        explain_texts(folder, ["a crane"], config={"encoder": "absent"})


def test_the_page_tells_every_setting_with_its_default() -> None:
    page = (Path(__file__).parents[3] / "docs" / "linking.md").read_text(encoding="utf-8")
    told = {
        "fields": "`[alt_text, title]`",
        "kind_weights": "see below",
        "not_shown": "see below",
        "recognizer": "none",
        "encoder": "none",
    }
    for name, field in LinkConfig.model_fields.items():
        default = told.get(name, f"`{field.default}`")
        assert f"| `{name}` | {default} |" in page, name
    page = " ".join(page.split())
    for kind, weight in KIND_WEIGHTS.items():
        assert re.search(rf"\b{kind}\b[^;+-]*{re.escape(f' {weight:+.1f}')}[;.]", page), kind
    assert f"`not_shown` by default: {', '.join(NOT_SHOWN)}." in page
