"""One picture on the page: its copy, its boxes over it, and what the rule made of them."""

from collections.abc import Iterator, Sequence
from html import escape

from openmofi.records import Status
from openmofi.textregions.preview.marks import STYLES, Mark, brief, detector_says, marks_of
from openmofi.textregions.preview.pictures import Shown
from openmofi.textregions.rule import TextRule

_LONGEST = 80  # characters of a name; the middle of longer ones is left out


class Card:
    """The HTML of one picture, measured before its copy is made to fit.

    Args:
        one: The picture.
        side: "dropped", "kept" or "failed".
        rule: The rule.
        is_large: Whether it holds a sure box above the upper limit.
        most: Boxes to draw, the surest.
    """

    def __init__(self, one: Shown, side: str, rule: TextRule, is_large: bool, most: int) -> None:
        self._one, self._side, self._rule = one, side, rule
        self._marks = marks_of(one.regions, rule)
        self._is_large, self._most = is_large, most

    @property
    def size(self) -> int:
        """Bytes without the copy of the picture."""
        return len(self._html("").encode())

    @property
    def has_picture(self) -> bool:
        """Whether there is a copy to show."""
        return self._one.thumbnail is not None

    def html(self, most_bytes: int) -> str:
        """The card with a copy of at most so many bytes."""
        thumbnail = self._one.thumbnail
        return self._html("" if thumbnail is None else thumbnail.data_uri(most_bytes))

    def _html(self, picture: str) -> str:
        one, marks = self._one, self._marks
        call, *others = says(one, self._side, marks, self._rule)
        name = name_of(one)
        boxes = "1 box" if len(marks) == 1 else f"{len(marks)} boxes"
        alt = f"{name}, {self._side}: {'; '.join((call, *others, boxes))}"
        if len(marks) > self._most:
            others.append(f"{len(marks) - self._most} of {boxes} not drawn")
        more = "".join(f'<span class="more">{escape(line)}</span>' for line in others)
        return (
            f'<figure class="card{" large" if self._is_large else ""}">'
            f'<button type="button" class="open" aria-label="Enlarge {escape(alt)}">'
            f"{_frame(one, picture, marks[: self._most], self._rule, alt)}</button>"
            f'<figcaption><b class="says">{escape(call)}</b>{more}'
            f'<span class="where">{escape(name)}</span></figcaption></figure>'
        )


def name_of(one: Shown) -> str:
    """Shard and key, shortened in the middle."""
    name = f"{one.regions.shard}/{one.regions.key}"
    if len(name) > _LONGEST:
        name = f"{name[: _LONGEST // 2]}…{name[-_LONGEST // 2 :]}"
    return name


def says(one: Shown, side: str, marks: Sequence[Mark], rule: TextRule) -> list[str]:
    """What is said of a picture, a line each: the call, and what else there is to say."""
    if side == "failed":
        return [f"status {one.regions.status}"]
    lines = ["no box of a fitting area"]
    if marks and marks[0].compared:
        lines = [brief(marks[0], rule), detector_says(marks[0])]
    sure = [mark for mark in marks if mark.kind == "large" and mark.sure]
    if sure:
        lines.append(f"too large: {brief(sure[0], rule)}")
    return [line for line in lines if line]


def _frame(one: Shown, picture: str, marks: Sequence[Mark], rule: TextRule, alt: str) -> str:
    thumbnail = one.thumbnail
    if thumbnail is None:
        missing = one.regions.status == Status.MISSING_IMAGE
        return f'<span class="none">{"no picture" if missing else "does not decode"}</span>'
    # The compared box comes first in the list, and on top of the others on the picture.
    boxes = "".join(_drawn(reversed(marks), rule))
    return (
        f'<span class="frame" style="--ratio:{thumbnail.width / thumbnail.height:.4g}">'
        f'<img src="{picture}" alt="{escape(alt)}">'
        f'<svg viewBox="0 0 {thumbnail.width} {thumbnail.height}" preserveAspectRatio="none" '
        f'aria-hidden="true">{boxes}</svg></span>'
    )


def _drawn(marks: Iterator[Mark], rule: TextRule) -> Iterator[str]:
    for mark in marks:
        points = [f"{value:.1f}".removesuffix(".0") for value in mark.polygon]
        path = "L".join(" ".join(points[at : at + 2]) for at in range(0, 8, 2))
        compared = " compared" * mark.compared
        told = "; ".join(
            one for one in (brief(mark, rule), detector_says(mark), STYLES[mark.kind].says) if one
        )
        yield (
            f'<path class="halo{compared}" d="M{path}Z"/>'
            f'<path class="box {mark.kind}{compared}" d="M{path}Z">'
            f"<title>{escape(told)}</title></path>"
        )
