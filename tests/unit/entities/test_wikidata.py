import bz2
import gzip
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.wikidata_dump import write_dump
from benchmarks.wikidata_facts import Entity, Statement, entities, truth
from openmofi.entities.dump import Block, read_blocks
from openmofi.entities.sources import SourceRow
from openmofi.entities.wikidata import WikidataOptions, check_brackets, parse_block
from openmofi.errors import InputError

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


# Generated dumps: what is read is what the generator meant.


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


def test_an_item_is_read_whole() -> None:
    line = item(
        labels={"de": term("Fuchs"), "en": term("fox"), "fr": term("renard")},
        descriptions={"fr": term("animal"), "en": term("an animal")},
        aliases={"en": [term("red fox"), term("Reynard")], "de": [term("Reineke")]},
        claims={
            "P31": [statement({"entity-type": "item", "numeric-id": 16521, "id": "Q16521"})],
            "P279": [statement({"id": "Q7"}), statement({"id": "Q8"}, rank="preferred")],
            "P1": [statement("else")],
        },
        sitelinks={"enwiki": {"site": "enwiki", "title": "Fox"}, "dewiki": {}, "frwiki": {}},
    )
    weights = [("fox", 4.0), ("Fuchs", 4.0), ("red fox", 2.0), ("Reynard", 2.0), ("Reineke", 2.0)]
    expected = SourceRow(
        "Q1", 1, "fox", "an animal", 4.0, tuple(weights), ("Q16521",), ("Q7", "Q8")
    )
    assert parse_one(line) == expected


@pytest.mark.parametrize("key", ["labels", "descriptions", "aliases", "claims", "sitelinks"])
@pytest.mark.parametrize("empty", [[], {}, None, "absent"])
def test_an_empty_map_may_be_an_array_or_missing(key: str, empty: Any) -> None:
    line = item(
        descriptions={"en": term("d")},
        aliases={"en": [term("a")]},
        claims={"P31": [statement({"id": "Q5"})]},
        sitelinks={"enwiki": {}},
    )
    line[key] = empty
    if empty == "absent":
        del line[key]
    row = parse_one(line)
    assert (row.name, row.description, row.popularity, len(row.aliases), row.instance_of) == (
        "" if key == "labels" else "one",
        "" if key == "descriptions" else "d",
        1.0 if key == "sitelinks" else 2.0,
        {"labels": 0, "aliases": 1}.get(key, 2),
        () if key == "claims" else ("Q5",),
    )


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ({"de": "b", "en": "a", "mul": "c"}, "a"),
        ({"mul": "c", "zh-hans": "d", "de": "b"}, "b"),
        ({"mul": "c", "zh-hans": "d"}, "d"),
        ({"mul": "c", "fr": "e"}, "c"),
        ({"en": " \t ", "de": "b"}, "b"),
        ({"en": "x" * 251, "de": "b"}, "b"),
        ({"en": "x" * 251}, ""),
        ({"fr": "e", "zh": "f", "en-gb": "g"}, ""),
    ],
)
def test_the_name_is_in_the_first_wanted_language_that_has_one(
    labels: dict[str, str], name: str
) -> None:
    rows, counts = parse(item(labels={code: term(text) for code, text in labels.items()}))
    assert rows[0].name == name
    assert counts["without_name"] == (not name)
    assert (rows[0].aliases == ()) == (not name)


def test_overlong_texts_are_counted_and_left_out_and_descriptions_cut() -> None:
    line = item(
        labels={"en": term("x" * 250), "de": term("y" * 10_000)},
        aliases={"en": [term("z" * 251), term("z" * 250)]},
        descriptions={"en": term("w" * 249 + " and more")},
    )
    [row], counts = parse(line)
    assert [alias for alias, _ in row.aliases] == ["x" * 250, "z" * 250]
    assert row.description == "w" * 249
    assert counts == {"items": 1, "overlong_texts": 2}
    shorter = WikidataOptions(("en",), max_text=3)
    assert parse_one(item(descriptions={"en": term("abcd")}), shorter).description == "abc"


