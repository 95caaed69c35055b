"""Items of a dump, quirk by quirk."""

import json
from typing import Any

import pytest

from openmofi.entities.dump import Block
from openmofi.entities.sources import SourceRow
from openmofi.entities.wikidata import WikidataOptions, check_brackets, parse_block
from openmofi.errors import InputError
from support.wikidata import OPTIONS, item, parse, parse_one, statement, term


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
