"""Training shards for measurements: the demo's drawn pictures as JPEG, with captions and labels."""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from openmofi.demo.captions import write_caption
from openmofi.demo.flags import FlagDomain
from openmofi.demo.samples import evaluation_image
from openmofi.keys import hash_file, hash_json
from openmofi.progress import bar
from openmofi.records import TRAINING_SAMPLES, VOCABULARY, from_rows, to_parquet
from openmofi.shards import write_tar
from openmofi.storage import Store, open_store
from openmofi.versions import write_manifest

_SHARD = 1000  # samples, as build_shards cuts them
_SEED = (1,)


class Place(NamedTuple):
    """Where the JPEG of a sample lies."""

    tar: Path
    offset: int
    length: int


def write_shards(root: Path, count: int) -> tuple[str, dict[str, Place]]:
    """Shards in the layout of ``build_shards``.

    Args:
        root: The store to make.
        count: Samples; entities come in turn.

    Returns:
        The manifest's URI, and the place of each sample by its uid.
    """
    domain, store = FlagDomain(), open_store(str(root))
    rng = np.random.default_rng(_SEED)
    places: dict[str, Place] = {}
    entries = []
    starts = range(0, count, _SHARD)
    for first in bar(starts, label="training shards", total=len(starts), unit="shard"):
        numbers = range(first, min(first + _SHARD, count))
        samples = [_sample(domain, number, rng) for number in numbers]
        entries.append(_write_shard(store, root, first // _SHARD, samples, places))
    vocabulary = [
        {
            "class_index": place,
            "entity_id": entity.entity_id,
            "name": entity.name,
            "description": entity.description,
            "images": len(range(place, count, len(domain.drawn))),
        }
        for place, entity in enumerate(domain.drawn)
    ]
    store.put("training/vocabulary.parquet", to_parquet(from_rows(vocabulary, VOCABULARY)))
    digest = hash_json(entries)
    content = {
        "dataset": digest,
        "dataset_uri": "",
        "vocabulary": "training/vocabulary.parquet",
        "classes": len(vocabulary),
        "splits": {"train": entries, "validation": []},
    }
    return write_manifest(store, "training_shards", digest, content).uri, places


def _sample(domain: FlagDomain, number: int, rng: np.random.Generator) -> dict[str, Any]:
    label = number % len(domain.drawn)
    entity = domain.drawn[label]
    return {
        "uid": hash_json(["picture", number]),
        "key": f"{number:09d}",
        "image": evaluation_image(domain, entity, number, _SEED),
        "alt_text": write_caption(domain, "specific", entity, rng).text,
        "labels": [label],
    }


def _write_shard(
    store: Store,
    root: Path,
    number: int,
    samples: list[dict[str, Any]],
    places: dict[str, Place],
) -> dict[str, Any]:
    tar_key, index_key = f"training/{number:05d}.tar", f"training/{number:05d}.parquet"
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, "shard.tar")
        files = [(s["key"], {"jpg": s["image"], "txt": s["alt_text"].encode()}) for s in samples]
        written = write_tar(path, files)
        store.put_file(tar_key, path)
        digest = hash_file(path)
    rows = []
    for sample, entry in zip(samples, written, strict=True):
        member = entry.members["jpg"]
        places[sample["uid"]] = Place(root / tar_key, member.offset, member.length)
        named = {name: sample[name] for name in ("uid", "key", "alt_text", "labels")}
        rows.append({**named, "offset": member.offset, "length": member.length})
    store.put(index_key, to_parquet(from_rows(rows, TRAINING_SAMPLES)))
    return {"tar_key": tar_key, "index_key": index_key, "rows": len(rows), "digest": digest}
