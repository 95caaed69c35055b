"""What changed from one version of the data set to another, read shard by shard.

*Fresh* shards are those that the new version alone has, or has with other samples: what a crawl
has gained. A sample is told by its uid within its shard; one that is kept in another shard now,
where an earlier copy has turned up, is lost here and gained there.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from openmofi.dataset.causes import Cause
from openmofi.dataset.versions.changed_entities import MOST, EntityChanges, Images, entity_changes
from openmofi.dataset.versions.drift import Counts, Drift, compare, histogram
from openmofi.dataset.versions.version import Dataset, DatasetShard
from openmofi.progress import say
from openmofi.records import Status, from_parquet
from openmofi.versions import sum_counts

# Causes for which the crawl or our own code is to blame, rather than the taste of a rule.
_FAILURES = (Status.MISSING_IMAGE, Status.CORRUPT_IMAGE, Status.FAILED, Cause.TEXT_FAILED)
_SCORES = "entity_scores"
# What decides the result beside the shards. A file's place does not matter, what is in it does.
_RECIPE = (
    "stage_version", "config", "min_score", "knowledge_base", "digests", "checked_against",
    "tombstones", "heads", "calibration", "made_with",
)  # fmt: skip
_PLACES = ("config.evaluation_sets", "config.heads", "config.calibration")

Shards = Mapping[str, DatasetShard]


@dataclass(frozen=True)
class Names:
    """How many there are, and the first `MOST`, sorted."""

    count: int
    first: tuple[str, ...]


@dataclass(frozen=True)
class Changes:
    """From an old version to a new one.

    Args:
        old: Digest of the old version.
        new: Digest of the new one.
        recipe: What differs beside the shards: dotted name, old and new value, null for none.
        shards: ``added``, ``gone``, ``changed`` (the same name, other samples), and of those
            ``shrunk``: they lack samples that they had, whether those were kept or not.
        tables: Of the shards in both, how many have another content, by kind of table.
        counts: Samples by cause in ``old``, ``new`` and ``fresh`` shards.
        failed: Share of samples that the crawl or our code failed, in the same three.
        samples: Kept samples ``gained`` and ``lost``; ``train_to_validation`` and the like, those
            that are kept in both versions and stand in another split.
        entities: Those that came, went, lost all images, and changed their share.
        scores: Scores of the likeliest entity of each picture: fresh shards against all others of
            the new version, so one labeler has scored both. None without either.
    """

    old: str
    new: str
    recipe: Mapping[str, tuple[Any, Any]]
    shards: Mapping[str, Names]
    tables: Mapping[str, int]
    counts: Mapping[str, Mapping[str, int]]
    failed: Mapping[str, float]
    samples: Mapping[str, int]
    entities: EntityChanges
    scores: Drift | None

    def plain(self) -> dict[str, Any]:
        """As it stands in ``changes.json``."""
        made: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return made


def failed_share(counts: Mapping[str, int]) -> float:
    """Share of the samples seen that the crawl or our own code has failed, 0 to 1."""
    seen = sum(counts.values())
    return sum(counts.get(cause, 0) for cause in _FAILURES) / seen if seen else 0.0


def changes(old: Dataset, new: Dataset) -> Changes:
    """Compare two versions; memory holds two vocabularies and one shard of each.

    Raises:
        StorageError: Something that a version names is not there.
    """
    before = {one.shard: one for one in old.shards}
    after = {one.shard: one for one in new.shards}
    differing = _differing_tables(old, new)
    changed = differing.get("samples", set())
    fresh = (after.keys() - before.keys()) | changed
    parts = {
        "old": old.content["counts"],
        "new": new.content["counts"],
        "fresh": sum_counts(after[name].counts for name in sorted(fresh)),
    }
    return Changes(
        old=old.manifest.digest,
        new=new.manifest.digest,
        recipe=_recipe_changes(old.content, new.content),
        shards={
            "added": _names(after.keys() - before.keys()),
            "gone": _names(before.keys() - after.keys()),
            "changed": _names(changed),
            "shrunk": _names(n for n in changed if _has_shrunk(old, before[n], new, after[n])),
        },
        tables={kind: len(names) for kind, names in differing.items()},
        counts={name: dict(counts) for name, counts in parts.items()},
        failed={name: failed_share(counts) for name, counts in parts.items()},
        samples=_sample_changes(old, before, new, after),
        entities=entity_changes(old.vocabulary(), new.vocabulary(), _fresh_images(new, fresh)),
        scores=_score_drift(new, fresh),
    )


def write_changes(new: Dataset, old: Dataset) -> str:
    """Write ``changes.json`` beside the new version's tables; return its key.

    Of an old version that was removed to its vocabulary nothing can be told, and the key is empty.
    """
    if not old.store.exists(old.content["index"]):
        say(f"assemble: {old.uri} was removed but for its classes: what changed is not told")
        return ""
    key = f"datasets/{new.manifest.digest}/changes.json"
    found = changes(old, new).plain()
    text = json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False)
    new.store.put(key, text.encode())
    say(f"assemble: against its parent: {describe_changes(found)}")
    return key


def read_changes(old: Dataset, new: Dataset) -> dict[str, Any]:
    """`Changes.plain` of two versions: as assembly has written it, or made now."""
    key = new.content.get("changes")
    if key:
        found: dict[str, Any] = json.loads(new.store.get(key))
        if found["old"] == old.manifest.digest:
            return found
    return changes(old, new).plain()


def describe_changes(found: Mapping[str, Any]) -> str:
    """`Changes.plain` in one line: what has no number is left out."""
    shards, samples, entities = found["shards"], dict(found["samples"]), found["entities"]
    gained, lost = samples.pop("gained"), samples.pop("lost")
    parts = [
        *(_counted(shards[kind]["count"], "shard", kind) for kind in sorted(shards)),
        _counted(gained, "sample", "gained"),
        _counted(lost, "sample", "lost"),
        _counted(sum(samples.values()), "sample", "in another split"),
        *(_counted(entities[k]["count"], "entity", k) for k in ("new", "gone", "emptied")),
    ]
    if found["counts"]["fresh"]:
        parts.append(f"{found['failed']['fresh']:.1%} of fresh shards' samples failed")
    if found["scores"]:
        index, chance = (found["scores"][name] for name in ("psi", "psi_by_chance"))
        parts.append(f"score drift {index:.2f} ({chance:.2f} by chance)")
    return ", ".join(part for part in parts if part) or "nothing"


def _counted(number: int, noun: str, what: str) -> str:
    plural = {"entity": "entities"}.get(noun, f"{noun}s")
    return f"{number:,} {noun if number == 1 else plural} {what}" if number else ""


def _names(found: Iterable[str]) -> Names:
    ordered = sorted(found)
    return Names(len(ordered), tuple(ordered[:MOST]))


def _recipe_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    before, after = _recipe(old), _recipe(new)
    return {
        name: (before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    }


def _recipe(content: Mapping[str, Any]) -> dict[str, Any]:
    stages = {
        kind: {"version": stage["version"], "config": stage["config"]}
        for kind, stage in content["stages"].items()
    }
    flat = _flat({**{name: content.get(name) for name in _RECIPE}, "stages": stages})
    return {name: value for name, value in flat.items() if not name.startswith(_PLACES)}


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found = {}
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            found.update(_flat(inner, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = inner
    return found


def _differing_tables(old: Dataset, new: Dataset) -> dict[str, set[str]]:
    """By kind that both have: the shards of both whose content differs."""
    found = {}
    for kind in sorted(old.content["table_digests"].keys() & new.content["table_digests"].keys()):
        before = {one.shard: one.content_digest for one in old.tables(kind).shards}
        after = {one.shard: one.content_digest for one in new.tables(kind).shards}
        found[kind] = {n for n in before.keys() & after.keys() if before[n] != after[n]}
    return found


def _has_shrunk(old: Dataset, before: DatasetShard, new: Dataset, after: DatasetShard) -> bool:
    return bool(_uids(old, before) - _uids(new, after))


def _uids(version: Dataset, shard: DatasetShard) -> Counter[str]:
    tables = (version.kept(shard), version.dropped(shard))
    return Counter(uid for table in tables for uid in table.column("uid").to_pylist())


def _sample_changes(old: Dataset, before: Shards, new: Dataset, after: Shards) -> dict[str, int]:
    found = Counter({"gained": 0, "lost": 0})
    for name in before.keys() | after.keys():
        one, other = before.get(name), after.get(name)
        if one is None or other is None:
            found["lost"] += one.kept if one else 0
            found["gained"] += other.kept if other else 0
        elif one.kept_digest != other.kept_digest:
            found.update(_compare_rows(old.kept(one), new.kept(other)))
    return dict(sorted(found.items()))


def _compare_rows(old: pa.Table, new: pa.Table) -> Counter[str]:
    """Of one shard. Where copies are kept, a uid occurs more than once, always in one split."""
    before, after = (Counter(table.column("uid").to_pylist()) for table in (old, new))
    splits = [
        dict(zip(table.column("uid").to_pylist(), table.column("split").to_pylist(), strict=True))
        for table in (old, new)
    ]
    found = Counter(gained=(after - before).total(), lost=(before - after).total())
    for uid, number in (before & after).items():
        came_from, stands_in = (split[uid] for split in splits)
        if came_from != stands_in:
            found[f"{came_from}_to_{stands_in}"] += number
    return found


def _fresh_images(new: Dataset, fresh: set[str]) -> Images:
    """Training images of fresh shards by class, ``int64[classes]``."""
    found = np.zeros(new.content["totals"]["classes"], np.int64)
    for shard in new.shards:
        if shard.shard in fresh:
            kept = new.kept(shard)
            train = pc.equal(kept.column("split"), "train")
            labels = kept.filter(train).column("labels").combine_chunks().flatten()
            found += np.bincount(labels.to_numpy(), minlength=len(found))
    return found


def _score_drift(new: Dataset, fresh: set[str]) -> Drift | None:
    if _SCORES not in new.content["table_digests"] or not fresh:
        return None
    zero = histogram(np.zeros(0, np.float32))
    found: dict[bool, Counts] = {False: zero, True: zero.copy()}
    for entry in new.tables(_SCORES).shards:
        table = from_parquet(new.store.get(entry.table_key))
        likeliest = table.filter(pc.equal(table.column("rank"), 0))
        found[entry.shard in fresh] += histogram(likeliest.column("clip_score").to_numpy())
    return compare(found[False], found[True])
