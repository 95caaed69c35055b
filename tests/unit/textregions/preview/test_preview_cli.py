"""``openmofi textregions preview``, as people call it."""

import argparse
import json
from pathlib import Path

import pytest
from PIL import Image

from openmofi.cli.textregions_preview import add_action
from openmofi.errors import InputError
from support.text_previews import picture_of, random_rows, row, square, write_pairs, write_regions

KEYS = [f"{number:05d}" for number in range(12)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [row(key, [square(0.05 + n / 12, 0.1)]) for n, key in enumerate(KEYS)]
    write_regions(tmp_path / "regions.parquet", rows)
    write_pairs(tmp_path / "pairs", {"s0": {key: picture_of() for key in KEYS}})
    return tmp_path


def preview(folder: Path, *more: str, pairs: bool = True, out: str = "p.html") -> None:
    parser = argparse.ArgumentParser()
    add_action(parser.add_subparsers())
    given = ["--regions", f"{folder}/regions.parquet", "--out", f"{folder}/{out}"]
    given += ["--pairs", f"{folder}/pairs"] if pairs else []
    arguments = parser.parse_args(["preview", *given, *more])
    arguments.run(arguments)


def test_a_page_is_written_and_summed_up(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preview(folder)
    said = capsys.readouterr().out
    assert f"{folder}/p.html: 12 seen = 6 dropped + 6 kept; with a sure box too large: 0" in said
    assert "12 shown" in said
    assert (folder / "p.html").is_file()


def test_programs_get_one_object(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preview(folder, "--json", "--png", f"{folder}/p.png")
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "counts": {"seen": 12, "dropped": 6, "kept": 6},
        "large": 0,
        "shown": {"dropped": 6, "kept": 6, "failed": 0},
        "bytes": (folder / "p.html").stat().st_size,
    }
    assert Image.open(folder / "p.png").width == 1600


def test_the_rule_is_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "rule.yaml").write_text("min_confidence: 0.8\n")
    preview(folder, "--config", f"{folder}/rule.yaml", "--json")
    assert (
        json.loads(capsys.readouterr().out)["counts"]["dropped"] == 3
    )  # one of them at 0.8 itself
    assert "cut 0.8" in (folder / "p.html").read_text(encoding="utf-8")


def test_the_seed_draws_others(folder: Path) -> None:
    rows = random_rows(200)
    write_regions(folder / "regions.parquet", rows)
    write_pairs(folder / "pairs", {"s0": {one["key"]: picture_of() for one in rows}})
    for out, seed in (("a.html", "1"), ("b.html", "1"), ("c.html", "2")):
        preview(folder, "--images", "20", "--seed", seed, out=out)
    pages = [(folder / f"{name}.html").read_bytes() for name in "abc"]
    assert pages[0] == pages[1] != pages[2]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--out", "p.png"], r"--out is a page: name the file \*.html, not p.png"),
        (["--png", "p.jpg"], r"--png is a picture: name the file \*.png, not p.jpg"),
        (["--images", "5000"], "--images must be 10 to 600"),
        (["--samples", "file:///s"], "give the pictures once"),
        (
            ["--regions", "file:///r/manifests/text_regions/d.json"],
            "is a store's: its pictures come with --samples, not --pairs",
        ),
        (["--regions", "a.parquet", "b.parquet"], "--pairs takes one regions file, got 2"),
        (["--regions", "nowhere.parquet"], "regions file not found: nowhere.parquet"),
        (["--pairs", "nowhere"], "nowhere is not a folder"),
        (["--config", "nowhere.yaml"], "config file not found"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(folder: Path, more: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        preview(folder, *more)
    assert "\n" not in str(refused.value)
    assert not (folder / "p.html").exists()


def test_a_store_needs_manifests(folder: Path) -> None:
    with pytest.raises(InputError, match="give the pictures once"):
        preview(folder, pairs=False)
    with pytest.raises(InputError, match=r"is a file: its pictures are in the tars of --pairs"):
        preview(folder, "--samples", "file:///s", pairs=False)


def test_a_rule_that_cannot_be_is_refused(folder: Path) -> None:
    (folder / "rule.yaml").write_text("min_confidense: 0.8\n")
    with pytest.raises(InputError, match=r"rule.yaml: unknown key 'min_confidense'"):
        preview(folder, "--config", f"{folder}/rule.yaml")