def test_a_text_twice_keeps_the_greater_weight() -> None:
    line = item(
        labels={"en": term("a  b"), "de": term("c")},
        aliases={"en": [term("c"), term(" a b"), term("d")], "mul": [term("d"), term("")]},
    )
    options = WikidataOptions(("en", "de"), alias_weight=0.25)
    assert parse_one(line, options).aliases == (("a b", 1.0), ("c", 1.0), ("d", 0.25))


def test_a_description_is_in_a_wanted_language_only() -> None:
    assert parse_one(item(descriptions={"mul": term("m"), "fr": term("f")})).description == ""
    both = {"en": term("  "), "de": term("d"), "mul": term("m")}
    assert parse_one(item(descriptions=both)).description == "d"
    only = WikidataOptions(("fr", "mul"))
    assert parse_one(item(descriptions={"mul": term("m")}), only).description == "m"


def test_only_items_make_rows() -> None:
    rows, counts = parse(
        {"type": "property", "id": "P31", "labels": {"en": term("instance of")}, "claims": []},
        {"type": "lexeme", "id": "L1", "lemmas": {"en": term("word")}, "claims": {}},
        {"id": "P5"},
        {"entity": "L1", "redirect": "L2"},
        {"id": "Q7", "labels": {"en": term("no type")}},
    )
    assert [row.entity_id for row in rows] == ["Q7"]
    assert counts == {"items": 1, "not_item": 4}


@pytest.mark.parametrize("key", ["entity", "id"])
def test_a_redirect_says_where_to_and_nothing_else(key: str) -> None:
    rows, counts = parse(item(), {key: "Q2", "redirect": "Q1"})
    assert rows[1] == SourceRow("Q2", 2, "", "", 0.0, (), redirect_to="Q1")
    assert counts == {"items": 1, "redirects": 1}


@pytest.mark.parametrize("name", ["P31", "P279"])
def test_classes_keep_their_order_and_come_once(name: str) -> None:
    novalue = {"mainsnak": {"snaktype": "novalue", "property": name}, "rank": "normal"}
    somevalue = {"mainsnak": {"snaktype": "somevalue", "property": name}}
    statements = [
        statement({"id": "Q9"}),
        statement({"entity-type": "item", "numeric-id": 5}),
        novalue,
        statement({"id": "Q6"}, rank="deprecated"),
        somevalue,
        statement({"id": "Q7", "numeric-id": 8, "entity-type": "item"}, rank="preferred"),
        statement({"id": "Q9"}),
    ]
    [row], counts = parse(item(claims={name: statements}))
    found = row.instance_of if name == "P31" else row.subclass_of
    assert found == ("Q9", "Q5", "Q7")
    assert row.instance_of + row.subclass_of == found
    assert counts == {"items": 1}


@pytest.mark.parametrize(
    "value",
    [
        "Q5", 5, 0.5, True, None, [], ["Q5"], {}, {"id": "P5"}, {"id": "Q0"}, {"id": "Q5\n"},
        {"id": 5}, {"id": ["Q5"]}, {"numeric-id": 5}, {"entity-type": "property", "numeric-id": 5},
        {"entity-type": "item", "numeric-id": 0}, {"entity-type": "item", "numeric-id": True},
        {"entity-type": "item", "numeric-id": 5.0}, {"entity-type": "item", "numeric-id": "5"},
        {"entity-type": "item", "numeric-id": 2**64 - 1}, {"latitude": 1.5, "globe": "Q2"},
    ],
)  # fmt: skip
def test_a_class_that_is_no_item_is_counted(value: Any) -> None:
    [row], counts = parse(item(claims={"P31": [statement(value), statement({"id": "Q5"})]}))
    assert row.instance_of == ("Q5",)
    assert counts == {"items": 1, "odd_statements": 1}


@pytest.mark.parametrize("data", [None, "Q5", [], 7])
def test_a_value_without_data_is_counted(data: Any) -> None:
    odd = {"mainsnak": {"snaktype": "value", "datavalue": data}}
    assert parse(item(claims={"P279": [odd]}))[1] == {"items": 1, "odd_statements": 1}


