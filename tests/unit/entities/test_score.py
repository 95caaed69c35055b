import dataclasses
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from openmofi.entities.quality.gold import read_gold
from openmofi.entities.quality.score import Rate, Score, score_links
from openmofi.shards import write_tar
from support.scores import counts, gold_line, link, scored_lines, write_gold, write_links

STAMPS = Path(__file__).resolve().parents[4] / "shared" / "data" / "stamps"

DUCK, ZOO, FLAG = "A duck on a pond.", "The zoo has a crane.", "A yellow flag."
GOLD = [
    gold_line(
        "0", DUCK, [("duck", ["bird"], True), ("pond", ["lake", "pool"], False)], source="a/x"
    ),
    gold_line("1", ZOO, [("zoo", ["zoo"], False), ("crane", ["wader"], True)], source="a/y"),
    gold_line("2", FLAG, [("flag", ["banner"], True)], source="b/x"),
    gold_line("3", "Nothing.", source="b/y"),
]
LINKS = [
    link("0", DUCK, "duck", "cloth", 0, 0.75),
    link("0", DUCK, "duck", "bird", 1, 0.25),
    link("0", DUCK, "pond", "pool", 0, 1.0),
    link("1", ZOO, "crane", "machine", 0, 0.95),
    link("2", FLAG, "yellow flag", "iris", 0, 0.5),
    link("2", FLAG, "flag", "banner", 1, 0.25),
    link("9", "A fox.", "fox", "fox"),
]


def scored(folder: Path, gold: list[Any] = GOLD, links: list[Any] = LINKS, **more: Any) -> Score:
    return scored_lines(folder, gold, links, **more)


def test_figures_of_a_small_case_by_hand(tmp_path: Path) -> None:
    score = scored(tmp_path)
    every = score.all
    assert (every.captions, every.gold, every.predicted, every.found) == (4, 5, 4, 3)
    assert counts(every.precision) == (3, 4)
    assert counts(every.recall) == (3, 5)
    assert every.f1.value == pytest.approx(2 * (3 / 4) * (3 / 5) / (3 / 4 + 3 / 5))
    assert counts(every.links) == (1, 5)
    assert counts(every.ambiguous) == (0, 3)
    # The duck's bird, the pond's pool, and the banner, though another span was chosen.
    assert counts(every.candidate_recall) == (3, 5)
    assert score.unjudged == 1


def test_captions_of_some_sources_can_be_left_out(tmp_path: Path) -> None:
    score = scored(tmp_path, without=["a/x", "b"])
    assert score.without is not None
    assert (score.without.captions, score.without.gold, score.without.predicted) == (1, 2, 1)
    assert counts(score.without.links) == (0, 2)
    alone = scored(tmp_path, gold=GOLD[1:2])
    assert score.without == alone.all
    assert (score.prefixes, score.left_out) == (("a/x", "b"), "")


def test_calibration_by_hand(tmp_path: Path) -> None:
    calibration = scored(tmp_path).calibration
    filled = [one for one in calibration.bins if one.count]
    assert [(one.low, one.count, one.right) for one in filled] == [(0.7, 1, 0), (0.9, 2, 0.5)]
    assert [one.mean_score for one in filled] == pytest.approx([0.75, 0.975])
    assert calibration.mentions == 3
    assert calibration.ece == pytest.approx((0.75 + 2 * (0.975 - 0.5)) / 3)
    assert calibration.brier == pytest.approx((0.75**2 + 0 + 0.95**2) / 3)


def test_what_goes_wrong_most(tmp_path: Path) -> None:
    again = [{**line, "key": f"{line['key']}again"} for line in (GOLD[1], GOLD[2])]
    rows = [
        *LINKS,
        link("1again", ZOO.upper(), "CRANE", "machine", 0, 0.99),
        link("2again", FLAG, "yellow flag", "iris", 0, 0.75),
    ]
    again[0] = gold_line("1again", ZOO.upper(), [("CRANE", ["wader"], True)])
    score = scored(tmp_path, gold=[*GOLD, *again], links=rows)
    first, second = score.confusions
    assert (first.surface, first.chosen, first.wanted) == ("crane", "machine", ("wader",))
    assert (first.count, first.right_score) == (2, None)
    assert first.score == pytest.approx(0.99)
    assert first.example.caption == ZOO.upper()
    assert (second.surface, second.count, second.score, second.right_score) == (
        "duck",
        1,
        0.75,
        0.25,
    )
    [spurious] = score.spurious
    assert (spurious.surface, spurious.count, spurious.entities) == ("yellow flag", 2, ("iris",))
    assert (spurious.score, spurious.example.sample) == (0.75, ("00000", "2again"))
    assert [(one.surface, one.count, one.entities) for one in score.missed] == [
        ("flag", 2, ("banner",)),
        ("zoo", 1, ("zoo",)),
    ]


def test_frequent_errors_come_before_confident_ones(tmp_path: Path) -> None:
    words = ["rare", "often", "often"]
    gold = [gold_line(str(n), word, [(word, ["x"], False)]) for n, word in enumerate(words)]
    rows = [link(str(n), word, word, "y", 0, 0.9 - n / 4) for n, word in enumerate(words)]
    found = scored(tmp_path, gold=gold, links=rows).confusions
    assert [(one.surface, one.count) for one in found] == [("often", 2), ("rare", 1)]


