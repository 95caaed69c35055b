"""Wikidata's JSON dumps: https://www.wikidata.org/wiki/Wikidata:Database_download.

A dump is one JSON array with an entity on each line. Its form is described in
https://doc.wikimedia.org/Wikibase/master/php/docs_topics_json.html, and dumps also hold what PHP
makes of an empty map (``[]``), redirects, properties and lexemes. Only what is needed is decoded:
msgspec skips other languages, other properties, qualifiers and references without an object made.
"""

import functools
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.structs import astuple

from openmofi.entities.dump import Block
from openmofi.entities.sources import SourceRow
from openmofi.errors import InputError

_ANY_LANGUAGE = "mul"  # Wikidata's code of a text that holds in every language
_ITEM_ID = re.compile(r"Q[1-9][0-9]*")
# A whole pair, half of one, or any other escape: so "\\ud800", a backslash and five letters, is
# not taken for half a pair.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


_Empty = Annotated[list[Raw], Meta(max_length=0)]  # PHP's empty map
_Other = str | int | float | bool | list[Raw] | None


@dataclass(frozen=True)
class WikidataOptions:
    """What is read of a dump.

    Args:
        languages: Wikidata's language codes, the preferred one first.
        alias_weight: What an alias weighs against a label, above 0, at most 1.
        max_text: Characters that a label or an alias may have; descriptions are cut to it.

    Raises:
        InputError: A value is out of its range.
    """

    languages: tuple[str, ...]
    alias_weight: float = 0.5
    max_text: int = 250

    def __post_init__(self) -> None:
        if not self.languages or not all(self.languages):
            raise InputError(f"languages must name one at least, got {list(self.languages)}")
        if len(set(self.languages)) < len(self.languages):
            raise InputError(f"languages must differ, got {list(self.languages)}")
        if not 0 < self.alias_weight <= 1:
            raise InputError(f"alias_weight must be in (0, 1], got {self.alias_weight}")
        if self.max_text < 1:
            raise InputError(f"max_text must be 1 or more, got {self.max_text}")


class _Text(Struct, gc=False):
    value: str


class _EntityId(Struct, gc=False, rename={"type": "entity-type", "numeric": "numeric-id"}):
    id: Any = None
    type: Any = None
    numeric: Any = None


class _DataValue(Struct, gc=False):
    value: _EntityId | _Other = None


class _Snak(Struct, gc=False):
    snaktype: str
    datavalue: _DataValue | _Other = None


class _Statement(Struct, gc=False):
    mainsnak: _Snak
    rank: str = "normal"


class _Claims(Struct, gc=False):
    P31: tuple[_Statement, ...] = ()
    P279: tuple[_Statement, ...] = ()


class _Entity(Struct, gc=False):
    """A line; a subclass made for the wanted languages narrows labels, descriptions, aliases."""

    type: str = ""
    id: str = ""
    entity: str = ""
    redirect: str = ""
    labels: Any = None
    descriptions: Any = None
    aliases: Any = None
    claims: _Claims | _Empty | None = None
    sitelinks: dict[str, Raw] | _Empty | None = None


def parse_block(
    data: bytes, first_line: int, where: str, options: WikidataOptions
) -> tuple[list[SourceRow], Counter[str]]:
    """Read whole lines of a dump.

    An entity without a label in a wanted language, or in "mul", has neither name nor aliases.

    Args:
        data: The lines, as ``read_blocks`` gives them.
        first_line: Number of the first of them, for messages.
        where: What messages call the dump.
        options: What to read.

    Returns:
        A row for each item and each redirect, in order, and counts: ``items``, ``redirects``,
        ``not_item`` (properties, lexemes), ``without_name``, ``overlong_texts`` (labels and
        aliases left out), ``odd_statements`` (classes that are no item).

    Raises:
        InputError: A line is not JSON, or no Wikidata entity; it is named.
    """
    decode = _decoder(options.languages)
    rows: list[SourceRow] = []
    counts: Counter[str] = Counter()
    for number, line in enumerate(io.BytesIO(data), start=first_line):  # a split would copy it all
        text = line.strip().removesuffix(b",")
        if text in (b"", b"[", b"]"):
            continue
        entity = _decoded(text, decode, f"{where}, line {number}")
        if row := _row(entity, number, where, options, counts):
            rows.append(row)
    return rows, counts


def check_brackets(blocks: Iterable[Block], where: str) -> Iterator[Block]:
    """Pass blocks on; the last must close the array that the first opens.

    A plain dump that is cut at a line's end, or a bzip2 one at a stream's end, shows nowhere else.

    Raises:
        InputError: It does not.
    """
    opened, tail = False, b""
    for block in blocks:
        opened = opened or (block.number == 0 and block.data[:64].lstrip()[:1] == b"[")
        tail = block.data[-4096:].rstrip() or tail
        yield block
    if opened and not tail.endswith(b"]"):
        raise InputError(f"{where} is cut short: it does not end with ']'; download it again")


