"""Generated dumps, read as they were meant."""

import bz2
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.wikidata_dump import write_dump
from benchmarks.wikidata_facts import Entity, Statement, entities, truth
from openmofi.entities.wikidata import WikidataOptions
from support.wikidata import LANGUAGES, OPTIONS, read_whole


def expected_row(entity: Entity, languages: Sequence[str]) -> tuple[Any, ...]:
    if entity.redirect:
        return entity.id, "", "", 0.0, {}, [], [], entity.redirect
    weight = entity.sitelinks + 1.0
    codes = [*languages, "mul"]
    labels = [" ".join(entity.labels.get(code, "").split()) for code in codes]
    labels = [label for label in labels if 0 < len(label) <= 250]
    others = [text for code in codes for text in entity.aliases.get(code, [])] if labels else []
    aliases = dict.fromkeys(others, weight / 2) | dict.fromkeys(labels, weight)
    described = [entity.descriptions[code] for code in languages if code in entity.descriptions]
    return (
        entity.id,
        labels[0] if labels else "",
        described[0][:250].rstrip() if described else "",
        weight,
        aliases,
        expected_classes(entity.instance_of),
        expected_classes(entity.subclass_of),
        "",
    )


def expected_classes(statements: list[Statement]) -> list[str]:
    kept = [x.value for x in statements if x.value and x.rank != "deprecated"]
    return sorted(set(kept), key=kept.index)


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2"])
@pytest.mark.parametrize("languages", [("en",), LANGUAGES, ("fr", "mul", "en")])
def test_a_generated_dump_is_read_as_it_was_meant(
    tmp_path: Path, suffix: str, languages: tuple[str, ...]
) -> None:
    path = tmp_path / f"dump.json{suffix}"
    write_dump(path, 2000, seed=3, bytes_per_item=1500)
    rows, counts = read_whole(path, WikidataOptions(languages), 100_000)
    meant = [x for x in entities(2000, 3) if x.type in ("item", "redirect")]
    for row, entity in zip(rows, meant, strict=True):
        found = (
            row.entity_id,
            row.name,
            row.description,
            row.popularity,
            dict(row.aliases),
            list(row.instance_of),
            list(row.subclass_of),
            row.redirect_to,
        )
        assert found == expected_row(entity, languages)
        assert len(dict(row.aliases)) == len(row.aliases)
    if languages == ("en",):
        facts = truth(2000, 3)
        assert {name: counts[name] for name in facts["counts"]} == facts["counts"]
        assert min(facts["counts"].values()) > 0
        by_id = {row.entity_id: row for row in rows}
        for name, fact in facts["known"].items():
            row = by_id[name]
            assert (row.name, row.popularity) == (fact["label"], fact["sitelinks"] + 1)
            assert [alias for alias, _ in row.aliases] == [fact["label"], *fact["aliases"]]
            assert list(row.instance_of + row.subclass_of) == [
                *fact["instance_of"],
                *fact["subclass_of"],
            ]
        assert by_id["Q230"].name == by_id["Q1428"].name == "Georgia"


def test_lines_are_numbered_as_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "dump.json"
    write_dump(path, 300, seed=1, bytes_per_item=1000)
    rows, _ = read_whole(path, OPTIONS, block_bytes=5000)
    lines = path.read_bytes().split(b"\n")
    assert (lines[0], lines[-2:]) == (b"[", [b"]", b""])
    assert len(rows) > 290
    for row in rows:
        assert f'"{row.entity_id}"'.encode() in lines[row.line - 1][:60]


def test_generated_dumps_depend_on_their_arguments_alone(tmp_path: Path) -> None:
    def made(name: str, seed: int) -> bytes:
        path = tmp_path / name
        write_dump(path, 400, seed, bytes_per_item=1000)
        return path.read_bytes()

    assert made("a.json.gz", 0) == made("b.json.gz", 0) != made("c.json.gz", 1)
    assert gzip.decompress(made("a.json.gz", 0)) == made("d.json", 0)
    assert bz2.decompress(made("e.json.bz2", 0)) == made("d.json", 0)


def test_every_quirk_is_in_a_generated_dump(tmp_path: Path) -> None:
    path = tmp_path / "dump.json"
    write_dump(path, 5000, bytes_per_item=1500)
    data = path.read_bytes()
    lines = [json.loads(x.strip().rstrip(b",")) for x in data.splitlines() if len(x) > 3]
    items = [x for x in lines if x.get("type") == "item"]
    for key in ("labels", "descriptions", "aliases", "claims", "sitelinks"):
        assert {type(x.get(key)) for x in items} >= {dict, list, type(None)}
    quirks = (
        b'},\r\n{"', b"}, \n", b'{"entity":"Q', b'"type":"property"', b'"type":"lexeme"',
        b'"rank":"deprecated"', b'"rank":"preferred"', b'"snaktype":"novalue"',
        b'"snaktype":"somevalue"', b'"numeric-id":1000000001}', b'"mul":', b"\\ud83e\\udd8a",
        b"overlong overlong", b'"badges":["Q', b'"references":[', b'"qualifiers":{',
        b"http:\\/\\/", b'"Q4167410"', b'"Q4167836"', b'"Q13442814"',
    )  # fmt: skip
    assert [quirk for quirk in quirks if quirk not in data] == []


# One quirk at a time.
