"""``openmofi entities score``: the tables, the JSON and the picture."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from openmofi.cli import main
from openmofi.entities.quality.plot import drawing
from support.entities import GEORGIA, write_csv
from support.scores import gold_line, link, scored_lines, write_gold, write_links

FLAG, TRAIN = "Flag of Georgia, seen.", "A train to Atlanta."
GOLD = [
    gold_line("0", FLAG, [("Flag", ["flag"], False), ("Georgia", ["Q230"], True)], source="a"),
    gold_line("1", TRAIN, [("Atlanta", ["Q23556"], False)], source="b"),
]
LINKS = [
    link("0", FLAG, "Georgia", "Q1428", 0, 0.75),
    link("0", FLAG, "Georgia", "Q230", 1, 0.25),
    link("1", TRAIN, "Atlanta", "Q23556", 0, 1.0),
    link("1", TRAIN, "train", "unheard", 0, 0.5),
    link("2", "Sea", "Sea", "sea"),
]
RATE = {"value", "low", "high"}


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    links = write_links(tmp_path / "links.parquet", LINKS)
    gold = write_gold(tmp_path / "gold.jsonl", GOLD)
    return ["entities", "score", "--links", str(links), "--gold", str(gold)]


def printed(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(command) == 0
    return capsys.readouterr().out


def test_the_text_says_all_figures(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed([*command, "--without", "b"], capsys).splitlines()
    assert [cell.strip() for cell in re.split(" {3,}", lines[0])[1:]] == [
        "all captions",
        "without b",
    ]
    assert lines[2].split() == ["gold", "mentions", "3", "2"]
    assert re.search(r"precision +66\.7 % \(50\.0 to 100\.0\)  2/3 +100\.0 % .* 1/1$", lines[4])
    assert re.search(r"right links, ambiguous +0\.0 % \(0\.0 to 0\.0\)  0/1 ", lines[8])
    assert "Samples that the gold standard lacks, not judged: 1." in lines
    text = "\n".join(lines)
    assert "Calibration: 2 mentions found, ECE 37.5 %, Brier score 0.281" in text
    assert re.search(r"\n0\.7 to 0\.8 +1 +0\.750 +0\.0 %\n", text)
    assert re.search("\n0.0 to 0.1 +0 +\N{EN DASH} +\N{EN DASH}\n", text)
    assert re.search(rf"\n +1  georgia +Q1428 +0\.750 +Q230 +0\.250 +{FLAG}\n", text)
    assert re.search(rf"\n +1  train +unheard +0\.500 +{TRAIN}\n", text)
    assert re.search(rf"\n +1  flag +flag +{FLAG}$", text)


def test_columns_stand_under_their_heads(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(command, capsys).splitlines()
    tables = [(head, row) for head, row in pairwise(lines) if head.startswith("count")]
    assert len(tables) == 3
    for head, row in tables:
        for name in ("surface", "for example"):
            place = head.index(name)
            assert row[place - 1] == " "
            assert row[place] != " "


def test_shares_of_nothing_are_a_dash(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed([*command, "--without", "a"], capsys).splitlines()
    assert re.search("^right links, ambiguous +0.0 % .* 0/1 +\N{EN DASH}$", lines[8])


def test_right_entities_may_be_no_candidates(
    tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write_links(tmp_path / "links.parquet", LINKS[:1])
    text = printed(command, capsys)
    assert re.search(r"\n +1  georgia +Q1428 +0\.750 +Q230 +not among the candidates +Flag", text)


def test_no_source_is_told_in_one_line(
    tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [{name: x for name, x in line.items() if name != "source"} for line in GOLD]
    write_gold(tmp_path / "gold.jsonl", lines)
    text = printed(command, capsys)
    told = "No figures without symbols/alphabets: 2 of 2 captions have no source, neither in "
    assert sum(line.startswith(told) for line in text.splitlines()) == 1
    without = json.loads(printed([*command, "--json"], capsys))["without"]
    assert without["prefixes"] == ["symbols/alphabets"]
    assert without["left_out"].startswith("2 of 2 captions have no source")
    assert (without["captions"], without["mentions"], without["links"]) == (None, None, None)


def test_json_has_plain_keys_and_nothing_else_is_printed(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--json", "--without", "a", "--without", "c"]
    found = json.loads(printed([*command, *options], capsys))
    assert list(found) == [
        "all", "without", "calibration", "confusions", "spurious", "missed", "unjudged", "entities",
    ]  # fmt: skip
    assert found["without"]["prefixes"] == ["a", "c"]
    for part in (found["all"], found["without"]):
        mentions, links = part["mentions"], part["links"]
        assert set(mentions) - {"precision", "recall", "f1"} == {"gold", "predicted", "found"}
        assert all(set(mentions[name]) == RATE for name in ("precision", "recall", "f1"))
        assert set(links) == {"all", "ambiguous", "candidate_recall"}
        assert all(set(rate) == {"right", "gold", *RATE} for rate in links.values())
    assert found["all"]["captions"] == 2
    assert found["all"]["links"]["all"]["right"] == 1
    # No ambiguous mention is left.
    nothing = {"right": 0, "gold": 0, "value": None, "low": None, "high": None}
    assert found["without"]["links"]["ambiguous"] == nothing
    assert [one["count"] for one in found["calibration"]["bins"]] == [0] * 7 + [1, 0, 1]
    [confusion] = found["confusions"]
    assert (confusion["chosen"], confusion["wanted"], confusion["key"]) == ("Q1428", ["Q230"], "0")
    assert (found["unjudged"], found["entities"]) == (1, {})


def test_a_knowledge_base_names_entities(
    tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    table, base = str(write_csv(tmp_path / "kb.csv", GEORGIA)), str(tmp_path / "kb")
    assert main(["kb", "build", "--csv", table, "--out", base]) == 0
    lines = printed([*command, "--kb", base], capsys).splitlines()
    place = next(n for n, line in enumerate(lines) if " georgia " in line)
    assert [line.strip() for line in lines[place + 1 : place + 3]] == [
        "Q1428 Georgia: state of the southern United States, capital Atlanta",
        "Q230 Georgia: country in the Caucasus between Europe and Asia, capital Tbilisi",
    ]
    found = json.loads(printed([*command, "--kb", base, "--json"], capsys))
    assert list(found["entities"]) == ["Q1428", "Q230"]
    assert found["entities"]["Q230"]["name"] == "Georgia"


# The picture.


def shapes(picture: str, name: str) -> list[Any]:
    return list(ElementTree.fromstring(picture).iter(f"{{http://www.w3.org/2000/svg}}{name}"))


def test_dots_have_areas_as_counts_and_lie_where_scores_do(tmp_path: Path) -> None:
    gold = [gold_line(str(n), "ape", [("ape", ["x" if n else "y"], False)]) for n in range(10)]
    rows = [link(str(n), "ape", "ape", "x", 0, 0.25 if n < 2 else 0.75) for n in range(10)]
    picture = drawing(scored_lines(tmp_path, gold, rows).calibration)
    small, large = sorted(shapes(picture, "circle"), key=lambda dot: float(dot.get("r")))
    assert (float(large.get("r")) / float(small.get("r"))) ** 2 == pytest.approx(4, rel=0.05)
    assert float(large.get("cx")) > float(small.get("cx"))
    # All right stands above half right.
    assert float(large.get("cy")) < float(small.get("cy"))
    bars = [float(x.get("height")) for x in shapes(picture, "rect") if x.get("class") == "bar"]
    assert bars[1] == pytest.approx(4 * bars[0])
    words = [text.text for text in shapes(picture, "text")]
    assert {"share right", "score of the chosen entity", "mentions"} <= set(words)


def test_plot_writes_the_picture_also_of_nothing_found(
    tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "plot.svg"
    json.loads(printed([*command, "--json", "--plot", str(out)], capsys))
    assert len(shapes(out.read_text(), "circle")) == 2
    write_links(tmp_path / "links.parquet", LINKS[3:4])
    printed([*command, "--plot", str(out)], capsys)
    assert shapes(out.read_text(), "circle") == []
    assert "no mention was found" in out.read_text()
    assert [path.name for path in out.parent.iterdir()] == ["plot.svg"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--plot", "{tmp}/plot.png"], "--plot draws SVG; name the file *.svg, not "),
        (["--plot", "{tmp}/gold.jsonl/plot.svg"], "cannot write "),
        (["--kb", "{tmp}/absent"], "absent is no knowledge base"),
        (["--pairs", "{tmp}/absent"], "no such folder: "),
        (["--gold", "{tmp}/absent"], "gold file not found: "),
    ],
)
def test_bad_options_are_one_line(
    tmp_path: Path,
    command: list[str],
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert main([*command, *(option.format(tmp=tmp_path) for option in options)]) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""
    assert sorted(tmp_path.rglob("*")) == before
