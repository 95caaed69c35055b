"""Small pools and rules at random, and their tables: what the twin of assembly is held against."""

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from openmofi.keys import content_digest, hash_bytes
from openmofi.labeling.masked import regions_recipe
from openmofi.records import (
    ENTITY_SCORES,
    MASKED_SCORES,
    MENTIONS,
    SAMPLES,
    TEXT_REGIONS,
    from_rows,
    image_embeddings_schema,
    to_parquet,
)
from openmofi.storage import Store, open_store
from openmofi.versions import ShardEntry, TableVersion, read_table_version, write_table_version
from support.assembly_twin import HeldOut, Sample

DIM = 4
LIMITS = {"min_confidence": 0.3, "min_area": 0.0, "max_area": 0.5}
_STEP = math.radians(8)  # between neighbours; two steps are 0.961 apart
_COSINE = 0.978


@dataclass(frozen=True)
class Picture:
    """What all samples of one image share."""

    image_id: str
    phash: int
    vector: tuple[float, ...] | None


def random_pool(seed: int, entities: Sequence[str], held_out: HeldOut) -> list[Sample]:
    """Samples of one to three shards, in the pool's order."""
    rng = random.Random(seed)
    pictures = _pictures(rng, rng.randint(12, 30), held_out)
    samples = []
    for shard in "abc"[: rng.choice([1, 2, 2, 3])]:
        for row in range(rng.randint(8, 24)):
            samples.append(_sample(rng, f"{shard}/{row}", rng.choice(pictures), entities))
    return samples


def random_rules(seed: int, entities_needed: bool) -> dict[str, Any]:
    """A config of `AssembleConfig`; evaluation sets and heads' files are added by the test."""
    rng = random.Random(f"rules {seed}")
    fewest = rng.choice([1, 1, 2, 3])
    config: dict[str, Any] = {
        "require_entities": entities_needed,
        "min_score": rng.choice([0.2, 0.25, 0.3]),
        "min_context_score": rng.choice([None, 0.5]),
        "rights": {
            "drop_no_ai": rng.random() < 0.7,
            "licences": rng.choice([None, None, None, None, ["cc-*", ""], ["CC-BY*", ""], ["*"]]),
        },
        "text": rng.choice(
            [
                {},
                {"drop_text": False},
                {"min_confidence": 0.6, "max_area": 0.5},
                {"policy": "text_dependent", "min_masked_score": 0.2},
                {"policy": "text_dependent", "min_masked_score": 0.3},
                {"policy": "text_dependent", "min_masked_score": 0.3, "max_area": 0.4},
            ]
        ),
        "duplicates": {
            "drop": rng.random() < 0.65,
            "perceptual_bits": rng.choice([None, 0, 2, 4, 4]),
            "embedding_cosine": rng.choice([None, _COSINE]),
        },
        "evaluation_bits": rng.choice([None, 2, 4]),
        "min_images_per_entity": fewest,
        "max_labels_per_image": rng.choice([None, None, 1, 2]),
        "validation_share": rng.choice([0, 0.3, 0.5]),
        "seed": rng.randint(0, 3),
    }
    if rng.random() < 0.4:  # nearly all are left to be compared with each other
        calm = {"rights": {"drop_no_ai": False}, "text": {"drop_text": False}, "min_score": 0.15}
        config |= {**calm, "min_context_score": None, "evaluation_bits": None}
    if entities_needed:
        config["max_images_per_entity"] = rng.choice([None, fewest, fewest + 1])
    return config


def random_forgotten(seed: int, samples: Sequence[Sample]) -> list[str]:
    """Lines of tombstones, some of nothing that is here."""
    rng = random.Random(f"forgotten {seed}")
    if rng.random() < 0.6:
        return []
    one, two, three = (rng.choice(samples) for _ in range(3))
    lines = [one.uid, two.image_id, hash_bytes(b"elsewhere")]
    return [*lines, f"url:{hash_bytes(three.url.encode())}"] if three.url else lines


def _pictures(rng: random.Random, number: int, held_out: HeldOut) -> list[Picture]:
    """Some near another by hash or by embedding, in chains too; some evaluated on."""
    made: list[Picture] = []
    crowd = rng.random() < 0.5  # long chains, where who stays decides who goes
    for place in range(number):
        phash, angle, plane = rng.getrandbits(64), rng.randint(0, 10), rng.randint(0, 1)
        if made and rng.random() < (0.9 if crowd else 0.5):
            bits = rng.randint(1, 3) if crowd else rng.randint(0, 5)
            phash = _flipped(rng, rng.choice(made).phash, bits)
        elif held_out.hashes and rng.random() < 0.1:
            phash = _flipped(rng, rng.choice(sorted(held_out.hashes)), rng.randint(0, 5))
        image_id = hash_bytes(f"{rng.random()} {place}".encode())
        if held_out.ids and rng.random() < 0.04:
            image_id = rng.choice(sorted(held_out.ids))
        near = (math.cos(_STEP * angle), math.sin(_STEP * angle))
        vector = (*near, 0.0, 0.0) if plane else (0.0, 0.0, *near)
        made.append(Picture(image_id, phash, None if rng.random() < 0.1 else vector))
    unique = {picture.image_id: picture for picture in made}
    return list(unique.values())


def _flipped(rng: random.Random, phash: int, bits: int) -> int:
    for bit in rng.sample(range(64), bits):
        phash ^= 1 << bit
    return phash


