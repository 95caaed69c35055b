"""A store with all that a sample leaves behind, and a search for what is left of one."""

import base64
import io
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from openmofi import records
from openmofi.dataset.assemble import assemble_dataset
from openmofi.dataset.training_shards import build_shards
from openmofi.entities.build import build_knowledge_base
from openmofi.images import perceptual_hash
from openmofi.records import from_parquet, from_rows
from openmofi.stage import run_stage
from openmofi.storage import FolderStore, Store, open_store
from openmofi.versions import read_table_version, write_manifest
from openmofi.work import align
from support.ingest import ingest
from support.tables import HandMade, noise_jpeg

SAMPLES = 12
PER_SHARD = 6
TAKEN = 3  # the number of the sample that tests take down; its place is in train


def alt_text(number: int) -> str:
    return f"Grüße von Erika & Söhne, №{number} am See"


def url(number: int) -> str:
    return f"https://erika.example/private/{number}.jpg?a=1&b=2"


def picture(number: int) -> bytes:
    return noise_jpeg(number, side=48)


@dataclass(frozen=True)
class Filled:
    """A store after every step, and the manifests' URIs."""

    root: Path
    samples: str
    dataset: str
    training_shards: str
    model: str

    @property
    def store(self) -> FolderStore:
        return FolderStore(self.root)


def copy_of(one: Filled, root: Path) -> Filled:
    """The same store elsewhere."""
    shutil.copytree(one.root, root)
    uris = (one.samples, one.dataset, one.training_shards, one.model)
    return Filled(root, *(uri.replace(one.store.uri, root.as_uri()) for uri in uris))


def filled_store(folder: Path) -> Filled:
    """`fill`, with a knowledge base of one entity."""
    (folder / "kb.csv").write_text("entity_id,name,aliases,description\nperu,Peru,,a place\n")
    knowledge_base = build_knowledge_base(str(folder / "root"), csv=str(folder / "kb.csv"))
    return fill(folder / "root", folder / "source", knowledge_base)


def write_source(folder: Path) -> Path:
    """A folder of pictures with texts and metadata, so that the store gets listings."""
    folder.mkdir(parents=True)
    for number in range(SAMPLES):
        stem = folder / f"p{number:02d}"
        stem.with_suffix(".jpg").write_bytes(picture(number))
        stem.with_suffix(".txt").write_text(alt_text(number))
        metadata = {"url": url(number), "license": "CC0", "title": f"Seite von Erika {number}"}
        stem.with_suffix(".json").write_text(json.dumps(metadata))
    return folder


def fill(root: Path, source: Path, knowledge_base: str) -> Filled:
    """Two shards of the pool, all tables, a version with a card, training shards, a model."""
    samples = ingest(root, write_source(source), samples_per_shard=PER_SHARD)
    tables = write_stages(root, samples)
    dataset = assemble_dataset(
        samples=[samples],
        **tables,
        knowledge_base=knowledge_base,
        config={"min_images_per_entity": 1, "validation_share": 0.3, "min_score": 0.0},
    )
    shards = build_shards(dataset, config={"samples_per_shard": 4})
    origin = {"kind": "trained", "training_shards": Path(shards).stem}
    model = write_manifest(open_store(str(root)), "model", "e" * 32, {"origin": origin})
    return Filled(root, samples, dataset, shards, model.uri)


def write_stages(root: Path, samples: str) -> dict[str, list[str]]:
    """Tables as the stages would have made them; the arguments of assembly."""
    store, version = read_table_version(samples, "samples")
    pools = {e.shard: from_parquet(store.get(e.table_key)).to_pylist() for e in version.shards}
    builders = {
        "mentions": (_mentions, records.MENTIONS),
        "entity_scores": (_scores, records.ENTITY_SCORES),
        "image_embeddings": (_embedding, records.image_embeddings_schema(4)),
        "text_regions": (_regions, records.TEXT_REGIONS),
        "masked_scores": (_masked, records.MASKED_SCORES),
    }
    uris = {}
    for kind, (build, schema) in builders.items():
        tables = {
            shard: from_rows([build(row, one) for row, one in enumerate(rows)], schema)
            for shard, rows in pools.items()
        }
        stage = HandMade(kind, tables)
        uris[kind] = [run_stage(stage, store, align({"samples": version}))]
    given = ("mentions", "entity_scores", "image_embeddings", "text_regions")
    return {kind: uris[kind] for kind in given}


