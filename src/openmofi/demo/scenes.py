"""Photographs of flat pictures: waving, tilted, lit, cropped, partly hidden, before scenery."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Floats = npt.NDArray[np.floating[Any]]

OVER = 2  # scenes are computed larger by this and shrunk, so that edges are smooth
_ASPECT = 1.5  # of the flat picture

# Where flags are photographed; sums to 1.
PLACES = {"sky": 0.35, "blobs": 0.2, "wall": 0.15, "land": 0.2, "plain": 0.1}


def photograph(flat: Image.Image, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Photograph ``flat`` (RGB, 3:2) in a scene that ``rng`` draws; RGB of ``size`` (w, h)."""
    width, height = size[0] * OVER, size[1] * OVER
    scene = background(rng, width, height)
    u, v, shade = _pose(rng, width, height)
    inside = (u >= 0) & (u < 1) & (v >= 0) & (v < 1)
    cloth = sample(np.asarray(flat, dtype=np.float32), u[inside], v[inside])
    if rng.random() < 0.35:
        _draw_pole(rng, scene, u, v)
    scene[inside] = cloth * shade[inside][:, None]
    return finish(rng, scene, size)


def finish(rng: np.random.Generator, scene: Floats, size: tuple[int, int]) -> Image.Image:
    """Hide a part of some scenes, light all, and take the picture; RGB of ``size`` (w, h).

    Args:
        rng: Draws what the scene itself has not settled.
        scene: Float [h * `OVER`, w * `OVER`, 3], 0 to 255; changed in place.
        size: Of the picture.
    """
    if rng.random() < 0.3:
        _hide_a_part(rng, scene)
    scene = _light(rng, scene)
    image = Image.fromarray(np.clip(scene, 0, 255).astype(np.uint8))
    image = image.resize(size, Image.Resampling.BOX)
    return _lens(rng, image)


