"""Butterflies as a plate shows them: half a specimen, flat, from the body outwards."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from openmofi.demo.butterfly_species import PALETTES, Species, WingShape

WIDTH, HEIGHT = (
    112,
    224,
)  # pixels of half a specimen: 1 outwards, from 1 before the body to 1 behind
_OVER = 3  # drawn larger by this and shrunk, so that edges are smooth
_SCALE = WIDTH * _OVER  # pixels a unit
_SIZE = (WIDTH * _OVER, HEIGHT * _OVER)
_BODY = "#241a14"

_Points = list[tuple[float, float]]
_Reach = float | npt.NDArray[np.float64]


def draw_specimen(species: Species) -> Image.Image:
    """The right half of a specimen with open wings; RGBA, `WIDTH` x `HEIGHT` pixels."""
    dark = PALETTES[species.genus.palette][3]
    picture, cover = Image.new("RGB", _SIZE, dark), Image.new("L", _SIZE, 0)
    hind = _Wing(species.genus.hind, (0.02, 0.0), species.traits["tail"])
    fore = _Wing(species.genus.fore, (0.02, -0.1))
    for wing, paint in ((hind, _paint_hind), (fore, _paint_fore)):
        layer = Image.new("RGB", _SIZE, dark)
        paint(ImageDraw.Draw(layer), wing, species)
        mask = Image.new("L", _SIZE, 0)
        ImageDraw.Draw(mask).polygon(wing.outline(), fill=255)
        picture.paste(layer, mask=mask)
        cover.paste(255, mask=mask)
        ImageDraw.Draw(picture).line(wing.outline(), fill=dark, width=5)
    for sheet, colour in ((picture, _BODY), (cover, 255)):
        _draw_body(ImageDraw.Draw(sheet), colour)
    picture.putalpha(cover)
    return picture.resize((WIDTH, HEIGHT), Image.Resampling.BOX)


@dataclass(frozen=True)
class _Wing:
    """Places on a wing: r from 0 at the base to 1 at the edge, t from 0 in front to 1 behind."""

    shape: WingShape
    base: tuple[float, float]
    tail: float = 0.0

    def points(self, r: _Reach, t: _Reach, *, whole: bool = False) -> _Points:
        """Pixels of r and t; ``whole`` with tail, scallops and rounded corners."""
        r, t = np.broadcast_arrays(np.asarray(r, float), np.asarray(t, float))
        first, middle, last = self.shape.radii
        reach = first * (1 - t) * (1 - 2 * t) + 4 * middle * t * (1 - t) + last * t * (2 * t - 1)
        if whole:
            reach = reach * (1 - 0.1 * np.exp(-t / 0.05) - 0.1 * np.exp((t - 1) / 0.05))
            reach = reach + self.tail * np.exp(-(((t - 0.68) / 0.07) ** 2))
            if self.shape.scallops:
                reach = reach + 0.03 * np.cos(2 * math.pi * self.shape.scallops * t)
        start, end = self.shape.angles
        angle = np.radians(start + (end - start) * t)
        x = self.base[0] + r * reach * np.cos(angle)
        y = self.base[1] + r * reach * np.sin(angle)
        y = y - self.shape.bow * 4 * r * (1 - r) * (1 - t)
        return [(float(a) * _SCALE, (float(b) + 1) * _SCALE) for a, b in zip(x, y, strict=True)]

    def outline(self) -> _Points:
        """The whole wing."""
        out, along = np.linspace(0, 1, 12), np.linspace(0, 1, 90)
        return [
            *self.points(out, 0.0, whole=True),
            *self.points(1.0, along, whole=True),
            *self.points(out[::-1], 1.0, whole=True),
        ]

    def band(self, inner: float, outer: float, start: float = -0.1, end: float = 1.1) -> _Points:
        """What lies between two distances from the base."""
        along = np.linspace(start, end, 40)
        return [*self.points(inner, along), *self.points(outer, along[::-1])]


def _paint_fore(canvas: ImageDraw.ImageDraw, wing: _Wing, species: Species) -> None:
    ground, second, accent, dark = PALETTES[species.genus.palette]
    if species.traits["swapped"]:
        ground, second = second, ground
    traits = species.traits
    canvas.polygon(wing.band(0.0, 2.0), fill=ground)
    if traits["veins"]:
        _veins(canvas, wing, dark)
    if traits["tip"]:
        canvas.polygon(wing.band(0.58, 2.0, end=0.42), fill=dark)
    if traits["band"]:  # across dark tips too
        canvas.polygon(wing.band(traits["band"] - 0.1, traits["band"] + 0.11), fill=second)
    canvas.polygon(wing.band(1 - traits["border"], 2.0), fill=dark)
    if traits["spots"]:
        for t in (0.12, 0.31, 0.5, 0.69, 0.88):
            _disc(canvas, wing, 0.87, t, 0.042, accent)
    for t in ((), (0.36,), (0.24, 0.7))[int(traits["eyes"])]:
        _eye(canvas, wing, 0.58, t, 0.12, (accent, dark))


def _paint_hind(canvas: ImageDraw.ImageDraw, wing: _Wing, species: Species) -> None:
    second, ground, accent, dark = PALETTES[species.genus.palette]
    if species.traits["swapped"]:
        ground, second = second, ground
    traits = species.traits
    canvas.polygon(wing.band(0.0, 2.0), fill=ground)
    if traits["hind_band"]:
        middle = traits["hind_band"]
        canvas.polygon(wing.band(middle - 0.09, middle + 0.12), fill=second)
    if traits["veins"]:
        _veins(canvas, wing, dark)
    canvas.polygon(wing.band(1 - traits["border"], 2.0), fill=dark)
    places = {0: (), 1: (0.72,), 3: (0.44, 0.66, 0.88)}
    for t in places[int(traits["hind_eyes"])]:
        _eye(canvas, wing, 0.66, t, 0.14 if traits["hind_eyes"] == 1 else 0.105, (accent, dark))


def _veins(canvas: ImageDraw.ImageDraw, wing: _Wing, colour: str) -> None:
    for t in (0.1, 0.3, 0.5, 0.7, 0.9):
        canvas.line(wing.points(np.linspace(0.1, 1, 12), t), fill=colour, width=8)


def _eye(
    canvas: ImageDraw.ImageDraw,
    wing: _Wing,
    r: float,
    t: float,
    radius: float,
    colours: tuple[str, str],
) -> None:
    """A ring around a dark disc with a light in it."""
    for share, colour in ((1.0, colours[0]), (0.68, colours[1]), (0.25, "#ffffff")):
        _disc(canvas, wing, r, t, radius * share, colour)


def _disc(
    canvas: ImageDraw.ImageDraw, wing: _Wing, r: float, t: float, radius: float, colour: str
) -> None:
    ((x, y),) = wing.points(np.array([r]), np.array([t]))
    reach = radius * _SCALE
    canvas.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)


def _draw_body(canvas: ImageDraw.ImageDraw, colour: str | int) -> None:
    """Half of it, and one feeler with its club."""
    for left, top, right, bottom in ((-0.05, -0.24, 0.05, 0.1), (-0.04, -0.05, 0.04, 0.42),
                                     (-0.045, -0.31, 0.045, -0.2)):  # fmt: skip
        canvas.ellipse(
            (left * _SCALE, (top + 1) * _SCALE, right * _SCALE, (bottom + 1) * _SCALE), fill=colour
        )
    bend = [(0.02, -0.28), (0.08, -0.45), (0.16, -0.6), (0.22, -0.68)]
    canvas.line([(x * _SCALE, (y + 1) * _SCALE) for x, y in bend], fill=colour, width=6)
    canvas.ellipse((0.2 * _SCALE, 0.3 * _SCALE, 0.235 * _SCALE, 0.335 * _SCALE), fill=colour)
