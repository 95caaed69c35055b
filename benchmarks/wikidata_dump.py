"""Seeded dumps in the form of Wikidata's JSON dumps, with all of their quirks, at any size.

Run: python -m benchmarks.wikidata_dump --items 50000 --out /tmp/dump.json.gz
     [--seed 0] [--bytes-per-item 4000]
Prints as JSON what a reader must find (``truth``). Real items have about 13 kB on average.
"""

import argparse
import bz2
import functools
import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.wikidata_facts import (
    LANGUAGES,
    Entity,
    Statement,
    entities,
    make_phrase,
    make_words,
    truth,
)

_STREAM = 64 << 20  # bytes of JSON in a gzip member or bzip2 stream
_CHUNK = 1 << 20

_OTHER = tuple(a + b for a in "abcegiklmnoprst" for b in "acgiknrstuz" if a + b not in LANGUAGES)
_SITES = tuple(code + kind for kind in ("wiki", "wikiquote") for code in ("en", "de", *_OTHER))
_TAIL = '"pageid":{0},"ns":0,"title":"{1}","lastrevid":{0}7,"modified":"2024-05-0{2}T08:09:10Z"'
_VARIANTS = 24


@dataclass(frozen=True)
class _Filler:
    """Pre-rendered JSON members, ``_VARIANTS`` of each: [place][variant]."""

    labels: list[list[str]]
    aliases: list[list[str]]
    claims: list[list[str]]
    sitelinks: list[list[str]]


@functools.cache
def _filler(seed: int) -> _Filler:
    draw = random.Random(f"filler {seed}")
    words = make_words(draw, 2000)

    def several(render: Callable[[int], str], count: int) -> list[list[str]]:
        return [[render(place) for _ in range(_VARIANTS)] for place in range(count)]

    def label(place: int) -> str:
        return f'"{_OTHER[place]}":{_term(_OTHER[place], make_phrase(words, draw))}'

    def alias(place: int) -> str:
        return f'"{_OTHER[place]}":[{_term(_OTHER[place], make_phrase(words, draw))}]'

    def sitelink(place: int) -> str:
        site, badges = _SITES[place], '"Q17437796"' if draw.random() < 0.03 else ""
        title = json.dumps(make_phrase(words, draw))
        return f'"{site}":{{"site":"{site}","title":{title},"badges":[{badges}]}}'

    def claim(place: int) -> str:
        snak = _filler_snak(f"P{1000 + place}", draw, words)
        return f'"P{1000 + place}":[{_statement(snak, f"Q{place}", "normal", draw)}]'

    return _Filler(
        several(label, len(_OTHER)),
        several(alias, len(_OTHER)),
        several(claim, 90),
        several(sitelink, len(_SITES)),
    )


def _term(language: str, text: str) -> str:
    return f'{{"language":"{language}","value":{json.dumps(text)}}}'


def _filler_snak(name: str, draw: random.Random, words: list[str]) -> str:
    number = draw.randrange(1, 10**7)
    kind, value = draw.choice(
        (
            ("wikibase-item", _item_value(f"Q{number}", "both")),
            ("external-id", f'{{"value":"{number}","type":"string"}}'),
            ("url", f'{{"value":"http:\\/\\/www.example.org\\/{number}","type":"string"}}'),
            (
                "time",
                f'{{"value":{{"time":"+{1000 + number % 1000}-00-00T00:00:00Z","timezone":0,'
                '"before":0,"after":0,"precision":9,"calendarmodel":"http:\\/\\/www.wikidata.org\\/entity'
                '\\/Q1985727"},"type":"time"}',
            ),
            (
                "globe-coordinate",
                f'{{"value":{{"latitude":{number / 10**6},"longitude":-1.5e1,"altitude":null,'
                '"precision":0.00027,"globe":"http:\\/\\/www.wikidata.org\\/entity\\/Q2"},'
                '"type":"globecoordinate"}',
            ),
            (
                "monolingualtext",
                f'{{"value":{{"text":{json.dumps(make_phrase(words, draw))},"language":"en"}},'
                '"type":"monolingualtext"}',
            ),
        )
    )
    return _snak(name, value, kind)


def _snak(name: str, value: str, kind: str) -> str:
    return f'{{"snaktype":"value","property":"{name}","datavalue":{value},"datatype":"{kind}"}}'


def _item_value(value: str, kind: str) -> str:
    numeric = f'"numeric-id":{value[1:]}' if kind != "id" else ""
    full = f'"id":"{value}"' if kind != "numeric" else ""
    ids = ",".join(filter(None, (numeric, full)))
    return f'{{"value":{{"entity-type":"item",{ids}}},"type":"wikibase-entityid"}}'


def _statement(snak: str, owner: str, rank: str, draw: random.Random) -> str:
    """With qualifiers and a reference now and then."""
    guid = f"{draw.getrandbits(64):016X}-{draw.getrandbits(48):012X}"
    more = ""
    if draw.random() < 0.3:
        text = f'{{"value":"{guid[:9]}","type":"string"}}'
        qualifier = (
            _snak("P1545", text, "string")[:-1] + f',"hash":"{draw.getrandbits(160):040x}"}}'
        )
        more += f',"qualifiers":{{"P1545":[{qualifier}]}},"qualifiers-order":["P1545"]'
    more += f',"id":"{owner}${guid}","rank":"{rank}"'
    if draw.random() < 0.5:
        source = _snak("P143", _item_value("Q328", "both"), "wikibase-item")
        more += (
            f',"references":[{{"hash":"{draw.getrandbits(160):040x}","snaks":{{"P143":[{source}]}},'
            '"snaks-order":["P143"]}]'
        )
    return f'{{"mainsnak":{snak},"type":"statement"{more}}}'


