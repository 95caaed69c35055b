"""Damaged files of a matcher are refused in one line; compiled code never reads outside them."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from openmofi.entities.index import MatcherIndex, load_index
from openmofi.entities.kernels_sequences import WORD_CONTINUES, WORD_SHIFT
from openmofi.entities.matcher import AliasMatcher
from openmofi.entities.unicode_tables import LIMIT, SEVERAL
from openmofi.errors import InputError
from support.matchers import Array, matcher, mentions, put, rewrite

ARRAYS = (
    "word_buckets", "word_records", "word_facts", "slots", "buckets", "records",
    "posting_starts", "posting_entities", "posting_priors", "posting_flags",
    "fold", "kinds", "orders", "expansion_starts", "expansions",
)  # fmt: skip


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    matcher("red fox", "fox", "goose", stops=["a"], plurals={"geese": "goose"}).index.save(tmp_path)
    return tmp_path


# --- whole files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*(f"{name}.npy" for name in ARRAYS), "matcher.json"])
@pytest.mark.parametrize("keep", [0, 5, 20, 60, -3, None])
def test_a_missing_or_short_file_is_named(saved: Path, name: str, keep: int | None) -> None:
    path = saved / name
    data = path.read_bytes()
    path.unlink()
    if keep is not None:
        path.write_bytes(data[:keep])
    with pytest.raises(InputError, match=re.escape(name)) as caught:
        load_index(saved)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize(
    "change",
    [
        lambda array: array.astype(np.float64),
        lambda array: array.astype(array.dtype.newbyteorder(">")).astype(">u2"),
        lambda array: array[np.newaxis],
        lambda array: np.stack([array.ravel()] * 3, axis=1),
        lambda array: array[:-1],
    ],
    ids=["floats", "big-endian", "one more dimension", "three columns", "one less"],
)
def test_another_array_is_refused(saved: Path, name: str, change: Callable[[Array], Array]) -> None:
    rewrite(saved / f"{name}.npy", change)
    with pytest.raises(InputError, match=r"\.npy"):
        load_index(saved)


@pytest.mark.parametrize("name", ARRAYS)
def test_trailing_bytes_are_refused(saved: Path, name: str) -> None:
    with (saved / f"{name}.npy").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(InputError, match=name):
        load_index(saved)


def test_a_huge_shape_takes_no_memory(saved: Path) -> None:
    path = saved / "records.npy"
    shape = re.compile(rb"\(\d+,\), \}( *)")
    path.write_bytes(shape.sub(lambda m: b"(9999999999999,), }" + m[1][:100], path.read_bytes()))
    with pytest.raises(InputError, match=r"records\.npy"):
        load_index(saved)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("fold", put(ord("a"), SEVERAL)),  # the search counts on one character
        ("fold", put(ord("a"), 0xFFFFFFFE)),
        ("fold", put(0xE9, SEVERAL + 10**6)),
        ("fold", put(0xE9, LIMIT)),
        ("fold", put(0xE9, SEVERAL - 1)),
        ("expansions", put(3, LIMIT)),
        ("expansion_starts", put(0, 1)),
        ("expansion_starts", put(1, -1)),
        ("expansion_starts", put(-1, 10**9)),
        ("expansion_starts", put(slice(1, 4), [2**63 - 1, -(2**63), -1])),
        ("word_buckets", put((-1, 0), 7)),
        ("word_buckets", put((-1, 1), 7)),
        ("word_buckets", lambda array: array[1:]),
        ("buckets", put((-1, 0), 7)),
        ("buckets", put((-1, 1), 8)),
        ("posting_starts", put(-1, 9)),
        ("posting_starts", lambda array: array[:0]),
        ("posting_priors", lambda array: np.repeat(array, 2)),
        ("posting_flags", lambda array: np.repeat(array, 2)),
        ("slots", lambda array: np.concatenate((array, array[:1]))),
    ],
)
def test_numbers_that_lead_outside_are_found_when_it_is_loaded(
    saved: Path, name: str, change: Callable[[Array], Array]
) -> None:
    rewrite(saved / f"{name}.npy", change)
    with pytest.raises(InputError, match=f"{name}.npy"):
        load_index(saved)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 99}, {"format": "2\n3"}, {"max_tokens": 65}, {"max_tokens": -1},
        {"max_tokens": "3"}, {"plurals": {"geese": 1}}, {"plurals": []}, {"inflection": "latin"},
        {"id_bytes": 0}, {"id_bytes": 8}, {"id_bytes": "3"}, {"space": -2}, {"space": 2**40},
        {"space": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_head_of_other_values_is_refused(saved: Path, change: dict[str, object]) -> None:
    head = saved / "matcher.json"
    head.write_text(json.dumps({**json.loads(head.read_text()), **change}))
    with pytest.raises(InputError, match=r"matcher\.json") as caught:
        load_index(saved)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["[" * 10**5, "[]", "{}", "\ufeff{}", '{"format": ' + "9" * 5000])
def test_a_head_that_is_none_is_refused(saved: Path, text: str) -> None:
    (saved / "matcher.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"matcher\.json"):
        load_index(saved)


# --- what the search finds out -------------------------------------------------------------------


def changed(index: MatcherIndex, name: str, change: Callable[[Array], Array]) -> AliasMatcher:
    array = change(np.array(getattr(index, name)))
    return AliasMatcher(dataclasses.replace(index, **{name: array}))


FOXES = matcher("red fox", "fox", "goose", stops=["a"]).index
LENGTH = bytes(FOXES.word_records).index(b"fox") - 2


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("word_buckets", put((slice(0, -1), 0), 1000)),  # words that are not there
        ("word_buckets", put((slice(1, None), 1), 10**6)),  # a record that ends outside
        ("word_records", put(LENGTH + 1, 0x7F)),  # a word longer than its bucket
        ("word_facts", put(slice(None), 0x7FFFFFFF)),  # aliases that are not there
        ("buckets", put((slice(0, -1), 0), 1000)),
        ("buckets", put((slice(1, None), 1), 10**6)),
        ("records", put(0, 0x3F)),  # a sequence longer than its bucket
    ],
)
def test_the_search_says_that_files_contradict_each_other(
    name: str, change: Callable[[Array], Array]
) -> None:
    one = changed(FOXES, name, change)
    key = "fox" if name == "word_facts" else "red fox"
    for use in (lambda: one.match([f"a {key}"]), lambda: one.look_up(key)):
        with pytest.raises(InputError, match="contradict"):
            use()


def test_inner_aliases_are_checked_as_well() -> None:
    one = changed(FOXES, "word_facts", put(slice(None), 1000 << WORD_SHIFT | WORD_CONTINUES))
    assert [m.key for m in mentions(AliasMatcher(FOXES), "red fox", nested=True)] != ["red fox"]
    with pytest.raises(InputError, match="contradict"):
        one.match(["red fox"], nested=True)


@pytest.mark.parametrize("value", [2**62, -(2**62), -1])
@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize("name", ["buckets", "word_buckets"])
def test_wide_buckets_find_the_same_and_are_checked(name: str, column: int, value: int) -> None:
    wide = dataclasses.replace(FOXES, **{name: getattr(FOXES, name).astype(np.int64)})
    assert mentions(AliasMatcher(wide), "a red fox") == mentions(AliasMatcher(FOXES), "a red fox")
    one = changed(wide, name, put((slice(0, -1), column), value))
    with pytest.raises(InputError, match="contradict"):
        one.match(["a red fox", "goose"])


def test_candidates_out_of_order_are_refused() -> None:
    one = changed(FOXES, "posting_starts", put(1, 10**6))
    with pytest.raises(InputError, match="contradict"):
        one.candidates(1)


def test_a_matcher_with_nothing_in_it_is_mapped(tmp_path: Path) -> None:
    matcher().index.save(tmp_path)
    one = AliasMatcher.load(tmp_path)
    assert mentions(one, "a text " * 300, nested=True) == []
    assert one.look_up("text") is None


def test_a_record_that_ends_outside_has_no_key() -> None:
    index = matcher("red.fox").index
    one = changed(index, "records", put(0, int(index.records[0]) + 1))  # a word more than there are
    with pytest.raises(InputError, match="contradict"):
        one.index.key(0)