def test_brackets_commas_line_ends_and_blank_lines() -> None:
    one, two = (json.dumps(item(id=name)).encode() for name in ("Q1", "Q2"))
    data = b"[\r\n" + one + b",\r\n\n  " + two + b" , \n" + one + b"\n]"
    rows, _ = parse_block(data.replace(b" , ", b", "), 10, "dump", OPTIONS)
    assert [(row.entity_id, row.line) for row in rows] == [("Q1", 11), ("Q2", 13), ("Q1", 14)]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (r"a\ud800b", "a\ufffdb"),
        (r"\uDC00", "\ufffd"),
        (r"\ud83d\ud83d\ude00\ude00", "\ufffd\U0001f600\ufffd"),
        (r"\ud800 \\ud800 \\\ud800", "\ufffd \\ud800 \\\ufffd"),
        (r"\ud800 \u00e9\"\/\n\u0000x", '\ufffd é"/ \0x'),
        (r"\ud800\u0041", "\ufffdA"),
        (r"a\u0000b", "a\0b"),
    ],
)
def test_half_a_surrogate_pair_is_replaced(written: str, name: str) -> None:
    assert parse_one(f'{{"id":"Q1","labels":{{"en":{{"value":"{written}"}}}}}}').name == name


def test_half_a_surrogate_pair_in_a_text_that_is_not_read_does_no_harm() -> None:
    line = r'{"id":"Q1","labels":{"xx":{"value":"\ud800"},"en":{"value":"a"}},"x":"\udfff"}'
    assert parse_one(line).name == "a"


def test_odd_json_that_is_not_read_does_no_harm() -> None:
    odd = ["1e99999", "9" * 10_000, "[" * 500 + "]" * 500, r'"\u0000"', '{"id":7}', "-0.0e-0"]
    for text in odd:
        assert parse_one(f'{{"x":{text},"id":"Q1","labels":{{}},"y":{text}}}').entity_id == "Q1"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id":"Q1"', "is not JSON: Input data was truncated"),
        ("Q1", "is not JSON: "),
        ('{"id":"Q1"} {"id":"Q2"}', "is not JSON: .*trailing"),
        ('{"id":"Q1","x":NaN}', "is not JSON: "),
        ('{"id":"Q1","x":"\0"}', "is not JSON: "),
        (r'{"id":"Q1","x":"\ud800\x"}', "is not JSON: "),
        ('{"id":"Q1","x":' + "[" * 100_000, "is not JSON: it is nested too deeply"),
        ("[]", "is no Wikidata entity: Expected `object`, got `array`"),
        ("{}", "is no Wikidata entity: '' is no item's id, as Q42 is"),
        ('{"id":"Q0"}', "is no Wikidata entity: 'Q0' is no item's id"),
        ('{"id":"Q1\\n"}', r"is no Wikidata entity: 'Q1\\n' is no item's id"),
        ('{"type":"item","id":"P1"}', "is no Wikidata entity: 'P1' is no item's id"),
        ('{"entity":"Q1","redirect":"P2"}', "is no Wikidata entity: 'P2' is no item's id"),
        ('{"id":7}', "is no Wikidata entity: Expected `str`, got `int` - at `\\$.id`"),
        ('{"id":"Q1","labels":[1]}', "is no Wikidata entity: .* at `\\$.labels`"),
        ('{"id":"Q1","labels":{"en":{}}}', "is no Wikidata entity: .* field `value`"),
        ('{"id":"Q1","aliases":{"en":{"value":"a"}}}', "is no Wikidata entity: .* got `object`"),
        ('{"id":"Q1","claims":{"P31":[{}]}}', "is no Wikidata entity: .* field `mainsnak`"),
        ('{"id":"Q1","sitelinks":3}', "is no Wikidata entity: .* got `int`"),
    ],
)
def test_a_bad_line_is_named_in_one_line(line: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^dump.json, line 2 {message}") as caught:
        parse(item(), line)
    assert "\n" not in str(caught.value)


def test_text_that_is_not_utf8_is_told() -> None:
    data = b'{"id":"Q1","labels":{"en":{"value":"\xff"}}}'
    with pytest.raises(InputError, match="dump, line 5 is not JSON: 'utf-8' codec"):
        parse_block(data, 5, "dump", OPTIONS)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"languages": ()}, "languages must name one at least"),
        ({"languages": ("en", "")}, "languages must name one at least"),
        ({"languages": ("en", "de", "en")}, "languages must differ"),
        ({"languages": ("en",), "alias_weight": 0.0}, r"alias_weight must be in \(0, 1\], got 0.0"),
        ({"languages": ("en",), "alias_weight": float("nan")}, "alias_weight must be"),
        ({"languages": ("en",), "alias_weight": 1.5}, "alias_weight must be"),
        ({"languages": ("en",), "max_text": 0}, "max_text must be 1 or more, got 0"),
    ],
)
def test_options_out_of_range_are_told(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        WikidataOptions(**fields)


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ([b"[\n{}\n]\n"], True),
        ([b"[\n{},\n", b"{}\n]", b"\n \n"], True),
        ([b"{}\n", b"{}\n"], True),  # no array at all: a line-by-line extract
        ([b" [\n{},\n"], False),
        ([b"[\n{},\n", b"{},\n"], False),
        ([b"[\n{}\n]\n", b"{},\n"], False),
    ],
)
def test_an_array_that_opens_must_close(parts: list[bytes], whole: bool) -> None:
    blocks = [Block(number, 1, data) for number, data in enumerate(parts)]
    if whole:
        assert list(check_brackets(blocks, "dump")) == blocks
    else:
        with pytest.raises(InputError, match=r"dump is cut short: it does not end with '\]'"):
            list(check_brackets(blocks, "dump"))


