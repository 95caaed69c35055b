"""Pictures from short lines of shapes and colours: the little language of ``flags.yaml``."""

import math
from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw

from openmofi.errors import InputError

WIDTH, HEIGHT = 192, 128  # pixels of a finished drawing
_OVER = 4  # drawn larger by this and shrunk, so that edges are smooth
_SCALE = HEIGHT * _OVER  # pixels a unit

COLOURS = {
    "red": "#d2122e", "crimson": "#b5123a", "maroon": "#7b1138", "copper": "#b8602b",
    "orange": "#f58220", "gold": "#f2b40c", "yellow": "#fcd20a", "green": "#0b8a43",
    "darkgreen": "#0a5a36", "aqua": "#0d97a5", "lightblue": "#5aa2dc", "sky": "#74b4e6",
    "azure": "#0f5fae", "cobalt": "#1c3f9c", "navy": "#14265e", "black": "#15120f",
    "white": "#f7f7f4", "grey": "#77777c",
}  # fmt: skip

_Points = list[tuple[float, float]]


def draw_shapes(shapes: Sequence[str]) -> Image.Image:
    """Draw shapes in order on a 3:2 ground.

    Args:
        shapes: Lines such as ``disc red .75 .5 .3``; the language is described in ``flags.yaml``.

    Returns:
        RGB, `WIDTH` x `HEIGHT` pixels.

    Raises:
        InputError: A line is not understood; it is quoted.
    """
    image = Image.new("RGB", (WIDTH * _OVER, HEIGHT * _OVER), COLOURS["white"])
    canvas = ImageDraw.Draw(image)
    for shape in shapes:
        name, *words = shape.split()
        try:
            _SHAPES[name](canvas, words)
        except (KeyError, ValueError, IndexError, TypeError):
            raise InputError(f"shape {shape!r} is not understood") from None
    return image.resize((WIDTH, HEIGHT), Image.Resampling.BOX)


def _polygon(canvas: ImageDraw.ImageDraw, colour: str, points: _Points) -> None:
    canvas.polygon([(x * _SCALE, y * _SCALE) for x, y in points], fill=COLOURS[colour])


def _box(
    canvas: ImageDraw.ImageDraw, colour: str, left: float, top: float, right: float, bottom: float
) -> None:
    _polygon(canvas, colour, [(left, top), (right, top), (right, bottom), (left, bottom)])


def _bounds(x: float, y: float, radius: float) -> tuple[float, float, float, float]:
    return (
        (x - radius) * _SCALE, (y - radius) * _SCALE, (x + radius) * _SCALE, (y + radius) * _SCALE,
    )  # fmt: skip


def _points(words: Sequence[str]) -> _Points:
    pairs = (word.split(",") for word in words)
    return [(float(x), float(y)) for x, y in pairs]


def _shares(words: Sequence[str]) -> list[tuple[str, float, float]]:
    """Colour, start and end of each stripe, as fractions of the whole."""
    parts = [(word.partition("*")[0], float(word.partition("*")[2] or 1)) for word in words]
    total, done, stripes = sum(share for _, share in parts), 0.0, []
    for colour, share in parts:
        stripes.append((colour, done / total, (done + share) / total))
        done += share
    return stripes


def _horizontal(canvas: ImageDraw.ImageDraw, words: Sequence[str]) -> None:
    for colour, start, end in _shares(words):
        _box(canvas, colour, 0, start, 1.5, end)


def _vertical(canvas: ImageDraw.ImageDraw, words: Sequence[str]) -> None:
    for colour, start, end in _shares(words):
        _box(canvas, colour, 1.5 * start, 0, 1.5 * end, 1)


def _rectangle(canvas: ImageDraw.ImageDraw, words: Sequence[str]) -> None:
    left, top, right, bottom = map(float, words[1:])
    _box(canvas, words[0], left, top, right, bottom)


def _any_polygon(canvas: ImageDraw.ImageDraw, words: Sequence[str]) -> None:
    _polygon(canvas, words[0], _points(words[1:]))


def _triangle(canvas: ImageDraw.ImageDraw, words: Sequence[str]) -> None:
    _polygon(canvas, words[0], [(0, 0), (float(words[1]), 0.5), (0, 1)])


def _line(canvas: ImageDraw.ImageDraw, words: Sequence[str]) -> None:
    points = [(x * _SCALE, y * _SCALE) for x, y in _points(words[2:])]
    width = round(float(words[1]) * _SCALE)
    canvas.line(points, fill=COLOURS[words[0]], width=width, joint="curve")