class _Renderer:
    """Lines of a dump; what is not in the facts is filler."""

    def __init__(self, seed: int, bytes_per_item: int) -> None:
        self._draw = random.Random(f"lines {seed}")
        self._filler = _filler(seed)
        self._budget = bytes_per_item

    def line(self, entity: Entity) -> str:
        """Without a comma at its end."""
        if entity.redirect:
            key = "entity" if self._draw.random() < 0.8 else "id"
            return f'{{"{key}":"{entity.id}","redirect":"{entity.redirect}"}}'
        if entity.type != "item":
            return self._not_item(entity)
        chance = self._draw.random
        rest = int(self._budget * (0.3 + 2.2 * chance() ** 1.5)) - 980
        sitelinks = self._some(self._filler.sitelinks, entity.sitelinks)
        rest -= 80 * min(entity.sitelinks, len(_SITES))
        labels = [f'"{code}":{_term(code, text)}' for code, text in entity.labels.items()]
        labels += self._some(self._filler.labels, rest // 300) if entity.labels else []
        texts = [f'"{code}":{_term(code, text)}' for code, text in entity.descriptions.items()]
        texts += self._some(self._filler.labels, rest // 250) if texts else []
        aliases = [
            f'"{code}":[{",".join(_term(code, text) for text in some)}]'
            for code, some in entity.aliases.items()
        ]
        aliases += self._some(self._filler.aliases, rest // 1000) if aliases else []
        claims = self._claims(entity, rest * 6 // 10)
        members = [f'"type":"item","id":"{entity.id}"']
        for key, some in zip(
            ("labels", "descriptions", "aliases", "claims", "sitelinks"),
            (labels, texts, aliases, claims, sitelinks),
            strict=True,
        ):
            if some:
                members.append(f'"{key}":{{{",".join(some)}}}')
            elif chance() < 0.95:  # PHP's empty array, an object, or no key at all
                members.append(f'"{key}":{"[]" if chance() < 0.8 else "{}"}')
        page = self._draw.randrange(10**6, 10**8)
        members.append(_TAIL.format(page, entity.id, page % 9 + 1))
        return f"{{{','.join(members)}}}"

    def _not_item(self, entity: Entity) -> str:
        head = f'"type":"{entity.type}","id":"{entity.id}"'
        label = _term("en", "part of speech")
        claims = ",".join(self._some(self._filler.claims, 2))
        if entity.type == "lexeme":
            return (
                f'{{{head},"lemmas":{{"en":{label}}},"lexicalCategory":"Q1084","language":"Q1860",'
                f'"claims":{{{claims}}},"forms":[],"senses":[]}}'
            )
        return (
            f'{{{head},"datatype":"wikibase-item","labels":{{"en":{label}}},"descriptions":[],'
            f'"aliases":[],"claims":{{{claims}}}}}'
        )

    def _some(self, members: list[list[str]], count: int) -> list[str]:
        """``count`` members of different keys, all of them at most."""
        if count <= 0:
            return []
        count = min(count, len(members))
        variant = int(self._draw.random() * _VARIANTS)
        start = int(self._draw.random() * (len(members) - count + 1))
        return [
            some[(variant + 7 * place) % _VARIANTS]
            for place, some in enumerate(members[start : start + count])
        ]

    def _claims(self, entity: Entity, rest: int) -> list[str]:
        claims = []
        for name, statements in (("P31", entity.instance_of), ("P279", entity.subclass_of)):
            if statements:
                some = ",".join(self._class(name, x, entity.id) for x in statements)
                claims.append(f'"{name}":[{some}]')
        return claims + self._some(self._filler.claims, rest // 530)

    def _class(self, name: str, statement: Statement, owner: str) -> str:
        if statement.kind in ("novalue", "somevalue"):
            snak = (
                f'{{"snaktype":"{statement.kind}","property":"{name}","datatype":"wikibase-item"}}'
            )
        else:
            snak = _snak(name, _item_value(statement.value, statement.kind), "wikibase-item")
        return _statement(snak, owner, statement.rank, self._draw)


def write_dump(path: Path, items: int, seed: int = 0, bytes_per_item: int = 4000) -> None:
    """Write a dump, compressed as the name's suffix says: .gz, .bz2 or not at all.

    The same arguments give the same bytes.
    """
    render = _Renderer(seed, bytes_per_item)
    ends = random.Random(f"ends {seed}")
    with path.open("wb") as file:
        pack = _packer(path.suffix)
        parts, size, in_stream = ["[\n"], 0, 0
        before = ""
        for entity in entities(items, seed):
            chance = ends.random()
            end = ",\n" if chance > 0.02 else ",\r\n" if chance > 0.01 else ", \n"
            if before:
                parts.append(before + end)
                size += len(before)
            if size > _CHUNK:
                file.write(pack.compress("".join(parts).encode()))
                in_stream += size
                parts, size = [], 0
            if in_stream > _STREAM:
                file.write(pack.flush())
                pack, in_stream = _packer(path.suffix), 0
            before = render.line(entity)
        parts.append(f"{before}\n]\n")
        file.write(pack.compress("".join(parts).encode()) + pack.flush())


class _Plain:
    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def _packer(suffix: str) -> Any:
    if suffix == ".gz":
        return zlib.compressobj(1, wbits=31)  # writes no time stamp
    return bz2.BZ2Compressor() if suffix == ".bz2" else _Plain()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bytes-per-item", type=int, default=4000)
    arguments = parser.parse_args()
    write_dump(arguments.out, arguments.items, arguments.seed, arguments.bytes_per_item)
    print(json.dumps(truth(arguments.items, arguments.seed), indent=1))


if __name__ == "__main__":
    main()
