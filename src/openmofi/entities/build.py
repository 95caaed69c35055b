"""Build a knowledge base: sources in, one folder of mapped files out, the same bytes every time."""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from openmofi.config import parse_config
from openmofi.entities.config import KnowledgeBaseConfig
from openmofi.entities.index import build_index
from openmofi.entities.knowledge_base import FORMAT, HEAD, KIND
from openmofi.entities.sources import Source, SourceEntity, local_path, merge
from openmofi.entities.stopwords import stop_phrases
from openmofi.entities.surfaces import Surfaces, collect_surfaces, surface_keys
from openmofi.entities.tabular import read_table_source
from openmofi.entities.text import Ints
from openmofi.entities.vectors import build_vectors
from openmofi.entities.wordnet import read_wordnet
from openmofi.errors import InputError
from openmofi.keys import hash_folder, recipe_key
from openmofi.progress import say
from openmofi.storage import open_store, put_folder
from openmofi.versions import Manifest, write_manifest

STAGE_VERSION = 1

_ENTITIES = pa.schema(
    [
        pa.field("entity_id", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("description", pa.string(), nullable=False),
        pa.field("popularity", pa.float32(), nullable=False),
    ]
)
_ALIASES = pa.schema(
    [
        pa.field("surface", pa.string(), nullable=False),  # folded, as the matcher compares it
        pa.field("entity_id", pa.string(), nullable=False),
        pa.field("prior", pa.float32(), nullable=False),  # P(entity | surface)
    ]
)
_GRAPH = pa.schema(
    [
        pa.field("entity_id", pa.string(), nullable=False),
        pa.field("parent_id", pa.string(), nullable=False),
    ]
)


def build_knowledge_base(
    root: str, *, wordnet: str = "", csv: str = "", config: dict[str, Any] | None = None
) -> str:
    """Build a knowledge base into the store at ``root``, unless it is there.

    Args:
        root: URI of the store.
        wordnet: Folder of WNDB files, or empty.
        csv: CSV or JSONL file of entities, or empty. Both may be given; ids must not clash.
        config: `KnowledgeBaseConfig` as plain values.

    Returns:
        URI of the manifest.

    Raises:
        InputError: A source is missing or malformed, or there would be nothing to link to.
    """
    settings = parse_config(KnowledgeBaseConfig, config, where="knowledge_base")
    sources = _read_sources(wordnet, csv)
    digest = _recipe(sources, settings)
    store = open_store(root)
    if store.exists(f"manifests/{KIND}/{digest}.json"):
        say(f"{KIND}: {digest} reused; its sources and settings have not changed")
        return Manifest(store, KIND, digest).uri
    with tempfile.TemporaryDirectory(prefix="openmofi-kb-") as temporary:
        folder = Path(temporary)
        content = _compile(sources, settings, digest, folder)
        prefix = f"kb/{digest}"
        put_folder(store, prefix, folder)
        content = {**content, "prefix": prefix, "content_digest": hash_folder(folder)}
    return write_manifest(store, KIND, digest, content).uri


def build_knowledge_base_folder(
    out: str, *, wordnet: str = "", csv: str = "", config: dict[str, Any] | None = None
) -> Path:
    """Build a knowledge base as a plain folder; one that is there already is replaced whole.

    Raises:
        InputError: As `build_knowledge_base`; or ``out`` holds something that is no knowledge base.
    """
    target = local_path(out)
    if target.exists() and not (target / HEAD).is_file():
        is_empty_folder = target.is_dir() and not any(target.iterdir())
        if not is_empty_folder:
            raise InputError(f"{target} exists and is no knowledge base; choose another folder")
    settings = parse_config(KnowledgeBaseConfig, config, where="knowledge_base")
    sources = _read_sources(wordnet, csv)
    digest = _recipe(sources, settings)
    if (target / HEAD).is_file() and _digest_of(target / HEAD) == digest:
        say(f"{KIND}: {target} reused; its sources and settings have not changed")
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=target.parent) as temporary:
        folder = Path(temporary, "new")
        folder.mkdir()
        _compile(sources, settings, digest, folder)
        if target.exists():
            target.rename(Path(temporary, "old"))
        shutil.move(folder, target)
    return target


def _digest_of(head: Path) -> str:
    try:
        return str(json.loads(head.read_text(encoding="utf-8"))["digest"])
    except (ValueError, KeyError, TypeError):
        return ""  # damaged: build it again


def _read_sources(wordnet: str, csv: str) -> list[Source]:
    sources = []
    if wordnet:
        sources.append(read_wordnet(local_path(wordnet)))
    if csv:
        sources.append(read_table_source(local_path(csv)))
    if not sources:
        raise InputError("no source for the knowledge base: give a WordNet folder or a CSV file")
    return sources


