"""A preview from regions to files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openmofi.errors import InputError
from openmofi.files import replacing, write_text
from openmofi.textregions.preview.choose import check_images, choose
from openmofi.textregions.preview.contact_sheet import contact_sheet, png_bytes
from openmofi.textregions.preview.page import page_of
from openmofi.textregions.preview.pictures import read_shown
from openmofi.textregions.preview.scan import scan
from openmofi.textregions.preview.source import Source
from openmofi.textregions.rule import TextRule


@dataclass(frozen=True)
class PreviewCounts:
    """What was seen, and what is shown of it."""

    counts: dict[str, int]  # ``seen``, and what it is the sum of
    large: int  # pictures with a sure box above the upper limit, dropped or not
    shown: dict[str, int]  # pictures by side
    bytes: int  # of the page


def check_outputs(out: Path, png: Path | None) -> None:
    """Refuse files of another kind, before there is work."""
    if out.suffix.lower() not in {".html", ".htm"}:
        raise InputError(f"--out is a page: name the file *.html, not {out}")
    if png is not None and png.suffix.lower() != ".png":
        raise InputError(f"--png is a picture: name the file *.png, not {png}")


def write_preview(
    source: Source,
    rule: TextRule,
    out: Path,
    *,
    png: Path | None = None,
    images: int = 200,
    seed: int = 0,
) -> PreviewCounts:
    """Write the page, and the picture if one is named; the same input gives the same bytes.

    Args:
        source: Regions and pictures.
        rule: What decides.
        out: HTML file to write, whole or not at all.
        png: PNG file to write.
        images: Pictures to show, all of a smaller source.
        seed: Of the pictures shown by chance.

    Raises:
        InputError: Regions and pictures do not belong together, or a file cannot be written.
    """
    check_outputs(out, png)
    check_images(images)
    scanned = scan(source, rule.for_boxes(second_look=source.second_look))
    groups = choose(scanned, images, seed)
    shown = read_shown(source, np.concatenate([group.rows for group in groups]))
    page = page_of(scanned, groups, shown)
    if png is not None:
        data = png_bytes(contact_sheet(scanned, groups, shown))
        with replacing(png) as temporary:
            temporary.write_bytes(data)
    write_text(page, out)
    sides: dict[str, int] = {}
    for group in groups:
        sides[group.side] = sides.get(group.side, 0) + len(group.rows)
    return PreviewCounts(scanned.counts(), int(scanned.with_large.sum()), sides, len(page.encode()))
