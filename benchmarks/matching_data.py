"""Seeded aliases and alt texts at the size of a real knowledge base, made in seconds.

Words are drawn by Zipf's law; many aliases are shared by several entities. Nothing here is real,
and nothing is taken from the code that is measured. 5,000,000 pairs of 2,000,000 entities are about
4.45 million distinct strings, 0.42 million of which name several entities.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

VOCABULARY = 400_000
# Share of aliases of 1, 2, … words: few of one, or the vocabulary itself would soon be used up.
_ALIAS_WORDS = (0.06, 0.50, 0.27, 0.12, 0.05)
_COMMON = 0.45  # share of an alias's words drawn by Zipf's law; the others are any word
_NAMESAKES = 0.08  # share of pairs that repeat the alias of another pair
_EXPONENT = 1.0
_TEXT_WORDS = 14  # mean, without the alias that each text spells


@dataclass(frozen=True)
class Aliases:
    """Alias-entity pairs."""

    names: list[str]  # [pairs], lower case, one space between words
    entities: npt.NDArray[np.int64]  # [pairs]


@dataclass(frozen=True)
class Postings:
    """Distinct surfaces and whom they name."""

    surfaces: pa.Array  # [surfaces], sorted
    starts: npt.NDArray[np.int64]  # [surfaces + 1]
    entities: npt.NDArray[np.int32]  # [pairs]
    priors: npt.NDArray[np.float32]  # [pairs], all namesakes alike


def make_words(generator: np.random.Generator, count: int = VOCABULARY) -> npt.NDArray[np.object_]:
    """Distinct words; frequent ones are short."""
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    shares = 1 / (np.arange(26) + 3)
    longest = 12
    drawn = generator.choice(letters, (2 * count, longest), p=shares / shares.sum())
    lengths = np.clip(generator.normal(np.linspace(4, 9, 2 * count), 1.5), 2, longest).astype(int)
    words = ["".join(row[:n]) for row, n in zip(drawn.tolist(), lengths.tolist(), strict=True)]
    distinct = list(dict.fromkeys(words))[:count]
    if len(distinct) < count:
        raise RuntimeError("too few distinct words; draw more")
    return np.array(distinct, dtype=np.object_)


def zipf(generator: np.random.Generator, size: int, count: int) -> npt.NDArray[np.int64]:
    """Ranks 0 … count - 1, with P(rank) ~ 1 / (rank + 10)."""
    weights = 1 / (np.arange(count) + 10.0) ** _EXPONENT
    cumulative = np.cumsum(weights)
    drawn = generator.random(size) * cumulative[-1]
    ranks: npt.NDArray[np.int64] = np.searchsorted(cumulative, drawn)
    return ranks


def make_aliases(
    generator: np.random.Generator, words: npt.NDArray[np.object_], entities: int, pairs: int
) -> Aliases:
    """``pairs`` aliases of ``entities`` entities; each has one at least."""
    repeats = int(pairs * _NAMESAKES)
    fresh = pairs - repeats
    lengths = generator.choice(np.arange(1, 6), fresh, p=_ALIAS_WORDS)
    total = int(lengths.sum())
    common = generator.random(total) < _COMMON
    ranks = np.where(
        common,
        zipf(generator, total, len(words)),
        generator.integers(0, len(words), total),
    )
    drawn = words[ranks].tolist()
    ends = np.cumsum(lengths)
    begins = (ends - lengths).tolist()
    names = [" ".join(drawn[b:e]) for b, e in zip(begins, ends.tolist(), strict=True)]
    names += [names[place] for place in generator.integers(0, fresh, repeats).tolist()]
    owners = np.concatenate(
        (np.arange(entities), generator.integers(0, entities, max(0, pairs - entities)))
    )[:pairs]
    return Aliases(names, owners)


def keep_surfaces(aliases: Aliases, count: int) -> Aliases:
    """The pairs of the first ``count`` distinct aliases."""
    codes = pa.array(aliases.names).dictionary_encode().indices.to_numpy()
    kept = codes < count
    names = [name for name, keep in zip(aliases.names, kept.tolist(), strict=True) if keep]
    return Aliases(names, aliases.entities[kept])


def make_postings(aliases: Aliases) -> Postings:
    """Pairs by surface, surfaces in the order of their bytes."""
    encoded = pa.array(aliases.names).dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    surface = ranks[encoded.indices.to_numpy()]  # [pairs]
    counts = np.bincount(surface, minlength=len(order))
    by_surface = np.argsort(surface, kind="stable")
    return Postings(
        surfaces=encoded.dictionary.take(pa.array(order)),
        starts=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        entities=aliases.entities[by_surface].astype(np.int32),
        priors=np.repeat(1 / counts, counts).astype(np.float32),
    )


def make_texts(
    generator: np.random.Generator, words: npt.NDArray[np.object_], aliases: Aliases, count: int
) -> list[str]:
    """Alt texts of about 16.6 words; each spells an alias, one word in five is capitalised."""
    texts = []
    lengths = np.clip(generator.poisson(_TEXT_WORDS, count), 1, None)
    ranks = zipf(generator, int(lengths.sum()), len(words))
    drawn = words[ranks].tolist()
    upper = generator.random(len(drawn)) < 0.2
    drawn = [word.capitalize() if big else word for word, big in zip(drawn, upper, strict=True)]
    named = generator.integers(0, len(aliases.names), count).tolist()
    place = 0
    for length, alias in zip(lengths.tolist(), named, strict=True):
        texts.append(" ".join([*drawn[place : place + length], aliases.names[alias].title()]))
        place += length
    return texts


def write_data(
    folder: Path, size: tuple[int, int, int | None], texts: int, slices: int
) -> dict[str, float]:
    """Write what the matchers read.

    ``surfaces.txt`` and ``texts-<slice>.txt`` hold one string a line; ``surfaces.arrow`` and
    ``postings.npz`` the same surfaces and whom they name.

    Args:
        folder: Destination; exists.
        size: Entities, pairs, and of the distinct surfaces how many to keep (all if None).
        texts: Alt texts of a slice.
        slices: How many slices; no text is in two but by chance.

    Returns:
        Counts that describe the data.
    """
    entities, pairs, limit = size
    generator = np.random.default_rng(0)
    words = make_words(generator)
    aliases = make_aliases(generator, words, entities, pairs)
    if limit is not None:
        aliases = keep_surfaces(aliases, limit)
    lines = make_texts(generator, words, aliases, texts * slices)
    for part in range(slices):
        slice_lines = lines[part * texts : (part + 1) * texts]
        (folder / f"texts-{part}.txt").write_text("\n".join(slice_lines))
    postings = make_postings(aliases)
    _write_postings(folder, postings)
    return {
        "entities": len(np.unique(postings.entities)),
        "pairs": len(aliases.names),
        "surfaces": len(postings.surfaces),
        "homonyms": int((np.diff(postings.starts) > 1).sum()),
        "tokens_per_text": sum(line.count(" ") + 1 for line in lines) / len(lines),
    }


def _write_postings(folder: Path, postings: Postings) -> None:
    (folder / "surfaces.txt").write_text("\n".join(postings.surfaces.to_pylist()))
    np.savez(
        folder / "postings.npz",
        starts=postings.starts,
        entities=postings.entities,
        priors=postings.priors,
    )
    table = pa.table({"surface": postings.surfaces})
    with pa.ipc.new_file(folder / "surfaces.arrow", table.schema) as file:
        file.write_table(table)
