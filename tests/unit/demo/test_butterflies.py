"""Butterflies: kin looks like kin, every species can be told, colour does not tell it."""

import itertools
from collections import Counter, defaultdict

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor

from openmofi.demo.butterflies import ButterflyDomain
from openmofi.demo.butterfly_drawing import HEIGHT, WIDTH
from openmofi.demo.butterfly_scenes import compose
from openmofi.demo.butterfly_species import PALETTES, TRAITS
from openmofi.demo.noise import FAME_POWER
from support.demo_pictures import histogram_accuracy, parameter_accuracy

DOMAIN = ButterflyDomain()
IDS = [entity.entity_id for entity in DOMAIN.drawn]
# Species of genera in two palettes, siblings together.
SOME = [key for key in IDS if DOMAIN.species[key].genus.palette < 2][:40]


def small(entity: str) -> npt.NDArray[np.float64]:
    """The half specimen on white, in few pixels."""
    half = DOMAIN.half(entity)
    white = Image.new("RGBA", half.size, "#ffffff")
    flat = Image.alpha_composite(white, half).convert("RGB")
    return np.asarray(flat.resize((14, 28), Image.Resampling.BOX), dtype=float)


def outline(entity: str) -> npt.NDArray[np.bool_]:
    return np.asarray(DOMAIN.half(entity))[..., 3] > 127


def genera() -> dict[str, list[str]]:
    found = defaultdict(list)
    for key, species in DOMAIN.species.items():
        found[species.genus.name].append(key)
    return found


def test_there_are_many_species_in_few_colours() -> None:
    assert 150 <= len(IDS) == len(set(IDS)) <= 180
    assert len({entity.name for entity in DOMAIN.drawn}) == len(IDS)
    palettes = Counter(DOMAIN.species[keys[0]].genus.palette for keys in genera().values())
    assert dict(palettes) == dict.fromkeys(range(len(PALETTES)), 6)
    assert all(3 <= len(keys) <= 6 for keys in genera().values())


def test_all_settings_of_all_traits_are_seen() -> None:
    for trait, levels in TRAITS.items():
        assert {species.traits[trait] for species in DOMAIN.species.values()} == set(levels), trait


def test_a_specimen_has_its_parts_in_their_places() -> None:
    for key, species in list(DOMAIN.species.items())[::5]:
        half = np.asarray(DOMAIN.half(key)).astype(int)
        assert half.shape == (HEIGHT, WIDTH, 4)
        assert half[HEIGHT // 2, 1, 3] == 255  # the body
        assert half[2, -3, 3] == 0
        rows = np.flatnonzero((half[:, WIDTH // 8 :, 3] > 127).any(1))
        assert 0 < rows[0] < HEIGHT // 3
        assert HEIGHT // 2 < rows[-1] < HEIGHT - 1, key  # no tail is cut off
        wing = half[half[..., 3] == 255][:, :3]
        seen = 0.0
        for colour in PALETTES[species.genus.palette][:2]:
            seen += (np.abs(wing - ImageColor.getrgb(colour)).sum(1) < 12).mean()
        assert seen > 0.1, key


def test_tails_are_as_long_as_they_should_be() -> None:
    ends = defaultdict(list)
    for key, species in DOMAIN.species.items():
        ends[species.traits["tail"]].append(np.flatnonzero(outline(key).any(1))[-1])
    means = [float(np.mean(ends[tail])) for tail in TRAITS["tail"]]
    assert np.diff(means).min() > 5  # pixels


def test_no_two_species_look_alike() -> None:
    flats = {key: small(key) for key in IDS}
    distances = {
        (a, b): float(np.abs(flats[a] - flats[b]).mean()) for a, b in itertools.combinations(IDS, 2)
    }
    closest = min(distances, key=distances.__getitem__)
    assert distances[closest] > 2, (closest, distances[closest])


def test_siblings_have_one_outline_and_strangers_others() -> None:
    """Overlap of the outlines, as intersection over union."""
    covers = {key: outline(key) for key in IDS}

    def overlap(one: str, other: str) -> float:
        a, b = covers[one], covers[other]
        return float((a & b).sum() / (a | b).sum())

    siblings = [
        overlap(*pair) for keys in genera().values() for pair in itertools.combinations(keys, 2)
    ]
    firsts = [keys[0] for keys in genera().values()]
    strangers = [overlap(*pair) for pair in itertools.combinations(firsts, 2)]
    assert np.mean(siblings) > np.mean(strangers) + 0.05
    assert np.median(siblings) > np.quantile(strangers, 0.9)


def test_the_histogram_tells_little_and_the_drawing_much() -> None:
    by_colour = histogram_accuracy(DOMAIN, SOME, known=5, asked=2)
    by_drawing = parameter_accuracy(
        lambda entity, rng: compose(DOMAIN.half(entity), rng, (88, 80)), SOME[:20], asked=2
    )
    assert by_colour < 0.2
    assert by_drawing > 0.8


def test_a_photograph_depends_on_its_seed_alone() -> None:
    first, again, other = (
        np.asarray(ButterflyDomain().render(IDS[7], np.random.default_rng(seed), (80, 64)))
        for seed in (1, 1, 2)
    )
    assert first.shape == (64, 80, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_scene_does_not_depend_on_the_species() -> None:
    scenes = [
        compose(DOMAIN.half(key), np.random.default_rng(5), (80, 64)) for key in (IDS[0], IDS[90])
    ]
    same = (scenes[0] == scenes[1]).all(-1)
    assert 0.1 < same.mean() < 0.95


def test_a_photograph_shows_as_much_as_the_pose_leaves() -> None:
    """Against the same scenes with nothing in them; a specimen covers half of its plate."""
    nothing = Image.new("RGBA", (WIDTH, HEIGHT))
    shares = []
    for seed in range(40):
        full, empty = (
            compose(half, np.random.default_rng(seed), (88, 80))
            for half in (DOMAIN.half(IDS[seed]), nothing)
        )
        shares.append((np.abs(full - empty) > 30).any(-1).mean())
    assert 0.15 < np.mean(shares) < 0.5


def test_few_species_are_common_and_many_rare() -> None:
    weights = np.sort([entity.prior**FAME_POWER for entity in DOMAIN.drawn])[::-1]
    assert 15 < weights[0] / weights[-1] < 30
    half = np.cumsum(weights) / weights.sum()
    assert np.searchsorted(half, 0.5) < 0.25 * len(weights)
