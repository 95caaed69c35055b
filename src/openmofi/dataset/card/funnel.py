"""Where the samples went: a bar for what is left after each cause, from the crawl to what is kept.

Drawn by HTML and CSS, not as SVG: a drawing would shrink its words on a narrow screen.
"""

from collections.abc import Iterator, Mapping
from html import escape

from openmofi.dataset.causes import Cause, funnel
from openmofi.records import Status

_SAYS: Mapping[str, str] = {
    Status.MISSING_IMAGE: "no image beside the text",
    Status.CORRUPT_IMAGE: "the image does not decode",
    Status.TOO_MANY_PIXELS: "more pixels than ingest decodes",
    Status.TOO_SMALL: "a side is too short",
    Status.BAD_ASPECT: "too long or too high for its other side",
    Status.NO_TEXT: "no alt text",
    Status.SHORT_TEXT: "the alt text is too short",
    Status.LONG_TEXT: "the alt text is too long",
    Status.FAILED: "a stage could not process it",
    Cause.TAKEN_DOWN: "asked for by its owner; not shown",
    Cause.EVALUATION_OVERLAP: "an image of an evaluation set, or near one",
    Cause.TEXT_FAILED: "whether there is text in it is not known",
    Cause.TEXT_REGION: "text in the picture",
    Cause.TEXT_DEPENDENT: "without the text in it, it no longer fits its alt text",
    Cause.IMAGE_SCORE: "out of the bounds of an image score",
    Cause.NO_ENTITY: "no entity of its alt text is sure enough in the picture",
    Cause.DUPLICATE_EXACT: "an earlier sample has the same picture, byte for byte",
    Cause.DUPLICATE_PERCEPTUAL: "an earlier sample looks the same",
    Cause.DUPLICATE_EMBEDDING: "an earlier sample is near by embedding",
    Cause.RARE_ENTITY: "only entities with too few images",
    Cause.ENTITY_CAP: "only entities with more images than the cap",
    Cause.KEPT: "in the data set",
}


def says(cause: str) -> str:
    """A cause in words; empty for one that is not known here."""
    return _SAYS.get(cause, "")


def draw(counts: Mapping[str, int]) -> str:
    """The funnel as HTML."""
    return f'<div class="funnel">\n{chr(10).join(_rows(counts))}\n</div>'


def _rows(counts: Mapping[str, int]) -> Iterator[str]:
    seen = left = sum(counts.values())
    yield _row("seen", "the crawl", 0, seen, seen)
    step_before = ""
    for step, cause, dropped in funnel(dict(counts)):
        left -= dropped
        if step != step_before:
            yield f'<h3 class="step">{escape(step)}</h3>'
            step_before = step
        yield _row(cause, says(cause), dropped, left, seen)
    yield _row(Cause.KEPT, says(Cause.KEPT), 0, left, seen)


def _row(name: str, said: str, dropped: int, left: int, seen: int) -> str:
    lost = f"-{dropped:,}" if dropped else ""
    share = left / max(seen, 1)
    total = " total" * (not dropped)
    return (
        f'<div class="row{total}"><span class="name"><b>{escape(name)}</b> '
        f'<span class="soft">{escape(said)}</span></span>'
        f'<span class="track" role="img" aria-label="{share:.1%} left"><i class="left" '
        f'style="width:{share:.3%}"></i><i class="lost" style="width:{dropped / max(seen, 1):.3%}">'
        f'</i></span><span class="lose">{lost}</span><span class="rest">{left:,}</span>'
        f'<span class="share">{share:.1%}</span></div>'
    )
