"""A knowledge base as a source of another: several are put together from their tables."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from openmofi.entities.index import load_index
from openmofi.entities.knowledge_base import HEAD, KnowledgeBase, open_knowledge_base
from openmofi.entities.sources import Part, Source
from openmofi.errors import InputError
from openmofi.records import read_parquet


def read_knowledge_base(where: str) -> Source:
    """A knowledge base, by its manifest's URI or its folder.

    Its priors are taken as they are; `priors.mix_priors` averages them with other sources'. So the
    merge of knowledge bases equals one that is built of all their sources at once.

    Raises:
        InputError: There is none, or it is damaged.
    """
    base = open_knowledge_base(where)
    head: dict[str, Any] = json.loads((base.folder / HEAD).read_text(encoding="utf-8"))
    notice = base.folder / "NOTICE.txt"
    return Source(
        name=base.folder.name,
        digest=base.digest,
        licence=str(head.get("licence", "")),
        parts=lambda: _parts(base),
        notice=notice.read_text(encoding="utf-8") if notice.is_file() else "",
        plurals=load_index(base.folder / "matcher").plurals,
        priors=True,
        origins=tuple(head.get("sources", ())),
    )


def _parts(base: KnowledgeBase) -> Iterator[Part]:
    entities = base.entities
    aliases = _read(base.folder / "aliases.parquet")
    graph = _read(base.folder / "graph.parquet")
    nothing = pa.array([], pa.string())
    yield Part(
        entities=entities.append_column("line", pa.array(np.arange(1, len(entities) + 1))),
        aliases=aliases.rename_columns(["surface", "entity_id", "weight"]),
        edges=graph,
        redirects=pa.table({"entity_id": nothing, "target_id": nothing}),
    )


def _read(path: Path) -> pa.Table:
    try:
        return read_parquet(path)
    except (OSError, pa.ArrowInvalid) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} is missing or damaged ({reason}); build it again") from None
