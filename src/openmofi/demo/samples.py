"""What each sample of a crawl is, and its files. Every sample depends on the seed and its index."""

import hashlib
import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from openmofi.demo.captions import write_caption, write_title
from openmofi.demo.domain import Domain, Entity
from openmofi.demo.lettering import letter
from openmofi.demo.noise import FAME_POWER, FAULTS, RENDERED_TEXT, TEXT_KINDS

Seed = tuple[int, ...]

_WIDTHS, _HEIGHTS = (72, 80, 88, 96), (64, 72, 80, 88)
_LETTERED_WIDTHS, _LETTERED_HEIGHTS = (88, 96), (72, 80, 88, 96)  # a name has to fit
_PAGE = b"<!DOCTYPE html><html><head><title>404 Not Found</title></head><body>404</body></html>"


@dataclass(frozen=True)
class SamplePlan:
    """What is decided about a sample before it is drawn.

    Args:
        index: In the crawl.
        entity: Index into ``domain.drawn`` of what is shown.
        kind: A key of ``noise.TEXT_KINDS``.
        lettered: Whether text is rendered into the image.
        fault: A key of ``noise.FAULTS``, or "".
        original: Index of the sample that this one repeats, or its own.
    """

    index: int
    entity: int
    kind: str
    lettered: bool
    fault: str
    original: int


@dataclass(frozen=True)
class MadeSample:
    """The bytes of one sample's image, its texts, and the truth about it."""

    image: bytes
    text: str
    metadata: dict[str, Any]
    truth: dict[str, Any]


def plan_samples(domain: Domain, pairs: int, seed: Seed) -> list[SamplePlan]:
    """Share out kinds, faults and entities. Shares are met exactly, up to rounding."""
    rng = np.random.default_rng([*seed, 0])
    kinds = share_out(TEXT_KINDS, pairs, rng)
    faults = share_out({**FAULTS, "": 1 - sum(FAULTS.values())}, pairs, rng)
    lettered = share_out({"yes": RENDERED_TEXT, "": 1 - RENDERED_TEXT}, pairs, rng)
    entities = _draw_entities(domain, kinds, rng)
    plans: list[SamplePlan] = []
    sound: list[int] = []
    for index in range(pairs):
        fault, original, entity, text = faults[index], index, entities[index], lettered[index]
        if fault.endswith("duplicate"):
            if sound:
                original = sound[int(rng.integers(len(sound)))]
                entity, text = plans[original].entity, "yes" if plans[original].lettered else ""
            else:  # the first sample has nothing to repeat
                fault = ""
        has_text = (
            bool(text) and kinds[original] != "none" and fault not in ("tiny", "not_an_image")
        )
        plans.append(SamplePlan(index, entity, kinds[index], has_text, fault, original))
        if not fault:
            sound.append(index)
    return plans


def share_out(shares: dict[str, float], count: int, rng: np.random.Generator) -> list[str]:
    """``count`` names in random order, each as often as its share says."""
    edges = np.cumsum([0.0, *shares.values()]) / sum(shares.values()) * count
    names = [n for n, a, b in zip(shares, edges, edges[1:], strict=False)
             for _ in range(round(float(b)) - round(float(a)))]  # fmt: skip
    return [names[int(i)] for i in rng.permutation(count)]


def _draw_entities(domain: Domain, kinds: list[str], rng: np.random.Generator) -> list[int]:
    weights = np.array([entity.prior**FAME_POWER for entity in domain.drawn])
    entities = rng.choice(len(weights), len(kinds), p=weights / weights.sum())
    with_namesakes = [
        i for i, entity in enumerate(domain.drawn)
        if entity.entity_id in domain.wording.namesakes and entity.place
    ]  # fmt: skip
    placed = rng.choice(with_namesakes, len(kinds))
    return [int(placed[i] if kind == "placed" else entities[i]) for i, kind in enumerate(kinds)]