def _sample(rng: random.Random, place: str, picture: Picture, entities: Sequence[str]) -> Sample:
    found = rng.sample(list(entities), rng.choice([0, 1, 1, 2, 2, 3, 3, 3]))
    mentions = [(one, rng.choice([0.4, 0.5, 0.9])) for one in found]
    mentions += [(one, rng.choice([0.4, 0.5])) for one in found if rng.random() < 0.3]
    boxes = [
        (rng.choice([0.4, 0.5, 0.9]), rng.choice([0.0005, 0.05, 0.3, 0.9]))
        for _ in range(rng.choice([0, 0, 0, 1, 2]))
    ]
    ok = rng.random() < 0.93
    text = f"text {rng.randint(0, 5)}"
    return Sample(
        place=place,
        uid=hash_bytes(f"{picture.image_id} {text}".encode()),
        image_id=picture.image_id,
        phash=picture.phash if ok else None,
        status="ok" if ok else rng.choice(["corrupt_image", "short_text"]),
        url=rng.choice([None, f"https://pictures.test/{rng.randint(0, 30)}"]),
        licence=rng.choice([None, "cc-by-4.0", "CC-BY-SA", "cc0", "all rights reserved"]),
        no_ai=rng.choice([None, None, None, None, None, False, False, True]),
        scores={
            one: (rng.choice([0.15, 0.2, 0.25, 0.3, 0.35]), rng.random() < 0.9) for one in found
        },
        mentions=mentions,
        boxes=boxes,
        text_status="failed" if rng.random() < 0.05 else "ok",
        masked=rng.choice([0.1, 0.2, 0.25, 0.3, "failed", "skipped"]) if boxes else "skipped",
        vector=picture.vector,
    )


def write_tables(root: Path, samples: Sequence[Sample]) -> dict[str, list[str]]:
    """The tables of a pool without tars, as keyword arguments of `assemble_dataset`."""
    shards: dict[str, list[Sample]] = {}
    for sample in samples:
        shards.setdefault(sample.place.split("/")[0], []).append(sample)
    rows: Mapping[str, tuple[Any, pa.Schema]] = {
        "samples": (_of_sample, SAMPLES),
        "mentions": (_of_mentions, MENTIONS),
        "image_embeddings": (_of_vector, image_embeddings_schema(DIM)),
        "entity_scores": (_of_scores, ENTITY_SCORES),
        "text_regions": (_of_boxes, TEXT_REGIONS),
        "masked_scores": (_of_masked, MASKED_SCORES),
    }
    store, uris = open_store(str(root)), {}
    digests: dict[str, str] = {}
    for kind, (build, schema) in rows.items():
        if kind == "masked_scores":
            _, regions = read_table_version(uris["text_regions"][0], "text_regions")
            digests = {"model": "m", "text_regions": regions_recipe(regions)}
        entries = []
        for name, part in shards.items():
            found = [row for place, one in enumerate(part) for row in build(place, one)]
            entries.append(_put(store, kind, name, from_rows(found, schema), len(part)))
        config = LIMITS if kind == "masked_scores" else {}
        version = TableVersion(kind, 1, config, digests, tuple(entries))
        uris[kind] = [write_table_version(store, version)]
    return uris


def _put(store: Store, kind: str, shard: str, table: pa.Table, rows: int) -> ShardEntry:
    digest = content_digest(table)
    key = f"tables/{kind}/{digest}.parquet"
    store.put(key, to_parquet(table))
    counts = {"ok": rows}
    if kind == "samples":
        counts = dict(Counter(table["status"].to_pylist()))
    return ShardEntry(shard, digest, digest, key, "", table.num_rows, 1, counts, {})


def _of_sample(row: int, one: Sample) -> list[dict[str, Any]]:
    names = ("uid", "image_id", "url", "licence", "no_ai", "phash", "status")
    said = {name: getattr(one, name) for name in names}
    tar = {"key": f"{row}", "offset": -1, "length": 0, "width": 9, "height": 9}
    return [{**said, **tar, "alt_text": "a picture"}]


def _of_mentions(row: int, one: Sample) -> list[dict[str, Any]]:
    plain = {"field": "alt_text", "start": 0, "end": 1, "surface": "a", "prior": 0.5}
    more = {"agreement": 0.0, "rank": 0, "reasons": ""}
    return [
        {"row": row, "mention": n, "entity_id": entity, "context_score": context, **plain, **more}
        for n, (entity, context) in enumerate(one.mentions)
    ]


def _of_scores(row: int, one: Sample) -> list[dict[str, Any]]:
    return [
        {"row": row, "entity_id": e, "clip_score": s, "rank": 0, "posterior": 0.5, "settled": yes}
        for e, (s, yes) in one.scores.items()
    ]


def _of_vector(row: int, one: Sample) -> list[dict[str, Any]]:
    vector = [0.0] * DIM if one.vector is None else list(one.vector)
    return [{"embedding": vector, "status": "failed" if one.vector is None else "ok"}]


def _of_boxes(row: int, one: Sample) -> list[dict[str, Any]]:
    sure, areas = [box[0] for box in one.boxes], [box[1] for box in one.boxes]
    corners = [[0.0, 0, 1, 0, 1, 1, 0, 1]] * len(sure)
    found = {"boxes": corners, "confidences": sure, "detector_confidences": sure, "areas": areas}
    return [{**found, "status": one.text_status}]


def _of_masked(row: int, one: Sample) -> list[dict[str, Any]]:
    if isinstance(one.masked, str):
        return [{"status": one.masked}]
    return [{"caption_score": 0.5, "masked_score": one.masked, "masked_area": 0.1, "status": "ok"}]
