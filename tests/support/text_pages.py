"""A preview page of one picture of each sort."""

from pathlib import Path
from typing import Any

from openmofi.textregions.preview.job import write_preview
from openmofi.textregions.rule import TextRule
from support.text_previews import InMemory, row, square

HOSTILE = '"><script>document.title="hijacked"</script><!--kept--><b>&amp; \u2028\n'
RULE = TextRule(min_confidence=0.5, min_area=0.001, max_area=0.2)
ROWS = [
    row("far", [square(0.95, 0.1)]),
    row("close", [square(0.52, 0.1, detector=0.75)]),
    row("nearly", [square(0.48, 0.1), square(0.3, 0.0001)]),
    row("frame", [square(0.875, 0.5)]),
    row("empty"),
    row(HOSTILE, [square(0.6, 0.1)]),
    row("broken", status="failed"),
]


def page_of(folder: Path, source: InMemory | None = None, **options: Any) -> str:
    write_preview(source or InMemory(ROWS), RULE, folder / "p.html", **options)
    return (folder / "p.html").read_text(encoding="utf-8")
