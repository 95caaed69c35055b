"""Photographs of vases: solids of revolution on a table, seen from above, lit from a side."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import ImageColor

from openmofi.demo.scenes import OVER, Floats, background, grid
from openmofi.demo.vase_models import GLAZES, LEVELS, Model, decorate

_PLACES = {"plain": 0.45, "wall": 0.25, "blobs": 0.3}
_WALL = 0.035  # thickness at the mouth, in heights of the vase


@dataclass(frozen=True)
class View:
    """Where the camera and the light stand; nothing of it depends on what is seen.

    Args:
        elevation: Of the camera above the table, in radians.
        fill: Share of the picture that the vase takes up.
        shift: Of its middle, in shares of the picture to the right and downwards.
        lean: To a side, as the tangent of the angle.
        narrowing: How much narrower the foot looks than the top.
        turn: Around its axis, in radians.
        light: Towards the light: to the right, up, to the front; of length 1.
        ambient: Share of the light that comes from everywhere.
    """

    elevation: float
    fill: float
    shift: tuple[float, float]
    lean: float
    narrowing: float
    turn: float
    light: tuple[float, float, float]
    ambient: float


def draw_view(rng: np.random.Generator) -> View:
    """Any view in which most of the vase can be seen."""
    aside, above = rng.uniform(-1.1, 1.1), rng.uniform(0.2, 1.1)
    return View(
        elevation=math.radians(rng.uniform(7, 42)),
        fill=rng.uniform(0.62, 0.98),
        shift=(rng.uniform(-0.14, 0.14), rng.uniform(-0.05, 0.05)),
        lean=rng.normal(0, 0.05),
        narrowing=rng.uniform(0, 0.25),
        turn=rng.uniform(0, 2 * math.pi),
        light=(
            math.sin(aside) * math.cos(above), math.sin(above), math.cos(aside) * math.cos(above),
        ),
        ambient=rng.uniform(0.25, 0.5),
    )  # fmt: skip


def compose(model: Model, rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Stand a vase in a scene that ``rng`` draws.

    Args:
        model: What stands there.
        rng: View and scene depend on it alone, not on the model.
        size: Of the picture (w, h).

    Returns:
        The scene before exposure, for `openmofi.demo.scenes.finish`.
    """
    width, height = size[0] * OVER, size[1] * OVER
    view = draw_view(rng)
    scene = background(rng, width, height, _PLACES)
    radius = model.outline()
    x, y = _on_vase(view, radius, width, height)
    if rng.random() < 0.8:
        _set_table(rng, scene, y[:, 0], view)
    _cast_shadow(scene, x, y, view, float(radius[:8].max()))
    beyond = float(radius.max()) * math.sin(view.elevation)
    rows = np.flatnonzero((y[:, 0] > -beyond) & (y[:, 0] < math.cos(view.elevation) + beyond))
    columns = np.flatnonzero((np.abs(x) < radius.max()).any(0))
    if not (len(rows) and len(columns)):  # never with the views of `draw_view`
        return scene
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    level, depth = cast(radius, x[part], y[part][:, 0], view.elevation)
    hit = level >= 0
    scene[part][hit] = _shade(model, radius, view, x[part][hit], level[hit], depth[hit])
    return scene


def cast(
    radius: npt.NDArray[np.float64], x: Floats, y: Floats, elevation: float
) -> tuple[npt.NDArray[np.intp], Floats]:
    """Where the lines of sight meet a solid of revolution first.

    A line of sight falls to the back: of two places on it the higher one is nearer. So the highest
    level at which the line lies within the solid is what is seen.

    Args:
        radius: [levels], from the bottom to the top, in heights of the solid.
        x: [rows, columns], from the axis to the right.
        y: [rows], upwards in the picture; the middle of the bottom is 0.
        elevation: Of the camera, in radians, above 0.

    Returns:
        [rows, columns] each: the index of the level, -1 where there is none; and how far before the
        axis the line is at that level.
    """
    heights = np.linspace(0, 1, len(radius), dtype=np.float32)
    before = (heights * math.cos(elevation) - y[:, None]) / math.sin(elevation)  # [rows, levels]
    room = radius.astype(np.float32) ** 2 - before.astype(np.float32) ** 2
    # The last axis is the levels from the top, so that the first that holds is found quickly.
    within = np.ascontiguousarray(room[:, ::-1])[:, None, :] >= (x**2)[:, :, None]
    from_top = within.argmax(-1)
    level = len(radius) - 1 - from_top
    found = np.take_along_axis(within, from_top[..., None], -1)[..., 0]
    depth = np.take_along_axis(before, level, 1)
    return np.where(found, level, -1), depth