@functools.cache
def _decoder(languages: tuple[str, ...]) -> Callable[[bytes], Any]:
    codes = dict.fromkeys((*languages, _ANY_LANGUAGE))
    rename = {f"l{place}": code for place, code in enumerate(codes)}

    def by_language(kind: Any, default: Any) -> Any:
        fields = [(name, kind, default) for name in rename]
        return msgspec.defstruct("Texts", fields, rename=rename, gc=False) | _Empty | None

    texts, lists = by_language(_Text | None, None), by_language(tuple[_Text, ...], ())
    kinds = (("labels", texts), ("descriptions", texts), ("aliases", lists))
    fields = [(name, kind, None) for name, kind in kinds]
    entity = msgspec.defstruct("Entity", fields, bases=(_Entity,), gc=False)
    return msgspec.json.Decoder(entity).decode


def _decoded(text: bytes, decode: Callable[[bytes], Any], where: str) -> _Entity:
    entity: _Entity
    try:
        try:
            entity = decode(text)
        except msgspec.DecodeError:
            # JSON may escape half of a surrogate pair; msgspec refuses it, whosever text it is in.
            mended = _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], text)
            if mended == text:
                raise
            entity = decode(mended)
    except msgspec.ValidationError as error:
        raise InputError(f"{where} is no Wikidata entity: {error}") from None
    except RecursionError:
        raise InputError(f"{where} is not JSON: it is nested too deeply") from None
    except ValueError as error:  # of msgspec, or text that is not UTF-8
        raise InputError(f"{where} is not JSON: {error}") from None
    return entity


def _row(
    entity: _Entity, line: int, where: str, options: WikidataOptions, counts: Counter[str]
) -> SourceRow | None:
    entity_id = entity.id or entity.entity
    if entity.type not in ("", "item") or (not entity.type and entity_id[:1] in ("P", "L", "M")):
        counts["not_item"] += 1
        return None
    _check_id(entity_id, line, where)
    if entity.redirect:
        _check_id(entity.redirect, line, where)
        counts["redirects"] += 1
        return SourceRow(entity_id, line, "", "", 0.0, (), redirect_to=entity.redirect)
    counts["items"] += 1
    popularity = 1.0 + len(entity.sitelinks or ())
    weights = _weights(entity, popularity, options, counts)
    if not weights:
        counts["without_name"] += 1
    claims = entity.claims if isinstance(entity.claims, _Claims) else _Claims()
    return SourceRow(
        entity_id,
        line,
        next(iter(weights), ""),
        _description(entity, options),
        popularity,
        tuple(weights.items()),
        instance_of=_classes(claims.P31, counts) if claims.P31 else (),
        subclass_of=_classes(claims.P279, counts) if claims.P279 else (),
    )


def _check_id(given: str, line: int, where: str) -> None:
    if not _ITEM_ID.fullmatch(given):
        raise InputError(
            f"{where}, line {line} is no Wikidata entity: {given[:40]!r} is no item's id, as Q42 is"
        )


def _weights(
    entity: _Entity, popularity: float, options: WikidataOptions, counts: Counter[str]
) -> dict[str, float]:
    """Texts and their weights, the name first; none if no label is left."""

    def kept(texts: Iterable[_Text | None]) -> Iterator[str]:
        for text in texts:
            cleaned = " ".join(text.value.split()) if text else ""
            if len(cleaned) > options.max_text:
                counts["overlong_texts"] += 1
            elif cleaned:
                yield cleaned

    weights = dict.fromkeys(kept(_by_language(entity.labels)), popularity)
    if weights:
        for aliases in _by_language(entity.aliases):
            for alias in kept(aliases):
                weights.setdefault(alias, popularity * options.alias_weight)
    return weights


def _description(entity: _Entity, options: WikidataOptions) -> str:
    for text in _by_language(entity.descriptions)[: len(options.languages)]:
        if cleaned := " ".join(text.value.split()) if text else "":
            return cleaned[: options.max_text].rstrip()
    return ""


def _by_language(texts: Any) -> tuple[Any, ...]:
    """In the order of the wanted languages; none for an empty or missing map."""
    return astuple(texts) if texts else ()


def _classes(statements: Iterable[_Statement], counts: Counter[str]) -> tuple[str, ...]:
    """Ids in the order of the dump, each once."""
    found: dict[str, None] = {}
    for statement in statements:
        snak = statement.mainsnak
        if statement.rank == "deprecated" or snak.snaktype != "value":
            continue
        if item := _item(snak.datavalue):
            found[item] = None
        else:
            counts["odd_statements"] += 1
    return tuple(found)


def _item(data: _DataValue | _Other) -> str:
    """The item's id, empty if it is none; old dumps have only the number of it."""
    value = data.value if isinstance(data, _DataValue) else None
    if not isinstance(value, _EntityId):
        return ""
    if isinstance(value.id, str):
        return value.id if _ITEM_ID.fullmatch(value.id) else ""
    number = value.numeric
    known = value.type == "item" and type(number) is int and 0 < number < 1 << 63
    return f"Q{number}" if known else ""
