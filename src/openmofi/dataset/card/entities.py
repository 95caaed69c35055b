"""The table of entities, which a search narrows, and the contact sheets that its rows open."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from openmofi import pages
from openmofi.dataset.card.gallery import Uri, kind_of, short
from openmofi.dataset.card.pictures import Shown

# In a script element these end it, begin a comment, or are no JavaScript.
_ESCAPED = {ord(one): f"\\u{ord(one):04x}" for one in "<>&\u2028\u2029"}
_LONGEST = 160  # code points of a description

Row = Mapping[str, Any]


def section(
    rows: Sequence[Row],
    which: str,
    sheets: Sequence[Sequence[Shown]],
    names: Mapping[str, str],
    uri: Uri,
) -> str:
    """Search, table, dialog, and the data and script behind them.

    Args:
        rows: Of the vocabulary, those to show.
        which: Says what rows these are.
        sheets: The pictures of each row.
        names: Of entities, by id.
        uri: See `gallery.Uri`.
    """
    if not rows:
        return f"<p>{escape(which)}</p>"
    most = max(1, max(row["images"] for row in rows))
    package = "openmofi.dataset.card"
    parts = {
        "said": escape(which + _without(sheets)),
        "rows": "\n".join(map(_row, rows, sheets, [most] * len(rows))),
        "script": pages.read_part(package, "card.js"),
        "data": _data(sheets, names, uri),
    }
    body = pages.read_part(package, "entities.html")
    # Cut first: data that read like a place to fill stay what they are.
    pieces = body.split("<!--")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        place, _, rest = piece.partition("-->")
        filled += [parts[place], rest]
    return "".join(filled)


def shows(page: str, name: str) -> bool:
    """Whether a card shows a sample, named by shard and key as in `Shown`."""
    in_script = json.dumps(name, ensure_ascii=False).translate(_ESCAPED)
    return f'title="{escape(short(name))}"' in page or in_script in page


def which(shown: int, of: int) -> str:
    """What `choose.ranked_entities` chose, in words."""
    if not of:
        return "None."
    if shown == of:
        return f"{of:,} entities, the one with the most training images first."
    return (
        f"{shown:,} of {of:,} entities shown: the {shown // 2:,} with the most training images, "
        f"the {shown // 4:,} with the fewest, and others at even distances between."
    )


def largest(shown: int, of: int) -> str:
    """The same where only the first ones found room."""
    return f"{shown:,} of {of:,} entities shown: those with the most training images."


def _without(sheets: Sequence[Sequence[Shown]]) -> str:
    number = sum(not sheet for sheet in sheets)
    return f" {number:,} of them have no picture here, so that the page stays small." * bool(number)


def _row(row: Row, sheet: Sequence[Shown], most: int) -> str:
    return (
        f'<tr><td class="face"></td><td class="who"><button type="button" '
        f'aria-haspopup="dialog"><bdi class="name">{escape(short(row["name"]))}</bdi></button> '
        f'<bdi class="id">{escape(short(row["entity_id"]))}</bdi>'
        f'<span class="about" dir="auto">{escape(short(row["description"], _LONGEST))}</span></td>'
        f'<td class="number">{row["class_index"]}</td>'
        f'<td class="number">{row["images"]:,}</td>'
        f'<td class="bar"><i style="width:{row["images"] / most:.2%}"></i></td></tr>'
    )


def _data(sheets: Sequence[Sequence[Shown]], names: Mapping[str, str], uri: Uri) -> str:
    """Pictures once each, and the places of those of each row, as JSON that ends no element."""
    places: dict[str, int] = {}
    pictures: list[dict[str, Any]] = []
    numbers: list[list[int]] = []
    for sheet in sheets:
        numbers.append([])
        for one in sheet:
            if one.name not in places:
                places[one.name] = len(pictures)
                pictures.append(
                    {
                        "name": one.name,  # which no reader sees: see `shows`
                        "src": uri(one),
                        "text": [[piece.text, kind_of(piece, one)] for piece in one.pieces],
                        "labels": [
                            [short(names.get(entity, entity)), f"{score:.3f}"]
                            for entity, score in one.labels
                        ],
                    }
                )
            numbers[-1].append(places[one.name])
    data = {"pictures": pictures, "sheets": numbers}
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPED)