def make_sample(domain: Domain, plans: list[SamplePlan], index: int, seed: Seed) -> MadeSample:
    """Draw, letter, spoil and describe one sample."""
    plan = plans[index]
    shown = domain.drawn[plan.entity]
    rng = np.random.default_rng([*seed, 1, index])
    caption = write_caption(domain, plan.kind, shown, rng)
    title = write_title(plan.kind, shown, rng)
    image, lettering = _original_image(domain, plans[plan.original], seed)
    rng = np.random.default_rng([*seed, 2, index])
    data, size = _encode(image, plan, seed, rng)
    metadata = {
        "url": f"https://images.example/{rng.bytes(6).hex()}.jpg",
        "caption": caption.text, "title": title, "license": "CC0-1.0",
        "status": "success", "error_message": None,
        "width": size[0], "height": size[1], "original_width": size[0], "original_height": size[1],
        "exif": "{}", "sha256": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip
    truth = {
        "entity_ids": [] if plan.fault == "not_an_image" else [shown.entity_id],
        "kind": caption.kind, "named": list(caption.named),
        "has_text": bool(lettering), "lettering": lettering, "fault": plan.fault or None,
    }  # fmt: skip
    return MadeSample(data, caption.text, metadata, truth)


def _original_image(domain: Domain, plan: SamplePlan, seed: Seed) -> tuple[Image.Image, str]:
    """The picture before it is encoded, and the text in it."""
    shown = domain.drawn[plan.entity]
    rng = np.random.default_rng([*seed, 3, plan.index])
    widths = _LETTERED_WIDTHS if plan.lettered else _WIDTHS
    heights = _LETTERED_HEIGHTS if plan.lettered else _HEIGHTS
    size = (int(rng.choice(widths)), int(rng.choice(heights)))
    image = domain.render(shown.entity_id, rng, size)
    if not plan.lettered:
        return image, ""
    # The text repeats the caption that the original has, whatever a duplicate's caption says.
    own = np.random.default_rng([*seed, 1, plan.index])
    caption = write_caption(domain, plan.kind, shown, own)
    return image, letter(image, caption.lettering, rng)


def _encode(
    image: Image.Image, plan: SamplePlan, seed: Seed, rng: np.random.Generator
) -> tuple[bytes, tuple[int, int]]:
    """The file's bytes, spoilt as planned, and the size that the crawler saw."""
    # A duplicate's original decides the quality, so that exact duplicates have the same bytes.
    quality = int(np.random.default_rng([*seed, 4, plan.original]).integers(45, 96))
    match plan.fault:
        case "not_an_image":
            return _PAGE, image.size
        case "tiny":
            image = image.resize((8, 8))
        case "near_duplicate":
            share = rng.uniform(0.85, 0.95)
            image = image.resize((round(image.width * share), round(image.height * share)))
            quality = int(rng.integers(50, 80))
    data = to_jpeg(image, quality)
    if plan.fault == "truncated":
        data = data[: int(len(data) * rng.uniform(0.3, 0.7))]
    return data, image.size


def to_jpeg(image: Image.Image, quality: int) -> bytes:
    """JPEG bytes; ``quality`` 1 to 95."""
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=quality)
    return sink.getvalue()


def sample_files(key: str, made: MadeSample) -> dict[str, bytes]:
    """The members of a sample in img2dataset's tars."""
    metadata = {"key": key, **made.metadata}
    return {
        "jpg": made.image,
        "txt": made.text.encode(),
        "json": json.dumps(metadata, ensure_ascii=False).encode(),
    }


def evaluation_image(domain: Domain, entity: Entity, number: int, seed: Seed) -> bytes:
    """A held-out photograph without text or faults; JPEG."""
    place = [one.entity_id for one in domain.drawn].index(entity.entity_id)
    rng = np.random.default_rng([*seed, place, number])
    size = (int(rng.choice(_WIDTHS)), int(rng.choice(_HEIGHTS)))
    image = domain.render(entity.entity_id, rng, size)
    return to_jpeg(image, int(rng.integers(45, 96)))
