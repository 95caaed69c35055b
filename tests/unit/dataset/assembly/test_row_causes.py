"""Causes that a sample's own facts decide: their order, rights, and take-downs."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from openmofi.dataset.assembly.facts import FACTS
from openmofi.dataset.assembly.fates import Fates
from openmofi.dataset.assembly.image_rules import read_heads
from openmofi.dataset.assembly.row_causes import RowDecisions, row_causes
from openmofi.dataset.causes import Cause
from openmofi.dataset.config import HeadRule, RightsRule
from openmofi.records import from_rows
from openmofi.tombstones import Tombstones, url_hash
from support.heads import write_head

CLEAN: dict[str, Any] = {
    "uid": "u" * 32,
    "image_id": "i" * 32,
    "status": "ok",
    "with_text": False,
    "large_text": False,
    "held_out": False,
    "heads": [0.0],
    "entities": [],
    "scores": [],
    "contexts": [],
    "candidates": [],
}


def causes(rows: list[dict[str, Any]], decided: RowDecisions, labelled: Any = True) -> list[str]:
    facts = from_rows([{**CLEAN, **row} for row in rows], FACTS)
    fates = Fates(len(rows))
    part = slice(0, len(rows))
    for cause, where in row_causes(facts, np.full(len(rows), labelled), decided):
        fates.drop(part, cause, where)
    codes, names = fates.causes(part)
    return [names[code] for code in codes]


def test_the_first_cause_that_applies_is_the_samples(tmp_path: Path) -> None:
    """A sample that all of them apply to, relieved of one after the other."""
    file = write_head(tmp_path / "h.safetensors", [1.0])
    row: dict[str, Any] = {
        "status": "too_small",
        "held_out": True,
        "licence": "mine",
        "no_ai": True,
        "text": str(Cause.TEXT_REGION),
        "heads": [0.9],
    }
    decided = RowDecisions(
        min_score=0.2,
        rights=RightsRule(licences=("cc-*",)),
        heads=tuple(read_heads({"h": HeadRule(file=str(file), max=0.5)}, "").values()),
        tombstones=Tombstones(ids=frozenset({"x" * 32})),
    )
    rows = []
    for relief in (
        {},
        {"status": "ok", "uid": "x" * 32},
        {"uid": "u" * 32},
        {"held_out": False},
        {"licence": "CC-BY"},
        {"no_ai": False},
        {"text": None},
        {"heads": [0.5]},
    ):
        row = row | relief
        rows.append(row)
    expected = [
        "too_small",
        Cause.TAKEN_DOWN,
        Cause.EVALUATION_OVERLAP,
        Cause.LICENCE,
        Cause.NO_AI,
        Cause.TEXT_REGION,
        Cause.IMAGE_SCORE,
        Cause.NO_ENTITY,
    ]
    assert causes(rows, decided, labelled=False) == expected
    assert expected[1:] == [one for one in Cause if str(one) in expected]
    assert causes(rows[-1:], decided, labelled=True) == ["kept"]


@pytest.mark.parametrize("text", [Cause.TEXT_FAILED, Cause.TEXT_REGION, Cause.TEXT_DEPENDENT])
def test_what_the_text_rule_says_is_the_cause(text: Cause) -> None:
    assert causes([{"text": str(text)}, {}], RowDecisions(0.2)) == [text, "kept"]


@pytest.mark.parametrize(
    ("patterns", "allowed"),
    [
        (None, {"CC-BY-4.0", "cc0", "mine", "", "  ", None}),
        ((), set()),
        (("cc*",), {"CC-BY-4.0", "cc0"}),
        (("CC-BY-?.0", " MINE "), {"CC-BY-4.0", "mine"}),
        (("*",), {"CC-BY-4.0", "cc0", "mine"}),  # any that is said
        (("",), {"", "  ", None}),
        (("cc0", ""), {"cc0", "", "  ", None}),
        (("cc", "c", "0"), set()),  # whole names
    ],
)
def test_licences_are_patterns_in_any_case(patterns: Any, allowed: set[str | None]) -> None:
    licences = ["CC-BY-4.0", None, "mine", "cc0", "", "  "]
    decided = RowDecisions(0.2, rights=RightsRule(licences=patterns))
    found = causes([{"licence": one} for one in licences], decided)
    assert found == ["kept" if one in allowed else Cause.LICENCE for one in licences]


def test_what_refuses_training_goes_unless_the_rule_is_off() -> None:
    rows: list[dict[str, Any]] = [{"no_ai": True}, {"no_ai": False}, {"no_ai": None}]
    assert causes(rows, RowDecisions(0.2)) == [Cause.NO_AI, "kept", "kept"]
    off = RowDecisions(0.2, rights=RightsRule(drop_no_ai=False))
    assert causes(rows, off) == ["kept"] * 3


def test_a_take_down_names_a_uid_an_image_or_a_url() -> None:
    urls = [url_hash("https://a.test/1"), url_hash("https://a.test/2"), None]
    rows = [{"url_hash": url} for url in urls]
    rows += [{"uid": "a" * 32}, {"image_id": "b" * 32}, {"image_id": None}]
    listed = Tombstones(frozenset({"a" * 32, "b" * 32}), frozenset({str(urls[1])}))
    gone = Cause.TAKEN_DOWN
    expected = ["kept", gone, "kept", gone, gone, "kept"]
    assert causes(rows, RowDecisions(0.2, tombstones=listed)) == expected


def test_images_without_an_embedding_are_refused_by_heads_alone(tmp_path: Path) -> None:
    file = write_head(tmp_path / "h.safetensors", [1.0])
    rows = [{"heads": []}, {"heads": [0.4]}, {"heads": [0.6]}]
    bounds = {"h": HeadRule(file=str(file), max=0.5)}
    decided = RowDecisions(0.2, heads=tuple(read_heads(bounds, "").values()))
    assert causes(rows, decided) == [Cause.IMAGE_SCORE, "kept", Cause.IMAGE_SCORE]
    assert causes([{**one, "heads": []} for one in rows], RowDecisions(0.2)) == ["kept"] * 3


def test_facts_have_a_digest_of_their_content() -> None:
    from openmofi.keys import content_digest

    one = from_rows([CLEAN], FACTS)
    other = from_rows([{**CLEAN, "candidates": [1]}], FACTS)
    assert content_digest(one) != content_digest(other)
    assert content_digest(one) == content_digest(pa.concat_tables([one.slice(0, 0), one]))
