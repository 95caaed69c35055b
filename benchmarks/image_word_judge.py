"""Which links are right: targets from a gold standard or from class names, and what meets them."""

import json
import math
from collections import Counter
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from openmofi.entities.quality.gold import read_gold, read_sources
from openmofi.labeling.settle import Settled, settle
from openmofi.shards import TarReader, index_tar


class Links(NamedTuple):
    """All candidates of all mentions, with what text and image say of each."""

    table: pa.Table  # shard, key, row, mention, start, end, entity_id, rank, context_score, …
    numbers: np.ndarray  # [candidates] of the mention, over all shards
    scale: float  # the model's own weight of a cosine


class Target(NamedTuple):
    """A mention whose entity is known."""

    place: Hashable  # of a mention, as `Judge.places` says it
    ids: tuple[str, ...]  # any of them is right
    ambiguous: bool
    groups: tuple[str, ...]
    half: int


class Judge(NamedTuple):
    """What is to be found, and how candidates say where they are."""

    targets: list[Target]
    places: list[Hashable]  # [candidates]


def rows_of(table: pa.Table, *names: str) -> list[Any]:
    """Some columns as tuples."""
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


def read_jsons(folder: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Shard, key and KEY.json of every sample, in the order of the tars."""
    for path in sorted(folder.glob("*.tar")):
        with TarReader(path) as tar:
            for sample in index_tar(path):
                member = sample.members["json"]
                yield path.stem, sample.key, json.loads(tar.read(member.offset, member.length))


def by_gold(links: Links, gold: Path, pairs: Path, without: str) -> Judge:
    """Targets are gold mentions; a candidate says its span."""
    captions = read_gold(gold)
    sources = read_sources(captions, pairs)
    targets = []
    for number, (sample, caption) in enumerate(captions.items()):
        source = sources[sample]
        group = source.split("/")[0]
        kept = () if source.startswith(without) else (f"without {without}",)
        for one in caption.mentions:
            place = (*sample, one.start, one.end)
            targets.append(Target(place, one.ids, one.ambiguous, (*kept, group), number % 2))
    return Judge(targets, rows_of(links.table, "shard", "key", "start", "end"))


def by_class(links: Links, pairs: Path) -> Judge:
    """Targets are photographs; the longest mention of each says its number."""
    table = links.table
    sizes = np.bincount(links.numbers)
    samples = rows_of(table, "shard", "key")
    lengths = table["end"].to_numpy() - table["start"].to_numpy()
    longest: dict[Hashable, tuple[int, int]] = {}
    for sample, length, number in zip(samples, lengths.tolist(), links.numbers, strict=True):
        if length > longest.get(sample, (0, 0))[0]:
            longest[sample] = (length, int(number))
    targets = []
    for number, (shard, key, content) in enumerate(read_jsons(pairs)):
        _, mention = longest.get((shard, key), (0, -1))
        several = mention >= 0 and bool(sizes[mention] > 1)
        group = (
            "no mention" if mention < 0 else "several candidates" if several else "one candidate"
        )
        targets.append(Target(mention, (content["wordnet_id"],), several, (group,), number % 2))
    return Judge(targets, links.numbers.tolist())


class Outcome(NamedTuple):
    """Of each target: whether its link is right, and the link's posterior (nan: not found)."""

    right: np.ndarray
    posterior: np.ndarray


def settle_links(links: Links, weight: float) -> Settled:
    """What `label_images` does, with any weight."""
    table = links.table
    ids = table["entity_id"].combine_chunks()
    numbers = pc.index_in(ids, value_set=ids.unique().sort()).to_numpy().astype(np.int64)
    context, cosines, ranks = (
        table[name].to_numpy() for name in ("context_score", "clip_score", "rank")
    )
    if weight == 0:
        cosines = np.zeros_like(cosines)  # the text alone must not see the picture, in ties neither
    return settle(links.numbers, context, cosines, ranks, numbers, weight)


def outcome(links: Links, judge: Judge, weight: float) -> Outcome:
    """Settle all mentions with a weight and look at the targets."""
    settled = settle_links(links, weight)
    names = links.table["entity_id"].to_pylist()
    chosen = {judge.places[i]: i for i in np.flatnonzero(settled.best).tolist()}
    found = [chosen.get(target.place, -1) for target in judge.targets]
    right = [i >= 0 and names[i] in one.ids for i, one in zip(found, judge.targets, strict=True)]
    posterior = [float(settled.posterior[i]) if i >= 0 else math.nan for i in found]
    return Outcome(np.array(right), np.array(posterior))


def within_reach(links: Links, judge: Judge) -> np.ndarray:
    """Which targets have a right entity among their candidates."""
    names = links.table["entity_id"].to_pylist()
    pairs = set(zip(judge.places, names, strict=True))
    return np.array([any((one.place, i) in pairs for i in one.ids) for one in judge.targets])


def groups_of(judge: Judge) -> dict[str, np.ndarray]:
    """Targets by group: all, ambiguous ones, then each kind by size."""
    ambiguous = np.array([one.ambiguous for one in judge.targets])
    found = {"all": np.ones(len(ambiguous), np.bool_), "ambiguous": ambiguous}
    names = Counter(name for one in judge.targets for name in one.groups)
    for name, _ in names.most_common():
        found[name] = np.array([name in one.groups for one in judge.targets])
        if name.startswith("without"):
            found[f"{name}, ambiguous"] = found[name] & ambiguous
    return found


def check(links: Links) -> None:
    """Leave unless `label_images` has written what is judged here."""
    best = settle_links(links, links.scale).best
    keys = rows_of(links.table, "shard", "row", "entity_id")
    settled = {key for key, one in zip(keys, best, strict=True) if one}
    flags = links.table["settled"].to_pylist()
    written = {key for key, one in zip(keys, flags, strict=True) if one}
    if settled != written:
        raise SystemExit(f"{len(settled ^ written)} entities are settled in another way")
