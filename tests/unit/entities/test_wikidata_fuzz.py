"""Damaged dumps and any JSON: rows or our own error."""

import bz2
import gzip
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.wikidata_dump import write_dump
from openmofi.errors import InputError
from support.wikidata import OPTIONS, item, parse, read_whole, statement, term

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
