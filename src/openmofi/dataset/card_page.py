"""Pieces of a plain HTML page that stands alone: no script, nothing loaded from elsewhere."""

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

_STYLE = """
:root { color-scheme: light dark; --text: #222; --page: #fff; --soft: #f4f4f4; --line: #ddd;
        --bar: #4a6d8c; --cut: #b03a2e; }
@media (prefers-color-scheme: dark) {
  :root { --text: #ddd; --page: #181a1b; --soft: #26292b; --line: #3c4043; --bar: #7fa6c9;
          --cut: #ef8a7e; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page);
       max-width: 60rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .15rem .7rem .15rem 0; vertical-align: top;
         border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
th { font-weight: 600; }
svg rect { fill: var(--bar); } svg line { stroke: var(--cut); }
svg text { font-size: 11px; fill: var(--text); }
svg.bar { width: 10rem; height: 10px; } svg.histogram { max-width: 100%; height: auto; }
.figures { display: flex; flex-wrap: wrap; gap: .8rem; }
figure { margin: 0; width: 8.5rem; font-size: 12px; line-height: 1.35; overflow-wrap: anywhere; }
figure img, figure .none { max-width: 96px; min-height: 24px; background: var(--soft); }
figure b { font-weight: 600; }
pre { background: var(--soft); padding: .8rem; overflow-x: auto; font-size: 12px; }
@media (max-width: 40rem) {
  body { padding: 0 .5rem; }
  th, td { font-size: 12px; line-height: 1.35; padding-right: .3rem; }
  svg.bar { width: 2.5rem; }
}
"""


def page(*, title: str, summary: str, sections: Iterable[tuple[str, str]]) -> str:
    """The whole page. Titles and summary are escaped here; the sections' bodies are HTML."""
    body = "\n".join(f"<h2>{escape(head)}</h2>\n{content}" for head, content in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style></head>\n"
        f"<body>\n<h1>{escape(title)}</h1>\n<p>{escape(summary)}</p>\n{body}\n</body>\n</html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table. Cells are HTML, escaped by the caller."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table>\n<tr>{top}</tr>\n{body}\n</table></div>'


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
