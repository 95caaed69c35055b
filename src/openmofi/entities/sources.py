"""What a source of a knowledge base gives, and the tables that it is turned into, part by part."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from openmofi.entities.kernels_candidates import IS_NAME, WRITTEN_SMALL
from openmofi.entities.kinds import KINDS
from openmofi.entities.text import MAX_KEY_BYTES, surface_keys
from openmofi.errors import InputError

_ROWS = 20_000  # entities of one part

_STRINGS = pa.large_list(pa.string())
PART = pa.schema(
    [
        pa.field("entity_id", pa.string(), nullable=False),
        pa.field("line", pa.int64(), nullable=False),
        pa.field("name", pa.string(), nullable=False),  # empty: only its graph counts
        pa.field("description", pa.string(), nullable=False),
        pa.field("popularity", pa.float32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # of `openmofi.entities.kinds.KINDS`
        pa.field("surfaces", _STRINGS, nullable=False),
        pa.field("weights", pa.large_list(pa.float64()), nullable=False),
        # Bits: how the alias is written, and whether it is the name.
        pa.field("flags", pa.large_list(pa.uint8()), nullable=False),
        pa.field("instance_of", _STRINGS, nullable=False),
        pa.field("subclass_of", _STRINGS, nullable=False),
        pa.field("broader", _STRINGS, nullable=False),
        pa.field("redirect_to", pa.string(), nullable=False),  # empty for all but redirects
    ]
)
RELATIONS = ("instance_of", "subclass_of", "broader")


class SourceRow(NamedTuple):
    """One entity as its source tells it.

    Args:
        entity_id: Distinct within the knowledge base.
        line: Where it stands in the source file, from 1, for messages.
        name: What people call it; empty if the source has none in the wanted languages. Then only
            its place in the graph counts.
        description: One line, may be empty.
        popularity: Weight of the entity as a whole, 0 or more.
        aliases: Surface form as written and its weight, the name among them. Weights compare
            entities of one source that share a surface form; they need not add up to anything.
        instance_of: Ids of the classes that it is an instance of.
        subclass_of: Ids of broader classes.
        broader: Ids of broader entities where the source does not say which of the two is meant.
        redirect_to: The entity that is meant by this id; then the row says nothing else.
        kind: Of `openmofi.entities.kinds.KINDS`; empty takes that of its nearest class.
    """

    entity_id: str
    line: int
    name: str
    description: str
    popularity: float
    aliases: tuple[tuple[str, float], ...]
    instance_of: tuple[str, ...] = ()
    subclass_of: tuple[str, ...] = ()
    broader: tuple[str, ...] = ()
    redirect_to: str = ""
    kind: str = ""


class Part(NamedTuple):
    """Some entities of a source, as the tables that the knowledge base is gathered from."""

    entities: pa.Table  # entity_id, line, name, description, popularity, kind
    aliases: pa.Table  # entity_id, surface (folded), weight, flags
    edges: pa.Table  # entity_id, parent_id, relation
    redirects: pa.Table  # entity_id, target_id


@dataclass(frozen=True)
class Source:
    """One source.

    Args:
        name: Kind and file name, for people.
        digest: Of its content.
        licence: As the source states it; empty if it does not.
        parts: Reads it, as often as it is called.
        notice: Licence text that must go along with what is made of it; may be empty.
        kinds: Kinds of entities by id, also of such that are none of its own.
        plurals: Irregular plurals with their singulars, as written in the source.
        selects: The settings say which of its entities are taken.
        priors: The weights are P(entity | surface) already.
        origins: What it was made from itself, if it is a knowledge base.
        counts: What was left out and why; filled while the parts are read.
    """

    name: str
    digest: str
    licence: str
    parts: Callable[[], Iterator[Part]]
    notice: str = ""
    plurals: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    selects: bool = False
    priors: bool = False
    origins: tuple[Mapping[str, str], ...] = ()
    counts: Counter[str] = field(default_factory=Counter)


def local_path(given: str) -> Path:
    """A path from a path or a ``file://`` URI."""
    return Path(given.removeprefix("file://"))


