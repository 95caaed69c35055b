"""A calibration holds what was measured; a check measures and chooses nothing."""

import dataclasses
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from openmofi.errors import InputError
from openmofi.labeling.quality.calibration import read_calibration, write_calibration
from openmofi.labeling.quality.judged import Judged
from openmofi.labeling.quality.measure import calibrate, check_cut, curve_of
from openmofi.labeling.quality.plot import check_plot, write_plot
from openmofi.labeling.quality.report import calibration_json, calibration_text, check_text
from openmofi.labeling.quality.samples import LeftOut
from support.label_quality import MADE_WITH, judged_of


def sample(seed: int = 0, pairs: int = 400) -> Judged:
    rng = np.random.default_rng(seed)
    scores = rng.random(pairs)
    return judged_of(scores, rng.random(pairs) < 0.5 + scores)


def test_the_counts_are_those_at_the_cut() -> None:
    judged = sample()
    found = calibrate(judged, 0.9, 0.95)
    kept = judged.scores >= found.cut
    assert (found.pairs, found.right) == (400, judged.right.sum())
    assert (found.kept, found.kept_right) == (kept.sum(), (kept & judged.right).sum())
    assert found.precision.estimate == pytest.approx(found.kept_right / found.kept)
    assert found.recall.estimate == pytest.approx(found.kept_right / found.right)
    assert found.without_cut.estimate == pytest.approx(found.right / found.pairs)
    assert found.made_with == MADE_WITH


def test_it_outlives_its_file(tmp_path: Path) -> None:
    found = calibrate(sample(), 0.9, 0.95)
    write_calibration(found, tmp_path / "c.json")
    assert read_calibration(str(tmp_path / "c.json")) == found


def test_the_curve_is_thinned_ascending_and_holds_the_cut() -> None:
    judged = sample(pairs=700)
    curve = np.array(curve_of(judged, 0.5))
    assert len(curve) == 200
    assert (np.diff(curve[:, 0]) > 0).all()
    assert 0.5 in curve[:, 0]
    assert (np.diff(curve[:, 1]) <= 0).all()
    assert curve[0, 5] == 1
    assert ((curve[:, 3] <= curve[:, 2]) & (curve[:, 2] <= curve[:, 4])).all()


def test_a_check_measures_the_cut_of_a_calibration_on_another_sample() -> None:
    chosen, held_out = calibrate(sample(0), 0.9, 0.95), sample(1)
    found = check_cut(held_out, chosen)
    assert found.cut == chosen.cut
    assert found.precision == held_out.precision(chosen.cut)
    assert found.f1 == held_out.f1(chosen.cut)
    assert found.origin_known


def test_a_check_knows_the_sample_that_the_cut_was_chosen_on() -> None:
    judged = sample()
    chosen = calibrate(judged, 0.9, 0.95)
    other = dataclasses.replace(judged, digest="another")
    assert check_cut(judged, chosen).same_sample
    assert not check_cut(other, chosen).same_sample
    said = check_text(check_cut(judged, chosen), LeftOut(), weighted=False)
    assert "the very sample that the cut was chosen on" in said


@pytest.mark.parametrize("name", ["model", "knowledge_base", "label"])
def test_a_cut_of_other_scores_is_refused(name: str) -> None:
    other = dataclasses.replace(sample(), made_with={**MADE_WITH, name: "another"})
    with pytest.raises(InputError, match=f"made with {name} .* calibrate again"):
        check_cut(other, calibrate(sample(), 0.9, 0.95))


def test_scores_that_do_not_say_their_origin_pass_with_a_remark() -> None:
    silent = dataclasses.replace(sample(), made_with={})
    found = check_cut(silent, calibrate(sample(), 0.9, 0.95))
    assert not found.origin_known
    assert "is not known: they do not say" in check_text(found, LeftOut(), weighted=False)


def test_the_report_says_counts_and_what_was_left_out() -> None:
    found = calibrate(sample(), 0.9, 0.95)
    said = calibration_text(found, LeftOut(without_label=7, unsure=3), weighted=True)
    assert f"{found.kept_right} of {found.kept} labels kept" in said
    assert f"{found.kept_right} of {found.right} right labels" in said
    assert "precision 90 % with 95 % confidence" in said
    assert "without any settled label: 7." in said
    assert "Answers 'unsure', left out: 3." in said
    assert "weighted" in said
    assert "weighted" not in calibration_text(found, LeftOut(), weighted=False)


def test_the_report_for_programs_is_plain_json() -> None:
    found = calibrate(sample(), 0.9, 0.95)
    content = json.loads(json.dumps(calibration_json(found, LeftOut(2, 1)), allow_nan=False))
    assert content["left_out"] == {"without_label": 2, "unsure": 1}
    assert content["precision"]["estimate"] == found.precision.estimate


def drawn(judged: Judged, cut: float, wished: float | None, out: Path) -> ElementTree.Element:
    write_plot(judged, curve_of(judged, cut), cut, wished, out)
    return ElementTree.parse(out).getroot()


def texts(page: ElementTree.Element) -> list[str]:
    return [one.text or "" for one in page.iter("{http://www.w3.org/2000/svg}text")]


def test_the_plot_names_cut_and_wish(tmp_path: Path) -> None:
    said = texts(drawn(sample(), 0.25, 0.9, tmp_path / "p.svg"))
    assert {"cut 0.2500", "≥ 90 %"} <= set(said)
    assert not any("≥" in one for one in texts(drawn(sample(), 0.25, None, tmp_path / "p.svg")))


def test_the_bars_of_the_plot_add_up_to_the_pairs(tmp_path: Path) -> None:
    judged = sample()
    page = drawn(judged, 0.25, 0.9, tmp_path / "p.svg")
    titles = [one.text or "" for one in page.iter("{http://www.w3.org/2000/svg}title")]
    counts = {"right": 0, "wrong": 0}
    for title in titles:
        count, kind = title.split(": ")[1].split()
        counts[kind] += int(count)
    assert counts == {"right": judged.right.sum(), "wrong": (~judged.right).sum()}


def test_wrong_pairs_stand_on_right_ones_in_the_plot(tmp_path: Path) -> None:
    page = drawn(sample(), 0.25, 0.9, tmp_path / "p.svg")
    bars: dict[str, dict[str, tuple[float, float]]] = {"right": {}, "wrong": {}}
    for one in page.iter("{http://www.w3.org/2000/svg}rect"):
        if one.get("class") in bars and len(one):
            span = float(one.attrib["y"]), float(one.attrib["height"])
            bars[one.attrib["class"]][one.attrib["x"]] = span
    both = bars["right"].keys() & bars["wrong"].keys()
    assert len(both) > 10
    for x in both:
        assert sum(bars["wrong"][x]) == pytest.approx(bars["right"][x][0], abs=0.11)


@pytest.mark.parametrize(("scores", "cut"), [([0.2] * 5, 0.2), ([0.1, 0.9], -1.0), ([0.3], 1.0)])
def test_the_plot_stands_odd_samples(tmp_path: Path, scores: Any, cut: float) -> None:
    page = drawn(judged_of(scores, [True] * len(scores)), cut, 0.9, tmp_path / "p.svg")
    assert "nan" not in ElementTree.tostring(page, encoding="unicode")


def test_a_plot_of_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"name the file \*\.svg, not curve.png"):
        check_plot(Path("curve.png"))
