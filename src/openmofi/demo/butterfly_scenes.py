"""Photographs of butterflies: on leaves and boards, turned, with wings half closed."""

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from openmofi.demo.scenes import OVER, Floats, background, grid, sample, smooth_noise

_LEAVES = 0.4  # share of pictures among leaves and flowers
_PLACES = {"blobs": 0.35, "plain": 0.25, "sky": 0.1, "wall": 0.1, "land": 0.2}  # of the others
_PETALS = ((225, 120, 170), (240, 215, 90), (235, 235, 240), (150, 110, 200), (220, 80, 60))


def compose(half: Image.Image, rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Set a specimen into a scene that ``rng`` draws.

    Args:
        half: What `openmofi.demo.butterfly_drawing.draw_specimen` gives; RGBA.
        rng: Pose and scene depend on it alone, not on the specimen.
        size: Of the picture (w, h).

    Returns:
        The scene before it is lit, for `openmofi.demo.scenes.finish`.
    """
    width, height = size[0] * OVER, size[1] * OVER
    u, v, shade = _pose(rng, width, height)
    scene = (
        _leaves(rng, width, height)
        if rng.random() < _LEAVES
        else background(rng, width, height, _PLACES)
    )
    inside = (u < 1) & (np.abs(v) < 1)
    flat = np.array(half, dtype=np.float32)
    flat[..., 3] /= 255
    flat[..., :3] *= flat[..., 3:]  # so that no colour from beyond the edge mixes in
    seen = sample(flat, u[inside], (v[inside] + 1) / 2)
    cover = np.zeros((height, width, 1), np.float32)
    cover[inside] = seen[:, 3:]
    _cast_shadow(rng, scene, cover)
    faded = rng.normal(1, 0.05, 3).astype(np.float32)  # no two of a kind are quite alike
    wings = seen[:, :3] * faded * shade[inside][:, None]
    scene[inside] = scene[inside] * (1 - seen[:, 3:]) + wings
    return scene


def _pose(rng: np.random.Generator, width: int, height: int) -> tuple[Floats, Floats, Floats]:
    """Where each pixel looks on the half specimen, and how bright it is.

    Returns:
        u from the body outwards, on either side; v from -1 in front to 1 behind; the brightness.
    """
    x, y = grid(width, height)
    reach = rng.uniform(0.38, 0.54) * min(1.0, width / height)
    x = x - np.float32(rng.uniform(-0.12, 0.12) * width / height)
    y = y - np.float32(rng.uniform(-0.1, 0.1))
    turn = math.radians(rng.normal(0, 28))
    x, y = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    tilt = [rng.normal(0, 0.25), rng.normal(0, 0.25)]  # floats, so that arrays stay float32
    depth = 1 + tilt[0] * x + tilt[1] * y
    x, y = x / depth, y / depth
    opened = rng.uniform(0.62, 1.0)
    sides = [min(1.0, opened * rng.uniform(0.85, 1.15)) for _ in range(2)]
    if rng.random() < 0.15:  # nearly seen from the side
        sides[int(rng.integers(2))] = rng.uniform(0.12, 0.3)
    lift, lights = rng.normal(0, 0.1), rng.uniform(0.82, 1.12, 2)
    left = x < 0
    u = np.abs(x) / np.where(left, sides[0], sides[1]).astype(np.float32) / reach
    v = y / reach + lift * np.abs(x) / reach
    shade = np.where(left, lights[0], lights[1]).astype(np.float32)
    return u, v, shade * (1 - 0.12 * np.clip(1 - u, 0, 1) ** 2)  # darker near the body


def _leaves(rng: np.random.Generator, width: int, height: int) -> Floats:
    """Leaves out of focus, and some flowers; float [height, width, 3]."""
    green = np.array([70, 110, 50], np.float32) * rng.uniform(0.6, 1.3, 3).astype(np.float32)
    light = smooth_noise(rng, width, height, 4) + 0.5 * smooth_noise(rng, width, height, 11)
    scene: Floats = green * (0.45 + light[..., None])
    x, y = grid(width, height)
    for _ in range(int(rng.integers(0, 5))):
        colour = np.array(_PETALS[int(rng.integers(len(_PETALS)))], np.float32)
        middle = (rng.uniform(-0.6, 0.6) * width / height, rng.uniform(-0.5, 0.5))
        radius, petals = rng.uniform(0.07, 0.2), int(rng.integers(5, 9))
        across, down = x - np.float32(middle[0]), y - np.float32(middle[1])
        lobes = 0.75 + 0.25 * np.cos(petals * np.arctan2(down, across))
        distance = np.hypot(across, down) / (radius * lobes)
        scene[distance < 1] = colour * np.float32(rng.uniform(0.7, 1.05))
        scene[distance < 0.25] = (205, 165, 60)
    return scene


def _cast_shadow(rng: np.random.Generator, scene: Floats, cover: npt.NDArray[np.float32]) -> None:
    height = scene.shape[0]
    down, right = (round(float(rng.uniform(-0.02, 0.05)) * height) for _ in range(2))
    shadow = np.roll(cover, (down, right), (0, 1))
    scene *= 1 - np.float32(rng.uniform(0.1, 0.5)) * shadow
