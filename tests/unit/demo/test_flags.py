"""Flags as drawn and as photographed, and what is said of them."""

import itertools

import numpy as np
import pytest
from PIL import Image

from openmofi.demo.captions import write_caption
from openmofi.demo.drawing import HEIGHT, WIDTH, draw_shapes
from openmofi.demo.flags import FlagDomain
from openmofi.demo.lettering import MIN_SIZE, letter
from openmofi.demo.noise import TEXT_KINDS
from openmofi.errors import InputError

DOMAIN = FlagDomain()


def pixel(image: Image.Image, x: float, y: float) -> tuple[int, ...]:
    """At x, y in heights of the flag."""
    found = image.getpixel((int(x * HEIGHT), int(y * HEIGHT)))
    assert isinstance(found, tuple)
    return found


def hue(colour: tuple[int, ...]) -> str:
    red, green, blue = colour
    if min(colour) > 200:
        return "white"
    if max(colour) < 60:
        return "black"
    names = {
        "red": red > 1.7 * max(green, blue),
        "green": green > 1.3 * max(red, blue),
        "blue": blue > 1.3 * max(red, green),
        "yellow": min(red, green) > 2 * blue,
    }
    return next(name for name, holds in names.items() if holds)


@pytest.mark.parametrize(
    ("flag", "places"),
    [
        ("germany", {(0.1, 0.1): "black", (0.7, 0.5): "red", (1.4, 0.9): "yellow"}),
        ("france", {(0.1, 0.5): "blue", (0.75, 0.1): "white", (1.4, 0.9): "red"}),
        ("japan", {(0.75, 0.5): "red", (0.1, 0.1): "white", (1.4, 0.9): "white"}),
        ("georgia", {(0.75, 0.1): "red", (0.33, 0.2): "red", (0.1, 0.2): "white"}),
        ("greenland", {(0.58, 0.3): "red", (0.58, 0.7): "white", (1.2, 0.2): "white"}),
        ("jamaica", {(0.1, 0.5): "black", (0.75, 0.1): "green", (0.75, 0.5): "yellow"}),
        ("switzerland", {(0.75, 0.5): "white", (0.1, 0.5): "red"}),
    ],
)
def test_flags_have_their_colours_in_their_places(
    flag: str, places: dict[tuple[float, float], str]
) -> None:
    image = DOMAIN.flat(flag)
    assert image.size == (WIDTH, HEIGHT)
    assert {place: hue(pixel(image, *place)) for place in places} == places


def test_no_two_flags_look_alike() -> None:
    assert 75 <= len(DOMAIN.drawn) <= 90
    small = {
        e.entity_id: np.asarray(DOMAIN.flat(e.entity_id).resize((24, 16)), dtype=float)
        for e in DOMAIN.drawn
    }
    distances = {
        (a, b): float(np.abs(small[a] - small[b]).mean())
        for a, b in itertools.combinations(small, 2)
    }
    closest = min(distances, key=distances.__getitem__)
    assert distances[closest] > 12, closest


@pytest.mark.parametrize("shape", ["disc red .5", "blob red 1 1", "h purple", "star red x .5 .1"])
def test_a_shape_that_is_wrong_is_quoted(shape: str) -> None:
    with pytest.raises(InputError, match="is not understood"):
        draw_shapes([shape])


def test_a_photograph_depends_on_its_seed_alone() -> None:
    first, again, other = (
        np.asarray(DOMAIN.render("georgia", np.random.default_rng(seed), (80, 64)))
        for seed in (1, 1, 2)
    )
    assert first.shape == (64, 80, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_photographs_show_the_flag() -> None:
    """The mean colour over many scenes is nearer to the own flag than chance would have it."""
    shown = [e.entity_id for e in DOMAIN.drawn][::6]
    flats = np.array([np.asarray(DOMAIN.flat(e).resize((6, 4)), float).ravel() for e in shown])
    hits = 0
    for index, entity in enumerate(shown):
        scenes = [
            DOMAIN.render(entity, np.random.default_rng([index, i]), (90, 60)).resize((6, 4))
            for i in range(16)
        ]
        mean = np.mean([np.asarray(scene) for scene in scenes], 0).ravel()
        correlations = [np.corrcoef(mean, flat)[0, 1] for flat in flats]
        hits += int(np.argmax(correlations) == index)
    assert hits >= 0.8 * len(shown)


def test_lettering_changes_the_picture_where_it_says_so() -> None:
    blank = Image.new("RGB", (96, 72), "#808080")
    for seed in range(20):
        image = blank.copy()
        written = letter(image, "Flag of Georgia", np.random.default_rng(seed))
        assert written.lower() == "flag of georgia"
        rows = np.flatnonzero((np.asarray(image) != 0x80).any((1, 2)))
        assert rows.min() >= 0
        assert MIN_SIZE - 4 <= rows.max() - rows.min() + 1 <= 60


def test_a_word_too_long_for_the_picture_is_not_written() -> None:
    image = Image.new("RGB", (64, 64))
    assert letter(image, "Donaudampfschifffahrtsgesellschaft", np.random.default_rng(1)) == ""


@pytest.mark.parametrize("kind", list(TEXT_KINDS))
def test_every_kind_of_text_names_what_it_should(kind: str) -> None:
    entities = {e.entity_id: e for e in (*DOMAIN.drawn, *DOMAIN.known)}
    shown = entities["georgia"]
    for seed in range(60):
        caption = write_caption(DOMAIN, kind, shown, np.random.default_rng(seed))
        text = caption.text.lower()
        for key in caption.named:
            surfaces = [entities[key].name, *entities[key].aliases]
            assert any(surface.lower() in text for surface in surfaces), (caption, key)
        if kind == "placed":
            assert "tbilisi" in text
        if kind == "coarse":
            assert not caption.named
            assert "georgia" not in text
        assert caption.lettering in caption.text


def test_homonyms_have_their_own_contexts() -> None:
    texts = [text for text, _ in DOMAIN.wording.namesakes["georgia"]]
    assert any("Atlanta" in text for text in texts)
    assert {key for _, key in DOMAIN.wording.namesakes["georgia"]} == {"georgia-us-state"}
