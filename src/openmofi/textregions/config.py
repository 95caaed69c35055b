"""What can change the boxes that text detection records, and how fast they come."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from openmofi.config import Section

# They change when boxes come, not which.
_SPEED = frozenset({"device", "batch_size"})
# Where weights lie; what they are is in the recipe by their digests.
_PLACES = frozenset({"model", "reader"})


class DetectConfig(Section):
    """Values of the detector. Nearly all change boxes, so tables of two settings never mix.

    The defaults are those that the model was published with, except ``min_confidence``: boxes are
    recorded from a low confidence, and assembly cuts.
    """

    backend: Literal["rapidocr", "paddleocr"] = "rapidocr"
    # rapidocr: an ONNX file; empty is the one in its wheel. paddleocr: a model's name or folder.
    model: str = ""
    input_limit: int = Field(960, ge=32)  # pixels of the long side; larger pictures are shrunk
    # Larger pictures are looked at in pieces of that size too, this many at most; 0: shrunk only.
    max_tiles: int = Field(16, ge=0)
    pixel_threshold: float = Field(0.2, gt=0, lt=1)  # of the text map, 0 to 1
    min_confidence: float = Field(0.2, gt=0, lt=1)  # boxes of less, by the text map, are not kept
    unclip_ratio: float = Field(1.4, gt=0)  # how far a box grows around the text's core
    second_look: bool = True  # a box's confidence is then from reading it, see textregions.reading
    # Pictures in which nothing sure is found are enlarged to this long side and looked at again, at
    # most at twice their size; only with the second look. 0: never.
    closer_look: int = Field(640, ge=0)
    reader: str = ""  # recognition model for it, an ONNX file; empty is the one in rapidocr's wheel
    max_pixels: int = Field(89_478_485, gt=0)  # larger pictures are not decoded: status failed
    device: Literal["cpu", "cuda"] = "cpu"
    batch_size: int = Field(16, ge=1)  # pictures of one size in a pass, on cuda; 1 on a cpu

    def semantic(self) -> Mapping[str, Any]:
        """What can change boxes."""
        return self.model_dump(exclude=set(_SPEED | _PLACES))