def test_the_best_of_several_right_candidates_is_told(tmp_path: Path) -> None:
    gold = [gold_line("0", "ape", [("ape", ["x", "y"], False)])]
    scores = {"z": 0.5, "y": 0.25, "x": 0.125}
    rows = [
        link("0", "ape", "ape", *one) for one in zip(scores, range(3), scores.values(), strict=True)
    ]
    [confusion] = scored(tmp_path, gold=gold, links=rows).confusions
    assert (confusion.wanted, confusion.right_score) == (("x", "y"), 0.25)


def test_scores_that_are_too_low_do_not_make_up_for_those_too_high(tmp_path: Path) -> None:
    gold = [gold_line(str(n), "ape", [("ape", ["x"], False)]) for n in range(2)]
    rows = [link("0", "ape", "ape", "x", 0, 0.25), link("1", "ape", "ape", "y", 0, 0.75)]
    assert scored(tmp_path, gold=gold, links=rows).calibration.ece == 0.75


def test_tables_end_after_twenty_kinds(tmp_path: Path) -> None:
    gold = [gold_line(str(n), f"w{n}", [(f"w{n}", ["a"], False)]) for n in range(30)]
    links = [link(str(n), f"w{n}", f"w{n}", "b", 0, n / 30) for n in range(30)]
    found = scored(tmp_path, gold=gold, links=links).confusions
    assert [one.surface for one in found] == [f"w{n}" for n in range(29, 9, -1)]
    missed = scored(tmp_path, gold=gold, links=links[:1]).missed
    assert len(missed) == 20


def test_mentions_and_reasons_are_no_must(tmp_path: Path) -> None:
    rows = [{**row, "mention": 0, "reasons": "plural,joined"} for row in LINKS]
    rows[3]["reasons"] = None
    types = {"mention": pa.int32(), "reasons": pa.string()}
    gold = write_gold(tmp_path / "gold.jsonl", GOLD)
    score = score_links(write_links(tmp_path / "more.parquet", rows, **types), gold)
    assert [one.reasons for one in score.confusions] == ["", "plural,joined"]
    assert [one.reasons for one in score.spurious] == ["plural,joined"]
    plain = scored(tmp_path)
    assert (score.all, score.missed) == (plain.all, plain.missed)
    assert [one.reasons for one in plain.confusions] == ["", ""]


def test_ratios_of_nothing_are_none(tmp_path: Path) -> None:
    score = scored(tmp_path, gold=GOLD[3:], links=[link("3", "Nothing.", "Nothing", "void")])
    assert score.all.precision.value == 0
    assert score.all.f1.value == 0
    for rate in (score.all.recall, score.all.links, score.all.ambiguous):
        assert dataclasses.astuple(rate) == (0, 0, None, None, None)
    assert (score.calibration.ece, score.calibration.brier) == (None, None)
    nobody = scored(tmp_path, without=[""]).without
    assert nobody is not None
    assert (nobody.captions, nobody.f1) == (0, Rate(0, 0, None, None, None))


# Where captions come from.


def test_sources_come_from_the_gold_or_the_tars_beside_it(tmp_path: Path) -> None:
    gold = [{name: value for name, value in line.items() if name != "source"} for line in GOLD]
    gold[0]["source"] = "a/x"
    assert "3 of 4 captions have no source" in scored(tmp_path, gold=gold).left_out
    tars = tmp_path / "tars"
    tars.mkdir()
    members: list[tuple[str, dict[str, bytes]]] = [
        (str(n), {"json": source}) for n, source in enumerate([b'{"source": "not this"}', b"{}"])
    ]
    write_tar(tars / "00000.tar", [*members, ("2", {"json": b"damaged"}), ("3", {"txt": b""})])
    assert "3 of 4" in scored(tmp_path, gold=gold, pairs=tars).left_out
    members = [(str(n), {"json": b'{"source": "b"}', "txt": b""}) for n in range(4)]
    for folder in (tars, tmp_path):
        write_tar(folder / "00000.tar", members)
        pairs = tars if folder == tars else None
        score = scored(tmp_path, gold=gold, pairs=pairs, without=["b"])
        assert score.without is not None
        assert score.without.captions == 1


def test_a_prefix_of_no_source_gives_no_second_column(tmp_path: Path) -> None:
    score = scored(tmp_path)
    assert score.without is None
    assert score.left_out == "no caption's source begins so"


@pytest.mark.skipif(not STAMPS.is_dir(), reason="no stamps here")
def test_the_stamps_are_read_whole(tmp_path: Path) -> None:
    gold = read_gold(STAMPS / "gold.jsonl")
    mentions = [(sample, one) for sample, line in gold.items() for one in line.mentions]
    rows = [
        {"shard": shard, "key": key, "start": one.start, "end": one.end, "surface": one.surface,
         "entity_id": one.ids[-1], "rank": 0, "score": 1.0}
        for (shard, key), one in mentions
    ]  # fmt: skip
    score = score_links(write_links(tmp_path / "links.parquet", rows), STAMPS / "gold.jsonl")
    assert counts(score.all.links) == (798, 798)
    assert counts(score.all.ambiguous) == (560, 560)
    assert score.without is not None
    assert score.without.captions == 523 - 108
    assert counts(score.without.links) == (552, 552)
    assert counts(score.without.ambiguous) == (356, 356)
    assert (score.calibration.ece, score.calibration.brier) == (0, 0)
