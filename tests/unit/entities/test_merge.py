"""Knowledge bases put together: as if built of all their sources at once."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.wikidata_dump import write_dump
from openmofi.cli import main
from openmofi.entities.build import build_knowledge_base, build_knowledge_base_folder
from openmofi.entities.knowledge_base import load_knowledge_base_folder, open_knowledge_base
from openmofi.errors import InputError
from support.entities import DATA_NOUN, GEORGIA, NOUN_EXC, write_csv, write_wordnet

# Shares names and ids of parents with the others: "crane" is a homonym in three sources.
ROWS = [
    {**GEORGIA[0], "parents": "n00000010|Q6256|absent"},
    {**GEORGIA[4], "aliases": "crane|human being"},
    {**GEORGIA[1], "entity_id": "mine", "aliases": "U.S. state|Crane", "parents": "Q4"},
]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("sources")
    write_dump(folder / "dump.json.gz", 300, seed=5, bytes_per_item=1000)
    plurals = NOUN_EXC + "men_of_letters human_being\n"
    rows = [{**row, "entity_id": row["entity_id"].replace("Q230", "ours")} for row in ROWS]
    return {
        "wikidata": str(folder / "dump.json.gz"),
        "wordnet": str(write_wordnet(folder / "wordnet", noun_exc=plurals)),
        "csv": str(write_csv(folder / "kb.csv", rows)),
    }


@pytest.fixture(scope="module")
def bases(sources: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A knowledge base of each source alone."""
    root = tmp_path_factory.mktemp("bases")
    return {
        kind: str(build_knowledge_base_folder(str(root / kind), **{kind: source}))
        for kind, source in sources.items()
    }


def files(folder: Path | str) -> dict[str, bytes]:
    """All files but kb.json, which names the recipe."""
    paths = (path for path in Path(folder).rglob("*") if path.is_file())
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    del found["kb.json"]
    return found


def head(folder: Path | str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(folder, "kb.json").read_text())
    del content["digest"]
    return content


@pytest.mark.parametrize("kinds", [("wordnet", "csv"), ("wikidata", "wordnet", "csv")])
def test_a_merge_is_what_all_sources_make_at_once(
    tmp_path: Path, sources: dict[str, str], bases: dict[str, str], kinds: tuple[str, ...]
) -> None:
    out = str(tmp_path / "merged")
    assert main(["kb", "merge", *(bases[kind] for kind in kinds), "--out", out]) == 0
    together = {kind: sources[kind] for kind in kinds}
    whole = build_knowledge_base_folder(str(tmp_path / "whole"), **together)
    assert files(out).keys() == files(whole).keys()
    for name, data in files(whole).items():
        assert files(out)[name] == data, name
    assert head(out) == head(whole)
    assert len(head(out)["sources"]) == len(kinds)
    # The sources do meet: in an alias, and in a parent that only the other one has.
    assert len(load_knowledge_base_folder(out).candidates("crane")) >= 3
    alone = sum(head(bases[kind])["counts"]["parents"] for kind in kinds)
    assert head(out)["counts"]["parents"] > alone


def test_the_order_of_bases_changes_only_the_head(tmp_path: Path, bases: dict[str, str]) -> None:
    outs = []
    for order in (("csv", "wordnet"), ("wordnet", "csv")):
        out = tmp_path / order[0]
        outs.append(build_knowledge_base_folder(str(out), merge=[bases[kind] for kind in order]))
    assert files(outs[0]) == files(outs[1])


