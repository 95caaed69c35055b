"""Assembly again, as slowly and plainly as its rules can be told: loops over dictionaries.

Written from the documented rules (`dataset.config`, `dataset.causes`, docs/labeling.md,
docs/text-regions.md), to be compared with `assemble_dataset`. It shares no code with it but the
config, whose defaults are the rules' own.
"""

import fnmatch
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from openmofi.dataset.config import AssembleConfig
from openmofi.keys import hash_bytes

_LARGEST_TEXT = 0.2  # of the picture, where boxes had no second look


@dataclass(frozen=True)
class Sample:
    """One pair and all that the stages recorded of it."""

    place: str  # "shard/row"
    uid: str
    image_id: str
    phash: int | None = None
    status: str = "ok"
    url: str | None = None
    licence: str | None = None
    no_ai: bool | None = None
    scores: Mapping[str, tuple[float, bool]] = field(default_factory=dict)  # score and settled
    mentions: Sequence[tuple[str, float]] = ()  # entity and its likelihood by the text
    boxes: Sequence[tuple[float, float]] = ()  # confidence and area
    text_status: str = "ok"
    masked: float | str = "skipped"  # the score, or why there is none
    vector: Sequence[float] | None = None


@dataclass(frozen=True)
class HeldOut:
    """Images of the evaluation sets."""

    ids: Collection[str] = ()
    hashes: Collection[int] = ()


@dataclass
class Decisions:
    """By place: why a sample is out or that it is kept; of the kept, labels and split."""

    causes: dict[str, str]
    labels: dict[str, list[str]]
    splits: dict[str, str]


def decide(
    samples: Sequence[Sample],
    config: AssembleConfig,
    forgotten: Collection[str] = (),
    held_out: HeldOut | None = None,
) -> Decisions:
    """All decisions over a pool.

    Args:
        samples: In the pool's order.
        config: The rules. Of heads, the score is the first number of an embedding.
        forgotten: Lines of the tombstones.
        held_out: What is evaluated on.
    """
    found = held_out or HeldOut()
    causes = {s.place: _alone(s, config, forgotten, found) for s in samples}
    labels = {s.place: _labels(s, config) for s in samples}
    staying = [s for s in samples if not causes[s.place]]
    cluster = {s.place: s for s in staying}
    if config.duplicates.drop:
        staying = _without_repeats(staying, config, causes, labels)
    else:
        cluster = _hanging_together(staying, config)
    chosen = _limited(staying, config, causes, labels)
    kept = [s for s in staying if not causes[s.place]]
    return Decisions(
        causes={place: cause or "kept" for place, cause in causes.items()},
        labels={s.place: chosen[s.place] for s in kept},
        splits={s.place: _split(cluster[s.place], config) for s in kept},
    )


def _alone(
    sample: Sample, config: AssembleConfig, forgotten: Collection[str], held_out: HeldOut
) -> str:
    """Why a sample is out, whatever the others are; the first reason counts."""
    url = f"url:{hash_bytes(sample.url.encode())}" if sample.url else ""
    reasons: list[tuple[str, Callable[[], bool]]] = [
        (sample.status, lambda: sample.status != "ok"),
        ("taken_down", lambda: bool({sample.uid, sample.image_id, url} & set(forgotten))),
        ("evaluation_overlap", lambda: _is_held_out(sample, config, held_out)),
        ("licence", lambda: not _is_licensed(sample, config)),
        ("no_ai", lambda: config.rights.drop_no_ai and sample.no_ai is True),
        (_text(sample, config), lambda: bool(_text(sample, config))),
        ("image_score", lambda: not _is_within_bounds(sample, config)),
        ("no_entity", lambda: config.require_entities and not _labels(sample, config)),
    ]
    return next((reason for reason, holds in reasons if holds()), "")


def _is_held_out(sample: Sample, config: AssembleConfig, held_out: HeldOut) -> bool:
    if sample.image_id in held_out.ids:
        return True
    bits = config.evaluation_bits
    return bits is not None and any(_differ(sample.phash, h) <= bits for h in held_out.hashes)


def _differ(one: int | None, other: int | None) -> int:
    return 65 if one is None or other is None else (one ^ other).bit_count()


def _is_licensed(sample: Sample, config: AssembleConfig) -> bool:
    patterns = config.rights.licences
    if patterns is None:
        return True
    if not sample.licence:
        return "" in patterns
    return any(p and fnmatch.fnmatchcase(sample.licence.lower(), p.lower()) for p in patterns)


