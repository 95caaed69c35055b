"""Linking by hand: the captions of a folder of tar shards, without a pool or a store."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from openmofi.config import parse_config
from openmofi.entities.config import LinkConfig
from openmofi.entities.kernels_hash import Bools, Ints
from openmofi.entities.knowledge_base import KnowledgeBase, open_knowledge_base
from openmofi.entities.linker import EntityLinker, Links
from openmofi.errors import InputError
from openmofi.files import replacing
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
        pa.field("mention", pa.int32(), nullable=False),  # number of the mention in its caption
        pa.field("prior", pa.float32(), nullable=False),  # P(entity | surface), 0 to 1
        pa.field("agreement", pa.float32(), nullable=False),  # cosine with the rest of the caption
        pa.field("reasons", pa.string(), nullable=False),  # what else spoke, names with commas
    ]
)


@dataclass(frozen=True)
class LinkCounts:
    """What was found."""

    samples: int
    linked: int
    mentions: int
    candidates: int
    dropped: Mapping[str, int]  # mentions that a rule dropped, by its name


@dataclass(frozen=True)
class Caption:
    """One sample's texts."""

    shard: str
    key: str
    caption: str
    title: str


def link_pairs(
    knowledge_base: str,
    pairs: Path,
    out: Path,
    *,
    config: dict[str, Any] | None = None,
    titles: bool = False,
) -> LinkCounts:
    """Link the captions (``KEY.txt``) of all tars in a folder and write one Parquet file.

    Args:
        knowledge_base: A folder, or a manifest's URI.
        pairs: The folder.
        out: The file.
        config: `LinkConfig` as plain values.
        titles: Read ``KEY.json`` for a title, which then speaks for the caption's mentions. Its own
            mentions are not written: offsets are the caption's.

    Raises:
        InputError: The folder holds no tar with captions, or the knowledge base is none.
        ShardError: A tar is cut short.
    """
    settings = parse_config(LinkConfig, config, where="link")
    captions = read_captions(pairs, titles)
    base = open_knowledge_base(knowledge_base)
    linker = EntityLinker(base, settings)
    flat = [
        (row, is_caption, text)
        for row, one in enumerate(captions)
        for is_caption, text in ((True, one.caption), (False, one.title))
        if is_caption or text
    ]
    links = linker.link([text for _, _, text in flat], [row for row, _, _ in flat])
    keep = np.array([flat[text][1] for text in links.texts.tolist()], dtype=np.bool_)
    rows = np.array([flat[text][0] for text in links.texts.tolist()], dtype=np.int64)[keep]
    _write(_table(base, links, keep, rows, captions), out)
    return LinkCounts(
        samples=len(captions),
        linked=len(np.unique(rows)),
        mentions=len(np.unique(links.mentions[keep])),
        candidates=len(rows),
        dropped=links.dropped_by_rule(),
    )


def _table(
    base: KnowledgeBase, links: Links, keep: Bools, rows: Ints, captions: list[Caption]
) -> pa.Table:
    """The links of captions; ``rows`` says whose each is."""
    starts, ends = links.starts[keep], links.ends[keep]
    owners = [captions[row] for row in rows.tolist()]
    spans = zip(owners, starts.tolist(), ends.tolist(), strict=True)
    mentions = links.mentions[keep]
    firsts = np.searchsorted(rows, rows)
    columns = {
        "shard": [one.shard for one in owners],
        "key": [one.key for one in owners],
        "start": starts,
        "end": ends,
        "surface": [one.caption[start:end] for one, start, end in spans],
        "entity_id": base.entity_ids(links.entities[keep]),
        "rank": links.ranks[keep],
        "score": links.scores[keep],
        "mention": mentions - mentions[firsts],
        "prior": links.priors[keep],
        "agreement": links.agreements[keep],
        "reasons": links.reason_names.filter(pa.array(keep)),
    }
    arrays = [pa.array(columns[f.name]).cast(f.type, safe=False) for f in _SCHEMA]
    return pa.table(arrays, schema=_SCHEMA)


def read_captions(folder: Path, titles: bool) -> list[Caption]:
    """The captions of all tars in a folder, in their order, with titles if they are asked for.

    Raises:
        InputError: The folder holds no tar with captions.
        ShardError: A tar is cut short.
    """
    tars = sorted(folder.glob("*.tar")) if folder.is_dir() else []
    if not tars:
        raise InputError(f"no tar shard found in {folder}; --pairs takes a folder of *.tar files")
    wanted = ("txt", "json") if titles else ("txt",)
    captions = []
    for path in tars:
        with TarReader(path) as tar:
            for sample in index_tar(path):
                texts = {
                    extension: tar.read(member.offset, member.length)
                    for extension, member in sample.members.items()
                    if extension in wanted
                }
                if "txt" in texts:
                    caption = texts["txt"].decode("utf-8", "replace")
                    captions.append(
                        Caption(path.stem, sample.key, caption, _title(texts.get("json", b"{}")))
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
    with replacing(out) as temporary:
        pq.write_table(table, temporary, compression="zstd")
