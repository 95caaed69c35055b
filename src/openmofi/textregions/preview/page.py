"""The page of a preview: one HTML file, dropped and kept side by side, the closest calls first."""

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from openmofi import pages
from openmofi.textregions.preview import curve
from openmofi.textregions.preview.cards import Card
from openmofi.textregions.preview.choose import Group
from openmofi.textregions.preview.marks import STYLES
from openmofi.textregions.preview.pictures import Shown
from openmofi.textregions.preview.scan import Scan
from openmofi.textregions.rule import TextRule

MOST_BYTES = 5_000_000
_MARGIN = 100_000  # for what is no card: styles, curves, headings
_BOXES = 6_000  # drawn on a whole page, so that what is no picture has a bound too
_BOXES_OF_ONE = 40

_HEADINGS = {
    "closest": "Closest calls: {shown:,} of {of:,}",
    "large": "Others with a sure box too large to be judged: {shown:,} of {of:,}",
    "others": "All others: {shown:,} of {of:,}",
    "failed": "Not judged, counted apart: {shown:,} of {of:,}",
}


def page_of(scan: Scan, groups: Sequence[Group], shown: Mapping[int, Shown]) -> str:
    """The page.

    Args:
        scan: Of all pictures, for counts and curves.
        groups: What is shown.
        shown: The pictures, by row.
    """
    cards = _cards(scan, groups, shown)
    spent = _MARGIN + sum(card.size for card in cards.values())
    pictures = sum(card.has_picture for card in cards.values())
    most = (MOST_BYTES - spent) // max(pictures, 1)
    sides = dict.fromkeys(("dropped", "kept", "failed"), "")
    for group in groups:
        sides[group.side] += _group(group, cards, most)
    package = "openmofi.textregions.preview"
    parts = {
        **{side: html or '<p class="note">None.</p>' for side, html in sides.items()},
        "script": pages.read_part(package, "page.js"),
        "rule": escape(rule_says(scan.rule)),
        "counts": "\n".join(_counts(scan)),
        "notes": "\n".join(f'<p class="note">{escape(note)}</p>' for note in notes(scan)),
        "curves": "\n".join(_curves(scan)),
        "filters": "\n".join(_filters(scan, groups)),
        "legend": "\n".join(_legend()),
    }
    # In one pass: data that read like a place to fill stay what they are.
    body = pages.read_part(package, "page.html")
    body = re.sub(r"<!--(\w+)-->", lambda place: parts[place[1]], body)
    style = pages.read_part(package, "page.css").replace("/*boxes*/", _box_styles())
    return pages.page("Text rule: dropped and kept", body, style=style, scripts=True)


def rule_says(rule: TextRule) -> str:
    """The rule in a sentence."""
    return (
        f"A picture is dropped if one and the same box has a confidence of {rule.min_confidence:g} "
        f"or more and covers {100 * rule.min_area:g} % to {100 * rule.area_limit:g} % of it."
    )


def counts_say(scan: Scan) -> str:
    """The sum of what was seen."""
    counts = scan.counts()
    parts = (f"{number:,} {name}" for name, number in counts.items() if name != "seen")
    return f"{counts['seen']:,} seen = {' + '.join(parts)}"


def notes(scan: Scan) -> Iterator[str]:
    """What a reader must know to read the counts and curves right."""
    large, both = scan.with_large, scan.with_large & scan.dropped
    if large.any():
        yield (
            f"Pictures with a sure box too large to be judged, which drops none: "
            f"{int(large.sum()):,}; of them dropped for another box: {int(both.sum()):,}."
        )
    if scan.least < 1:
        yield (
            f"No box below a confidence of {scan.least:.3f} is recorded: to the left of it the "
            "curve says nothing."
        )
    if not scan.rule.drop_text:
        yield "drop_text is false: assembly would drop none of these."
    elif scan.rule.policy != "any_text":
        yield (
            f"The policy is {scan.rule.policy}: of the pictures shown as dropped, assembly keeps "
            "those whose alt text still fits once the text is covered."
        )