# Damage of any kind ends in rows or in our error.

PACKS: list[Callable[[bytes], bytes]] = [bytes, gzip.compress, bz2.compress]


@pytest.fixture(scope="module")
def small_dump(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("dump") / "small.json"
    write_dump(path, 28, seed=5, bytes_per_item=300)
    return path.read_bytes()


def mutate(data: bytes, draw: st.DataObject) -> bytes:
    places = st.integers(0, max(0, len(data) - 1))
    start, end = sorted((draw.draw(places), draw.draw(places)))
    how = draw.draw(st.sampled_from(["flip", "cut", "drop", "insert", "double"]))
    if how == "flip":
        flipped = bytes(x ^ draw.draw(st.integers(1, 255)) for x in data[start : start + 1])
        return data[:start] + flipped + data[start + 1 :]
    if how == "insert":
        json_bytes = st.sampled_from([b'"', b"\\", b"{", b"]", b"\n", b",", b"\\ud800", b"null"])
        return data[:start] + draw.draw(st.binary(max_size=4) | json_bytes) + data[start:]
    kept = {"cut": b"", "drop": data[end:], "double": data[start:end] + data[start:]}
    return data[:start] + kept[how]


@settings(max_examples=250, deadline=None)
@given(data=st.data(), pack=st.sampled_from(PACKS), outside=st.booleans())
def test_any_damage_ends_in_rows_or_our_error(
    small_dump: bytes,
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    pack: Callable[[bytes], bytes],
    outside: bool,
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.json"
    path.write_bytes(mutate(pack(small_dump), data) if outside else pack(mutate(small_dump, data)))
    counts: Counter[str] = Counter()
    rows, message = [], ""
    try:
        rows, counts = read_whole(path, OPTIONS, block_bytes=2000)
    except InputError as error:
        message = str(error)
    assert bool(message) == ("fuzz.json" in message)
    assert "\n" not in message
    assert counts["items"] + counts["redirects"] == len(rows)
    for row in rows:
        assert row.entity_id[0] == "Q"
        row.name.encode()


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda some: (
        st.lists(some, max_size=3) | st.dictionaries(st.text(max_size=3), some, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_any_json_in_any_place_ends_in_a_row_or_our_error(data: st.DataObject) -> None:
    line: Any = item(
        descriptions={"en": term("d")},
        aliases={"en": [term("a")]},
        claims={"P31": [statement({"entity-type": "item", "numeric-id": 5, "id": "Q5"})]},
        sitelinks={"enwiki": {"site": "enwiki"}},
    )
    place: Any = line
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else [0]))
        if not isinstance(place[key], dict | list) or data.draw(st.integers(0, 3)) == 0:
            break
        place = place[key]
    place[key] = data.draw(any_json)
    rows, message = [], "dump.json, line 1 is no Wikidata entity"
    try:
        rows, _ = parse(line)
    except InputError as error:
        message = str(error)
    assert message.startswith("dump.json, line 1 is no")
    assert all(row.entity_id[0] == "Q" for row in rows)
