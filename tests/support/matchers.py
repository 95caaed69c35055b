"""Small matchers, and texts of all scripts to try them on."""

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from openmofi.entities.index_build import build_index
from openmofi.entities.matcher import AliasMatcher
from openmofi.entities.text import surface_key
from support.matcher_twin import Mention

Array = npt.NDArray[np.generic]

SCRIPTS: Mapping[str, tuple[str, ...]] = {
    "latin": ("a", "B", "b", "s", "es", "ies", "y", "men", "man", "as", "bies", "e", "x"),
    "gaps": (" ", "  ", "-", "_", "\u00a0", "\u3000", "\t", ". ", ", ", ".", ",", "'",
             "\u2019", "'s"),
    "numbers": ("0", "7", "0.5", "\u00bd", "\u2460", "\uff11", "\u0663", "\u2075", "\u32c8"),
    "case": ("\u00df", "\u1e9e", "\u03a3", "\u03c3", "\u03c2", "\u0130", "\u0131", "I", "i",
             "\u0149", "\u01f0", "\u1fb3", "\u0345", "\u01c5", "\uff21"),
    "ligatures": ("\ufb01", "\ufb03", "\ufdfa", "\u2122", "\u2026", "\u2100", "\u3392", "\u2033"),
    "marks": ("\u0301", "\u0308", "\u0323", "\u0327", "\u0316", "\u0321", "\u20dd", "\u00e9",
              "e\u0301", "\u1ead", "a\u0302\u0323", "=\u0338"),
    "kana": ("\uff76", "\uff9e", "\uff8a", "\uff9f", "\u30ac", "\u30ab\u3099", "\u304b", "\u309b"),
    "hangul": ("\u1100", "\u1161", "\u11a8", "\uac00", "\uac01", "\u3131", "\u314f", "\uffa1",
               "\uffc2", "\u1160"),
    "indic": ("\u0915", "\u094d", "\u093c", "\u09c7", "\u09be", "\u0e19", "\u0e49", "\u0e33",
              "\u0e01", "\u0628", "\u064b", "\u0651", "\u0640"),
    "han": ("\u5317", "\u4eac", "\U00020000", "\U0002f81a", "\uf900", "\u3005"),
    "emoji": ("\U0001f98a", "\u2764", "\ufe0f", "\u200d", "\U0001f3fd", "\U0001f1e9", "+", "#",
              "\U000e0101", "\U000e0067"),
    "hidden": ("\u00ad", "\u200b", "\u200c", "\u2060", "\ufeff", "\u202e", "\x00", "\x85"),
    "borders": ("\ud7ff", "\ue000", "\uffff", "\U00010000", "\U00010400", "\U0010ffff",
                "\U0001d56c", "\U0001ffff"),
    "halves": ("\ud800", "\udfff", "\udc80"),
}  # fmt: skip
UNITS = [unit for script in SCRIPTS.values() for unit in script]

# Mostly units of a few scripts, so that neighbours meet that do something to each other.
units = st.lists(st.sampled_from(sorted(SCRIPTS)), min_size=1, max_size=3).flatmap(
    lambda names: st.lists(
        st.sampled_from([u for name in (*names, "latin", "gaps") for u in SCRIPTS[name]]),
        min_size=1,
        max_size=14,
    )
)
mixed = st.lists(st.sampled_from(UNITS), max_size=10)
texts = st.one_of(units.map("".join), mixed.map("".join), st.text())


def respelled(text: str, way: int) -> str:
    """The text as it is, or in another case or normal form."""
    ways = (str, str.upper, str.title, _composed, _decomposed)
    return ways[way % len(ways)](text)


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def matcher(
    *aliases: str, stops: Iterable[str] = (), plurals: Mapping[str, str] | None = None
) -> AliasMatcher:
    """A matcher in which each alias has one candidate, its own number."""
    keys = sorted({surface_key(alias) for alias in aliases} - {""}, key=str.encode)
    rows = np.arange(len(keys) + 1)
    index = build_index(
        keys,
        rows,
        rows[:-1].astype(np.int32),
        np.ones(len(keys), np.float32),
        stops=[surface_key(stop) for stop in stops],
        plurals=plurals,
    )
    return AliasMatcher(index)


def mentions(one: AliasMatcher, text: str, *, nested: bool = False) -> list[Mention]:
    """What the matcher finds, in the twin's words."""
    found = one.match([text], nested=nested)
    columns = (found.starts, found.ends, map(one.index.key, found.aliases.tolist()), found.nested)
    return [
        Mention(int(a), int(b), key, bool(inside))
        for a, b, key, inside in zip(*columns, strict=True)
    ]


def put(place: object, value: object) -> Callable[[Array], Array]:
    """A change of one element."""

    def change(array: Array) -> Array:
        array[place] = value
        return array

    return change


def rewrite(path: Path, change: Callable[[Array], Array]) -> None:
    """Change the array in a ``.npy`` file."""
    np.save(path, change(np.load(path)))
