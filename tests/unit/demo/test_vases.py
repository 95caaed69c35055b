"""Vases: geometry against a ball and loops; makers share colours, models differ in shape."""

import itertools
import math
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from openmofi.demo import vase_scenes
from openmofi.demo.vase_models import DECORS, FORMS, GLAZES, LEVELS, TRAITS, Model, decorate
from openmofi.demo.vase_scenes import cast, compose, draw_view
from openmofi.demo.vases import VaseDomain
from support.demo_pictures import histogram_accuracy, parameter_accuracy

DOMAIN = VaseDomain()
IDS = [entity.entity_id for entity in DOMAIN.drawn]
SOME = [key for key in IDS if DOMAIN.models[key].maker.glazes in (0, 1)]


def makers() -> dict[str, list[str]]:
    found = defaultdict(list)
    for key, model in DOMAIN.models.items():
        found[model.maker.name].append(key)
    return found


@pytest.mark.parametrize("degrees", [8, 25, 42])
def test_a_ball_is_seen_where_geometry_says(degrees: int) -> None:
    elevation = math.radians(degrees)
    sine, cosine = math.sin(elevation), math.cos(elevation)
    level = np.linspace(0, 1, 401)
    ball = np.sqrt(np.clip(0.25 - (level - 0.5) ** 2, 0, None))
    x, y = np.meshgrid(np.linspace(-0.55, 0.55, 45), np.linspace(1.2, -0.3, 60))
    found, depth = cast(ball, x, y[:, 0], elevation)
    up = y - 0.5 * cosine  # from the middle of the ball, in the picture
    inside = x**2 + up**2
    assert ((found >= 0) == (inside < 0.25))[np.abs(inside - 0.25) > 0.01].all()
    sure = inside < 0.24
    near = np.sqrt(0.25 - inside[sure])
    height = 0.5 + up[sure] * cosine + near * sine
    assert found[sure] / 400 == pytest.approx(height, abs=0.012)
    assert depth[sure] == pytest.approx(-up[sure] * sine + near * cosine, abs=0.012 / sine)


def test_rays_meet_what_a_loop_finds() -> None:
    radius, elevation = DOMAIN.models[IDS[13]].outline(), 0.4
    x, y = np.meshgrid(np.linspace(-0.4, 0.4, 17), np.linspace(1.1, -0.2, 23))
    found, _ = cast(radius, x, y[:, 0], elevation)
    for row, column in np.ndindex(x.shape):
        expected = -1
        for level, reach in enumerate(radius):
            height = level / (len(radius) - 1)
            before = (height * math.cos(elevation) - y[row, column]) / math.sin(elevation)
            if math.hypot(before, x[row, column]) <= reach:
                expected = level
        assert abs(found[row, column] - expected) <= 0


def test_outlines_are_vases() -> None:
    for key, model in DOMAIN.models.items():
        radius = model.outline()
        assert radius.shape == (LEVELS,)
        assert radius.min() > 0.03, key
        assert 0.1 < radius.max() < 0.8, key
        assert radius[:4].max() > 0.25 * radius.max() * 0.4, key  # something to stand on


def test_traits_do_to_an_outline_what_they_say() -> None:
    plain = {"girth": 1.0, "belly": 1.0, "neck": 0.0, "lip": 0.0, "foot": 0.0}
    maker = next(m.maker for m in DOMAIN.models.values() if m.maker.form == "globe")

    def outline(**traits: float) -> npt.NDArray[np.float64]:
        return Model(maker, "", {**plain, **traits}).outline()

    usual = outline()
    assert outline(girth=1.34) == pytest.approx(1.34 * usual)
    low, middle, high = (outline(belly=b).argmax() for b in TRAITS["belly"])
    assert low < middle - 8 < high - 16
    assert outline(neck=1)[80:].max() < 0.11 < usual[80]
    assert outline(foot=1)[12:16].max() < 0.12 < usual[12]
    wider = outline(lip=1) - usual
    assert wider[-1] == pytest.approx(0.1)
    assert not wider[:86].any()


def test_there_are_five_models_of_each_maker() -> None:
    assert len(IDS) == len(set(IDS)) == 120
    assert len({entity.name for entity in DOMAIN.drawn}) == 120
    assert Counter(map(len, makers().values())) == {5: 24}
    hands = {(m.maker.form, m.maker.decor, m.maker.glazes) for m in DOMAIN.models.values()}
    assert len(hands) == 24
    glazes = Counter(DOMAIN.models[keys[0]].maker.glazes for keys in makers().values())
    assert dict(glazes) == dict.fromkeys(range(len(GLAZES)), 4)
    forms = Counter(DOMAIN.models[keys[0]].maker.form for keys in makers().values())
    assert dict(forms) == dict.fromkeys(FORMS, 2)


