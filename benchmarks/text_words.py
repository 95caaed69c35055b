"""A word drawn on a photograph, where it stands, and how well an eye can see it.

Size is the font's (em) in pixels, as in CSS and ImageNet-Atr: a small x is half as high.
"""

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from openmofi.errors import InputError

SIZES = (8, 10, 12, 16, 24, 32, 48, 64)  # pixels
ANGLES = (0, 10, 20, 30, 45, 60, 90, 180)  # degrees, to either side
COLOURS = {
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "red": (255, 0, 0),
    "yellow": (255, 230, 40),
    "blue": (20, 60, 200),
}
PLACES = ("middle", "edge", "anywhere")
# Fixed before anything was measured. Contrast is WCAG's, which knows luminance alone: red on a
# grey as bright as it has none, and all can read it. So what differs in colour is a group apart.
LEAST_CONTRAST = 1.5
LEAST_DIFFERENCE = 20.0  # CIE 1976, on a scale where black and white differ by 100
FACES = tuple(
    f"/usr/share/fonts/truetype/{name}"
    for name in ("dejavu/DejaVuS*.ttf", "liberation/Liberation*.ttf")
)
# Common English words of 3 to 10 letters.
_TEXTS = """
able action after again animal another answer apple autumn balance ball banana basket beach
beautiful bicycle bird blue boat book bread bridge brother building business butter camera
captain carpet castle chair chance chicken child church circle city clean cloud coffee colour
company computer corner country cousin dance daughter desert dinner doctor dog dollar dream
driver earth education engine evening factory family farmer father field finger fire flower
forest friend fruit garden general glass gold government green guitar hammer happy harbour
heart history holiday horse hospital hotel house ice important island jacket jungle kitchen
knife lady language leather letter library light lion lunch machine market meadow medicine
melody minute mirror money monkey morning mountain music nature newspaper night north number
ocean office old open orange outside painting paper parent people pepper picture planet police
pool power present problem product question quiet radio railway red restaurant river road
sale school science season shadow ship shop silver sister smile soldier spring station stone
strawberry street summer sun table teacher telephone theatre ticket tiger tomato tower town
train travel tree umbrella university valley village violin volcano water weather wedding
window winter woman world yellow young zebra
"""
TEXTS = tuple(_TEXTS.split())
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

Floats = npt.NDArray[np.float64]
T = TypeVar("T")


class Style(NamedTuple):
    """How a word is to be drawn."""

    font: str
    size: int  # pixels
    angle: int  # degrees, against the clock
    colour: str
    outline: bool
    place: str


class Drawn(NamedTuple):
    image: Image.Image
    polygon: Floats  # [4, 2]: the ink's box in pixels of the picture, turned with it
    contrast: float  # WCAG's ratio, 1 to 21
    difference: float  # CIE 1976

    @property
    def seen(self) -> str:
        """``clear``; ``colour``, which stands out by its colour alone; or ``faint``."""
        if self.contrast >= LEAST_CONTRAST:
            return "clear"
        return "colour" if self.difference >= LEAST_DIFFERENCE else "faint"


def deck(values: Sequence[T], draw: random.Random) -> Iterator[T]:
    """Values without end, each as often as the others: shuffled, dealt out, shuffled again."""
    while True:
        yield from draw.sample(values, len(values))


def faces(patterns: Iterable[str]) -> list[str]:
    """The TrueType files that paths, folders or patterns name."""
    found: set[str] = set()
    for pattern in patterns:
        path = Path(pattern)
        within = path.rglob("*.[to]tf") if path.is_dir() else Path("/").glob(_relative(path))
        files = {str(one) for one in within}
        if not files:
            raise InputError(f"--fonts: {pattern} names no TrueType file")
        found |= files
    for one in sorted(found):
        try:
            ImageFont.truetype(one, 12)
        except OSError as error:
            raise InputError(f"--fonts: {one} is not a TrueType font: {error}") from None
    return sorted(found)


def _relative(path: Path) -> str:
    return str((Path.cwd() / path).relative_to("/"))


@cache
def kind(font: str) -> str:
    """Which sort of face a font is, such as ``serif bold``, for groups that are not too small."""
    name = " ".join(part or "" for part in ImageFont.truetype(font, 12).getname()).lower()
    narrow = "condensed" in name or "narrow" in name
    sort = "narrow" if narrow else next((one for one in ("mono", "serif") if one in name), "sans")
    if "oblique" in name or "italic" in name:  # bold ones too
        return f"{sort} italic"
    return sort + next((f" {one}" for one in ("bold", "light") if one in name), "")


@cache
def _face(font: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font, size)


def size_for_width(text: str, font: str, width: float) -> int:
    """The greatest size at which ``text`` is at most ``width`` pixels wide, upright."""
    size = max(1, round(200 * width / _ink_width(text, font, 200)) + 3)
    while size > 1 and _ink_width(text, font, size) > width:
        size -= 1
    return size


def _ink_width(text: str, font: str, size: int) -> int:
    left, _, right, _ = _face(font, size).getmask(text).getbbox() or (0, 0, 1, 1)
    return right - left


