"""Pictures over their alt texts, whose mentions are marked, and their labels."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape

from openmofi.dataset.card.mentions import Piece
from openmofi.dataset.card.pictures import Shown

Uri = Callable[[Shown], str]  # a picture as a data URI, or nothing

_LONGEST = 80  # code points of a name; longer ones are cut, so that a page has a bound


def short(name: str, longest: int = _LONGEST) -> str:
    """A name of the data, cut; not escaped."""
    return name if len(name) <= longest else name[: longest - 1] + "…"


def kind_of(piece: Piece, shown: Shown) -> str:
    """``label`` for a mention of a label, ``other`` for another mention, empty between them."""
    if not piece.entity:
        return ""
    return "label" if any(piece.entity == entity for entity, _ in shown.labels) else "other"


def figures(shown: Iterable[Shown], names: Mapping[str, str], uri: Uri) -> str:
    """Pictures side by side.

    Args:
        shown: In this order.
        names: Of entities, by id; an entity without one shows its id.
        uri: See `Uri`.
    """
    return (
        f'<div class="figures">\n{chr(10).join(_figure(one, names, uri) for one in shown)}\n</div>'
    )


def _figure(one: Shown, names: Mapping[str, str], uri: Uri) -> str:
    source = uri(one)
    alt = "".join(piece.text for piece in one.pieces)
    picture = (
        f'<img src="{source}" alt="{escape(alt)}">'
        if source
        else '<div class="none">no picture</div>'
    )
    return (
        f'<figure title="{escape(short(one.name))}"><div class="frame">{picture}</div>'
        f'<figcaption><p class="text" dir="auto">{marked(one)}</p>'
        f"{_labels(one.labels, names)}</figcaption></figure>"
    )


def marked(one: Shown) -> str:
    """The alt text as HTML."""
    parts = []
    for piece in one.pieces:
        kind, text = kind_of(piece, one), escape(piece.text)
        parts.append(f'<mark class="{kind}">{text}</mark>' if kind else text)
    return "".join(parts)


def _labels(labels: Sequence[tuple[str, float]], names: Mapping[str, str]) -> str:
    if not labels:
        return ""
    said = (
        f"<li><bdi>{escape(short(names.get(entity, entity)))}</bdi> <small>{score:.3f}</small></li>"
        for entity, score in labels
    )
    return f'<ul class="labels">{"".join(said)}</ul>'
