"""The report: what it shows, and that its page is bounded, escaped and alone."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from openmofi.evaluation import metrics
from openmofi.evaluation.bootstrap import Draws, Interval
from openmofi.evaluation.embedders import colour_histogram
from openmofi.evaluation.pictures import data_uri
from openmofi.evaluation.report import MOST_BYTES, build
from openmofi.evaluation.report.examples import attack_facts, nearest_facts
from openmofi.evaluation.report.metric_facts import grid_facts, metric_rows
from openmofi.evaluation.suites import image_vectors
from support.evaluation import write_image_set
from support.label_quality import CHROMIUM
from support.reports import (
    HOSTILE,
    bench_of,
    colour_model,
    measured,
    told_by_browser,
    write_noise_set,
)

in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


class Page(HTMLParser):
    """Checks that elements close in order, and gathers tags and words."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "br", "circle"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A sharp candidate, a blurred baseline and the histogram on twelve images of three classes."""
    folder = tmp_path_factory.mktemp("report")
    bench = bench_of(folder / "store", write_image_set(folder / "set"))
    models = [
        measured(bench, "candidate", colour_model("sharp")),
        measured(bench, "baseline", colour_model("blurred", noise=120)),
        measured(bench, "colour_histogram", colour_histogram()),
    ]
    return bench, models, build(bench, models, {})


def test_the_page_is_well_formed_and_needs_nothing_beside_it(made):
    page = Page(made[2].html)
    assert not [tag for tag, _ in page.tags if tag in {"script", "link", "iframe", "object"}]
    sources = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert not re.search(r"https?://|@import|url\(", made[2].html)


def test_what_is_shown_is_plain_json(made):
    shown = made[2].shown
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown


def test_every_number_of_the_table_and_the_bars_is_in_what_is_shown(made):
    rows = made[2].shown["metrics"]
    table = made[2].html.partition('<table class="scores">')[2].partition("</table>")[0]
    told = [float(one) for one in re.findall(r"<b>([\d.]+)</b>", table)]
    values = [v["value"] for row in rows for v in row["values"].values() if v["value"] is not None]
    assert told == [round(value, 1) for value in values]
    widths = re.findall(r'class="fill m\d" style="width:([\d.]+)%', made[2].html)
    parts = [v["value"] for row in rows for p in row["parts"] for v in p["values"].values()]
    assert [float(width) for width in widths] == [round(part, 1) for part in parts]
    assert len(parts) == 2 * 2 * 3  # two metrics, two domains, three models


def test_the_candidate_is_held_against_every_other_model_in_a_plain_word(made):
    bench, models, report = made
    [row] = [r for r in report.shown["metrics"] if r["metric"] == metrics.LEAVE_ONE_OUT]
    assert set(row["against"]) == {"baseline", "colour_histogram"}
    means = [m.scores.columns[metrics.LEAVE_ONE_OUT].mean() for m in models]
    difference = 100 * (means[0] - means[1])
    assert row["against"]["baseline"]["value"] == pytest.approx(difference)
    assert row["against"]["baseline"]["verdict"] == "better"
    draws = Draws(bench.config.bootstrap_samples, bench.config.confidence, bench.config.seed)
    columns = [m.scores.columns for m in models[:2]]
    by_class = metrics.compare(*columns, draws, bench.images.labels)[metrics.RETRIEVAL]
    [row] = [r for r in report.shown["metrics"] if r["metric"] == metrics.RETRIEVAL]
    told = row["against"]["baseline"]
    assert (told["low"], told["high"]) == (by_class.low, by_class.high)
    by_image = metrics.compare(*columns, draws)[metrics.RETRIEVAL]
    assert by_image.low != by_class.low
    same = metric_rows(bench, [models[0], replace(models[0], role="baseline")], {})
    assert {one["verdict"] for r in same for one in r["against"].values()} <= {
        "no difference", "not known",
    }  # fmt: skip


