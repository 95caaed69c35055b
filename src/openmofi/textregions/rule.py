"""When a picture counts as one with text in it: decided over recorded boxes, so re-cut for free."""

from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from openmofi.config import Section

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


class TextRule(Section):
    """The rule of "Less is More", and its limits.

    One and the same box must be sure enough and neither too small nor too large: detectors frame
    whole objects too, and the upper limit is what keeps those.
    """

    drop_text: bool = True
    min_confidence: float = Field(0.5, ge=0, le=1)
    min_area: float = Field(0.001, ge=0, le=1)  # share of the image
    max_area: float = Field(0.2, gt=0, le=1)  # larger boxes are counted as large_text, and kept

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_area > self.max_area:
            raise ValueError(f"min_area {self.min_area} is above max_area {self.max_area}")
        return self


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


def best_confidences(
    regions: "pa.Table", rule: TextRule
) -> "tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]":
    """What ``rule``'s cut is compared with: each image's surest box.

    Returns:
        float32[rows] of the boxes within the limits of area, and of those above them; -1 where
        there is none.
    """
    import numpy as np

    rows = regions.num_rows
    areas = regions.column("areas").combine_chunks()
    lengths = areas.value_lengths().to_numpy(zero_copy_only=False)
    row = np.repeat(np.arange(rows), lengths.astype(np.int64))
    area = areas.flatten().to_numpy(zero_copy_only=False)
    confidences = regions.column("confidences").combine_chunks()
    confidence = confidences.flatten().to_numpy(zero_copy_only=False)
    above = area > np.float32(rule.max_area)
    fits = ~above & (area >= np.float32(rule.min_area))
    best = np.full((2, rows), -1, dtype=np.float32)
    for found, kept in zip(best, (fits, above), strict=True):
        np.maximum.at(found, row[kept], confidence[kept])
    return best[0], best[1]
