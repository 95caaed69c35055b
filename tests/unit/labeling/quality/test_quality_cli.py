"""``openmofi labeling calibrate`` and ``audit``, as people call them."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openmofi.cli import main
from openmofi.entities.build import build_knowledge_base_folder
from openmofi.entities.knowledge_base import open_knowledge_base
from openmofi.labeling.quality.calibration import read_calibration
from openmofi.shards import write_tar
from support.label_quality import (
    MADE_WITH,
    answer,
    label,
    picture_bytes,
    truth,
    write_answers,
    write_labels,
    write_lines,
)
from support.labeling import write_csv
from support.tables import labelled, write_pool

IMAGES = 300


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Labels that are right from a score of about 0.25 on, and the truth in two halves."""
    rng = np.random.default_rng(0)
    rows, lines = [], []
    for number in range(IMAGES):
        score = float(rng.random() / 2)
        rows.append(label(f"{number:05d}", "cat", score))
        lines.append(truth(f"{number:05d}", *(["cat"] if rng.random() < 4 * score - 0.2 else [])))
    write_labels(tmp_path / "labels.parquet", rows)
    write_lines(tmp_path / "truth.jsonl", lines[: IMAGES // 2])
    write_lines(tmp_path / "held-out.jsonl", lines[IMAGES // 2 :])
    return tmp_path


def calibrate(folder: Path, *more: str, truth: str = "truth.jsonl") -> int:
    labels = ["--labels", f"{folder}/labels.parquet", "--truth", f"{folder}/{truth}"]
    return main(["labeling", "calibrate", *labels, *more])


def chosen(folder: Path, *more: str) -> int:
    return calibrate(folder, "--precision", "0.9", "--out", f"{folder}/c.json", *more)


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    said = capsys.readouterr()
    assert not said.out
    assert said.err.count("\n") == 1
    return said.err


def test_a_cut_is_chosen_written_drawn_and_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chosen(folder, "--plot", f"{folder}/curve.svg") == 0
    found = read_calibration(f"{folder}/c.json")
    assert 0.1 < found.cut < 0.4
    assert (found.precision_wished, found.confidence) == (0.9, 0.95)
    assert found.pairs == IMAGES // 2
    assert f"cut {found.cut:.4f}" in (folder / "curve.svg").read_text(encoding="utf-8")
    assert f"{found.kept_right} of {found.kept} labels kept" in capsys.readouterr().out


def test_programs_get_one_object(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen(folder, "--json")
    assert json.loads(capsys.readouterr().out)["cut"] == read_calibration(f"{folder}/c.json").cut


@pytest.mark.parametrize("cut", ["c.json", "number"])
def test_a_cut_is_checked_on_what_was_held_out(
    folder: Path, capsys: pytest.CaptureFixture[str], cut: str
) -> None:
    chosen(folder)
    at = read_calibration(f"{folder}/c.json").cut
    given = repr(at) if cut == "number" else f"{folder}/c.json"
    capsys.readouterr()
    plot = ["--plot", f"{folder}/check.svg"]
    assert calibrate(folder, "--cut", given, "--json", *plot, truth="held-out.jsonl") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cut"] == at
    assert not found["same_sample"]
    assert found["f1"]["estimate"] > 0.7
    assert ("≥ 90 %" in (folder / "check.svg").read_text(encoding="utf-8")) == (cut == "c.json")


def test_the_sample_that_chose_the_cut_is_known(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen(folder)
    calibrate(folder, "--cut", f"{folder}/c.json")
    assert "the very sample" in capsys.readouterr().out


def test_no_cut_means_no_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--precision", "0.999", "--out", f"{folder}/c.json", "--plot", f"{folder}/p.svg"]
    assert calibrate(folder, *more) == 2
    assert "--precision 0." in refusal(capsys)
    assert sorted(path.name for path in folder.iterdir()) == [
        "held-out.jsonl", "labels.parquet", "truth.jsonl",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--precision", "0.9"], "calibrate needs --precision and --out"),
        (["--out", "c.json"], "calibrate needs --precision and --out"),
        (["--cut", "0.2", "--precision", "0.9"], "--cut chooses nothing: leave out --precision"),
        (["--cut", "0.2", "--out", "c.json"], "leave out --out"),
        (["--cut", "0.2", "--confidence", "0.9"], "leave out --confidence"),
        (["--cut", "28"], "--cut is a cosine between -1 and 1, or a calibration file; got 28"),
        (["--cut", "nan"], "--cut is a cosine between -1 and 1"),
        (["--cut", "nothing.json"], "calibration not found: nothing.json"),
        (["--cut", "0.2", "--plot", "p.png"], "name the file *.svg, not p.png"),
        (["--scores", "uri", "--cut", "0.2"], "give the labels once"),
        (["--samples", "uri", "--cut", "0.2"], "--scores and --samples go together"),
        (["--precision", "1.2", "--out", "c.json"], "--precision must lie between 0 and 1"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert calibrate(folder, *more) == 2
    assert message in refusal(capsys)


def test_a_cut_comes_from_answers_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = [answer(f"{n}", "right", clip_score=0.5 - n / 1000) for n in range(60)]
    said += [answer(f"{n}", "wrong", clip_score=0.1) for n in range(100, 140)]
    said += [answer("x", "unsure")]
    path = write_answers(tmp_path / "a.json", said)
    more = ["--precision", "0.9", "--out", f"{tmp_path}/c.json"]
    assert main(["labeling", "calibrate", "--answers", str(path), *more]) == 0
    assert read_calibration(f"{tmp_path}/c.json").kept == 60
    assert "Answers 'unsure', left out: 1." in capsys.readouterr().out


def test_answers_on_other_scores_than_the_labels_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_answers(folder / "a.json", [answer("0", "right")], made_with={"model": "x"})
    labels = ["--labels", f"{folder}/labels.parquet", "--answers", str(path), "--cut", "0.1"]
    assert main(["labeling", "calibrate", *labels]) == 2
    assert "made with model x" in refusal(capsys)


def test_a_stores_tables_are_calibrated_by_the_truth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = write_pool(tmp_path, {"00000": [labelled(n, ("cat", n / 10)) for n in range(5)]})
    write_lines(tmp_path / "t.jsonl", [truth(f"{n:05d}", *["cat"] * (n > 2)) for n in range(5)])
    given = ["--scores", pool.entity_scores[0], "--samples", pool.samples[0]]
    more = ["--truth", f"{tmp_path}/t.jsonl", "--cut", "0.15", "--json"]
    assert main(["labeling", "calibrate", *given, *more]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kept"], found["kept_right"], found["pairs"]) == (3, 2, 5)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("kb")
    entities = [("cat", "Cat", "a beast"), ("dog", "Dog", "another")]
    build_knowledge_base_folder(str(folder / "kb"), csv=write_csv(folder / "e.csv", entities))
    return str(folder / "kb")


def sheet_data(path: Path) -> dict[str, Any]:
    found = re.search(r'id="sheet">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    content: dict[str, Any] = json.loads(found.group(1))
    return content


def audit(*more: str) -> int:
    return main(["labeling", "audit", *more])


@pytest.fixture
def pairs(tmp_path: Path, base: str) -> list[str]:
    """What `audit` needs for 40 images in a tar, the last of which is broken."""
    made_with = {**MADE_WITH, "knowledge_base": open_knowledge_base(base).digest}
    rows = [label(f"{n:03d}", ("cat", "dog")[n % 2], n / 100) for n in range(40)]
    labels = write_labels(tmp_path / "labels.parquet", rows, made_with)
    good = [(f"{n:03d}", {"jpg": picture_bytes((n, 0, 0)), "txt": b"a text"}) for n in range(39)]
    (tmp_path / "pairs").mkdir()
    write_tar(tmp_path / "pairs" / "00000.tar", [*good, ("039", {"jpg": b"broken"})])
    return ["--labels", str(labels), "--pairs", f"{tmp_path}/pairs", "--kb", base]


def test_a_sheet_of_tars(
    tmp_path: Path, pairs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit(*pairs, "--out", f"{tmp_path}/s.html") == 0
    content = sheet_data(tmp_path / "s.html")
    assert len(content["images"]) == 39
    assert {one["labels"][0]["description"] for one in content["images"]} == {"a beast", "another"}
    assert content["made_with"]["model"] == MADE_WITH["model"]
    said = capsys.readouterr().out
    assert "39 labels of 39 images to judge" in said
    assert "left out: 1" in said


def test_seed_and_number_of_images_are_the_users(tmp_path: Path, pairs: list[str]) -> None:
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        audit(*pairs, "--out", f"{tmp_path}/{name}.html", "--images", "20", "--seed", seed)
    pages = [(tmp_path / f"{name}.html").read_bytes() for name in "abc"]
    assert pages[0] == pages[1] != pages[2]
    assert len(sheet_data(tmp_path / "a.html")["images"]) in {19, 20}


def test_a_sheet_of_a_store(tmp_path: Path, base: str) -> None:
    digest = open_knowledge_base(base).digest
    shards = {"s0": [labelled(n, ("cat", n / 50)) for n in range(25)]}
    pool = write_pool(tmp_path, shards, knowledge_base=digest)
    given = ["--scores", pool.entity_scores[0], "--samples", pool.samples[0], "--kb", base]
    assert audit(*given, "--out", f"{tmp_path}/s.html", "--images", "20") == 0
    images = sheet_data(tmp_path / "s.html")["images"]
    assert len(images) == 20
    assert {one["alt_text"] for one in images} <= {f"picture {n}" for n in range(25)}


def test_labels_of_another_knowledge_base_are_refused(
    tmp_path: Path, pairs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write_labels(tmp_path / "labels.parquet", [label("000", "cat", 0.1)])
    assert audit(*pairs, "--out", f"{tmp_path}/s.html") == 2
    assert "the labels were made with knowledge base kkk" in refusal(capsys)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "a sheet needs --kb and --out"),
        (["--kb", "kb", "--out", "s.pdf"], "name the file *.html, not s.pdf"),
        (["--kb", "kb", "--out", "s.html"], "give the labels once"),
        (["--kb", "kb", "--out", "s.html", "--labels", "l"], "--labels and --pairs go together"),
        (["--kb", "k", "--out", "s.html", "--scores", "u"], "--scores and --samples go together"),
        (["--answers", "a.json", "--kb", "kb"], "leave out --kb"),
    ],
)
def test_options_of_a_sheet_that_do_not_go_together_are_refused(
    capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert audit(*more) == 2
    assert message in refusal(capsys)


SAID = [
    *(answer(f"r{n}", "right") for n in range(6)),
    *(answer(f"w{n}", "wrong", stratum="score 02 of 02, rare entity", weight=4) for n in range(2)),
    *(answer(f"u{n}", "unsure") for n in range(2)),
]


def test_answers_are_summed_up_with_their_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_answers(tmp_path / "a.json", SAID)
    assert audit("--answers", str(path), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["precision"]["estimate"] == pytest.approx(12 / 20)
    assert found["if_unsure_wrong"] == pytest.approx(12 / 24)
    assert found["if_unsure_right"] == pytest.approx(16 / 24)
    assert (found["right"], found["wrong"], found["unsure"], found["images"]) == (6, 2, 2, 10)
    assert found["strata"][1] == {
        "stratum": "score 02 of 02, rare entity", "images": 2, "right": 0, "wrong": 2, "unsure": 0,
    }  # fmt: skip


def test_the_audit_says_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_answers(tmp_path / "a.json", SAID)
    audit("--answers", str(path))
    said = capsys.readouterr().out
    assert re.search(r"precision +60\.0 % \(", said)
    assert "50.0 % to 66.7 % if all were wrong or right" in said
    assert re.search(r"score 02 of 02, rare entity +2 +0 +2 +0", said)
    assert f"labeling calibrate --answers {path} --precision 0.9" in said