def test_the_given_pairing_with_the_baseline_is_the_one_shown(made):
    bench, models, _ = made
    given = {metrics.RETRIEVAL: metrics.Difference(-7.0, -9.0, -5.0, 12)}
    rows = {row["metric"]: row for row in metric_rows(bench, models, given)}
    assert rows[metrics.RETRIEVAL]["against"]["baseline"]["verdict"] == "worse"
    assert rows[metrics.RETRIEVAL]["against"]["baseline"]["value"] == -7
    assert "baseline" not in rows[metrics.ZERO_SHOT]["against"]


def test_hits_and_misses_are_those_of_a_loop(made):
    bench, models, _ = made
    labels = bench.images.labels
    vectors = {m.role: image_vectors(bench, m.embedder) for m in models}
    facts = nearest_facts(bench, models, vectors)
    scores = [one["query"]["score"] for one in facts]
    assert scores == sorted(scores)
    for one in facts:
        query = one["query"]["index"]
        for role, rows in vectors.items():
            others = [i for i in range(len(labels)) if i != query]
            order = sorted(others, key=lambda i: (-float(rows[i] @ rows[query]), i))
            told = [(hit["index"], hit["right"]) for hit in one["found"][role]]
            assert told == [(i, labels[i] == labels[query]) for i in order[:8]]
            if role == "candidate":
                missed = [
                    (i, rank)
                    for rank, i in enumerate(order, start=1)
                    if rank > 8 and labels[i] == labels[query]
                ]
                assert [(m["index"], m["rank"]) for m in one["missed"]] == missed[:4]
        assert one["positives"] == 3


def test_pictures_of_the_class_behind_those_shown_are_missed(made):
    bench, models, _ = made
    labels = bench.images.labels
    first = int(np.flatnonzero(labels == 0)[0])
    vectors = np.eye(2, dtype=np.float32)[(labels == 0).astype(int)]
    vectors[first] = (1, 0)  # looks like all others, which stand before its own class
    column = np.full(len(labels), np.nan)
    column[first] = 0.2
    scores = replace(models[0].scores, columns={metrics.LEAVE_ONE_OUT: column})
    [one] = nearest_facts(bench, [replace(models[0], scores=scores)], {"candidate": vectors})
    assert not any(hit["right"] for hit in one["found"]["candidate"])
    assert [missed["rank"] for missed in one["missed"]] == [9, 10, 11]


def test_outcomes_of_the_attack_are_counted(made):
    bench, models, _ = made
    labels = bench.images.labels
    said = labels.copy()
    said[:2] = bench.targets[labels[:2]]
    said[2] = next(c for c in range(3) if c not in (labels[2], bench.targets[labels[2]]))
    fooled = replace(models[0], scores=replace(models[0].scores, predicted_attacked=said))
    facts = attack_facts(bench, [fooled])
    assert facts["outcomes"] == {"candidate": {"right": 9, "text": 2, "other": 1}}
    first = facts["cards"][0]
    assert first["said"]["candidate"] == {"class": first["written"], "right": False}


def test_models_that_read_no_text_have_no_part_in_the_attack(made):
    bench, models, report = made
    assert set(report.shown["attack"]["outcomes"]) == {"candidate", "baseline"}
    alone = build(bench, models[2:], {})
    assert alone.shown["attack"] == {}
    assert "Attacked pictures" not in alone.html


def test_the_grid_stands_by_size_and_position_for_each_colour(made):
    bench, models, _ = made
    cells = {
        f"typographic_grid/{size}/{place}/{colour}": Interval(value, value, value, 9)
        for size, place, colour, value in (
            ("100", "top_left", "red", 10.0),
            ("25", "top_left", "red", 20.0),
            ("25", "centre", "red", 30.0),
            ("25", "centre", "white", float("nan")),
        )
    }
    red, white = grid_facts([replace(models[0], intervals=cells)])
    assert (red["sizes"], red["positions"]) == (["25", "100"], ["top_left", "centre"])
    assert red["values"] == [[20.0, 30.0], [10.0, None]]
    assert white["values"] == [[None, None], [None, None]]
    intervals = {**models[0].intervals, **cells}
    page = build(bench, [replace(models[0], intervals=intervals)], {})
    assert '<td style="--share:0.300">30</td>' in page.html
    assert not [r for r in page.shown["metrics"] if "grid" in r["metric"]]


