"""A knowledge base as a source of another: several are put together from their tables."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from openmofi.entities.compile import ALIASES, GRAPH
from openmofi.entities.index import load_index
from openmofi.entities.knowledge_base import HEAD, KnowledgeBase, open_knowledge_base
from openmofi.entities.sources import Part, Source
from openmofi.errors import InputError
from openmofi.records import checked, read_parquet


def read_knowledge_bases(where: Sequence[str]) -> list[Source]:
    """Knowledge bases, each by its manifest's URI or its folder.

    Their priors are taken as they are; `priors.mix_priors` averages them with other sources'. So
    the merge of knowledge bases of one source each equals one that is built of all these sources at
    once. One of several sources counts as a single one.

    Raises:
        InputError: One is missing or damaged, or two are the same.
    """
    sources: dict[str, Source] = {}
    for one in where:
        source = _read_base(one)
        other = sources.setdefault(source.digest, source)
        if other is not source:
            raise InputError(f"{other.name} and {one} are the same knowledge base; give it once")
    return list(sources.values())


def _read_base(where: str) -> Source:
    base = open_knowledge_base(where)
    match base.head:
        case {"licence": str(licence), "sources": list(origins), "counts": dict(counts)}:
            pass
        case _:
            raise InputError(f"{base.folder / HEAD} is damaged; build the knowledge base again")
    notice = base.folder / "NOTICE.txt"
    return Source(
        name=where,  # folders' own names are often equal
        digest=base.digest,
        licence=licence,
        parts=lambda: _parts(base),
        notice=notice.read_text(encoding="utf-8") if notice.is_file() else "",
        plurals=load_index(base.folder / "matcher").plurals,
        priors=True,
        origins=tuple(origins),
        counts=Counter(counts),
    )


def _parts(base: KnowledgeBase) -> Iterator[Part]:
    entities = _entities(base)
    aliases = _read(base.folder / "aliases.parquet", ALIASES)
    graph = _read(base.folder / "graph.parquet", GRAPH)
    nothing = pa.array([], pa.string())
    yield Part(
        entities=entities.append_column("line", pa.array(np.arange(1, len(entities) + 1))),
        aliases=aliases.rename_columns(["surface", "entity_id", "weight", "flags"]),
        edges=graph,
        redirects=pa.table({"entity_id": nothing, "target_id": nothing}),
    )


def _entities(base: KnowledgeBase) -> pa.Table:
    """All of them: other readers look at the strings that they need, one by one."""
    try:
        base.entities.validate(full=True)
    except pa.ArrowInvalid as error:
        reason = str(error).splitlines()[0]
        path = base.folder / "entities.arrow"
        raise InputError(f"{path} is damaged ({reason}); build it again") from None
    return base.entities


def _read(path: Path, schema: pa.Schema) -> pa.Table:
    try:
        return checked(read_parquet(path), schema)
    except (OSError, ValueError) as error:  # pa.ArrowInvalid is a ValueError
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} is missing or damaged ({reason}); build it again") from None
