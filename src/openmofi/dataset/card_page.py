"""Pieces of a plain HTML page that stands alone: no script, nothing loaded from elsewhere."""

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .15rem .7rem .15rem 0; vertical-align: top; }
th { border-bottom: 1px solid #bbb; font-weight: 600; }
td { border-bottom: 1px solid #eee; font-variant-numeric: tabular-nums; }
svg rect { fill: #4a6d8c; } svg line { stroke: #b03a2e; } svg text { font-size: 11px; fill: #444; }
.figures { display: flex; flex-wrap: wrap; gap: .8rem; }
figure { margin: 0; width: 8.5rem; font-size: 12px; line-height: 1.35; overflow-wrap: anywhere; }
figure img, figure .none { max-width: 96px; min-height: 24px; background: #f2f2f2; }
figure b { font-weight: 600; }
pre { background: #f6f6f6; padding: .8rem; overflow-x: auto; font-size: 12px; }
"""


def page(*, title: str, summary: str, sections: Iterable[tuple[str, str]]) -> str:
    """The whole page. Titles and summary are escaped here; the sections' bodies are HTML."""
    body = "\n".join(f"<h2>{escape(head)}</h2>\n{content}" for head, content in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style></head>\n"
        f"<body>\n<h1>{escape(title)}</h1>\n<p>{escape(summary)}</p>\n{body}\n</body>\n</html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table. Cells are HTML, escaped by the caller."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>\n<tr>{top}</tr>\n{body}\n</table>"


def bar(share: float) -> str:
    """A bar of a table, 0 to 1 of its width."""
    return (
        f'<svg width="160" height="10" role="img" aria-label="{share:.1%}">'
        f'<rect width="{160 * share:.1f}" height="10"></rect></svg>'
    )


def histogram(counts: npt.NDArray[np.int64], edges: npt.NDArray[np.float64], cut: float) -> str:
    """Bars over the range that is not empty, with a line at ``cut``.

    Args:
        counts: [bins].
        edges: [bins + 1].
        cut: Where the line stands, in the units of ``edges``.
    """
    filled = np.flatnonzero(counts)
    first = min(int(filled[0]), int(np.searchsorted(edges, cut, "right")) - 1)
    last = max(int(filled[-1]), int(np.searchsorted(edges, cut, "left")))
    first, last = max(first - 1, 0), min(last + 1, len(counts) - 1)
    width, height = 640.0, 140.0
    scale = width / (edges[last + 1] - edges[first])
    bars = []
    for index in range(first, last + 1):
        tall = height * counts[index] / counts.max()
        left = (edges[index] - edges[first]) * scale
        wide = (edges[index + 1] - edges[index]) * scale
        bars.append(
            f'<rect x="{left:.1f}" y="{height - tall:.1f}" width="{max(wide - 1, 0.5):.1f}" '
            f'height="{tall:.1f}"><title>{edges[index]:.2f}: {counts[index]}</title></rect>'
        )
    at = (cut - edges[first]) * scale
    return (
        f'<svg width="{width:.0f}" height="{height + 18:.0f}" role="img" aria-label="histogram">'
        f"{''.join(bars)}"
        f'<line x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{height:.0f}" stroke-width="2"></line>'
        f'<text x="0" y="{height + 14:.0f}">{edges[first]:.2f}</text>'
        f'<text x="{width:.0f}" y="{height + 14:.0f}" text-anchor="end">'
        f"{edges[last + 1]:.2f}</text>"
        "</svg>"
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
