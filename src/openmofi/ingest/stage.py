"""``ingest_pairs``: one source shard into one pool tar and its rows of ``samples``."""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from openmofi.images import image_id, sample_uid
from openmofi.ingest.checks import Judgement, judge, true_extension
from openmofi.ingest.reading import RawSample, count_refused, read_samples
from openmofi.ingest.sources import SourceShard
from openmofi.ingest.texts import Texts
from openmofi.keys import hash_bytes
from openmofi.records import SAMPLES, Status, from_rows
from openmofi.shards import TarSample, write_tar
from openmofi.stage import ShardInput, StageOutput
from openmofi.tombstones import TAKEN_DOWN, Tombstones, read_tombstones
from openmofi.versions import sum_counts

STAGE_VERSION = 2

# No dot: WebDataset ends the key there. Long names don't fit into a USTAR header.
_SAFE_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_/-]{0,79}")


class IngestPairs:
    """Copies every sample into the pool, bytes unchanged, and records what it is."""

    name = "samples"
    version = STAGE_VERSION

    def __init__(self, limits: Mapping[str, int | float]) -> None:
        self._limits = dict(limits)

    def semantic_config(self) -> Mapping[str, Any]:
        """The limits of the checks."""
        return self._limits

    def digests(self) -> Mapping[str, str]:
        """No model is used."""
        return {}

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: ShardInput) -> StageOutput:
        """Write the pool tar, then return its rows: refused samples have both as well.

        Of what was taken down before it came, or came again, neither holds more than the uid.
        """
        source: SourceShard = shard.work.source
        rows: list[dict[str, Any]] = []
        tar_key = f"pool/{shard.recipe_key}.tar"
        with tempfile.TemporaryDirectory(prefix="openmofi-") as folder:
            path = Path(folder, "pool.tar")
            samples = read_samples(shard.store, source)
            tombstones = read_tombstones(shard.store)
            written = write_tar(path, self._pool_samples(samples, rows, tombstones))
            shard.store.put_file(tar_key, path)
        table = _with_offsets(rows, written)
        counts = sum_counts({status: 1} for status in table.column("status").to_pylist())
        refused = count_refused(source)
        totals = {} if refused is None else {"refused_by_source": refused}
        return StageOutput(table=table, counts=counts, totals=totals, tar_key=tar_key)

    def _pool_samples(
        self, samples: Iterator[RawSample], rows: list[dict[str, Any]], tombstones: Tombstones
    ) -> Iterator[tuple[str, dict[str, bytes]]]:
        """What goes into the tar; each sample's row is added to ``rows`` on the way."""
        used: set[str] = set()
        for sample in samples:
            row = self._row(sample, _unique_key(sample.name, used), tombstones)
            rows.append(row)
            if row["status"] == Status.TAKEN_DOWN:
                yield row["key"], {"txt": b""}  # a sample needs a file, and a row its sample
                continue
            contents = {}
            if sample.image is not None:
                contents[true_extension(sample.image, sample.extension)] = sample.image
            metadata = {name: row[name] for name in ("url", "title", "licence", "uid")}
            contents["txt"] = row["alt_text"].encode()
            contents["json"] = json.dumps(metadata, ensure_ascii=False).encode()
            yield row["key"], contents

    def _row(self, sample: RawSample, key: str, tombstones: Tombstones) -> dict[str, Any]:
        texts = sample.texts
        identity = None if sample.image is None else image_id(sample.image)
        uid = sample_uid(identity, texts.alt_text, texts.title)
        if sample.taken_down or tombstones.names(uid, identity, texts.url):
            identity, texts = None, Texts()
            found = Judgement(Status.TAKEN_DOWN, TAKEN_DOWN)
        else:
            found = judge(sample.image, texts.alt_text, self._limits)
        return {
            "uid": uid,
            "image_id": identity,
            "key": key,
            "alt_text": texts.alt_text,
            "title": texts.title,
            "url": texts.url,
            "licence": texts.licence,
            "no_ai": texts.no_ai,
            "width": found.width,
            "height": found.height,
            "phash": found.phash,
            "status": found.status.value,
            "reason": found.reason,
        }


def _with_offsets(rows: list[dict[str, Any]], written: list[TarSample]) -> pa.Table:
    for row, sample in zip(rows, written, strict=True):
        image = next((m for e, m in sample.members.items() if e not in ("txt", "json")), None)
        row["offset"] = -1 if image is None else image.offset
        row["length"] = 0 if image is None else image.length
    return from_rows(rows, SAMPLES)


def _unique_key(name: str, used: set[str]) -> str:
    """A key that any tar reader keeps as it is, once per shard; a changed one gets a hash."""
    key = name.removeprefix("./").strip("/")
    repeat = 0
    while not _SAFE_KEY.fullmatch(key) or "//" in key or key in used:
        readable = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[-48:].strip("_")
        key = f"{readable}-{hash_bytes(f'{name} {repeat}'.encode())[:8]}".lstrip("-")
        repeat += 1
    used.add(key)
    return key
