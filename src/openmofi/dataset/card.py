"""The data card: one page of plain HTML that says what a data set is and how it came to be."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import duckdb
import pyarrow as pa
from PIL import Image

from openmofi import pages
from openmofi.dataset import card_page
from openmofi.dataset.causes import Cause, funnel
from openmofi.dataset.facts import SCORE_BINS, Counts, Histograms
from openmofi.dataset.inputs import PoolTables
from openmofi.errors import OpenMofiError
from openmofi.images import ImageProblemError, decode_image

_KEPT_SHOWN = 24
_DROPPED_SHOWN = 8  # for each cause
_SIDE = 96  # pixels, at most
_TOP_ENTITIES = 40


def write_card(
    database: duckdb.DuckDBPyConnection,
    tables: PoolTables,
    content: Mapping[str, Any],
    vocabulary: pa.Table,
    histograms: Histograms,
) -> None:
    """Write the page to ``content["card"]``.

    Args:
        database: With all rules applied.
        tables: The pool, for the pictures shown.
        content: The manifest to be.
        vocabulary: By `records.VOCABULARY`.
        histograms: Of scores.
    """
    digest = str(content["card"]).split("/")[1]
    sections = [
        ("Where the samples went", _funnel(content["counts"])),
        *_text(histograms.masked, content["config"]["text"], content["totals"]),
        (
            "Scores of entities",
            _scores(histograms.entities, content["min_score"], content["calibration"]),
        ),
        ("Entities with the most training images", _entities(vocabulary)),
        ("Kept, a sample", _gallery(database, tables, vocabulary, Cause.KEPT)),
        *(
            (f"Dropped: {cause}", _gallery(database, tables, vocabulary, cause))
            for _, cause, _ in funnel(dict(content["counts"]))
        ),
        ("How it was made", _provenance(content)),
    ]
    page = card_page.page(
        title=f"Data set {digest[:12]}", summary=_summary(content), sections=sections
    )
    tables.store.put(str(content["card"]), page.encode())


def _summary(content: Mapping[str, Any]) -> str:
    counts, splits, totals = content["counts"], content["splits"], content["totals"]
    seen = sum(counts.values())
    kept = counts[Cause.KEPT]
    labelled = (
        f" They carry {totals['labels']:,} labels of {totals['entities']:,} entities."
        if totals["labels"]
        else " They carry alt texts and no labels."
    )
    large = totals["large_text"]
    apart = (
        f" {large:,} pictures hold a sure box too large for the text rule; they were not dropped"
        " for it."
        if large
        else ""
    )
    return (
        f"{kept:,} of {seen:,} image/alt-text pairs of a crawl are kept ({kept / seen:.1%}): "
        f"{splits['train']:,} to train on, {splits['validation']:,} for validation."
        f"{labelled}{apart}"
    )


def _funnel(counts: Mapping[str, int]) -> str:
    seen = left = sum(counts.values())
    rows = [("", "seen", seen, left)]
    for step, cause, dropped in funnel(dict(counts)):
        left -= dropped
        rows.append((step, cause, dropped, left))
    body = [
        [escape(step), escape(cause), f"{number:,}", f"{rest:,}", card_page.bar(rest / seen)]
        for step, cause, number, rest in rows
    ]
    return pages.table(["step", "cause", "samples", "left", ""], body)


def _text(
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
        body += (
            f"<p>Cosine of alt text and picture once the text in it is covered, of "
            f"{histogram.sum():,} of them.</p>"
            f"{card_page.histogram(histogram, SCORE_BINS, rule['min_masked_score'])}"
        )
    return [("Text in pictures", body)]


def _scores(histogram: Counts, cut: float, calibration: Mapping[str, Any] | None) -> str:
    if not histogram.sum():
        return "<p>No entity was scored.</p>"
    share = histogram[SCORE_BINS[:-1] >= cut - 1e-9].sum() / histogram.sum()
    found = "" if calibration is None else f"<p>{_calibrated(calibration)}</p>"
    return (
        f"<p>Cosine of image and entity, {histogram.sum():,} candidates. The line is the cut at "
        f"{cut:.4g}; {share:.1%} lie above it.</p>{found}"
        f"{card_page.histogram(histogram, SCORE_BINS, cut)}"
    )


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


def _entities(vocabulary: pa.Table) -> str:
    rows = sorted(vocabulary.to_pylist(), key=lambda row: (-row["images"], row["class_index"]))
    if not rows:
        return "<p>None.</p>"
    most = max(1, rows[0]["images"])
    body = [
        [
            str(row["class_index"]),
            escape(row["entity_id"]),
            escape(row["name"]),
            escape(row["description"]),
            f"{row['images']:,}",
            card_page.bar(row["images"] / most),
        ]
        for row in rows[:_TOP_ENTITIES]
    ]
    head = ["class", "id", "name", "description", "images", ""]
    more = f"<p>And {len(rows) - _TOP_ENTITIES:,} more.</p>" if len(rows) > _TOP_ENTITIES else ""
    return pages.table(head, body) + more


def _gallery(
    database: duckdb.DuckDBPyConnection, tables: PoolTables, vocabulary: pa.Table, cause: str
) -> str:
    """Some pictures of one cause, chosen by a hash, with alt text and labels."""
    is_it = "cause IS NULL" if cause == Cause.KEPT else f"cause = '{cause}'"
    number = _KEPT_SHOWN if cause == Cause.KEPT else _DROPPED_SHOWN
    chosen = database.execute(
        f"SELECT id, shard, row FROM samples WHERE {is_it} ORDER BY md5(uid), id LIMIT {number}"
    ).fetchall()
    names = dict(zip(*vocabulary.select(["entity_id", "name"]).to_pydict().values(), strict=True))
    figures = []
    for identity, shard, row in chosen:
        labels = database.execute(
            f"SELECT entity_id FROM labels WHERE id = {identity} ORDER BY score DESC, entity_id"
        ).fetchall()
        work = tables.work[shard]
        sample = tables.read("samples", work).slice(row, 1).to_pylist()[0]
        picture = _thumbnail(tables, work.tar_key, sample["offset"], sample["length"])
        known = [names.get(entity, entity) for (entity,) in labels]
        figures.append(card_page.figure(picture, sample["alt_text"], known))
    return card_page.figures(figures)


def _thumbnail(tables: PoolTables, tar_key: str, offset: int, length: int) -> str:
    """The picture as a data URI of a JPEG, or nothing if it does not decode."""
    if offset < 0:
        return ""
    try:
        image = decode_image(tables.store.get_range(tar_key, offset, length))
    except (ImageProblemError, OpenMofiError):
        return ""
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(sink.getvalue()).decode()}"


def _provenance(content: Mapping[str, Any]) -> str:
    shown: Sequence[str] = (
        "config", "table_digests", "digests", "knowledge_base", "model", "parent",
        "checked_against", "tombstones", "heads", "calibration", "totals",
    )  # fmt: skip
    text = json.dumps({key: content[key] for key in shown}, indent=1, ensure_ascii=False)
    return f"<pre>{escape(text)}</pre>"
