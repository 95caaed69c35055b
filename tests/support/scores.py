"""Links and gold standards as files, from a few words."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from openmofi.entities.quality.score import Rate, Score, score_links

SCHEMA = pa.schema(
    [
        ("shard", pa.string()),
        ("key", pa.string()),
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("surface", pa.string()),
        ("entity_id", pa.string()),
        ("rank", pa.int32()),
        ("score", pa.float32()),
    ]
)


def gold_line(
    key: str,
    caption: str,
    mentions: Iterable[tuple[str, Sequence[str], bool]] = (),
    **more: Any,
) -> dict[str, Any]:
    """A line of gold; mentions are surface, ids and ambiguous, each where it first stands."""
    found = []
    for surface, ids, ambiguous in mentions:
        start = caption.index(surface)
        found.append(
            {
                "start": start,
                "end": start + len(surface),
                "surface": surface,
                "ids": list(ids),
                "ambiguous": ambiguous,
            }
        )
    return {"shard": "00000", "key": key, "caption": caption, "mentions": found, **more}


def link(
    key: str, caption: str, surface: str, entity: str, rank: int = 0, score: float = 0.5
) -> dict[str, Any]:
    """A row of links."""
    start = caption.index(surface)
    return {
        "shard": "00000",
        "key": key,
        "start": start,
        "end": start + len(surface),
        "surface": surface,
        "entity_id": entity,
        "rank": rank,
        "score": score,
    }


def write_gold(path: Path, lines: Iterable[Mapping[str, Any]]) -> Path:
    """A gold standard, one line each."""
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return path


def write_links(path: Path, rows: Sequence[Mapping[str, Any]], **more: pa.DataType) -> Path:
    """A file of links; ``more`` are the types of further columns."""
    schema = pa.schema([*SCHEMA, *more.items()])
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path)
    return path


def scored_lines(
    folder: Path, gold: Iterable[Mapping[str, Any]], links: Sequence[Mapping[str, Any]], **more: Any
) -> Score:
    """The score of links and gold, written to ``folder``."""
    table = write_links(folder / "links.parquet", links)
    return score_links(table, write_gold(folder / "gold.jsonl", gold), **more)


def counts(rate: Rate) -> tuple[int, int]:
    """Both sides of a share, which agree with its value."""
    assert rate.value == (rate.hits / rate.total if rate.total else None)
    return rate.hits, rate.total
