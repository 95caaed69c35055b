"""Lists of what was taken down: what a line names, and what a reader must look up."""

from pathlib import Path

import pyarrow as pa
import pytest

from openmofi.dataset.causes import Cause, funnel
from openmofi.storage import FolderStore
from openmofi.tombstones import (
    Tombstones,
    read_tombstones,
    url_hash,
    url_hashes,
    write_tombstones,
)

A, B, C = (one * 32 for one in "abc")
URL = "https://a.example/1.jpg"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def test_a_list_by_hand_has_an_id_a_line_and_comments(store: FolderStore) -> None:
    store.put("tombstones/one.txt", f"# asked for on Monday\n{A}  # a uid\n\n".encode())
    store.put("tombstones/two.txt", f"url:{url_hash(URL)}\n{B}\n".encode())
    found = read_tombstones(store)
    assert found.ids == {A, B}
    assert found.urls == {url_hash(URL)}
    assert not found.settled


def test_what_is_written_is_read_and_needs_no_look_up(store: FolderStore) -> None:
    digest = write_tombstones(store, ids=[B, A], urls=[C], reason="by letter")
    assert [info.key for info in store.list()] == [f"tombstones/{digest}.txt"]
    assert b"# by letter\n" in store.get(f"tombstones/{digest}.txt")
    found = read_tombstones(store)
    assert (found.ids, found.urls, found.settled) == ({A, B}, {C}, True)
    store.put("tombstones/by-hand.txt", b"# nothing yet\n")
    assert read_tombstones(store).settled
    store.put("tombstones/by-hand.txt", A.encode())
    assert not read_tombstones(store).settled


def test_the_digest_is_of_the_lines_in_whatever_lists_they_stand(store: FolderStore) -> None:
    assert read_tombstones(store).digest == Tombstones().digest
    write_tombstones(store, ids=[A, B], urls=[C])
    together = read_tombstones(store).digest
    for info in list(store.list()):
        store.delete(info.key)
    write_tombstones(store, ids=[B], urls=[])
    part = read_tombstones(store).digest
    write_tombstones(store, ids=[A], urls=[C], reason="another")
    assert read_tombstones(store).digest == together != part


def test_hits_are_by_uid_by_image_and_by_url() -> None:
    stones = Tombstones(frozenset([A, B]), frozenset([C]))
    hits = stones.hits(
        pa.array([A, "1", "2", "3", "4"]),
        pa.array([None, B, "9", None, A[:31] + "b"]),
        pa.array([None, None, C, None, B]),
    )
    assert hits.tolist() == [True, True, True, False, False]
    assert Tombstones().hits(pa.array([A]), pa.nulls(1, pa.string()), pa.array([C])).sum() == 0


def test_of_one_sample_the_same_is_said() -> None:
    stones = Tombstones(frozenset([A, B]), frozenset([str(url_hash(URL))]))
    assert stones.names(A, None, None)
    assert stones.names("1", B, None)
    assert stones.names("1", None, URL)
    assert not stones.names("1", None, None)
    assert not stones.names("1", "2", URL + "/")


def test_rows_are_dropped_by_the_columns_that_are_there() -> None:
    stones = Tombstones(frozenset([A]), frozenset([str(url_hash(URL))]))
    table = pa.table(
        {
            "uid": [A, "1", "2", "3"],
            "image_id": pa.array(["7", A, "8", None]),
            "url": [None, None, URL, None],
            "status": ["ok", "ok", "ok", "taken_down"],
        }
    )
    assert stones.drop(table).num_rows == 0
    assert stones.drop(table.select(["uid"])).column("uid").to_pylist() == ["1", "2", "3"]
    assert stones.drop(table.select(["uid", "url"])).column("uid").to_pylist() == ["1", "3"]
    assert stones.drop(table.select(["uid", "status"])).column("uid").to_pylist() == ["1", "2"]


def test_a_url_is_kept_as_its_hash_and_none_has_none() -> None:
    assert url_hashes([URL, None, ""]).to_pylist() == [url_hash(URL), None, None]
    assert len(str(url_hash(URL))) == 32


def test_ingest_and_assembly_have_one_word_for_it_which_the_funnel_counts_once() -> None:
    counts = {"kept": 5, "taken_down": 2, "no_text": 1, "text_region": 3}
    assert Cause.TAKEN_DOWN == "taken_down"
    rows = funnel(counts)
    assert [(cause, dropped) for _, cause, dropped in rows] == [
        ("no_text", 1),
        ("taken_down", 2),
        ("text_region", 3),
    ]
    assert sum(dropped for _, _, dropped in rows) + counts["kept"] == sum(counts.values())
