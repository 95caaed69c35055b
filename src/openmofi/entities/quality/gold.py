"""A gold standard of links: captions whose mentions and entities people have written down."""

import json
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openmofi.entities.lines import json_objects
from openmofi.entities.text import SURROGATE
from openmofi.errors import InputError
from openmofi.shards import TarReader, index_tar

Sample = tuple[str, str]  # shard and key


@dataclass(frozen=True)
class GoldMention:
    """A mention as it should be; offsets are code points of the caption."""

    start: int
    end: int
    surface: str
    ids: tuple[str, ...]  # any of them is right; sorted
    ambiguous: bool


@dataclass(frozen=True)
class GoldCaption:
    """A caption with its mentions, in order and never overlapping."""

    caption: str
    mentions: tuple[GoldMention, ...]
    source: str | None


def read_gold(path: Path) -> dict[Sample, GoldCaption]:
    """A gold standard: JSONL, one sample a line.

    Fields: ``shard``, ``key``, ``caption``, ``mentions`` (each with ``start``, ``end``,
    ``surface``, ``ids``, ``ambiguous``), optional ``source``. Others are ignored.

    Raises:
        InputError: The file is missing or empty, or a line is bad; the message names line and
            field.
    """
    if not path.is_file():
        raise InputError(f"gold file not found: {path}")
    captions: dict[Sample, GoldCaption] = {}
    lines: dict[Sample, int] = {}
    try:
        for number, row in _rows(path):
            where = f"{path}, line {number}"
            sample = (_field(row, "shard", str, where), _field(row, "key", str, where))
            if sample in lines:
                raise InputError(f"{where}: sample {named(sample)} is also in line {lines[sample]}")
            lines[sample] = number
            captions[sample] = _gold_caption(row, where)
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text") from None
    if not captions:
        raise InputError(f"{path} holds no caption")
    return captions


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, row in json_objects(path):
        try:
            text = json.dumps(row, ensure_ascii=False)
        except RecursionError as error:
            raise InputError(f"{path}, line {number} is not JSON: {error}") from None
        if SURROGATE.search(text):
            raise InputError(f"{path}, line {number} holds half of a surrogate pair")
        yield number, row


def _gold_caption(row: Mapping[str, Any], where: str) -> GoldCaption:
    caption = _field(row, "caption", str, where)
    mentions: list[GoldMention] = []
    for number, one in enumerate(_field(row, "mentions", list, where), start=1):
        there = f"{where}, mention {number}"
        if not isinstance(one, dict):
            raise InputError(f"{there} must be a JSON object, got {reprlib.repr(one)}")
        mentions.append(_gold_mention(one, caption, there))
        if number > 1 and mentions[-1].start < mentions[-2].end:
            raise InputError(
                f"{there}: 'start' {mentions[-1].start} lies before the end of the mention before "
                "it; mentions stand in order and never overlap"
            )
    source = None if row.get("source") is None else _field(row, "source", str, where)
    return GoldCaption(caption, tuple(mentions), source)


def _gold_mention(row: Mapping[str, Any], caption: str, where: str) -> GoldMention:
    start, end = _field(row, "start", int, where), _field(row, "end", int, where)
    if not 0 <= start < end <= len(caption):
        raise InputError(
            f"{where}: 'start' {start} and 'end' {end} are no span of the caption, which has "
            f"{len(caption)} characters"
        )
    surface = _field(row, "surface", str, where)
    if caption[start:end] != surface:
        raise InputError(
            f"{where}: 'surface' is {reprlib.repr(surface)}, the caption has "
            f"{reprlib.repr(caption[start:end])} at {start} to {end}"
        )
    ids = _field(row, "ids", list, where)
    if not ids or not all(isinstance(one, str) and one for one in ids):
        raise InputError(
            f"{where}: 'ids' must be a list of one or more strings, got {reprlib.repr(ids)}"
        )
    ambiguous = _field(row, "ambiguous", bool, where)
    return GoldMention(start, end, surface, tuple(sorted(set(ids))), ambiguous)


_WORDS = {str: "a string", int: "an integer", bool: "true or false", list: "a list"}


def _field(row: Mapping[str, Any], name: str, kind: type, where: str) -> Any:
    if name not in row:
        raise InputError(f"{where} lacks the field '{name}'")
    # A bool is an int too, but no offset.
    if type(row[name]) is not kind:
        raise InputError(f"{where}: '{name}' must be {_WORDS[kind]}, got {reprlib.repr(row[name])}")
    return row[name]


def read_sources(gold: Mapping[Sample, GoldCaption], pairs: Path) -> dict[Sample, str]:
    """Where captions come from: the gold's ``source``, else the one in ``KEY.json`` of the tar.

    Args:
        gold: The samples.
        pairs: A folder that may hold ``<shard>.tar``.

    Returns:
        By sample; those that say nothing are left out.

    Raises:
        ShardError: A tar is cut short.
    """
    sources = {sample: one.source for sample, one in gold.items() if one.source is not None}
    missing = gold.keys() - sources.keys()
    tars = {path.stem: path for path in pairs.glob("*.tar")} if missing else {}
    for shard in sorted({shard for shard, _ in missing} & tars.keys()):
        with TarReader(tars[shard]) as tar:
            for one in index_tar(tars[shard]):
                if (shard, one.key) in missing and "json" in one.members:
                    member = one.members["json"]
                    source = _source(tar.read(member.offset, member.length))
                    if source is not None:
                        sources[shard, one.key] = source
    return sources


def _source(data: bytes) -> str | None:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return None
    source = content.get("source") if isinstance(content, dict) else None
    return source if isinstance(source, str) else None


def named(sample: Sample) -> str:
    """A sample as a message says it."""
    return f"{'/'.join(sample)!r:.200}"
