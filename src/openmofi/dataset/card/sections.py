"""What the page says in words and charts: the sum, the distributions, the scores, the making."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from openmofi import pages
from openmofi.dataset.assembly import rules, score_bins
from openmofi.dataset.assembly.score_bins import SCORE_BINS, Counts
from openmofi.dataset.card import plots
from openmofi.dataset.causes import Cause

_MADE_BY = (
    "config", "table_digests", "digests", "knowledge_base", "model", "parent", "checked_against",
    "tombstones", "heads", "calibration", "totals",
)  # fmt: skip
_LONGEST = 50_000  # characters of what it was made by


def summary(content: Mapping[str, Any]) -> str:
    """The data set in numbers and a sentence."""
    counts, splits, totals = content["counts"], content["splits"], content["totals"]
    seen, kept = sum(counts.values()), counts[Cause.KEPT]
    shown = [("pairs seen", seen), ("kept", kept), ("to train on", splits["train"])]
    shown.append(("for validation", splits["validation"]))
    labelled = " They carry alt texts and no labels."
    if totals["labels"]:
        shown += [("labels", totals["labels"]), ("entities", totals["entities"])]
        labelled = f" They carry {totals['labels']:,} labels of {totals['entities']:,} entities."
    large = totals["large_text"]
    apart = (
        f" {large:,} pictures hold a sure box too large for the text rule; they were not dropped"
        " for it."
        if large
        else ""
    )
    numbers = "".join(f"<div><dt>{name}</dt><dd>{value:,}</dd></div>" for name, value in shown)
    return (
        f'<dl class="counts">{numbers}</dl><p>{kept:,} of {seen:,} image/alt-text pairs of a crawl '
        f"are kept ({kept / seen:.1%}): {splits['train']:,} to train on, "
        f"{splits['validation']:,} for validation.{labelled}{apart}</p>"
    )


def distributions(database: duckdb.DuckDBPyConnection, vocabulary: pa.Table) -> str:
    """Images per entity and entities per image, both axes logarithmic; empty without labels."""
    per_image = database.execute(
        "SELECT n, count(*) AS times FROM (SELECT count(*) AS n FROM labels GROUP BY id) "
        "GROUP BY n ORDER BY n"
    ).fetchnumpy()
    found = pc.value_counts(vocabulary["images"].combine_chunks())
    values = found.field("values").to_numpy()
    times = found.field("counts").to_numpy()
    filled = values > 0
    drawn = [
        plots.svg(_distribution(title, axis, says, np.asarray(v), np.asarray(t)), name)
        for title, axis, says, v, t, name in (
            ("Training images per entity", "training images", "entities",
             values[filled], times[filled], "per-entity"),
            ("Entities per kept image", "entities", "images",
             per_image["n"], per_image["times"], "per-image"),
        ) if len(v)
    ]  # fmt: skip
    if not drawn:
        return ""
    none = int(times[~filled].sum())
    apart = f'<p class="note">{none:,} classes have no training image.</p>' if none else ""
    return f'<div class="plots">{"".join(drawn)}</div>{apart}'


def scores(
    database: duckdb.DuckDBPyConnection,
    histogram: Counts,
    cut: float,
    calibration: Mapping[str, Any] | None,
) -> str:
    """Cosines of all candidates and of the labels kept, with the cut."""
    if not histogram.sum():
        return "<p>No entity was scored.</p>"
    share = histogram[SCORE_BINS[:-1] >= cut - 1e-9].sum() / histogram.sum()
    found = "" if calibration is None else f"<p>{_calibrated(calibration)}</p>"
    bars = [
        plots.Bars(histogram, "all", "all candidates"),
        plots.Bars(_kept_scores(database), "kept", "labels of kept samples"),
    ]
    return (
        f"<p>Cosine of image and entity, {histogram.sum():,} candidates. The line is the cut at "
        f"{cut:.4g}; {share:.1%} lie above it.</p>{found}"
        f'<div class="plots">{_score_plot("Cosine of image and entity", bars, cut, "scores")}</div>'
    )


def text(
    histogram: Counts, rule: Mapping[str, Any], totals: Mapping[str, int]
) -> list[tuple[str, str]]:
    """What each policy drops of the pictures with text; no section where nobody asked."""
    if "with_text" not in totals:
        return []
    number = totals["with_text"]
    rows = []
    for policy in ("any_text", "text_dependent"):
        dropped = totals.get(f"dropped_by_{policy}")
        if dropped is not None:
            chosen = "chosen" if policy == rule["policy"] else ""
            rows.append([policy, chosen, f"{dropped:,}", f"{number - dropped:,}"])
    body = (
        f"<p>{number:,} pictures hold text by the rule: a box of confidence "
        f"{rule['min_confidence']:.4g} or more that covers {rule['min_area']:.4g} to "
        f"{rule['max_area']:.4g} of the picture. What each policy does with them, whatever else "
        f"drops them:</p>{pages.table(['policy', '', 'dropped', 'not dropped'], rows)}"
    )
    if histogram.sum():
        bars = [plots.Bars(histogram, "all", "pictures with text")]
        title = "Alt text and picture once its text is covered"
        body += (
            f"<p>Cosine of alt text and picture once the text in it is covered, of "
            f"{histogram.sum():,} of them.</p>"
            f'<div class="plots">{_score_plot(title, bars, rule["min_masked_score"], "masked")}'
            "</div>"
        )
    return [("Text in pictures", body)]


def provenance(content: Mapping[str, Any]) -> str:
    """What it was made by, as JSON."""
    made_by = {key: content[key] for key in _MADE_BY if key in content}
    shown = json.dumps(made_by, indent=1, ensure_ascii=False)
    if len(shown) > _LONGEST:
        shown = f"{shown[:_LONGEST]}\n… the manifest has the rest"
    return f"<details><summary>Rules and inputs</summary><pre>{escape(shown)}</pre></details>"


def _distribution(title: str, axis: str, says: str, values: Counts, times: Counts) -> plots.Plot:
    edges, counts = plots.count_bins(values, times)
    bars = [plots.Bars(counts, "kept", says)]
    return plots.Plot(title, axis, edges, bars, logarithmic=True)


def _score_plot(title: str, bars: Sequence[plots.Bars], cut: float | None, name: str) -> str:
    mark = None if cut is None else (cut, f"cut {cut:.4g}")
    filled = next(int(place) for one in bars for place in np.flatnonzero(one.counts))
    at = float(SCORE_BINS[filled]) if cut is None else cut
    edges, shown = plots.filled_bins(SCORE_BINS, bars, at)
    return plots.svg(plots.Plot(title, "cosine", edges, shown, mark=mark), name)


def _kept_scores(database: duckdb.DuckDBPyConnection) -> Counts:
    """By `SCORE_BINS`, read in blocks: there may be more labels than memory."""
    counts = np.zeros(len(SCORE_BINS) - 1, dtype=np.int64)
    for (found,) in rules.blocks(database, "SELECT score FROM labels"):
        counts += score_bins.histogram(found)
    return counts


def _calibrated(calibration: Mapping[str, Any]) -> str:
    """What was measured at the cut, where it was chosen; intervals hold 95 %."""
    (low, high), (least, most) = calibration["precision"], calibration["recall"]
    return (
        f"Cut {calibration['cut']:.4g}, precision at least "
        f"{100 * calibration['precision_wished']:.4g}% with "
        f"{100 * calibration['confidence']:.4g}% confidence, by {calibration['pairs']:,} judged "
        f"pairs: of the labels above it {low:.1%} to {high:.1%} are right, and it keeps "
        f"{least:.1%} to {most:.1%} of the right ones."
    )
