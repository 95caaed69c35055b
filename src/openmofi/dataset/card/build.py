"""The page as a whole: what it shows, and how it is made to stay small."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from openmofi import pages
from openmofi.dataset.assembly.inputs import PoolTables
from openmofi.dataset.assembly.score_bins import Histograms
from openmofi.dataset.card import choose, entities, funnel, gallery, sections
from openmofi.dataset.card.choose import Place
from openmofi.dataset.card.gallery import Uri
from openmofi.dataset.card.pictures import Shown, data_uri, read_shown
from openmofi.dataset.causes import Cause
from openmofi.dataset.causes import funnel as causes_of

MOST_BYTES = 4_900_000  # of a page, whatever its pictures and names are
_LEAST_OF_PICTURE = 2_000  # bytes; where less is left, there are fewer pictures
_ENTITIES = 2_000
_SHEET_PICTURES = 1_200
_KEPT_SHOWN = 24
_DROPPED_SHOWN = 8  # for each cause

_MARKS = (
    '<p class="note">Marked in an alt text: <mark class="label">a label</mark> and '
    '<mark class="other">another mention</mark>. Below it: labels with their cosines.</p>\n'
)


@dataclass(frozen=True)
class _Content:
    """All that is drawn but the pictures' bytes: the entities' part of it can be made coarser."""

    title: str
    before: str  # HTML
    after: str
    rows: Sequence[Mapping[str, Any]]  # of the vocabulary, by rank
    number: int  # of entities in all
    which: str  # of them these are
    galleries: Mapping[str, Sequence[Shown]]  # by cause, kept first
    sheets: Mapping[str, Sequence[Shown]]  # by entity
    names: Mapping[str, str]


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
    page = _fitted(_content(database, tables, content, vocabulary, histograms))
    tables.store.put(str(content["card"]), page.encode())


def _content(
    database: duckdb.DuckDBPyConnection,
    tables: PoolTables,
    content: Mapping[str, Any],
    vocabulary: pa.Table,
    histograms: Histograms,
) -> _Content:
    rows = choose.ranked_entities(vocabulary, _ENTITIES).to_pylist()
    sizes = choose.sheet_sizes([row["images"] for row in rows], _SHEET_PICTURES)
    wanted = {row["entity_id"]: size for row, size in zip(rows, sizes, strict=True)}
    sheets = choose.samples_of_entities(database, wanted)
    causes = _galleries(database, content)
    places = [place for some in (*causes.values(), *sheets.values()) for place in some]
    labels = choose.labels_of(database, (place.id for place in places))
    shown = read_shown(tables, places, labels)
    return _Content(
        title=f"Data set {str(content['card']).split('/')[1][:12]}",
        before=_before(database, content, vocabulary, histograms),
        after=sections.provenance(content),
        rows=rows,
        number=vocabulary.num_rows,
        which=entities.which(len(rows), vocabulary.num_rows),
        galleries=_of(causes, shown),
        sheets=_of(sheets, shown),
        names=_names(vocabulary, labels),
    )


def _galleries(
    database: duckdb.DuckDBPyConnection, content: Mapping[str, Any]
) -> dict[str, list[Place]]:
    """Kept samples, then some of every cause; of what was taken down, none."""
    causes = [cause for _, cause, _ in causes_of(dict(content["counts"]))]
    return {
        str(cause): choose.samples_of_cause(database, cause, number)
        for cause, number in [(Cause.KEPT, _KEPT_SHOWN), *((c, _DROPPED_SHOWN) for c in causes)]
        if cause != Cause.TAKEN_DOWN
    }


def _names(
    vocabulary: pa.Table, labels: Mapping[int, Sequence[tuple[str, float]]]
) -> dict[str, str]:
    """Names of the labels shown, by entity id."""
    wanted = pa.array({entity for some in labels.values() for entity, _ in some}, pa.string())
    table = vocabulary.filter(pc.is_in(vocabulary["entity_id"], wanted))
    return dict(zip(*(table[name].to_pylist() for name in ("entity_id", "name")), strict=True))


def _of(
    places: Mapping[str, Sequence[Place]], shown: Mapping[int, Shown]
) -> dict[str, Sequence[Shown]]:
    return {name: [shown[place.id] for place in some] for name, some in places.items()}


def _before(
    database: duckdb.DuckDBPyConnection,
    content: Mapping[str, Any],
    vocabulary: pa.Table,
    histograms: Histograms,
) -> str:
    distributions = sections.distributions(database, vocabulary)
    scores = sections.scores(
        database, histograms.entities, content["min_score"], content["calibration"]
    )
    parts = [
        ("Where the samples went", funnel.draw(content["counts"])),
        *([("Images and entities", distributions)] if distributions else []),
        ("Scores of entities", scores),
        *sections.text(histograms.masked, content["config"]["text"], content["totals"]),
    ]
    return sections.summary(content) + "\n" + "\n".join(_section(*part) for part in parts)


def _fitted(content: _Content) -> str:
    """The page within its bound: smaller pictures first, then fewer entities."""
    halvings = 0
    while True:
        part = _coarser(content, halvings)
        pictures = 0

        def counted(one: Shown) -> str:
            nonlocal pictures
            pictures += bool(one.jpeg)
            return ""

        spent = len(_page(part, counted).encode())
        each = (MOST_BYTES - spent) // max(pictures, 1)
        if each >= _LEAST_OF_PICTURE or not part.rows:
            break
        halvings += 1
    return _page(part, lambda one: data_uri(one.jpeg, each))


def _coarser(content: _Content, halvings: int) -> _Content:
    """Half as many entities and pictures of them, so many times; the last time none."""
    if not halvings:
        return content
    rows = content.rows[: len(content.rows) >> halvings]
    sizes = choose.sheet_sizes([row["images"] for row in rows], _SHEET_PICTURES >> halvings)
    sheets = {
        row["entity_id"]: content.sheets[row["entity_id"]][:size]
        for row, size in zip(rows, sizes, strict=True)
    }
    which = entities.largest(len(rows), content.number)
    return replace(content, rows=rows, sheets=sheets, which=which)


def _page(content: _Content, uri: Uri) -> str:
    sheets = [content.sheets[row["entity_id"]] for row in content.rows]
    table = entities.section(content.rows, content.which, sheets, content.names, uri)
    kept, *dropped = (
        _gallery(cause, gallery.figures(some, content.names, uri))
        for cause, some in content.galleries.items()
    )
    parts = [
        f"<h1>{escape(content.title)}</h1>",
        content.before,
        _section("Entities", table),
        _section("Kept, a sample", _MARKS + kept),
        _section("Dropped, some of each cause", "\n".join(dropped)) if dropped else "",
        _section("How it was made", content.after),
    ]
    return pages.page(
        content.title,
        "\n".join(part for part in parts if part),
        style=pages.read_part("openmofi.dataset.card", "card.css"),
        scripts=bool(content.rows),
    )


def _section(head: str, body: str) -> str:
    return f"<section><h2>{escape(head)}</h2>\n{body}</section>"


def _gallery(cause: str, figures: str) -> str:
    if cause == Cause.KEPT:
        return figures
    said = f' <span class="soft">{escape(funnel.says(cause))}</span>'
    return f'<h3 class="cause">{escape(cause)}{said}</h3>\n{figures}'