def test_all_settings_of_all_traits_are_seen() -> None:
    for trait, levels in TRAITS.items():
        assert {model.traits[trait] for model in DOMAIN.models.values()} == set(levels), trait


def test_outlines_of_a_maker_are_nearer_than_those_of_others() -> None:
    """Mean difference of the radii, each in shares of the widest place."""
    outlines = {key: model.outline() for key, model in DOMAIN.models.items()}

    def distance(one: str, other: str) -> float:
        a, b = outlines[one], outlines[other]
        return float(np.abs(a / a.max() - b / b.max()).mean())

    siblings = [
        distance(*pair) for keys in makers().values() for pair in itertools.combinations(keys, 2)
    ]
    everyone = [distance(*pair) for pair in itertools.combinations(IDS, 2)]
    assert np.mean(siblings) < 0.85 * np.mean(everyone)


def test_no_two_models_of_a_maker_have_one_outline() -> None:
    outlines = {key: model.outline() for key, model in DOMAIN.models.items()}
    for keys in makers().values():
        for one, other in itertools.combinations(keys, 2):
            assert np.abs(outlines[one] - outlines[other]).max() > 0.05, (one, other)


@pytest.mark.parametrize("decor", DECORS)
def test_decor_closes_around_the_vase(decor: str) -> None:
    maker = next(m.maker for m in DOMAIN.models.values() if m.maker.decor == decor)
    rng = np.random.default_rng(1)
    height, around = rng.random((2, 4000), dtype=np.float32)
    once = decorate(maker, height, around * np.float32(2 * math.pi))
    again = decorate(maker, height, (around + 1) * np.float32(2 * math.pi))
    assert (once == again).mean() > 0.99  # but for rounding at edges
    angle = np.linspace(0, 2 * math.pi, 300, dtype=np.float32)
    heights, angles = np.meshgrid(np.linspace(0, 1, 200, dtype=np.float32), angle)
    shares = np.bincount(decorate(maker, heights, angles).ravel(), minlength=3) / heights.size
    assert shares.min() > 0.01
    assert shares[1] > 0.1


def test_any_view_shows_most_of_any_vase() -> None:
    for number, key in enumerate(IDS[::4]):
        rng = np.random.default_rng(number)
        view = draw_view(np.random.default_rng(number))
        assert np.linalg.norm(view.light) == pytest.approx(1)
        with_vase = compose(DOMAIN.models[key], rng, (80, 72))
        other = compose(
            DOMAIN.models[IDS[(number * 4 + 60) % 120]], np.random.default_rng(number), (80, 72)
        )
        assert 0.04 < (with_vase != other).any(-1).mean() < 0.95


def test_a_vase_is_brighter_where_the_light_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    bottle = next(m for m in DOMAIN.models.values() if m.maker.decor == "rings")
    view = replace(draw_view(np.random.default_rng(3)), shift=(0.0, 0.0), lean=0.0)
    sides = []
    for aside in (-0.8, 0.8):
        monkeypatch.setattr(
            vase_scenes, "draw_view", lambda _, x=aside: replace(view, light=(x, 0.0, 0.6))
        )
        middle = compose(bottle, np.random.default_rng(1), (80, 80)).mean(-1)[60:110, 70:90]
        sides.append(float(middle[:, 10:].mean() - middle[:, :10].mean()))
    assert sides[0] < -10
    assert sides[1] > 10


def test_the_histogram_tells_little_and_the_drawing_much() -> None:
    by_colour = histogram_accuracy(DOMAIN, SOME, known=5, asked=2)
    by_drawing = parameter_accuracy(
        lambda entity, rng: compose(DOMAIN.models[entity], rng, (88, 80)), SOME[:20], asked=2
    )
    assert by_colour < 0.3
    assert by_drawing > 0.8


def test_a_photograph_depends_on_its_seed_alone() -> None:
    first, again, other = (
        np.asarray(VaseDomain().render(IDS[7], np.random.default_rng(seed), (80, 64)))
        for seed in (1, 1, 2)
    )
    assert first.shape == (64, 80, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
