"""Domains that share a crawl: their samples lie mixed, each planned within its own domain."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from openmofi.demo.butterflies import ButterflyDomain
from openmofi.demo.domain import Domain, Entity
from openmofi.demo.flags import FlagDomain
from openmofi.demo.samples import (
    MadeSample,
    SamplePlan,
    Seed,
    evaluation_image,
    make_sample,
    plan_samples,
    share_out,
)
from openmofi.demo.vases import VaseDomain
from openmofi.errors import InputError

DOMAINS: dict[str, Callable[[], Domain]] = {
    "flags": FlagDomain,
    "butterflies": ButterflyDomain,
    "vases": VaseDomain,
}

# Behind the seed of the whole, where a domain alone has numbers up to its classes.
_ORDER, _FIRST_DOMAIN = 999, 1000


def settle_domains(names: Sequence[str]) -> tuple[str, ...]:
    """The domains in an order of their own, so that the same set gives the same crawl.

    Raises:
        InputError: None is named, or one that there is not, or one twice.
    """
    unknown = [name for name in names if name not in DOMAINS]
    if unknown or not names:
        found = repr(unknown[0]) if unknown else "named"
        raise InputError(f"demo crawl: no domain {found}; there are: {', '.join(DOMAINS)}")
    if len(set(names)) < len(names):
        raise InputError(f"demo crawl: a domain is named twice in {','.join(names)}")
    return tuple(name for name in DOMAINS if name in names)


@dataclass(frozen=True)
class _Part:
    """What one domain brings to a crawl: its plans, and where they lie in the whole."""

    domain: Domain
    seed: Seed
    plans: list[SamplePlan]
    places: list[int]


class Mixture:
    """Domains opened once a process; draws any sample of a crawl of theirs.

    A domain alone is planned from the crawl's own seed: the crawl is what it was before there were
    others.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._numbers = [list(DOMAINS).index(name) for name in names]
        self.domains = tuple(DOMAINS[name]() for name in names)
        self.classes = tuple((d, e) for d in self.domains for e in d.drawn)

    def plan(self, pairs: int, seed: Seed) -> "MixedPlan":
        """Share ``pairs`` samples out; a domain gets as many as its share of the classes."""
        shares = {str(i): float(len(d.drawn)) for i, d in enumerate(self.domains)}
        owners = share_out(shares, pairs, np.random.default_rng([*seed, _ORDER]))
        parts = []
        for i, domain in enumerate(self.domains):
            places = [place for place, owner in enumerate(owners) if owner == str(i)]
            own = self._seed(i, seed)
            parts.append(_Part(domain, own, plan_samples(domain, len(places), own), places))
        return MixedPlan(parts)

    def evaluation_image(self, domain: Domain, entity: Entity, number: int, seed: Seed) -> bytes:
        """A held-out photograph; see `openmofi.demo.samples.evaluation_image`."""
        own = self._seed(self.domains.index(domain), seed)
        return evaluation_image(domain, entity, number, own)

    def _seed(self, index: int, seed: Seed) -> Seed:
        return seed if len(self.domains) == 1 else (*seed, _FIRST_DOMAIN + self._numbers[index])


class MixedPlan:
    """The samples of a crawl by their place in it."""

    def __init__(self, parts: Sequence[_Part]) -> None:
        self._own = {
            place: (part, index) for part in parts for index, place in enumerate(part.places)
        }

    def make(self, place: int) -> MadeSample:
        """Draw, letter, spoil and describe a sample."""
        part, index = self._own[place]
        return make_sample(part.domain, part.plans, index, part.seed)

    def original(self, place: int) -> int:
        """The place of the sample that this one repeats, or its own."""
        part, index = self._own[place]
        return part.places[part.plans[index].original]
