"""What the policy text_dependent drops, keeps and counts; what it refuses to decide by."""

from pathlib import Path
from typing import Any

import pytest

from openmofi.cli import main
from openmofi.errors import InputError
from openmofi.storage import open_store
from support.assembly import assemble, dropped, kept, masked, pool_of, remade
from support.labeling import remove_tars
from support.tables import Pool, labelled, without

TEXT = [(0.9, 0.05)]
DEPENDENT = {"policy": "text_dependent", "min_masked_score": 0.2}


@pytest.fixture
def pool(root: Path) -> Pool:
    pairs = [labelled(seed, ("peru", 0.4), boxes=TEXT) for seed in range(5)]
    pairs += [
        labelled(5, ("peru", 0.4)),  # no box
        labelled(6, ("peru", 0.4), boxes=[(0.4, 0.05)]),  # too unsure for the rule
        labelled(7, ("peru", 0.4), boxes=[(0.9, 0.05), (0.9, 0.9)]),  # and a large one
        labelled(8, ("peru", 0.4), boxes=[(0.9, 0.9)]),
        labelled(9, ("peru", 0.4), text_status="failed"),
    ]
    scores = [0.5, 0.2, 0.19, "failed", "skipped", "skipped", -0.5, 0.5, "skipped", "skipped"]
    return masked(pool_of(root, *pairs), {"a": scores})


def test_what_still_fits_without_its_text_is_kept(pool: Pool, knowledge_base: str) -> None:
    made = assemble(pool, knowledge_base, text=DEPENDENT)
    assert dropped(made) == {
        "a/2": "text_dependent",
        "a/3": "text_failed",  # whether it depends on its text is not known
        "a/4": "text_region",  # no score, so any text is too much
        "a/9": "text_failed",
    }
    assert set(kept(made)) == {"a/0", "a/1", "a/5", "a/6", "a/7", "a/8"}


def test_any_text_drops_whatever_the_scores_are(pool: Pool, knowledge_base: str) -> None:
    made = assemble(pool, knowledge_base)
    with_text = {f"a/{row}": "text_region" for row in (0, 1, 2, 3, 4, 7)}
    assert dropped(made) == {**with_text, "a/9": "text_failed"}


def test_counts_by_policy_are_the_same_whichever_is_chosen(pool: Pool, knowledge_base: str) -> None:
    chosen = assemble(pool, knowledge_base, text=DEPENDENT).content
    other = assemble(pool, knowledge_base, text={**DEPENDENT, "policy": "any_text"}).content
    names = ("with_text", "dropped_by_any_text", "dropped_by_text_dependent", "large_text")
    for content in (chosen, other):
        assert [content["totals"][name] for name in names] == [6, 6, 3, 1]
        assert sum(content["counts"].values()) == 10
    # Of ten: what the policy drops, and the one in which detection failed.
    assert chosen["counts"]["kept"] == 10 - 3 - 1
    assert other["counts"]["kept"] == 10 - 6 - 1


def test_a_policy_that_was_not_tried_is_not_counted(pool: Pool, knowledge_base: str) -> None:
    for tried in (assemble(pool, knowledge_base), assemble(_bare(pool), knowledge_base)):
        assert tried.content["totals"]["with_text"] == 6
        assert "dropped_by_text_dependent" not in tried.content["totals"]
    nothing = assemble(_bare(pool), knowledge_base, text={"drop_text": False})
    assert "with_text" not in nothing.content["totals"]
    assert len(kept(nothing)) == 10


def test_another_cut_reads_no_pixels(pool: Pool, knowledge_base: str) -> None:
    first = assemble(pool, knowledge_base, text=DEPENDENT)
    tables = _tables(pool)
    assert remove_tars(pool.root) == 1
    cut = {**DEPENDENT, "min_masked_score": 0.3}
    second = assemble(pool, knowledge_base, text=cut)
    assert {"a/1": "text_dependent", **dropped(first)} == dropped(second)
    assert _tables(pool) == tables