def _recipe(sources: Sequence[Source], settings: KnowledgeBaseConfig) -> str:
    config = {**settings.model_dump(), "stop_phrases": stop_phrases()}
    return recipe_key(KIND, STAGE_VERSION, config, {s.name: s.digest for s in sources}, [])


def _compile(
    sources: Sequence[Source], settings: KnowledgeBaseConfig, digest: str, folder: Path
) -> dict[str, Any]:
    """Write all files of a knowledge base; return what its manifest says."""
    entities = merge(sources)
    plurals = _fold_plurals(sources)
    surfaces = collect_surfaces(entities, plurals, settings.max_alias_tokens)
    if not surfaces.keys:
        raise InputError("the knowledge base would have no alias that the matcher can find")
    edges, unknown = _edges(entities)
    index = build_index(
        surfaces.keys,
        surfaces.postings,
        stops=stop_phrases(),
        plurals={plural: one for plural, one in plurals.items() if " " not in plural},
    )
    index.save(folder / "matcher")
    build_vectors(entities, edges).save(folder / "vectors")
    _write_tables(folder, entities, surfaces, edges)
    content = _summary(sources, settings, entities, surfaces)
    content["counts"].update(parents=len(edges), unknown_parents=unknown)
    head = {"format": FORMAT, "digest": digest, **content}
    text = json.dumps(head, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / HEAD).write_text(text, encoding="utf-8")
    notices = "\n".join(source.notice for source in sources if source.notice)
    if notices:
        (folder / "NOTICE.txt").write_text(notices, encoding="utf-8")
    names = ", ".join(source.name for source in sources)
    say(f"{KIND}: {len(entities)} entities, {len(surfaces.keys)} aliases from {names}")
    return content


def _summary(
    sources: Sequence[Source],
    settings: KnowledgeBaseConfig,
    entities: Sequence[SourceEntity],
    surfaces: Surfaces,
) -> dict[str, Any]:
    """What the manifest says of entities, aliases and where they come from."""
    reached = {row for posting in surfaces.postings for row, _ in posting}
    return {
        "entities": len(entities),
        "aliases": len(surfaces.keys),
        "sources": [{"name": source.name, "digest": source.digest} for source in sources],
        "licence": settings.licence or "; ".join(s.licence for s in sources if s.licence),
        "counts": {
            "alias_entity_pairs": sum(map(len, surfaces.postings)),
            "ambiguous_aliases": sum(len(posting) > 1 for posting in surfaces.postings),
            "aliases_too_long": surfaces.too_long,
            "aliases_without_word": surfaces.without_word,
            "entities_without_alias": len(entities) - len(reached),
        },
    }


def _fold_plurals(sources: Sequence[Source]) -> dict[str, str]:
    written: Mapping[str, str] = {k: v for source in sources for k, v in source.plurals.items()}
    folded = [key for key, _ in surface_keys([*written.keys(), *written.values()])]
    pairs = zip(folded[: len(written)], folded[len(written) :], strict=True)
    return {plural: singular for plural, singular in pairs if plural and singular}


def _edges(entities: Sequence[SourceEntity]) -> tuple[Ints, int]:
    """``[edges, 2]`` rows of child and parent, sorted; and how many parents are not entities."""
    rows = {entity.entity_id: row for row, entity in enumerate(entities)}
    known = {
        (row, rows[parent])
        for row, entity in enumerate(entities)
        for parent in entity.parents
        if parent in rows
    }
    unknown = sum(parent not in rows for entity in entities for parent in entity.parents)
    return np.array(sorted(known), dtype=np.int64).reshape(-1, 2), unknown


def _write_tables(
    folder: Path, entities: Sequence[SourceEntity], surfaces: Surfaces, edges: Ints
) -> None:
    ids = [entity.entity_id for entity in entities]
    pairs = [
        (key, ids[row], prior)
        for key, posting in zip(surfaces.keys, surfaces.postings, strict=True)
        for row, prior in posting
    ]
    rows = [(e.entity_id, e.name, e.description, e.popularity) for e in entities]
    parents = [(ids[child], ids[parent]) for child, parent in edges.tolist()]
    for name, schema, values in (
        ("entities", _ENTITIES, rows),
        ("aliases", _ALIASES, pairs),
        ("graph", _GRAPH, parents),
    ):
        columns = list(zip(*values, strict=True)) or [() for _ in schema]
        table = pa.table(
            [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema
        )
        pq.write_table(table, folder / f"{name}.parquet", compression="zstd")