def _on_vase(
    view: View, radius: npt.NDArray[np.float64], width: int, height: int
) -> tuple[Floats, Floats]:
    """X and y of `cast` for all pixels, [height, width] each."""
    x, y = grid(width, height)
    sine, cosine = math.sin(view.elevation), math.cos(view.elevation)
    tall = cosine + sine * float(radius[0] + radius[-1])
    wide = 2 * float(radius.max())
    scale = view.fill * min(1 / tall, 0.95 * width / height / wide)  # of the picture's height
    x = (x - np.float32(view.shift[0] * width / height)) / scale
    y = (np.float32(view.shift[1]) - y) / scale
    y = y + np.float32((cosine + sine * float(radius[-1] - radius[0])) / 2)
    x = (x - view.lean * y) * (1 + view.narrowing * (0.5 - y))
    return x.astype(np.float32), y.astype(np.float32)


def _shade(
    model: Model,
    radius: npt.NDArray[np.float64],
    view: View,
    x: Floats,
    level: npt.NDArray[np.intp],
    depth: Floats,
) -> Floats:
    """Colours of the places that are seen, [n, 3]."""
    glazes = np.array([ImageColor.getrgb(c) for c in GLAZES[model.maker.glazes]], np.float32)
    reach = np.maximum(np.hypot(x, depth), 1e-6)
    slope = np.gradient(radius, 1 / (LEVELS - 1)).astype(np.float32)[level]
    steep = np.sqrt(1 + slope**2)
    normal = np.stack([x / reach / steep, -slope / steep, depth / reach / steep], -1)
    light = np.array(view.light, np.float32)
    to_camera = np.array([0, math.sin(view.elevation), math.cos(view.elevation)], np.float32)
    halfway = (light + to_camera) / np.linalg.norm(light + to_camera)
    angle = np.arctan2(x, depth) + np.float32(view.turn)
    kinds = decorate(model.maker, (level / (LEVELS - 1)).astype(np.float32), angle)
    bright = view.ambient + (1.15 - view.ambient) * np.clip(normal @ light, 0, 1)
    colours = glazes[kinds] * bright[:, None].astype(np.float32)
    shine = model.maker.gloss * np.clip(normal @ halfway, 0, 1) ** 40
    colours += 190 * shine[:, None].astype(np.float32)
    inner = float(radius[-1]) - _WALL
    hollow = (level == LEVELS - 1) & (reach < inner)
    lit = 0.22 + 0.2 * np.clip(-depth / max(inner, 1e-6), -1, 1)  # the far wall catches light
    colours[hollow] = glazes[0] * lit[hollow][:, None].astype(np.float32)
    return np.asarray(colours, dtype=np.float32)


def _set_table(rng: np.random.Generator, scene: Floats, y: Floats, view: View) -> None:
    """A table below some line behind the vase; ``y`` [rows] as in `cast`."""
    edge = rng.uniform(0.1, 0.9) * math.sin(view.elevation)
    wood = np.array([150, 115, 85], np.float32) * rng.uniform(0.5, 1.5)
    colour = wood if rng.random() < 0.6 else np.full(3, rng.uniform(60, 235), np.float32)
    rows = y < edge
    grain = rng.normal(0, 5, (int(rows.sum()), 1, 1)).astype(np.float32)
    scene[rows] = colour.astype(np.float32) + grain


def _cast_shadow(scene: Floats, x: Floats, y: Floats, view: View, foot: float) -> None:
    """A soft one around the foot, away from the light."""
    aside, back = -0.18 * view.light[0], 0.18 * view.light[2]
    across = (x - np.float32(aside)) / (foot * 1.35)
    along = (y / math.sin(view.elevation) - np.float32(back)) / (foot * 1.35)
    shadow = np.clip(1.5 - np.hypot(across, along), 0, 1)
    scene *= (1 - 0.45 * shadow[..., None]).astype(np.float32)
