"""Lines of a Wikidata dump, made and parsed by tests."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from openmofi.entities.dump import read_blocks
from openmofi.entities.sources import SourceRow
from openmofi.entities.wikidata import WikidataOptions, check_brackets, parse_block

LANGUAGES = ("en", "de", "zh-hans")
OPTIONS = WikidataOptions(LANGUAGES)


def parse(*lines: Any, options: WikidataOptions = OPTIONS) -> tuple[list[SourceRow], Counter[str]]:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    return parse_block(",\n".join(texts).encode(), 1, "dump.json", options)


def parse_one(line: Any, options: WikidataOptions = OPTIONS) -> SourceRow:
    [row], _ = parse(line, options=options)
    return row


def term(text: str, language: str = "en") -> dict[str, str]:
    return {"language": language, "value": text}


def item(**fields: Any) -> dict[str, Any]:
    return {"type": "item", "id": "Q1", "labels": {"en": term("one")}, **fields}


def statement(value: Any, **fields: Any) -> dict[str, Any]:
    snak = {"snaktype": "value", "property": "P31", "datavalue": {"value": value, "type": "?"}}
    return {"mainsnak": snak, "type": "statement", "rank": "normal", **fields}


def read_whole(path: Path, options: WikidataOptions, block_bytes: int = 1 << 20) -> Any:
    rows: list[SourceRow] = []
    counts: Counter[str] = Counter()
    for block in check_brackets(read_blocks(path, block_bytes=block_bytes), str(path)):
        some, more = parse_block(block.data, block.first_line, str(path), options)
        rows += some
        counts += more
    return rows, counts
