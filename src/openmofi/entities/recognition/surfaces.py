"""Surface forms of a knowledge base, some of them held out before any text is made."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from openmofi.entities.index_build import build_index
from openmofi.entities.kernels_hash import Bools, Ints
from openmofi.entities.knowledge_base import KnowledgeBase
from openmofi.entities.matcher import AliasMatcher
from openmofi.entities.text import surface_keys
from openmofi.entities.words import stop_phrases
from openmofi.errors import InputError
from openmofi.keys import hash_bytes

_MOST = 200_000  # surfaces that texts are filled with, of each of the two parts


@dataclass(frozen=True)
class Surface:
    """A surface form, as texts show it.

    Args:
        key: As the matcher compares it.
        shown: The entity's name if that is the surface form, with its capitals.
        plural: Empty if the matcher would not find it.
    """

    key: str
    shown: str
    plural: str


@dataclass(frozen=True)
class SurfaceSplit:
    """The two parts of a knowledge base's surface forms, each the most popular first."""

    train: list[Surface]
    held_out: list[Surface]
    train_matcher: AliasMatcher  # all of the knowledge base but the held-out ones
    held_out_matcher: AliasMatcher  # those alone: finds something wherever one occurs


def split_surfaces(base: KnowledgeBase, share: float, seed: int) -> SurfaceSplit:
    """Split all surface forms by a hash of each.

    Args:
        base: The knowledge base.
        share: Of the surface forms that are held out, about.
        seed: Other seeds, other parts.

    Raises:
        InputError: There are too few for two parts.
    """
    keys, entities = _read_aliases(base)
    limit = int(share * (1 << 32))
    texts = keys.to_pylist()
    is_held = np.array(
        [int(hash_bytes(f"{seed} {key}".encode())[:8], 16) < limit for key in texts], np.bool_
    )
    # Stop phrases are no mentions: what is never marked need not be kept out.
    is_held &= ~pc.is_in(keys, pa.array(stop_phrases(), keys.type)).to_numpy(zero_copy_only=False)
    parts = [_surfaces(base, keys, entities, part) for part in (~is_held, is_held)]
    if not all(parts):
        raise InputError(
            f"{base.folder} has {len(keys)} surface forms, too few to hold out a share of {share}; "
            "set held_out, or seed, otherwise"
        )
    matchers = [
        _matcher(base, keys.filter(pa.array(~is_held)), stop_phrases()),
        _matcher(base, keys.filter(pa.array(is_held)), ()),
    ]
    return SurfaceSplit(parts[0], parts[1], *matchers)


def _read_aliases(base: KnowledgeBase) -> tuple[pa.Array, pa.Array]:
    """Distinct surface keys in order, and the likeliest entity's row of each."""
    path = base.folder / "aliases.parquet"
    try:
        table = pq.read_table(path, columns=["surface", "entity_id"])
    except (OSError, pa.ArrowException):
        raise InputError(f"{path} is missing or damaged; build the knowledge base again") from None
    if not len(table):
        raise InputError(f"{base.folder} has no surface forms")
    surfaces = table.column("surface").combine_chunks()
    # One surface's rows stand together, the likeliest entity first.
    is_first = np.ones(len(table), np.bool_)
    is_first[1:] = pc.not_equal(surfaces[1:], surfaces[:-1]).to_numpy(zero_copy_only=False)
    ids = table.column("entity_id").combine_chunks().filter(pa.array(is_first))
    known = base.entities.column("entity_id").combine_chunks()
    return surfaces.filter(pa.array(is_first)), pc.index_in(ids, known)


def _surfaces(
    base: KnowledgeBase, keys: pa.Array, entities: pa.Array, chosen: Bools
) -> list[Surface]:
    """The chosen ones that the matcher marks, spread evenly over popularity, if they are many."""
    mask = pa.array(chosen)
    keys, entities = keys.filter(mask), entities.filter(mask)
    popularity = base.entities.column("popularity").combine_chunks().take(entities).to_numpy()
    mixed = np.random.default_rng(0).permutation(len(keys))  # equals not by the alphabet
    order = mixed[np.argsort(-popularity[mixed], kind="stable")]
    order = order[np.linspace(0, len(order) - 1, min(len(order), _MOST)).astype(np.int64)]
    texts = keys.take(pa.array(order)).to_pylist()
    names = base.entities.column("name").combine_chunks().take(entities.take(pa.array(order)))
    shown = [
        name if name_key == text else text
        for text, name, (name_key, _) in zip(
            texts, names.to_pylist(), surface_keys(names.to_pylist()), strict=True
        )
    ]
    aliases = whole_aliases(texts, base.matcher)
    plurals = [_plural(one) for one in shown]
    # No plural of names, and none that is another word.
    is_plural = (whole_aliases(plurals, base.matcher) == aliases) & (aliases >= 0)
    return [
        Surface(text, one, plural if fits and one.islower() else "")
        for text, one, plural, fits, alias in zip(
            texts, shown, plurals, is_plural.tolist(), aliases.tolist(), strict=True
        )
        if alias >= 0
    ]


def _plural(surface: str) -> str:
    if surface.endswith("y") and surface[-2:-1] not in tuple("aeiou"):
        return f"{surface[:-1]}ies"
    return f"{surface}es" if surface.endswith(("s", "x", "z", "ch", "sh")) else f"{surface}s"


def _matcher(base: KnowledgeBase, keys: pa.Array, stops: Sequence[str]) -> AliasMatcher:
    index = base.matcher.index
    built = build_index(
        keys,
        np.arange(len(keys) + 1),
        np.zeros(len(keys), np.int32),
        np.ones(len(keys), np.float32),
        stops=stops,
        plurals=index.plurals,
        inflection=index.inflection,
    )
    return AliasMatcher(built)


def whole_aliases(surfaces: Sequence[str], matcher: AliasMatcher) -> Ints:
    """``[surfaces]`` row of the alias that each surface is as a whole; -1 if it is none."""
    found = matcher.match(surfaces)
    tokens = np.bincount(found.tokens.texts, minlength=len(surfaces))
    begins = np.cumsum(tokens) - tokens
    texts = found.texts
    is_whole = (found.first == begins[texts]) & (found.last == begins[texts] + tokens[texts] - 1)
    aliases = np.full(len(surfaces), -1, np.int64)
    aliases[texts[is_whole]] = found.aliases[is_whole]
    return aliases