def test_an_id_in_two_bases_names_both(
    tmp_path: Path, sources: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    tables = [[GEORGIA[0], GEORGIA[2]], [{**GEORGIA[0], "name": "Sakartvelo", "parents": "Q994"}]]
    folders = []
    for number, rows in enumerate(tables):
        (tmp_path / str(number)).mkdir()
        table = str(write_csv(tmp_path / str(number) / "kb.csv", rows))
        folders.append(str(tmp_path / str(number) / "kb"))
        build_knowledge_base_folder(folders[-1], csv=table)
    capsys.readouterr()
    out = tmp_path / "out"
    assert main(["kb", "merge", *folders, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert f"'Q230' is in {folders[0]} and in {folders[1]}" in error
    assert "same_id to combine" in error
    assert error.count("\n") == 1
    assert not out.exists()
    combined = build_knowledge_base_folder(str(out), merge=folders, config={"same_id": "combine"})
    base = load_knowledge_base_folder(combined)
    assert base.name("Q230") == "Georgia"  # of the first
    assert base.candidates("Sakartvelo") == base.candidates("Georgia") == [("Q230", 1.0)]
    assert head(combined)["counts"]["parents"] == 1


def test_a_base_merged_with_itself_is_refused(tmp_path: Path, bases: dict[str, str]) -> None:
    shutil.copytree(bases["csv"], tmp_path / "copy")
    for again in (bases["csv"], str(tmp_path / "copy")):
        with pytest.raises(InputError, match="are the same knowledge base; give it once"):
            build_knowledge_base_folder(str(tmp_path / "out"), merge=[bases["csv"], again])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy"]


def test_licence_notice_and_sources_are_carried_along_once(
    tmp_path: Path, bases: dict[str, str]
) -> None:
    notice = Path(bases["wordnet"], "NOTICE.txt").read_text()
    first = build_knowledge_base_folder(
        str(tmp_path / "first"), merge=[bases["wikidata"], bases["wordnet"]]
    )
    second = build_knowledge_base_folder(
        str(tmp_path / "second"),
        merge=[str(first), bases["csv"], bases["wordnet"]],
        config={"same_id": "combine"},
    )
    assert (second / "NOTICE.txt").read_text() == (first / "NOTICE.txt").read_text() == notice
    assert [one["name"] for one in head(second)["sources"]] == ["dump.json.gz", "wordnet", "kb.csv"]
    wikidata, wordnet = (head(bases[kind])["licence"] for kind in ("wikidata", "wordnet"))
    assert head(second)["licence"] == head(first)["licence"] == f"{wikidata}; {wordnet}"


def test_a_notice_that_another_holds_is_not_repeated(tmp_path: Path, bases: dict[str, str]) -> None:
    text = DATA_NOUN.replace("1 A licence of", "1 Another licence of")
    wordnet = str(write_wordnet(tmp_path / "wordnet", data_noun=text))
    other = str(build_knowledge_base_folder(str(tmp_path / "other"), wordnet=wordnet))
    config = {"same_id": "combine"}
    folders = [bases["wordnet"], other]
    both = build_knowledge_base_folder(str(tmp_path / "both"), merge=folders, config=config)
    again = build_knowledge_base_folder(
        str(tmp_path / "again"), merge=[str(both), *folders], config=config
    )
    notices = [Path(folder, "NOTICE.txt").read_text() for folder in (*folders, both, again)]
    assert notices[2] == notices[3] == f"{notices[0]}\n{notices[1]}"


def test_a_base_in_a_store_and_its_copy_elsewhere_make_the_same_merge(
    tmp_path: Path, sources: dict[str, str], bases: dict[str, str]
) -> None:
    uri = build_knowledge_base(str(tmp_path / "root"), csv=sources["csv"])
    shutil.copytree(bases["csv"], tmp_path / "moved")
    outs = [
        build_knowledge_base_folder(str(tmp_path / f"out{number}"), merge=[base, bases["wordnet"]])
        for number, base in enumerate((uri, bases["csv"], str(tmp_path / "moved")))
    ]
    assert len({open_knowledge_base(str(out)).digest for out in outs}) == 1
    assert files(outs[0]) == files(outs[1]) == files(outs[2])


@pytest.mark.parametrize("name", ["graph.parquet", "aliases.parquet", "entities.arrow"])
def test_a_damaged_base_is_named_before_anything_is_written(
    tmp_path: Path, bases: dict[str, str], name: str
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(bases["csv"], broken)
    data = (broken / name).read_bytes()
    other = Path(bases["csv"], "entities.parquet").read_bytes()  # of other columns
    for damage in (data[: len(data) // 2], b"", other):
        (broken / name).write_bytes(damage)
        with pytest.raises(InputError, match=rf"{name} is missing or damaged") as caught:
            build_knowledge_base_folder(
                str(tmp_path / "out"), merge=[bases["wordnet"], str(broken)]
            )
        assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]


def test_a_garbled_string_is_named(tmp_path: Path, bases: dict[str, str]) -> None:
    shutil.copytree(bases["csv"], tmp_path / "broken")
    path = tmp_path / "broken" / "entities.arrow"
    path.write_bytes(path.read_bytes().replace(b"Caucasus", b"Caucas\xffs"))
    with pytest.raises(InputError, match=r"entities\.arrow is damaged"):
        build_knowledge_base_folder(
            str(tmp_path / "out"), merge=[bases["wordnet"], str(tmp_path / "broken")]
        )


@pytest.mark.parametrize("change", [{"sources": None}, {"counts": []}, {"licence": 1}])
def test_a_damaged_head_is_named(
    tmp_path: Path, bases: dict[str, str], change: dict[str, Any]
) -> None:
    shutil.copytree(bases["csv"], tmp_path / "broken")
    path = tmp_path / "broken" / "kb.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match=r"kb\.json is damaged"):
        build_knowledge_base_folder(
            str(tmp_path / "out"), merge=[bases["wordnet"], str(tmp_path / "broken")]
        )
