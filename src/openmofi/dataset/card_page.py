"""Pieces of the data card's page: no script, nothing loaded from elsewhere."""

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from openmofi import pages


def page(*, title: str, summary: str, sections: Iterable[tuple[str, str]]) -> str:
    """The whole page. Titles and summary are escaped here; the sections' bodies are HTML."""
    body = "\n".join(f"<h2>{escape(head)}</h2>\n{content}" for head, content in sections)
    return pages.page(
        title,
        f"<h1>{escape(title)}</h1>\n<p>{escape(summary)}</p>\n{body}",
        style=pages.read_part("openmofi.dataset", "card.css"),
    )


def bar(share: float) -> str:
    """A bar of a table, 0 to 1 of its width."""
    return (
        f'<svg class="bar" viewBox="0 0 160 10" preserveAspectRatio="none" role="img" '
        f'aria-label="{share:.1%}">'
        f'<rect width="{160 * share:.1f}" height="10"></rect></svg>'
    )


def histogram(
    counts: npt.NDArray[np.int64], edges: npt.NDArray[np.float64], cut: float | None
) -> str:
    """Bars over the range that is not empty, with a line at ``cut`` and its value above.

    Args:
        counts: [bins].
        edges: [bins + 1].
        cut: Where the line stands, in the units of ``edges``; None for no line.
    """
    filled = np.flatnonzero(counts)
    first, last = int(filled[0]), int(filled[-1])
    if cut is not None:
        first = min(first, int(np.searchsorted(edges, cut, "right")) - 1)
        last = max(last, int(np.searchsorted(edges, cut, "left")))
    first, last = max(first - 1, 0), min(last + 1, len(counts) - 1)
    width, height, top = 640.0, 140.0, 16.0
    scale = width / (edges[last + 1] - edges[first])
    bars = []
    for index in range(first, last + 1):
        tall = height * counts[index] / counts.max()
        left = (edges[index] - edges[first]) * scale
        wide = (edges[index + 1] - edges[index]) * scale
        bars.append(
            f'<rect x="{left:.1f}" y="{top + height - tall:.1f}" width="{max(wide - 1, 0.5):.1f}" '
            f'height="{tall:.1f}"><title>{edges[index]:.2f}: {counts[index]}</title></rect>'
        )
    base = top + height
    line = "" if cut is None else _cut_line(cut, (cut - edges[first]) * scale, width, top, base)
    return (
        f'<svg class="histogram" width="{width:.0f}" height="{base + 18:.0f}" '
        f'viewBox="0 0 {width:.0f} {base + 18:.0f}" role="img" aria-label="histogram">'
        f"{''.join(bars)}{line}"
        f'<text x="0" y="{base + 14:.0f}">{edges[first]:.2f}</text>'
        f'<text x="{width:.0f}" y="{base + 14:.0f}" text-anchor="end">'
        f"{edges[last + 1]:.2f}</text>"
        "</svg>"
    )


def _cut_line(cut: float, at: float, width: float, top: float, base: float) -> str:
    """A line from ``top`` to ``base`` at ``at`` of ``width`` pixels, with its value above."""
    anchor = "start" if at < width / 2 else "end"  # so that it stays on the page
    return (
        f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top:.0f}" y2="{base:.0f}" stroke-width="2">'
        f'</line><text x="{at:.1f}" y="{top - 5:.0f}" text-anchor="{anchor}">cut {cut:.4g}</text>'
    )


def figure(picture: str, alt_text: str, labels: Sequence[str]) -> str:
    """A picture (data URI, or empty) over its alt text and its labels."""
    shown = (
        f'<img src="{escape(picture)}" alt="{escape(alt_text)}">'
        if picture
        else '<div class="none">no picture</div>'
    )
    names = f"<br><b>{escape(', '.join(labels))}</b>" if labels else ""
    return f"<figure>{shown}<figcaption>{escape(alt_text)}{names}</figcaption></figure>"


def figures(items: Sequence[str]) -> str:
    """Figures side by side."""
    return f'<div class="figures">\n{chr(10).join(items)}\n</div>'