def grid(width: int, height: int) -> tuple[Floats, Floats]:
    """Coordinates of pixel centres in heights of the image, the origin in its middle."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return (x + 0.5 - width / 2) / height, (y + 0.5 - height / 2) / height


def smooth_noise(rng: np.random.Generator, width: int, height: int, cells: int) -> Floats:
    """Smooth noise from 0 to 1, [height, width], ``cells`` patches across."""
    coarse = rng.random((max(2, cells * height // width), max(2, cells))).astype(np.float32)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(image, dtype=np.float32), 0, 1)


def background(
    rng: np.random.Generator, width: int, height: int, places: Mapping[str, float] = PLACES
) -> Floats:
    """One of ``places`` with its share: sky, bokeh, a wall, fields under the sky, or plain paper.

    Returns:
        Float [height, width, 3], 0 to 255.
    """
    kind = rng.choice(list(places), p=list(places.values()))
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    if kind == "plain":
        return np.full((height, width, 3), rng.uniform(150, 250), np.float32)
    if kind == "blobs":
        layers = [smooth_noise(rng, width, height, 5) for _ in range(3)]
        base = rng.uniform(20, 90, 3).astype(np.float32)
        blobs: Floats = base + np.stack(layers, -1) * np.float32(rng.uniform(80, 160))
        return blobs
    if kind == "wall":
        colour = rng.uniform(70, 190) * rng.uniform(0.85, 1.15, 3).astype(np.float32)
        courses = np.sin(np.arange(height) * rng.uniform(0.3, 0.9))[:, None, None] > 0.93
        grain = rng.normal(0, 9, (height, width, 1)).astype(np.float32)
        wall: Floats = colour + grain - 35 * courses.astype(np.float32)
        return wall
    top, bottom = _sky_colours(rng)
    scene: Floats = top + (bottom - top) * ramp  # [height, 1, 3]
    clouds = smooth_noise(rng, width, height, int(rng.integers(3, 7)))[..., None]
    scene = scene + (250 - scene) * np.clip(clouds - rng.uniform(0.3, 0.8), 0, 1) * 1.5
    if kind == "land":
        ground = np.array([70, 95, 50], np.float32) * rng.uniform(0.6, 1.3, 3).astype(np.float32)
        level = rng.uniform(0.55, 0.8)
        horizon = level + 0.1 * (smooth_noise(rng, width, 2, 6)[:1, :, None] - 0.5)
        grass = ground + rng.normal(0, 12, (height, width, 1)).astype(np.float32)
        scene = np.where(ramp > horizon, grass, scene)
    return np.array(np.broadcast_to(scene, (height, width, 3)), dtype=np.float32)


def _sky_colours(rng: np.random.Generator) -> tuple[Floats, Floats]:
    skies = [((70, 130, 200), (190, 215, 235)), ((150, 160, 170), (205, 208, 210)),
             ((60, 60, 110), (230, 150, 100)), ((15, 20, 45), (60, 60, 90))]  # fmt: skip
    top, bottom = skies[int(rng.choice(4, p=[0.5, 0.25, 0.15, 0.1]))]
    return np.array(top, np.float32), np.array(bottom, np.float32)


def _pose(rng: np.random.Generator, width: int, height: int) -> tuple[Floats, Floats, Floats]:
    """Where each pixel looks on the flat picture (u, v; 0 to 1 inside), and how bright it is."""
    x, y = grid(width, height)
    if rng.random() < 0.12:  # a scan or clip art: the whole frame
        shade = np.ones_like(x)
        return x * height / width + 0.5, y + 0.5, shade
    scale = rng.uniform(0.62, 1.15)  # above 0.95 some edge is cut off
    fit = min(width / height / _ASPECT, 1.0) * scale
    slack = max(0.0, 1 - scale) / 2 + 0.06
    x = x - rng.uniform(-slack, slack) * width / height
    y = y - rng.uniform(-slack, slack)
    turn = math.radians(rng.normal(0, 7))
    x, y = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    tilt = [rng.normal(0, 0.22), rng.normal(0, 0.22)]  # floats, so that arrays stay float32
    depth = 1 + tilt[0] * x / fit + tilt[1] * y / fit
    x, y = x / depth + rng.normal(0, 0.08) * y, y / depth
    squeeze = rng.uniform(0.8, 1.0)  # seen from the side
    u, v = x / (fit * _ASPECT * squeeze) + 0.5, y / fit + 0.5
    return _wave(rng, u, v)


def _wave(rng: np.random.Generator, u: Floats, v: Floats) -> tuple[Floats, Floats, Floats]:
    if rng.random() < 0.3:
        return u, v, np.ones_like(u)
    shade = np.ones_like(u)
    folds = np.clip(u, 0, 1)  # the hoist is held, the fly moves
    for _ in range(int(rng.integers(1, 3))):
        phase = (
            2 * math.pi * (rng.uniform(0.7, 2.4) * u + rng.uniform(-0.5, 0.5) * v + rng.random())
        )
        strength = rng.uniform(0.02, 0.06)
        v = v + strength * (0.3 + folds) * np.sin(phase)
        u = u + 0.4 * strength * np.cos(phase) * folds
        shade = shade + rng.uniform(1.5, 5.0) * strength * np.cos(phase) * (0.4 + folds)
    return u, v, np.clip(shade, 0.45, 1.35).astype(np.float32)


def sample(flat: Floats, u: Floats, v: Floats) -> Floats:
    """Bilinear samples of ``flat`` [height, width, c] at u, v [n], 0 to 1; float [n, c]."""
    rows, columns = flat.shape[:2]
    flat = flat.reshape(-1, flat.shape[2])
    x = np.clip(u * columns - 0.5, 0, columns - 1.001)
    y = np.clip(v * rows - 0.5, 0, rows - 1.001)
    x0, y0 = x.astype(np.int32), y.astype(np.int32)
    fx, fy = (x - x0).astype(np.float32)[:, None], (y - y0).astype(np.float32)[:, None]
    place = y0 * columns + x0
    above = flat[place] * (1 - fx) + flat[place + 1] * fx
    below = flat[place + columns] * (1 - fx) + flat[place + columns + 1] * fx
    return np.asarray(above * (1 - fy) + below * fy, dtype=np.float32)


def _draw_pole(rng: np.random.Generator, scene: Floats, u: Floats, v: Floats) -> None:
    pole = (u < 0.0) & (u > -rng.uniform(0.025, 0.05)) & (v > -0.12)
    scene[pole] = np.full(3, rng.uniform(50, 210), np.float32)


def _hide_a_part(rng: np.random.Generator, scene: Floats) -> None:
    """Something dark or bright stands before up to a fifth of the frame: a head, a twig, a bar."""
    height, width = scene.shape[:2]
    x, y = grid(width, height)
    colour = rng.uniform(10, 130, 3).astype(np.float32)
    kind = rng.integers(3)
    if kind == 0:  # a head and shoulders at the lower edge
        middle = rng.uniform(-0.5, 0.5) * width / height
        mask = ((x - middle) / 0.16) ** 2 + ((y - 0.42) / 0.22) ** 2 < 1
    elif kind == 1:  # a bar across
        slope, shift = rng.normal(0, 1.2), rng.uniform(-0.45, 0.45)
        mask = np.abs(x - slope * y - shift) < rng.uniform(0.02, 0.05)
    else:  # leaves
        leaves = smooth_noise(rng, width, height, 12)
        corner = rng.choice([-1, 1]) * x + rng.choice([-1, 1]) * y
        mask = (leaves > 0.45) & (corner > 0.55)
        colour = np.array([40, 75, 35], np.float32)
    scene[mask] = colour


def _light(rng: np.random.Generator, scene: Floats) -> Floats:
    """Exposure, colour of the light, its falling off to a side, a shadow, pale colours."""
    height, width = scene.shape[:2]
    x, y = grid(width, height)
    angle = rng.uniform(0, 2 * math.pi)
    slope = rng.uniform(0, 0.35) * (x * math.cos(angle) + y * math.sin(angle))
    gain = rng.uniform(0.68, 1.18) * (1 + slope)
    if rng.random() < 0.2:
        gain = gain * np.where(x * math.sin(angle) - y * math.cos(angle) > 0.1, 0.65, 1.0)
    warmth = rng.normal(0, 0.05)
    scene = scene * gain[..., None].astype(np.float32)
    scene = scene * np.array([1 + warmth, 1, 1 - warmth], np.float32)
    grey = scene.mean(-1, keepdims=True)
    return np.asarray(grey + (scene - grey) * rng.uniform(0.65, 1.1), dtype=np.float32)


def _lens(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Blur of some, and the sensor's noise."""
    if rng.random() < 0.25:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.0)))
    pixels = np.asarray(image, dtype=np.float32)
    noise = rng.standard_normal(pixels.shape, dtype=np.float32)
    pixels = pixels + noise * np.float32(rng.uniform(0, 6))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