def _text(sample: Sample, config: AssembleConfig) -> str:
    rule = config.text
    if not rule.drop_text:
        return ""
    if sample.text_status == "failed":
        return "text_failed"
    largest = _LARGEST_TEXT if rule.max_area is None else rule.max_area
    if not any(
        confidence >= rule.min_confidence and rule.min_area <= area <= largest
        for confidence, area in sample.boxes
    ):
        return ""
    if rule.policy == "any_text" or sample.masked == "skipped":
        return "text_region"
    if sample.masked == "failed":
        return "text_failed"
    assert rule.min_masked_score is not None
    return "text_dependent" if float(sample.masked) < rule.min_masked_score else ""


def _is_within_bounds(sample: Sample, config: AssembleConfig) -> bool:
    for bounds in config.heads.values():
        if sample.vector is None:
            return False
        score = np.float16(sample.vector[0])
        if bounds.min is not None and score < bounds.min:
            return False
        if bounds.max is not None and score > bounds.max:
            return False
    return True


def _labels(sample: Sample, config: AssembleConfig) -> dict[str, float]:
    """Entities that a sample shows, and how well."""
    least = config.min_context_score or 0
    likely = {entity for entity, context in sample.mentions if context >= least}
    return {
        entity: score
        for entity, (score, settled) in sample.scores.items()
        if settled and entity in likely and score >= config.min_score
    }


def _same(kind: str, one: Sample, other: Sample, config: AssembleConfig) -> bool:
    if kind == "duplicate_exact":
        return one.image_id == other.image_id
    if kind == "duplicate_perceptual":
        bits = config.duplicates.perceptual_bits
        return bits is not None and _differ(one.phash, other.phash) <= bits
    cosine = config.duplicates.embedding_cosine
    if cosine is None or one.vector is None or other.vector is None:
        return False
    left, right = (np.asarray(s.vector, np.float16).astype(float) for s in (one, other))
    return float(left @ right) / float(np.linalg.norm(left) * np.linalg.norm(right)) >= cosine


_KINDS = ("duplicate_exact", "duplicate_perceptual", "duplicate_embedding")


def _without_repeats(
    staying: list[Sample],
    config: AssembleConfig,
    causes: dict[str, str],
    labels: dict[str, dict[str, float]],
) -> list[Sample]:
    """The samples that repeat none before them; the first that a repeat is like gets its labels.

    One kind after the other, so that what was dropped for its bytes is like nothing by its looks.
    """
    for kind in _KINDS:
        still: list[Sample] = []
        for sample in staying:
            first = next((s for s in still if _same(kind, s, sample, config)), None)
            if first is None:
                still.append(sample)
                continue
            causes[sample.place] = kind
            for entity, score in labels[sample.place].items():
                best = labels[first.place].get(entity, score)
                labels[first.place][entity] = max(best, score)
        staying = still
    return staying


def _hanging_together(samples: list[Sample], config: AssembleConfig) -> dict[str, Sample]:
    """The earliest of all that a sample is linked with over any number of like samples."""
    earliest: dict[str, Sample] = {}
    for first in samples:
        reached = [first]
        for one in reached:
            if one.place in earliest:
                continue
            earliest[one.place] = first
            reached += [s for s in samples if any(_same(k, one, s, config) for k in _KINDS)]
    return earliest


def _limited(
    staying: list[Sample],
    config: AssembleConfig,
    causes: dict[str, str],
    labels: dict[str, dict[str, float]],
) -> dict[str, list[str]]:
    """Labels of every sample, best first; who loses all, or stands beyond a cap, gets a cause."""
    chosen = {}
    for sample in staying:
        found = labels[sample.place]
        best = sorted(found, key=lambda entity, found=found: (-found[entity], entity))
        chosen[sample.place] = best[: config.max_labels_per_image]
    images: dict[str, list[Sample]] = {}
    for sample in staying:
        for entity in chosen[sample.place]:
            images.setdefault(entity, []).append(sample)
    for sample in staying:
        enough = [e for e in chosen[sample.place] if len(images[e]) >= config.min_images_per_entity]
        chosen[sample.place] = enough
        if config.require_entities and not enough:
            causes[sample.place] = "rare_entity"
    cap = config.max_images_per_entity
    if cap is not None:
        for sample in staying:
            if not causes[sample.place] and not any(
                _place_in_cap(sample, images[entity], config.seed) < cap
                for entity in chosen[sample.place]
            ):
                causes[sample.place] = "entity_cap"
    return chosen


def _place_in_cap(sample: Sample, images: list[Sample], seed: int) -> int:
    """How many images of an entity come before this one, in an order of hashes."""
    return sorted(images, key=lambda s: _md5(f"{seed}/cap/{s.uid}")).index(sample)


def _split(first: Sample, config: AssembleConfig) -> str:
    share = int(_md5(f"{config.seed}/split/{first.image_id}")[:8], 16)
    return "validation" if share < int(config.validation_share * 2**32) else "train"


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