def _mentions(row: int, sample: dict[str, Any]) -> dict[str, Any]:
    known = {"prior": 0.5, "agreement": 0.0, "context_score": 1.0, "rank": 0, "reasons": ""}
    place = {"row": row, "field": "alt_text", "mention": 0, "start": 0, "end": 5}
    return {**place, **known, "surface": sample["alt_text"], "entity_id": "peru"}


def _scores(row: int, _: dict[str, Any]) -> dict[str, Any]:
    scores = {"clip_score": 0.4, "rank": 0, "posterior": 1.0, "settled": True}
    return {"row": row, "entity_id": "peru", **scores}


def _embedding(row: int, _: dict[str, Any]) -> dict[str, Any]:
    vector = np.zeros(4, np.float16)
    vector[row % 4] = 1
    return {"embedding": vector.tolist(), "status": "ok"}


def _regions(row: int, _: dict[str, Any]) -> dict[str, Any]:
    numbers = {"confidences": [0.1], "detector_confidences": [0.1], "areas": [row / 100]}
    return {"boxes": [[0.0, 0, 1, 0, 1, 1, 0, 1]], **numbers, "status": "ok"}


def _masked(row: int, _: dict[str, Any]) -> dict[str, Any]:
    scores = {"caption_score": 0.5, "masked_score": 0.25, "masked_area": 0.1}
    return {**scores, "status": "ok"}


def uid_of(filled: Filled, number: int) -> str:
    """The uid of a sample, before it is gone."""
    for row in pool_rows(filled.store):
        if row["url"] == url(number):
            return str(row["uid"])
    raise AssertionError(f"sample {number} is not in the pool")


def pool_rows(store: Store) -> list[dict[str, Any]]:
    """Every row of every table of samples."""
    keys = [i.key for i in store.list("tables/samples/") if i.key.endswith(".parquet")]
    return [row for key in keys for row in from_parquet(store.get(key)).to_pylist()]


def traces(store: Store, number: int) -> list[str]:
    """Where anything of a sample can still be read: its picture, texts, URL; key and what."""
    texts = [alt_text(number), url(number), f"Seite von Erika {number}"]
    wanted = {text: text.encode() for text in texts}
    wanted["picture"] = picture(number)
    phash = perceptual_hash(Image.open(io.BytesIO(picture(number))).convert("RGB"))
    found = []
    for info in store.list():
        data = store.get(info.key)
        found += [f"{info.key}: {what}" for what, raw in wanted.items() if raw in data]
        found += [f"{info.key}: {t}" for t in _texts_of(info.key, data) if t in texts]
        found += [
            f"{info.key}: a copy of the picture"
            for shown in _pictures_of(info.key, data)
            if (perceptual_hash(shown) ^ phash).bit_count() <= 10
        ]
    return found


def _texts_of(key: str, data: bytes) -> Iterator[str]:
    """Every text in a Parquet file or a page, in full."""
    if key.endswith(".parquet"):
        for row in from_parquet(data).to_pylist():
            yield from (value for value in row.values() if isinstance(value, str))
    if key.endswith(".html"):
        page = unescape(data.decode())
        yield from re.findall(r'alt="([^"]*)"', page)
        for some in re.findall(r'"text":\[(.*?)\],"labels"', page):
            yield "".join(piece[0] for piece in json.loads(f"[{some}]"))


def _pictures_of(key: str, data: bytes) -> Iterator[Image.Image]:
    if key.endswith(".html"):
        for encoded in re.findall(rb"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", data):
            yield Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")


def everything(root: Path) -> dict[str, bytes]:
    """All objects of a folder store."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
