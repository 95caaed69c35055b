"""When a picture counts as one with text in it: decided over recorded boxes, so re-cut for free."""

from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from openmofi.config import Section

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from openmofi.versions import TableVersion


class TextRule(Section):
    """Which pictures hold text, and which of those are dropped.

    One and the same box must be sure enough and neither too small nor too large: detectors frame
    whole objects too. What keeps those is the second look, or without it the upper limit.

    ``any_text``, the policy of "Less is More", drops every picture with text. ``text_dependent``,
    that of T-MARS, drops those alone whose alt text no longer fits once the text is covered; a
    picture that has no such score, as without an alt text, is dropped as by ``any_text``.
    """

    drop_text: bool = True
    policy: Literal["any_text", "text_dependent"] = "any_text"
    # Masked scores below are dropped. Cosines have each encoder's own scale, so none is given: read
    # it off the card's histogram, which any_text shows too where it is given masked scores.
    min_masked_score: float | None = Field(None, ge=-1, le=1)
    min_confidence: float = Field(0.5, ge=0, le=1)
    min_area: float = Field(0.001, ge=0, le=1)  # share of the image
    # Larger boxes are counted as large_text, and kept. None: see `for_boxes`.
    max_area: float | None = Field(None, gt=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_area > self.area_limit:
            raise ValueError(f"min_area {self.min_area} is above max_area {self.max_area}")
        return self

    def for_boxes(self, *, second_look: bool) -> "TextRule":
        """The rule with an upper limit that fits how boxes were made, unless it has one.

        Without the second look most boxes above a fifth of the picture frame whole objects. With it
        those are unsure, and a word that fills the picture is sure: no limit is needed.
        """
        if self.max_area is not None:
            return self
        return self.model_copy(update={"max_area": fitting_limit(second_look=second_look)})

    @property
    def area_limit(self) -> float:
        """Share of the image from which boxes are too large to count."""
        return 1.0 if self.max_area is None else self.max_area

    @model_validator(mode="after")
    def _has_its_cut(self) -> Self:
        if self.policy == "text_dependent" and self.min_masked_score is None:
            raise ValueError(
                "policy text_dependent needs min_masked_score; scores have each encoder's own scale"
            )
        return self


def has_second_look(regions: "TableVersion") -> bool:
    """Whether boxes of a ``text_regions`` table were looked at a second time."""
    return bool(regions.config.get("second_look"))


def fitting_limit(*, second_look: bool) -> float:
    """Share of the image up to which boxes can be believed; see `TextRule.for_boxes`."""
    return 1.0 if second_look else 0.2


def text_flags(
    regions: "pa.Table", rule: TextRule
) -> "tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]":
    """Which images hold text by ``rule``, and which hold a sure box above its upper limit.

    Args:
        regions: A table of `records.TEXT_REGIONS`.
        rule: The limits, all of them inclusive.

    Returns:
        Two arrays [rows]. An image may be in both.
    """
    import numpy as np

    fitting, large = best_confidences(regions, rule)
    # Compared as float32, the type of the table: 0.2 must not be above 0.2.
    cut = np.float32(rule.min_confidence)
    return fitting >= cut, large >= cut


def flat_boxes(
    regions: "pa.Table",
) -> "tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.float32]]":
    """All boxes of a table, row by row: each one's row, area and confidence."""
    import numpy as np

    areas, confidences = (regions.column(one).combine_chunks() for one in ("areas", "confidences"))
    lengths = areas.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    row = np.repeat(np.arange(regions.num_rows), lengths)
    flat = (lists.flatten().to_numpy(zero_copy_only=False) for lists in (areas, confidences))
    return row, *flat


def best_confidences(
    regions: "pa.Table", rule: TextRule
) -> "tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]":
    """What ``rule``'s cut is compared with: each image's surest box.

    Returns:
        float32[rows] of the boxes within the limits of area, and of those above them; -1 where
        there is none.
    """
    import numpy as np

    row, area, confidence = flat_boxes(regions)
    above = area > np.float32(rule.area_limit)
    fits = ~above & (area >= np.float32(rule.min_area))
    best = np.full((2, regions.num_rows), -1, dtype=np.float32)
    for found, kept in zip(best, (fits, above), strict=True):
        np.maximum.at(found, row[kept], confidence[kept])
    return best[0], best[1]


class MaskedFlags(NamedTuple):
    """What masked scores say of each image; all false where there is none."""

    scored: "npt.NDArray[np.bool_]"
    below: "npt.NDArray[np.bool_]"  # scored, and below the rule's cut
    failed: "npt.NDArray[np.bool_]"


def masked_flags(masked: "pa.Table", rule: TextRule) -> MaskedFlags:
    """Which alt texts no longer fit their images once the text in those is covered.

    Args:
        masked: A table of `records.MASKED_SCORES`.
        rule: With its cut, which is allowed itself; without one, nothing is below.
    """
    import numpy as np

    from openmofi.records import Status

    status = np.array(masked.column("status").to_pylist(), object)
    scores = masked.column("masked_score").to_numpy()  # nan where there is none
    cut = -np.inf if rule.min_masked_score is None else rule.min_masked_score
    # Compared as float32, the type of the table.
    return MaskedFlags(status == Status.OK, scores < np.float32(cut), status == Status.FAILED)
