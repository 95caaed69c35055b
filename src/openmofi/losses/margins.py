"""What a sample's own class has to win by, in cosine or in angle.

Sources: CosFace (arXiv 1801.09414), ArcFace (arXiv 1801.07698).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_LEAST_SINE = 1e-3  # the slope of an angle has no end where the sine has none


@dataclass(frozen=True)
class Margin:
    """What is taken off the cosine of a sample's own class: ``cos(angle + theta) - cosine``.

    Args:
        cosine: CosFace's (arXiv 1801.09414).
        angle: ArcFace's (arXiv 1801.07698), radians.
    """

    cosine: float = 0.0
    angle: float = 0.0

    def __call__(self, own: Tensor) -> Tensor:
        """Cosines of the own classes [B], lowered.

        Beyond ``pi - angle`` the angle cannot grow; there a constant is subtracted, so that the
        result never rises as the cosine falls.
        """
        if not self.angle:
            return own - self.cosine
        sine = (1 - own * own).clamp(min=_LEAST_SINE**2).sqrt()
        turned = own * math.cos(self.angle) - sine * math.sin(self.angle)
        beyond = own - self.angle * math.sin(self.angle)
        return torch.where(own > -math.cos(self.angle), turned, beyond) - self.cosine
