"""The picture of a preview: the page's order on one PNG, dropped left and kept right."""

import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw

from openmofi.textregions.preview import drawing
from openmofi.textregions.preview.cards import name_of, says
from openmofi.textregions.preview.choose import Group
from openmofi.textregions.preview.curve import area_panel, cut_panel
from openmofi.textregions.preview.marks import STYLES, marks_of
from openmofi.textregions.preview.page import counts_say, heading, rule_says
from openmofi.textregions.preview.pictures import Shown
from openmofi.textregions.preview.scan import Scan
from openmofi.textregions.rule import TextRule

WIDTH = 1600
_MARGIN, _GAP = 24, 8
_COLUMN = (WIDTH - 3 * _MARGIN) // 2
_ACROSS = 4  # pictures of a row of a column
_CELL = (_COLUMN - (_ACROSS - 1) * _GAP) // _ACROSS
_PICTURE, _CAPTION = 160, 76  # heights
_ROW = _PICTURE + _CAPTION + _GAP
_HEAD, _GROUP = 40, 34
_PANELS, _PANEL_HIGH = 118, 300
_BODY = _PANELS + _PANEL_HIGH + 46


class _Place(NamedTuple):
    left: int
    top: int
    across: int  # pictures of a row


def contact_sheet(scan: Scan, groups: Sequence[Group], shown: Mapping[int, Shown]) -> Image.Image:
    """The sheet, 1600 pixels wide; arguments as of `page.page_of`."""
    sides = {
        side: [one for one in groups if one.side == side and len(one.rows)]
        for side in ("dropped", "kept", "failed")
    }
    columns = max(_height(sides[side], _ACROSS) for side in ("dropped", "kept"))
    failed = _height(sides["failed"], 2 * _ACROSS) if sides["failed"] else 0
    sheet = Image.new("RGB", (WIDTH, _BODY + columns + failed + _MARGIN), drawing.PAPER)
    draw = ImageDraw.Draw(sheet)
    _draw_head(draw, scan)
    right = 2 * _MARGIN + _COLUMN
    for side, left, top, across in (
        ("dropped", _MARGIN, _BODY, _ACROSS),
        ("kept", right, _BODY, _ACROSS),
        ("failed", _MARGIN, _BODY + columns, 2 * _ACROSS),
    ):
        if side != "failed" or failed:
            drawing.text(draw, (left, top), side.capitalize(), 24)
            _draw_groups(sheet, sides[side], shown, scan.rule, _Place(left, top + _HEAD, across))
    return sheet


def png_bytes(sheet: Image.Image) -> bytes:
    """The sheet as a file."""
    sink = io.BytesIO()
    sheet.save(sink, "PNG", optimize=False, compress_level=6)
    return sink.getvalue()


def _height(groups: Sequence[Group], across: int) -> int:
    return _HEAD + sum(_GROUP + -(-len(one.rows) // across) * _ROW for one in groups)


def _draw_head(draw: ImageDraw.ImageDraw, scan: Scan) -> None:
    drawing.text(draw, (_MARGIN, 18), "What the text rule drops and keeps", 28)
    drawing.text(draw, (_MARGIN, 58), rule_says(scan.rule), 17, drawing.SOFT)
    said = f"{counts_say(scan)}; with a sure box too large: {int(scan.with_large.sum()):,}"
    drawing.text(draw, (_MARGIN, 84), said, 17)
    for left, panel in ((_MARGIN, cut_panel(scan)), (2 * _MARGIN + _COLUMN, area_panel(scan))):
        if panel is not None:
            drawing.draw_panel(draw, panel, (left, _PANELS, _COLUMN, _PANEL_HIGH))
    _draw_legend(draw, _PANELS + _PANEL_HIGH + 14)


def _draw_legend(draw: ImageDraw.ImageDraw, at: int) -> None:
    left = float(_MARGIN)
    for style in STYLES.values():
        drawing.line(draw, [(left, at), (left + 44, at)], style.colour, 3, style.dashes)
        drawing.text(draw, (left + 52, at), style.says, 15, anchor="lm")
        left += 52 + drawing.length(style.says, 15) + 26
    drawing.text(draw, (left, at), "thick: compared with the cut", 15, anchor="lm")


def _draw_groups(
    sheet: Image.Image,
    groups: Sequence[Group],
    shown: Mapping[int, Shown],
    rule: TextRule,
    place: _Place,
) -> None:
    draw = ImageDraw.Draw(sheet)
    top = place.top
    for group in groups:
        drawing.text(draw, (place.left, top + 6), heading(group), 16, drawing.SOFT)
        top += _GROUP
        for number, row in enumerate(group.rows.tolist()):
            down, right = divmod(number, place.across)
            corner = (place.left + right * (_CELL + _GAP), top + down * _ROW)
            _draw_cell(sheet, shown[row], group.side, rule, corner)
        top += -(-len(group.rows) // place.across) * _ROW


def _draw_cell(
    sheet: Image.Image, one: Shown, side: str, rule: TextRule, corner: tuple[int, int]
) -> None:
    draw = ImageDraw.Draw(sheet)
    left, top = corner
    draw.rectangle((left, top, left + _CELL - 1, top + _PICTURE - 1), fill="#e4e7ec")
    marks = marks_of(one.regions, rule)
    if one.thumbnail is None:
        middle = (left + _CELL / 2, top + _PICTURE / 2)
        drawing.text(draw, middle, "no picture", 15, drawing.SOFT, "mm")
    else:
        copy = Image.open(io.BytesIO(one.thumbnail.jpeg))
        copy.thumbnail((_CELL, _PICTURE), Image.Resampling.LANCZOS)
        drawing.draw_marks(copy, marks, one.thumbnail.width, one.thumbnail.height)
        sheet.paste(copy, (left + (_CELL - copy.width) // 2, top + (_PICTURE - copy.height) // 2))
    lines = [*says(one, side, marks, rule), name_of(one)]
    for number, said in enumerate(lines):
        at = (left, top + _PICTURE + 3 + 17 * number)
        fill = drawing.SOFT if number == len(lines) - 1 else drawing.INK
        drawing.text(draw, at, drawing.fitted(said, 14, _CELL), 14, fill)
