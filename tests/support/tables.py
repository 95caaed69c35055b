"""Tiny stores with hand-made tables, written through `run_stage`, so no model is needed.

A shard is a list of `Pair`. `write_pool` writes the tars and the tables that the stages would have
written, and hands back their manifest URIs.
"""

import io
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from openmofi import records
from openmofi.images import decode_image, image_id, perceptual_hash, sample_uid
from openmofi.shards import write_tar
from openmofi.stage import ShardInput, StageOutput, run_stage
from openmofi.storage import Store, open_store
from openmofi.versions import read_table_version
from openmofi.work import Work, align

KINDS = ("mentions", "image_embeddings", "entity_scores", "text_regions")


def noise_jpeg(seed: int, *, side: int = 32, quality: int = 90) -> bytes:
    """A picture whose perceptual hash is far from that of every other seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=quality)
    return sink.getvalue()


@dataclass(frozen=True)
class Candidate:
    entity_id: str
    score: float  # of the image, cosine
    context: float = 1.0
    settled: bool = True  # on by text and image


@dataclass(frozen=True)
class Pair:
    """One sample of the pool with all that the stages found out about it."""

    image: bytes
    text: str = "a picture"
    mentions: Sequence[Sequence[Candidate]] = ()  # candidates by mention
    boxes: Sequence[tuple[float, float]] = ()  # confidence, area
    status: str = "ok"
    text_status: str = "ok"
    embedding: Sequence[float] | None = None
    extension: str = "jpg"


def labelled(seed: int, *entities: tuple[str, float], **more: Any) -> Pair:
    """A picture with one mention of one candidate for every (entity, score)."""
    mentions = [[Candidate(entity, score)] for entity, score in entities]
    return Pair(image=noise_jpeg(seed), text=f"picture {seed}", mentions=mentions, **more)


@dataclass
class HandMade:
    """A stage whose tables are given. Its digest keeps two sets of tables apart."""

    name: str
    tables: Mapping[str, pa.Table]
    tars: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    known: Mapping[str, str] = field(default_factory=dict)
    version: int = 1

    def semantic_config(self) -> Mapping[str, Any]:
        return {}

    def digests(self) -> Mapping[str, str]:
        return self.known

    def setup(self) -> None:
        pass

    def process(self, shard: ShardInput) -> StageOutput:
        table = self.tables[shard.shard]
        counts = self.counts.get(shard.shard, {"ok": table.num_rows})
        return StageOutput(table=table, counts=counts, tar_key=self.tars.get(shard.shard, ""))


@dataclass(frozen=True)
class Pool:
    """Manifest URIs as the steps hand them on."""

    root: str
    samples: list[str]
    mentions: list[str]
    image_embeddings: list[str]
    entity_scores: list[str]
    text_regions: list[str]
    masked_scores: list[str] = field(default_factory=list)

    def tables(self) -> dict[str, list[str]]:
        """The keyword arguments of `assemble_dataset`."""
        masked = {"masked_scores": self.masked_scores} if self.masked_scores else {}
        return {**{kind: getattr(self, kind) for kind in ("samples", *KINDS)}, **masked}


def write_pool(
    root: Path, shards: Mapping[str, Sequence[Pair]], *, knowledge_base: str = ""
) -> Pool:
    """Write tars and tables for ``shards``, as one group."""
    store = open_store(str(root))
    samples_uri = _write_samples(store, shards)
    _, version = read_table_version(samples_uri, "samples")
    work = align({"samples": version})
    builders = {
        "mentions": _mentions,
        "image_embeddings": _embeddings,
        "entity_scores": _scores,
        "text_regions": _regions,
    }
    uris = {}
    for kind, build in builders.items():
        tables = {name: build(pairs) for name, pairs in shards.items()}
        known = {"content": _fingerprint(tables)}
        if kind in ("mentions", "entity_scores") and knowledge_base:
            known["knowledge_base"] = knowledge_base
        counts = {
            name: {"ok": len(pairs)} for name, pairs in shards.items()
        }  # of samples, not rows
        stage = HandMade(kind, tables, counts=counts, known=known)
        uris[kind] = [run_stage(stage, store, work)]
    return Pool(root=store.uri, samples=[samples_uri], **uris)


def _write_samples(store: Store, shards: Mapping[str, Sequence[Pair]]) -> str:
    tables, tars, counts = {}, {}, {}
    for name, pairs in shards.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "shard.tar")
            written = write_tar(
                path,
                (
                    (f"{row:05d}", {pair.extension: pair.image, "txt": pair.text.encode()})
                    for row, pair in enumerate(pairs)
                ),
            )
            fingerprint = image_id(path.read_bytes())
            tars[name] = f"pool/{fingerprint}.tar"
            store.put_file(tars[name], path)
        tables[name] = records.from_rows(
            [_sample(pair, tar) for pair, tar in zip(pairs, written, strict=True)], records.SAMPLES
        )
        counts[name] = Counter(pair.status for pair in pairs)
    stage = HandMade("samples", tables, tars=tars, counts=counts)
    work = [Work(shard=name, upstream=(tars[name],)) for name in sorted(shards)]
    return run_stage(stage, store, work)


def _sample(pair: Pair, tar: Any) -> dict[str, Any]:
    identity = image_id(pair.image)
    width = height = 0
    phash = None
    if pair.status == "ok":
        image = decode_image(pair.image)
        width, height = image.size
        phash = perceptual_hash(image)
    member = tar.members[pair.extension]
    return {
        "uid": sample_uid(identity, pair.text, None),
        "image_id": identity,
        "key": tar.key,
        "offset": member.offset,
        "length": member.length,
        "alt_text": pair.text,
        "title": None,
        "url": None,
        "licence": None,
        "width": width,
        "height": height,
        "phash": phash,
        "status": pair.status,
        "reason": None,
    }


def _mentions(pairs: Sequence[Pair]) -> pa.Table:
    rows = [
        {
            "row": row,
            "field": "alt_text",
            "mention": place,
            "start": 10 * place,
            "end": 10 * place + 5,
            "surface": "word",
            "entity_id": candidate.entity_id,
            "prior": 0.5,
            "context_score": candidate.context,
            "agreement": 0.0,
            "reasons": "",
            "rank": rank,
        }
        for row, pair in enumerate(pairs)
        for place, candidates in enumerate(pair.mentions)
        for rank, candidate in enumerate(candidates)
    ]
    return records.from_rows(rows, records.MENTIONS)


def _scores(pairs: Sequence[Pair]) -> pa.Table:
    rows = []
    for row, pair in enumerate(pairs):
        candidates = [c for candidates in pair.mentions for c in candidates]
        settled = {c.entity_id for c in candidates if c.settled}
        found = {c.entity_id: c.score for c in candidates}
        ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        rows += [
            {
                "row": row,
                "entity_id": entity,
                "clip_score": score,
                "rank": rank,
                "posterior": float(entity in settled),
                "settled": entity in settled,
            }
            for rank, (entity, score) in enumerate(ordered)
        ]
    return records.from_rows(rows, records.ENTITY_SCORES)


def _embeddings(pairs: Sequence[Pair]) -> pa.Table:
    vectors = [
        np.asarray(pair.embedding if pair.embedding else (1, 0, 0, 0), np.float16) for pair in pairs
    ]
    rows = [{"embedding": vector.tolist(), "status": "ok"} for vector in vectors]
    return records.from_rows(rows, records.image_embeddings_schema(4))


def _regions(pairs: Sequence[Pair]) -> pa.Table:
    rows = [
        {
            "boxes": [[0.0, 0, 1, 0, 1, 1, 0, 1] for _ in pair.boxes],
            "confidences": [confidence for confidence, _ in pair.boxes],
            "detector_confidences": [confidence for confidence, _ in pair.boxes],
            "areas": [area for _, area in pair.boxes],
            "status": pair.text_status,
        }
        for pair in pairs
    ]
    return records.from_rows(rows, records.TEXT_REGIONS)


def _fingerprint(tables: Mapping[str, pa.Table]) -> str:
    from openmofi.keys import content_digest, hash_json

    return hash_json([[name, content_digest(table)] for name, table in sorted(tables.items())])


def without(pool: Pool, *kinds: str) -> Pool:
    """The same pool with some tables not given."""
    return replace(pool, **{kind: [] for kind in kinds})
