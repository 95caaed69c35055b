"""What can change the boxes that text detection records."""

from typing import Literal

from pydantic import Field

from openmofi.config import Section


class DetectConfig(Section):
    """Values of the detector. All of them change boxes, so tables of two settings never mix.

    The defaults are those that the model was published with, except ``min_confidence``: boxes are
    recorded from a low confidence, and assembly cuts.
    """

    backend: Literal["rapidocr"] = "rapidocr"
    input_limit: int = Field(960, ge=32)  # pixels of the long side; larger pictures are shrunk
    pixel_threshold: float = Field(0.2, gt=0, lt=1)  # of the text map, 0 to 1
    min_confidence: float = Field(0.3, gt=0, lt=1)  # boxes below it are not recorded
    unclip_ratio: float = Field(1.4, gt=0)  # how far a box grows around the text's core
    max_pixels: int = Field(89_478_485, gt=0)  # larger pictures are not decoded: status failed