def draw_word(image: Image.Image, text: str, style: Style, draw: random.Random) -> Drawn | None:
    """``text`` drawn on an RGB picture, whole; ``None`` if it has no room."""
    layer, (width, height) = _layer(text, style)
    turned = layer.rotate(style.angle, expand=True, resample=Image.Resampling.BICUBIC)
    ink = turned.getchannel("A").getbbox()
    if ink is None:
        return None
    shift = turned.width / 2 - ink[0], turned.height / 2 - ink[1]
    turned = turned.crop(ink)
    room = image.width - turned.width, image.height - turned.height
    if min(room) < 0:
        return None
    corner = _corner(room, style.place, draw)
    drawn = image.copy()
    drawn.paste(turned, corner, turned)
    centre = np.add(corner, shift)
    polygon = _turned_box(width, height, style.angle) + centre
    beneath = np.asarray(image)[_inside(polygon, image.size)]
    return Drawn(drawn, polygon, *visibility(beneath, style.colour, style.outline))


def _layer(text: str, style: Style) -> tuple[Image.Image, tuple[int, int]]:
    """The word alone, upright, and the size of its ink's box, in the middle of the layer."""
    face = _face(style.font, style.size)
    stroke = max(1, style.size // 16) if style.outline else 0
    left, top, right, bottom = map(round, face.getbbox(text, stroke_width=stroke))
    colour, edge = COLOURS[style.colour], outline_of(style.colour)
    # Clear, but of the ink's colour: turning mixes neighbours, and black would be an outline.
    ground = (*(edge if stroke else colour), 0)
    layer = Image.new("RGBA", (right - left + 8, bottom - top + 8), ground)
    ImageDraw.Draw(layer).text(
        (4 - left, 4 - top), text, font=face, fill=(*colour, 255), stroke_width=stroke,
        stroke_fill=(*edge, 255),
    )  # fmt: skip
    # Pillow's box begins at the pen, not at the ink.
    x0, y0, x1, y1 = layer.getchannel("A").getbbox() or (2, 2, 3, 3)
    return layer.crop((x0 - 2, y0 - 2, x1 + 2, y1 + 2)), (x1 - x0, y1 - y0)


def outline_of(colour: str) -> tuple[int, int, int]:
    """White around dark letters, black around bright ones."""
    bright = luminance(np.array(COLOURS[colour])) > 0.18
    return COLOURS["black"] if bright else COLOURS["white"]


def _corner(room: tuple[int, int], place: str, draw: random.Random) -> tuple[int, int]:
    if place == "middle":
        return room[0] // 2, room[1] // 2
    x, y = draw.randint(0, room[0]), draw.randint(0, room[1])
    if place == "edge":
        side = draw.randrange(4)
        x, y = ((0, y), (room[0], y), (x, 0), (x, room[1]))[side]
    return x, y


def _turned_box(width: float, height: float, angle: float) -> Floats:
    """Corners around the origin, clockwise from the word's top left, y downwards."""
    half = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (width / 2, height / 2)
    turn = math.radians(angle)
    cosine, sine = math.cos(turn), math.sin(turn)
    box: Floats = half @ np.array([[cosine, -sine], [sine, cosine]])
    return box


def _inside(polygon: Floats, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    mask = Image.new("1", size)
    ImageDraw.Draw(mask).polygon([tuple(point) for point in polygon], fill=1)
    return np.asarray(mask)


def visibility(beneath: npt.NDArray[np.uint8], colour: str, outline: bool) -> tuple[float, float]:
    """Contrast and difference in colour of ink and what lies beneath it.

    Args:
        beneath: [pixels, 3], of the picture before the word was drawn. The median counts: half of
            the pixels differ by that much.
        colour: Of the ink.
        outline: With one the better counts, of ink on outline and of outline on picture.
    """
    ink = np.array(COLOURS[colour])
    if not outline:
        return _against(beneath, ink)
    edge = np.array(outline_of(colour))
    pairs = _against(ink[None], edge), _against(beneath, edge)
    return max(one[0] for one in pairs), max(one[1] for one in pairs)


def _against(pixels: npt.NDArray[np.generic], ink: npt.NDArray[np.generic]) -> tuple[float, float]:
    contrast = np.median(contrast_ratio(pixels, ink))
    difference = np.median(np.linalg.norm(lab(pixels) - lab(ink), axis=-1))
    return float(contrast), float(difference)


def linear(colours: npt.NDArray[np.generic]) -> Floats:
    """sRGB of 0 to 255 as light, 0 to 1."""
    values = colours.astype(np.float64) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def luminance(colours: npt.NDArray[np.generic]) -> Floats:
    """Relative luminance [...] of sRGB [..., 3], 0 to 1."""
    light: Floats = linear(colours) @ np.array([0.2126, 0.7152, 0.0722])
    return light


def contrast_ratio(one: npt.NDArray[np.generic], other: npt.NDArray[np.generic]) -> Floats:
    """WCAG's ratio, 1 to 21."""
    first, second = luminance(one), luminance(other)
    ratio: Floats = (np.maximum(first, second) + 0.05) / (np.minimum(first, second) + 0.05)
    return ratio


def lab(colours: npt.NDArray[np.generic]) -> Floats:
    """CIE 1976 L*a*b* [..., 3] of sRGB, white D65."""
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = linear(colours) @ to_xyz.T / to_xyz.sum(axis=1)
    bent = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(bent, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