def test_show_and_card_state_what_each_policy_drops(
    pool: Pool, knowledge_base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = assemble(pool, knowledge_base, text=DEPENDENT)
    assert main(["dataset", "show", made.uri]) == 0
    shown = capsys.readouterr().out
    assert "dropped_by_any_text 6, dropped_by_text_dependent 3" in shown
    assert [line.split() for line in shown.splitlines() if "text_dependent  " in line] == [
        ["text", "regions", "text_dependent", "-1", "6"]
    ]
    card = made.store.get(made.content["card"]).decode()
    assert "<td>any_text</td><td></td><td>6</td><td>0</td>" in card
    assert "<td>text_dependent</td><td>chosen</td><td>3</td><td>3</td>" in card
    assert "covered, of 4 of them" in card
    assert ">cut 0.2</text>" in card


def test_the_card_shows_masked_scores_before_there_is_a_cut(
    pool: Pool, knowledge_base: str
) -> None:
    card = _card(assemble(pool, knowledge_base))
    assert "covered, of 4 of them" in card
    assert card.count(">cut ") == 1  # that of entities
    assert "covered, of" not in _card(assemble(_bare(pool), knowledge_base))


@pytest.mark.parametrize(
    ("kinds", "config", "match"),
    [
        (["masked_scores"], {}, "no masked_scores were given"),
        (["text_regions"], {}, "no text_regions were given"),
        (["masked_scores"], {"require_entities": False}, "no masked_scores were given"),
    ],
)
def test_tables_that_the_policy_needs_are_named(
    pool: Pool, knowledge_base: str, kinds: list[str], config: dict[str, Any], match: str
) -> None:
    with pytest.raises(InputError, match=match):
        assemble(without(pool, *kinds), knowledge_base, text=DEPENDENT, **config)


@pytest.mark.parametrize(
    ("limits", "match"),
    [
        ({"min_confidence": 0.6}, r"min_confidence 0.6, .* text.min_confidence 0.5 counts as text"),
        ({"min_area": 0.01}, r"min_area 0.01, .* text.min_area 0.001 counts"),
        ({"max_area": 0.1}, r"max_area 0.1, .* text.max_area 0.2 counts"),
    ],
)
def test_scores_that_left_text_in_sight_are_refused(
    pool: Pool, knowledge_base: str, limits: dict[str, float], match: str
) -> None:
    other = masked(_bare(pool), {"a": [0.5] * 10}, **limits)
    with pytest.raises(InputError, match=match):
        assemble(other, knowledge_base, text=DEPENDENT)


def test_scores_of_other_regions_are_refused(pool: Pool, knowledge_base: str) -> None:
    other = remade(pool, "text_regions", digests={"detector": "another"})
    with pytest.raises(InputError, match="made with other text_regions than those given"):
        assemble(other, knowledge_base, text=DEPENDENT)


def test_scores_of_another_length_are_refused(pool: Pool, knowledge_base: str) -> None:
    shorter = masked(_bare(pool), {"a": [0.5] * 9})
    with pytest.raises(InputError, match="masked_scores has 9 rows and samples 10"):
        assemble(shorter, knowledge_base, text=DEPENDENT)


def test_a_policy_without_its_cut_is_one_line(pool: Pool, knowledge_base: str) -> None:
    with pytest.raises(InputError, match="text_dependent needs min_masked_score") as raised:
        assemble(pool, knowledge_base, text={"policy": "text_dependent"})
    assert "\n" not in str(raised.value)


def _bare(pool: Pool) -> Pool:
    return without(pool, "masked_scores")


def _tables(pool: Pool) -> set[str]:
    """Of what stages have found out, which facts only gather."""
    keys = {info.key for info in open_store(pool.root).list("tables/")}
    return {key for key in keys if not key.startswith("tables/dataset_facts/")}


def _card(made: Any) -> str:
    return str(made.store.get(made.content["card"]).decode())
