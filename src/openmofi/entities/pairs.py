"""Linking by hand: the captions of a folder of tar shards, without a pool or a store."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from openmofi.config import parse_config
from openmofi.entities.config import LinkConfig
from openmofi.entities.kernels_hash import Bools
from openmofi.entities.knowledge_base import KnowledgeBase, open_knowledge_base
from openmofi.entities.link import scoring_of
from openmofi.entities.linker import EntityLinker, Links
from openmofi.errors import InputError
from openmofi.shards import TarReader, index_tar

_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("start", pa.int32(), nullable=False),  # code points of the caption
        pa.field("end", pa.int32(), nullable=False),
        pa.field("surface", pa.string(), nullable=False),
        pa.field("entity_id", pa.string(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),  # 0 is the best candidate of the mention
        pa.field("score", pa.float32(), nullable=False),  # posterior given the caption, 0 to 1
    ]
)


@dataclass(frozen=True)
class LinkCounts:
    """What was found."""

    samples: int
    linked: int
    mentions: int
    candidates: int


@dataclass(frozen=True)
class _Caption:
    shard: str
    key: str
    caption: str
    title: str


def link_pairs(
    knowledge_base: str, pairs: Path, out: Path, *, config: dict[str, Any] | None = None
) -> LinkCounts:
    """Link the captions (``KEY.txt``) of all tars in a folder and write one Parquet file.

    A title in ``KEY.json`` speaks for the caption's mentions if ``fields`` has it, but its own
    mentions are not written: offsets are the caption's.

    Raises:
        InputError: The folder holds no tar with captions, or the knowledge base is none.
        ShardError: A tar is cut short.
    """
    settings = parse_config(LinkConfig, config, where="link")
    captions = _read_captions(pairs)
    base = open_knowledge_base(knowledge_base)
    linker = EntityLinker(base, scoring_of(settings), max_candidates=settings.max_candidates)
    titled = "title" in settings.fields
    flat = [
        (row, is_caption, text)
        for row, one in enumerate(captions)
        for is_caption, text in ((True, one.caption), (False, one.title if titled else ""))
        if is_caption or text
    ]
    links = linker.link([text for _, _, text in flat], [row for row, _, _ in flat])
    keep = np.array([flat[text][1] for text in links.texts.tolist()], dtype=np.bool_)
    owners = [captions[flat[text][0]] for text in links.texts[keep].tolist()]
    _write(_table(base, links, keep, owners), out)
    return LinkCounts(
        samples=len(captions),
        linked=len({(one.shard, one.key) for one in owners}),
        mentions=len(np.unique(links.mentions[keep])),
        candidates=len(owners),
    )


def _table(base: KnowledgeBase, links: Links, keep: Bools, owners: list[_Caption]) -> pa.Table:
    """The links of captions; ``owners`` has the caption of each."""
    starts, ends = links.starts[keep], links.ends[keep]
    spans = zip(owners, starts.tolist(), ends.tolist(), strict=True)
    columns = {
        "shard": [one.shard for one in owners],
        "key": [one.key for one in owners],
        "start": starts,
        "end": ends,
        "surface": [one.caption[start:end] for one, start, end in spans],
        "entity_id": base.entity_ids(links.entities[keep]),
        "rank": links.ranks[keep],
        "score": links.scores[keep],
    }
    arrays = [pa.array(columns[f.name]).cast(f.type, safe=False) for f in _SCHEMA]
    return pa.table(arrays, schema=_SCHEMA)


def _read_captions(folder: Path) -> list[_Caption]:
    tars = sorted(folder.glob("*.tar")) if folder.is_dir() else []
    if not tars:
        raise InputError(f"no tar shard found in {folder}; --pairs takes a folder of *.tar files")
    captions = []
    for path in tars:
        with TarReader(path) as tar:
            for sample in index_tar(path):
                texts = {
                    extension: tar.read(member.offset, member.length)
                    for extension, member in sample.members.items()
                    if extension in ("txt", "json")
                }
                if "txt" in texts:
                    caption = texts["txt"].decode("utf-8", "replace")
                    captions.append(
                        _Caption(path.stem, sample.key, caption, _title(texts.get("json", b"{}")))
                    )
    if not captions:
        raise InputError(f"the tars in {folder} hold no caption (KEY.txt)")
    return captions


def _title(data: bytes) -> str:
    """The title of img2dataset's JSON; no other field is read."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return ""
    title = content.get("title") or content.get("page_title") if isinstance(content, dict) else ""
    return title if isinstance(title, str) else ""


def _write(table: pa.Table, out: Path) -> None:
    """Whole or not at all."""
    temporary = out.with_name(f".writing-{out.name}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, temporary, compression="zstd")
        os.replace(temporary, out)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