def test_names_cannot_leave_their_place(tmp_path):
    names = [f"{HOSTILE} {number}" for number in range(3)]
    folder = write_noise_set(tmp_path / "set", names, images=3, side=16)
    bench = bench_of(tmp_path / "store", folder)
    model = measured(bench, "candidate", colour_model(HOSTILE))
    report = build(bench, [model], {})
    page = Page(report.html)
    assert not [tag for tag, _ in page.tags if tag in {"script", "b"} and "hijacked" in tag]
    assert "<script" not in report.html
    assert any(attributes.get("alt", "").startswith("</style>") for _, attributes in page.tags)
    assert report.shown["nearest"][0]["query"]["class"].startswith(HOSTILE)


def test_a_page_of_hostile_size_is_below_its_bound(tmp_path):
    names = [f"{number} {'&' * 500}" for number in range(60)]
    folder = write_noise_set(tmp_path / "set", names, images=5, side=120)
    bench = bench_of(tmp_path / "store", folder)
    models = [
        measured(bench, role, colour_model(role, noise=50, texts=role == "candidate"))
        for role in ("candidate", "baseline", "colour_histogram", "other")
    ]
    report = build(bench, models, {})
    assert report.html.count("<img") > 200
    assert "&amp;" * 80 not in report.html
    assert 500_000 < len(report.html.encode()) < MOST_BYTES


def test_a_picture_that_hardly_compresses_gets_coarser_not_larger():
    noise = np.random.default_rng(0).integers(0, 256, (72, 48, 3), dtype=np.uint8)
    sizes = [len(data_uri(Image.fromarray(noise), 72, most)) for most in (10**6, 2400)]
    assert sizes[1] <= 3200 + 23 < sizes[0]  # 2,400 bytes are 3,200 letters, and a head of 23
    smooth = Image.new("RGB", (300, 200), "teal")
    assert data_uri(smooth, 72, 10**6) == data_uri(smooth, 72, 2400)


def test_one_class_and_queries_without_positives_have_a_report(tmp_path):
    bench = bench_of(
        tmp_path / "store",
        write_noise_set(tmp_path / "set", ["only"], images=1, side=16),
        suites=["retrieval"],
    )
    report = build(bench, [measured(bench, "candidate", colour_model("m"))], {})
    assert report.shown["nearest"] == []
    assert report.shown["class_means"] == {}
    assert report.shown["maps"] == []
    assert json.dumps(report.shown, allow_nan=False)
    Page(report.html)


@in_a_browser
@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_runs_out_of_the_screen(made, tmp_path, width):
    script = (
        "const wide = [...inner.querySelectorAll('body *')].filter((one) => !one.closest('.wide')"
        " && one.getBoundingClientRect().right > inner.documentElement.clientWidth + 1);"
        "tell([inner.documentElement.scrollWidth - inner.documentElement.clientWidth,"
        " wide.length, inner.images.length > 50].join(' '));"
    )
    assert told_by_browser(made[2].html, tmp_path, script, width=width) == "0 0 true"


@in_a_browser
def test_data_never_run(tmp_path):
    folder = write_noise_set(tmp_path / "set", [HOSTILE, "b", "c"], images=2, side=16)
    bench = bench_of(tmp_path / "store", folder)
    report = build(bench, [measured(bench, "candidate", colour_model(HOSTILE))], {})
    title = told_by_browser(report.html, tmp_path, "tell(inner.title);", width=800)
    assert title.startswith("Evaluation of &lt;/style&gt;")
