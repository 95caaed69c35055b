"""From the sources to the files of a knowledge base; the same input gives the same bytes."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from openmofi import records
from openmofi.entities.arrays import write_table
from openmofi.entities.config import KnowledgeBaseConfig
from openmofi.entities.dense import write_dense
from openmofi.entities.gather import Gathered, gather
from openmofi.entities.heads import with_own_names
from openmofi.entities.index_build import build_index
from openmofi.entities.kinds import KINDS
from openmofi.entities.knowledge_base import ENTITIES, FORMAT, HEAD, KIND
from openmofi.entities.sources import Source
from openmofi.entities.text_encoder import TextEncoder
from openmofi.entities.variants import Spelled, with_variants
from openmofi.entities.vectors import write_vectors
from openmofi.entities.words import stop_phrases
from openmofi.progress import say

_AND = "; "  # between the licences of several sources

# Large strings: 32-bit offsets end at 2 GB, and Wikidata's aliases are more.
_TEXT = pa.large_string()
ALIASES = pa.schema(
    [
        pa.field("surface", _TEXT, nullable=False),  # folded, as the matcher compares it
        pa.field("entity_id", _TEXT, nullable=False),
        pa.field("prior", pa.float32(), nullable=False),  # P(entity | surface)
        # Bits of `openmofi.entities.kernels_candidates` that the sources know of.
        pa.field("flags", pa.uint8(), nullable=False),
    ]
)
GRAPH = pa.schema(
    [
        pa.field("entity_id", _TEXT, nullable=False),
        # May be no entity here: once merged with a knowledge base that has it, it counts.
        pa.field("parent_id", _TEXT, nullable=False),
        pa.field("relation", _TEXT, nullable=False),  # instance_of, subclass_of, broader
    ]
)


def compile_sources(
    sources: Sequence[Source],
    settings: KnowledgeBaseConfig,
    digest: str,
    folder: Path,
    encoder: TextEncoder | None = None,
) -> dict[str, Any]:
    """Write all files of a knowledge base; return what its manifest says.

    With an encoder there are dense entity vectors as well.

    Raises:
        InputError: A source is malformed, an id occurs twice, or there would be nothing to link to.
    """
    gathered = gather(sources, settings)
    variants = _write_matcher(folder / "matcher", gathered, settings)
    surfaces, postings = gathered.surfaces, gathered.postings
    write_vectors(folder / "vectors", gathered.entities, surfaces, postings, gathered.edges)
    _write_tables(folder, gathered)
    content = _summary(sources, settings, gathered)
    content["counts"]["spelling_variants"] = variants
    if encoder:
        write_dense(folder / "dense", gathered.entities, gathered.edges, encoder)
        content["encoder"] = {"name": encoder.name, "digest": encoder.digest}
    _write_head(folder / HEAD, {"format": FORMAT, "digest": digest, **content})
    _write_notice(folder / "NOTICE.txt", sources)
    names = ", ".join(source.name for source in sources)
    say(f"{KIND}: {content['entities']} entities, {content['aliases']} aliases from {names}")
    return content


def _write_matcher(folder: Path, gathered: Gathered, settings: KnowledgeBaseConfig) -> int:
    """Compile the aliases and their variants; return how many variants there are."""
    stops = stop_phrases()
    spelled = Spelled(gathered.surfaces, gathered.postings, 0)
    if settings.variants:
        spelled = with_variants(gathered.surfaces, gathered.postings, stops)
    index = build_index(
        spelled.surfaces,
        *spelled.postings,
        stops=stops,
        plurals=gathered.plurals,
        inflection=settings.inflection,
    )
    with_own_names(index, spelled.surfaces, gathered.edges, len(gathered.entities)).save(folder)
    return spelled.variants


def _summary(
    sources: Sequence[Source], settings: KnowledgeBaseConfig, gathered: Gathered
) -> dict[str, Any]:
    """What the manifest says of entities, aliases and where they come from."""
    sizes = np.diff(gathered.postings.starts)
    reached = np.zeros(len(gathered.entities), np.bool_)
    reached[gathered.postings.entities] = True
    left_out = sum((source.counts for source in sources), Counter[str]())
    origins = [
        origin
        for source in sources
        for origin in source.origins or ({"name": source.name, "digest": source.digest},)
    ]
    stated = (part for source in sources for part in source.licence.split(_AND) if part)
    return {
        "entities": len(gathered.entities),
        "aliases": len(gathered.surfaces),
        "sources": [dict(one) for place, one in enumerate(origins) if one not in origins[:place]],
        "licence": settings.licence or _AND.join(dict.fromkeys(stated)),
        "counts": {
            "aliases_too_long": 0,
            "aliases_without_word": 0,
            **left_out,
            "alias_entity_pairs": len(gathered.postings.entities),
            "ambiguous_aliases": int(np.count_nonzero(sizes > 1)),
            "entities_without_alias": int(np.count_nonzero(~reached)),
            **gathered.counts,
        },
    }


def _write_tables(folder: Path, gathered: Gathered) -> None:
    entities = records.checked(gathered.entities, ENTITIES)
    write_table(folder / "entities.arrow", entities)
    numbers = pc.index_in(entities["kind"], value_set=pa.array(KINDS, pa.large_string()))
    np.save(folder / "kinds.npy", numbers.to_numpy().astype(np.uint8), allow_pickle=False)
    ids = entities["entity_id"].combine_chunks()
    owners = np.repeat(np.arange(len(gathered.surfaces)), np.diff(gathered.postings.starts))
    aliases = pa.table(
        {
            "surface": gathered.surfaces.take(pa.array(owners)),
            "entity_id": ids.take(pa.array(gathered.postings.entities)),
            "prior": gathered.postings.priors,
            "flags": gathered.postings.flags,
        }
    )
    tables: Mapping[str, pa.Table] = {
        "entities": entities,
        "aliases": records.checked(aliases, ALIASES),
        "graph": records.checked(gathered.graph, GRAPH),
    }
    for name, table in tables.items():
        (folder / f"{name}.parquet").write_bytes(records.to_parquet(table))


def _write_notice(path: Path, sources: Sequence[Source]) -> None:
    notices = dict.fromkeys(source.notice for source in sources if source.notice)
    # A knowledge base that is a source may hold another source's notice already.
    whole = [one for one in notices if not any(one in other for other in notices if other != one)]
    if whole:
        path.write_text("\n".join(whole), encoding="utf-8")


def _write_head(path: Path, head: Mapping[str, Any]) -> None:
    text = json.dumps(head, indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(text, encoding="utf-8")