def parts_of(rows: Iterable[SourceRow], max_tokens: int, counts: Counter[str]) -> Iterator[Part]:
    """Rows in parts; what is left out is counted."""
    remaining = iter(rows)
    while batch := list(itertools.islice(remaining, _ROWS)):
        yield split(part_table(batch, max_tokens, counts))


def part_table(rows: Sequence[SourceRow], max_tokens: int, counts: Counter[str]) -> pa.Table:
    """Rows as one `PART` table, with folded surfaces.

    Args:
        rows: The entities.
        max_tokens: Longer aliases are left out.
        counts: ``aliases_too_long`` and ``aliases_without_word`` are added to it.
    """
    keyed = surface_keys([alias for row in rows for alias, _ in row.aliases])
    surfaces, weights, flags = [], [], []
    for row in rows:
        kept: dict[str, float] = {}
        bits: dict[str, int] = {}
        for (written, weight), (key, length) in zip(row.aliases, keyed, strict=False):
            if not key or length > max_tokens or len(key) > MAX_KEY_BYTES // 4:
                counts["aliases_too_long" if key else "aliases_without_word"] += 1
                continue
            for form in _forms(key):
                kept[form] = max(weight, kept.get(form, 0.0))
                bits[form] = bits.get(form, 0) | _flags(written, row.name)
        surfaces.append(list(kept))
        weights.append(list(kept.values()))
        flags.append(list(bits.values()))
    columns = {"surfaces": surfaces, "weights": weights, "flags": flags}
    for name in PART.names:
        columns.setdefault(name, [getattr(row, name, None) for row in rows])
    return pa.table([pa.array(columns[name], PART.field(name).type) for name in PART.names], PART)


def split(part: pa.Table) -> Part:
    """A `PART` table as four."""
    part = part.combine_chunks()
    is_redirect = pc.not_equal(part["redirect_to"], "")
    redirects = part.filter(is_redirect)
    items = part.filter(pc.invert(is_redirect))
    named = items.filter(pc.not_equal(items["name"], ""))
    edges = []
    for relation in RELATIONS:
        flat = _flat(items, parent_id=relation)
        labels = pa.array([relation], pa.string()).take(pa.array(np.zeros(len(flat), np.int64)))
        edges.append(flat.append_column("relation", labels))
    return Part(
        entities=named.select(["entity_id", "line", "name", "description", "popularity", "kind"]),
        aliases=_flat(named, surface="surfaces", weight="weights", flags="flags"),
        edges=pa.concat_tables(edges),
        redirects=pa.table(
            {"entity_id": redirects["entity_id"], "target_id": redirects["redirect_to"]}
        ),
    )


def checked_kind(kind: str, where: str) -> str:
    """The kind, or an `InputError` if there is none of that name."""
    if kind not in KINDS:
        known = ", ".join(KINDS[1:])
        raise InputError(f"{where}: 'kind' is {kind[:40]!r}; known are {known}, or nothing")
    return kind


def _flags(written: str, name: str) -> int:
    """What folding loses: whether the last word begins with a capital, and which is the name."""
    last = written.split()[-1:] or [""]
    return (0 if last[0][:1].isupper() else WRITTEN_SMALL) | (IS_NAME if written == name else 0)


def _flat(table: pa.Table, **lists: str) -> pa.Table:
    """One row for each item of list columns of equal lengths, with the id of its owner."""
    owners = pc.list_parent_indices(table[next(iter(lists.values()))])
    columns = {name: pc.list_flatten(table[column]) for name, column in lists.items()}
    return pa.table({"entity_id": table["entity_id"].take(owners), **columns})


def _forms(key: str) -> list[str]:
    """The key, and without abbreviation marks: "st. louis" is also written "st louis"."""
    bare = key.replace(". ", " ")
    return [key] if bare == key else [key, bare]