def heading(group: Group) -> str:
    """What stands above a group."""
    text = _HEADINGS[group.kind].format(shown=len(group.rows), of=group.of)
    by_chance = group.kind != "closest" and len(group.rows) < group.of
    return text + ", drawn at random" * by_chance


def _cards(scan: Scan, groups: Sequence[Group], shown: Mapping[int, Shown]) -> dict[int, Card]:
    most = min(_BOXES_OF_ONE, _BOXES // max(len(shown), 1))
    return {
        row: Card(shown[row], group.side, scan.rule, bool(scan.with_large[row]), most)
        for group in groups
        for row in group.rows.tolist()
    }


def _group(group: Group, cards: Mapping[int, Card], most: int) -> str:
    if not len(group.rows):
        return ""
    body = "\n".join(cards[row].html(most) for row in group.rows.tolist())
    return (
        f'<div class="group"><h3>{escape(heading(group))}</h3>\n'
        f'<div class="cards">\n{body}\n</div></div>\n'
    )


def _counts(scan: Scan) -> Iterator[str]:
    looked_at = max(int(scan.looked_at.sum()), 1)
    for name, number in [*scan.counts().items(), ("with a box too large", scan.with_large.sum())]:
        share = ""
        if name in ("dropped", "kept"):
            share = f" <small>{100 * number / looked_at:.1f} %</small>"
        yield f"<div><dt>{escape(name)}</dt><dd>{number:,}{share}</dd></div>"


def _filters(scan: Scan, groups: Sequence[Group]) -> Iterator[str]:
    judged = [row for group in groups if group.side != "failed" for row in group.rows.tolist()]
    failed = sum(len(group.rows) for group in groups if group.side == "failed")
    large = int(scan.with_large[judged].sum())
    for name, says in (
        ("all", f"all ({len(judged) + failed:,})"),
        ("large", f"with a box too large ({large:,})"),
        ("failed", f"failed ({failed:,})"),
    ):
        checked = " checked" * (name == "all")
        yield (
            f'<label><input type="radio" name="show" id="show-{name}"{checked}> '
            f"{escape(says)}</label>"
        )


def _legend() -> Iterator[str]:
    for kind, style in STYLES.items():
        yield (
            '<li><svg class="key" viewBox="0 0 35 13" aria-hidden="true">'
            f'<path class="box {kind}" d="M1 7h33"/></svg> {escape(style.says)}</li>'
        )
    yield "<li>thick: the box whose confidence is compared</li>"


def _box_styles() -> str:
    return "\n".join(
        f".box.{kind} {{ stroke: {style.colour}; stroke-dasharray: "
        f"{' '.join(map(str, style.dashes)) or 'none'}; }}"
        for kind, style in STYLES.items()
    )


def _curves(scan: Scan) -> Iterator[str]:
    for name, panel in (("by-cut", curve.cut_panel(scan)), ("by-area", curve.area_panel(scan))):
        if panel is not None:
            keys = " ".join(
                f'<svg class="key" viewBox="0 0 35 13" aria-hidden="true"><path '
                f'class="{line.kind}" d="M1 7h33"/></svg> {escape(line.says)}'
                for line in reversed(panel.lines)
            )
            yield f"<figure>{curve.svg(panel, name)}<figcaption>{keys}</figcaption></figure>"
    head = "<tr><th>cut</th><th>dropped</th><th>share</th><th>too large counted too</th></tr>"
    now = ' class="now"'
    rows = "".join(
        f"<tr{now * (cut == scan.rule.min_confidence)}><td>{cut:g}</td>"
        f"<td>{dropped:,}</td><td>{100 * share:.1f} %</td><td>{100 * other:.1f} %</td></tr>"
        for cut, dropped, share, other in curve.table_rows(scan)
    )
    yield f"<details><summary>As numbers</summary><table>{head}{rows}</table></details>"