def _cross(canvas: ImageDraw.ImageDraw, words: Sequence[str]) -> None:
    x, y, width = map(float, words[1:])
    _box(canvas, words[0], x - width / 2, 0, x + width / 2, 1)
    _box(canvas, words[0], 0, y - width / 2, 1.5, y + width / 2)


def _plus(canvas: ImageDraw.ImageDraw, words: Sequence[str]) -> None:
    x, y, arm, width = map(float, words[1:])
    _box(canvas, words[0], x - width / 2, y - arm, x + width / 2, y + arm)
    _box(canvas, words[0], x - arm, y - width / 2, x + arm, y + width / 2)


def _saltire(canvas: ImageDraw.ImageDraw, words: Sequence[str]) -> None:
    for ends in ("-.3,-.2 1.8,1.2", "-.3,1.2 1.8,-.2"):
        _line(canvas, [words[0], words[1], *ends.split()])


def _disc(canvas: ImageDraw.ImageDraw, words: Sequence[str]) -> None:
    x, y, radius = map(float, words[1:])
    canvas.ellipse(_bounds(x, y, radius), fill=COLOURS[words[0]])


def _half(canvas: ImageDraw.ImageDraw, words: Sequence[str]) -> None:
    x, y, radius = map(float, words[1:4])
    start = {"up": 180, "down": 0}[words[4]]
    canvas.pieslice(_bounds(x, y, radius), start, start + 180, fill=COLOURS[words[0]])


def _ring(canvas: ImageDraw.ImageDraw, words: Sequence[str]) -> None:
    x, y, radius, width = map(float, words[1:])
    canvas.ellipse(_bounds(x, y, radius), outline=COLOURS[words[0]], width=round(width * _SCALE))


def _star(canvas: ImageDraw.ImageDraw, words: Sequence[str]) -> None:
    x, y, radius, *shape = map(float, words[1:])
    defaults = [5.0, 0.0, 0.382]  # a five-pointed star, its edges in line
    points, turn, inner = shape + defaults[len(shape) :]
    corners = []
    for corner in range(2 * round(points)):
        angle = math.radians(turn) + math.pi * corner / points
        reach = radius * (inner if corner % 2 else 1)
        corners.append((x + reach * math.sin(angle), y - reach * math.cos(angle)))
    _polygon(canvas, words[0], corners)


def _star_field(canvas: ImageDraw.ImageDraw, words: Sequence[str]) -> None:
    """``stars C R COLUMNS ROWS x y dx dy``."""
    columns, rows = int(words[2]), int(words[3])
    x, y, across, down = map(float, words[4:])
    for row in range(rows):
        for column in range(columns):
            place = [str(x + column * across), str(y + row * down)]
            _star(canvas, [words[0], *place, words[1]])


def _moon(canvas: ImageDraw.ImageDraw, words: Sequence[str]) -> None:
    """A disc with a smaller one taken out, towards ``TURN`` (0: the fly, clockwise)."""
    x, y, radius, turn = map(float, words[2:])
    canvas.ellipse(_bounds(x, y, radius), fill=COLOURS[words[0]])
    shift = 0.26 * radius
    inner_x = x + shift * math.cos(math.radians(turn))
    inner_y = y + shift * math.sin(math.radians(turn))
    right, _, left = words[1].partition(",")
    bounds = _bounds(inner_x, inner_y, 0.8 * radius)
    canvas.ellipse(bounds, fill=COLOURS[right])
    if left:  # the moon stands on the border of two vertical halves
        edge = math.degrees(math.acos((x - inner_x) / (0.8 * radius)))
        canvas.chord(bounds, edge, 360 - edge, fill=COLOURS[left])


def _lozenges(canvas: ImageDraw.ImageDraw, words: Sequence[str]) -> None:
    columns, rows = int(words[2]), int(words[3])
    wide, high = 1.5 / columns, 1 / rows
    _box(canvas, words[1], 0, 0, 1.5, 1)
    for row in range(rows + 1):
        for column in range(columns + 1):
            x, y = column * wide, row * high
            _polygon(
                canvas,
                words[0],
                [(x, y - high / 2), (x + wide / 2, y), (x, y + high / 2), (x - wide / 2, y)],
            )


_SHAPES: dict[str, Callable[[ImageDraw.ImageDraw, Sequence[str]], None]] = {
    "h": _horizontal, "v": _vertical, "rect": _rectangle, "poly": _any_polygon, "tri": _triangle,
    "line": _line, "cross": _cross, "plus": _plus, "saltire": _saltire, "disc": _disc,
    "half": _half, "ring": _ring, "star": _star, "stars": _star_field, "moon": _moon,
    "lozenges": _lozenges,
}  # fmt: skip
