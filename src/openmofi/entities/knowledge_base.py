"""Reading a knowledge base: mapped files, loaded in milliseconds, shared between processes."""

import functools
import json
from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.entities.arrays import Strings, map_array, map_table
from openmofi.entities.dense import DenseVectors, load_dense
from openmofi.entities.kinds import KINDS
from openmofi.entities.matcher import AliasMatcher
from openmofi.entities.sources import local_path
from openmofi.entities.text import surface_key
from openmofi.entities.vectors import EntityVectors, load_vectors
from openmofi.errors import InputError
from openmofi.storage import local_folder
from openmofi.versions import read_manifest

KIND = "knowledge_base"
HEAD = "kb.json"
FORMAT = 3


# As in the mapped file; the Parquet tables are for other programs.
ENTITIES = pa.schema(
    [
        pa.field("entity_id", pa.large_string(), nullable=False),
        pa.field("name", pa.large_string(), nullable=False),
        pa.field("description", pa.large_string(), nullable=False),
        pa.field("popularity", pa.float32(), nullable=False),
        pa.field("kind", pa.large_string(), nullable=False),
    ]
)


class KnowledgeBase:
    """Entities by id or by row, the alias matcher, and the entity vectors."""

    def __init__(self, folder: Path, head: Mapping[str, Any]) -> None:
        self.folder = folder
        self.head = head  # what kb.json says
        self.digest = str(head["digest"])

    @functools.cached_property
    def entities(self) -> pa.Table:
        """entity_id, name, description, popularity, kind; sorted by entity_id. Mapped, not read."""
        return map_table(self.folder / "entities.arrow", ENTITIES)

    @functools.cached_property
    def matcher(self) -> AliasMatcher:
        """The alias matcher; candidates are entity rows."""
        return AliasMatcher.load(self.folder / "matcher")

    @functools.cached_property
    def kinds(self) -> npt.NDArray[np.uint8]:
        """Number in `openmofi.entities.kinds.KINDS` of the kind of each entity, by row."""
        kinds = map_array(self.folder / "kinds.npy", ("u1",))
        if len(kinds) != len(self) or int(kinds.max(initial=0)) >= len(KINDS):
            raise InputError(f"{self.folder / 'kinds.npy'} does not fit; build it again")
        return kinds

    @functools.cached_property
    def vectors(self) -> EntityVectors:
        """Sparse entity vectors, by entity row."""
        vectors = load_vectors(self.folder / "vectors")
        if len(vectors.starts) != len(self) + 1:
            raise InputError(
                f"{self.folder}: vectors and entities differ in number; build it again"
            )
        return vectors

    @functools.cached_property
    def dense(self) -> DenseVectors | None:
        """Dense entity vectors, by entity row, if it was built with an encoder."""
        if "encoder" not in self.head:
            return None
        vectors = load_dense(self.folder / "dense")
        if len(vectors) != len(self):
            raise InputError(
                f"{self.folder}: dense vectors and entities differ in number; build it again"
            )
        return vectors

    def __len__(self) -> int:
        return int(self.entities.num_rows)

    def __contains__(self, entity_id: object) -> bool:
        return isinstance(entity_id, str) and self._find(entity_id) is not None

    def name(self, entity_id: str) -> str:
        """What people call the entity; ``KeyError`` if it is not there."""
        return self._text("name", entity_id)

    def description(self, entity_id: str) -> str:
        """One line, may be empty; ``KeyError`` if the entity is not there."""
        return self._text("description", entity_id)

    def kind(self, entity_id: str) -> str:
        """Of `openmofi.entities.kinds.KINDS`, may be empty; ``KeyError`` if it is not there."""
        return self._text("kind", entity_id)

    def entity_ids(self, rows: npt.NDArray[np.integer[Any]]) -> pa.Array:
        """Ids of entity rows; an `InputError` if one of them is not there."""
        return self._strings["entity_id"].take(rows)

    def candidates(self, surface: str) -> list[tuple[str, float]]:
        """Entities that a surface form may name, with P(entity | surface), likeliest first.

        Plurals are reduced as in a text. Empty if the words are no alias.
        """
        alias = self.matcher.look_up(surface_key(surface, self.matcher.index.tables))
        if alias is None:
            found = self.matcher.match([surface])
            whole = found.first == 0
            whole &= found.last == len(found.tokens.starts) - 1
            if not whole.any():
                return []
            alias = int(found.aliases[whole][0])
        rows, priors = self.matcher.candidates(alias)
        ids = self.entity_ids(rows.astype(np.int64)).to_pylist()
        return list(zip(ids, priors.tolist(), strict=True))

    def is_stop_phrase(self, surface: str) -> bool:
        """Whether these very words are no mention on their own."""
        alias = self.matcher.look_up(surface_key(surface, self.matcher.index.tables))
        return alias is not None and self.matcher.index.is_stop(alias)

    @functools.cached_property
    def _strings(self) -> Mapping[str, Strings]:
        """The columns of strings, by name."""
        path = str(self.folder / "entities.arrow")
        columns = ("entity_id", "name", "description", "kind")
        return {name: Strings(self.entities.column(name), path) for name in columns}

    def _find(self, entity_id: str) -> int | None:
        ids = self._strings["entity_id"]
        row = bisect_left(ids, entity_id)
        return row if row < len(ids) and ids[row] == entity_id else None

    def _text(self, column: str, entity_id: str) -> str:
        row = self._find(entity_id)
        if row is None:
            raise KeyError(f"entity '{entity_id}' is not in knowledge base {self.digest}")
        return str(self._strings[column][row])


def load_knowledge_base(uri: str) -> KnowledgeBase:
    """The knowledge base that a manifest's URI names.

    Raises:
        InputError: The URI names no knowledge base, or its files are of another format.
        StorageError: It cannot be read.
    """
    manifest = read_manifest(uri, KIND)
    folder = local_folder(manifest.store, manifest.content["prefix"], manifest.digest)
    return load_knowledge_base_folder(folder)


def load_knowledge_base_folder(path: str | Path) -> KnowledgeBase:
    """The knowledge base in a plain folder, as ``openmofi kb build --out`` writes it."""
    folder = local_path(str(path))
    head = folder / HEAD
    if not head.is_file():
        raise InputError(f"{folder} is no knowledge base: it has no {HEAD}")
    try:
        content = json.loads(head.read_text(encoding="utf-8"))
        version, digest = content["format"], content["digest"]
        if not isinstance(digest, str) or not digest.isalnum():
            raise ValueError(digest)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{head} is damaged; build the knowledge base again") from None
    if version != FORMAT:
        raise InputError(
            f"{head} has format {version!r:.20}, this release reads {FORMAT}; build it again"
        )
    return KnowledgeBase(folder, content)


def open_knowledge_base(where: str) -> KnowledgeBase:
    """From a manifest's URI or a plain folder, whichever ``where`` is."""
    is_manifest = f"/manifests/{KIND}/" in where
    return load_knowledge_base(where) if is_manifest else load_knowledge_base_folder(where)
