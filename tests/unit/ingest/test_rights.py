"""Licences, refusals of training, and pictures that were taken down before they came (again)."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from openmofi.images import ImageProblemError, decode_image, image_id, sample_uid
from openmofi.ingest.texts import Texts, read_texts
from openmofi.records import from_parquet
from openmofi.shards import index_tar
from openmofi.storage import FolderStore
from openmofi.tombstones import url_hash
from support.ingest import by_key, crawl_tar, ingest, jpeg, members, read_samples, write_table

REFUSED = "Use of image disallowed by X-Robots-Tag directive"
URL = "https://erika.example/1.jpg"


def told(**fields: Any) -> Texts:
    return read_texts(b"a thing", json.dumps(fields).encode())


@pytest.mark.parametrize(
    "name", ["license", "licence", "LICENSE", "LICENCE", "license_url", "rights", "License-URL"]
)
def test_a_licence_is_read_under_each_of_its_names(name: str) -> None:
    assert told(**{name: " CC BY 4.0\n"}).licence == "CC BY 4.0"


def test_the_name_of_a_licence_goes_before_its_address() -> None:
    address = "https://creativecommons.org/licenses/by/4.0/"
    assert told(rights="(c) Erika", license_url=address, LICENSE="CC BY").licence == "CC BY"
    assert told(rights="(c) Erika", license_url=address).licence == address
    assert told(LICENSE=None, license="", rights="(c) Erika").licence == "(c) Erika"
    assert told(licensed="CC0", copyright="x").licence is None


@pytest.mark.parametrize("name", ["noai", "no_ai", "NoAI", "tdm_reservation", "tdm-reservation"])
@pytest.mark.parametrize(
    ("value", "refuses"),
    [
        (True, True), (False, False), (1, True), (0, False), (1.0, True),
        ("true", True), ("Yes", True), ("1", True), ("0", False), ("no", False),
        (None, None), ("", None), ("nan", None), (float("nan"), None), ({"a": 1}, None),
    ],
)  # fmt: skip
def test_a_flag_refuses_if_it_is_true(name: str, value: object, refuses: bool | None) -> None:
    assert told(**{name: value}).no_ai is refuses


@pytest.mark.parametrize("name", ["robots", "x_robots_tag", "X-Robots-Tag"])
@pytest.mark.parametrize(
    ("value", "refuses"),
    [
        ("noai", True), ("NoAI, NoImageAI", True), ("noindex,noimageai", True),
        ("otherbot: noai", True), (["noindex", "noai"], True), ("noindex, nofollow", False),
        ("max-image-preview:1", False), ("noairport", False), ("all", False), ([], None),
    ],
)  # fmt: skip
def test_a_robots_tag_refuses_by_its_words(name: str, value: object, refuses: bool | None) -> None:
    assert told(**{name: value}).no_ai is refuses


def test_one_refusal_among_several_fields_counts() -> None:
    assert told(noai=False, robots="noimageai").no_ai is True
    assert told(noai=False, robots=None).no_ai is False
    assert told(ai=True, source="noai").no_ai is None


def test_they_stand_in_the_samples_of_a_crawl(tmp_path: Path) -> None:
    samples = {
        "a": members(1, LICENSE="CC0", noai=True),
        "b": members(2, x_robots_tag="all"),
        "c": members(3),
    }
    crawl_tar(tmp_path / "s" / "0.tar", samples)
    rows = by_key(ingest(tmp_path / "root", tmp_path / "s"))
    assert [(rows[key]["licence"], rows[key]["no_ai"]) for key in "abc"] == [
        ("CC0", True),
        (None, False),
        (None, None),
    ]
    assert {row["status"] for row in rows.values()} == {"ok"}  # whether it is used, assembly says


def test_they_stand_in_the_samples_of_a_folder_and_of_a_table(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    for number, fields in enumerate([{"LICENSE": "CC0", "robots": "noai"}, {"noai": 0}, {}]):
        (folder / f"{number}.jpg").write_bytes(jpeg(number))
        (folder / f"{number}.txt").write_text("a thing")
        (folder / f"{number}.json").write_text(json.dumps(fields))
    expected = [("CC0", True), (None, False), (None, None)]
    rows = read_samples(ingest(tmp_path / "one", folder))[2]
    assert [(row["licence"], row["no_ai"]) for row in rows] == expected
    told = [("CC0", "", "noai"), ("", "", "index"), ("", "", "")]
    listed = [
        {"image": f"{n}.jpg", "text": "a thing", "LICENSE": a, "rights": b, "X-Robots-Tag": c}
        for n, (a, b, c) in enumerate(told)
    ]
    for name in ("t.csv", "t.tsv", "t.jsonl", "t.parquet"):
        table = write_table(folder, name, listed)
        rows = read_samples(ingest(tmp_path / name, table))[2]
        assert [(row["licence"], row["no_ai"]) for row in rows] == expected, name


def test_a_named_column_of_licences_goes_before_all_others(tmp_path: Path) -> None:
    (tmp_path / "0.jpg").write_bytes(jpeg(0))
    row = {"image": "0.jpg", "text": "a thing", "license": "CC0", "terms": "ask Erika"}
    table = write_table(tmp_path, "t.csv", [row])
    (found,) = read_samples(ingest(tmp_path / "root", table, licence_column="terms"))[2]
    assert found["licence"] == "ask Erika"


def beside(path: Path, messages: list[str | None]) -> None:
    """What img2dataset writes beside a tar: a row for every URL, those that failed too."""
    status = ["success" if one is None else "failed_to_download" for one in messages]
    columns = {"url": ["x"] * len(messages), "status": status}
    pq.write_table(pa.table({**columns, "error_message": pa.array(messages, pa.string())}), path)


def test_pictures_that_img2dataset_left_out_are_counted(tmp_path: Path) -> None:
    for name in ("0", "1", "2", "3"):
        crawl_tar(tmp_path / "s" / f"{name}.tar", {"a": members(int(name))})
    beside(tmp_path / "s" / "0.parquet", [None, REFUSED, "HTTP Error 404", REFUSED, REFUSED])
    beside(tmp_path / "s" / "1.parquet", [None])
    pq.write_table(pa.table({"url": ["x"]}), tmp_path / "s" / "2.parquet")
    _, version, _ = read_samples(ingest(tmp_path / "root", tmp_path / "s"))
    assert [shard.totals for shard in version.shards] == [
        {"refused_by_source": 3},
        {"refused_by_source": 0},
        {},
        {},
    ]
    assert version.totals == {"refused_by_source": 3}
    assert version.counts == {"ok": 4}  # they are no samples


def test_a_damaged_file_beside_a_tar_fails_nothing(tmp_path: Path) -> None:
    crawl_tar(tmp_path / "s" / "0.tar", {"a": members(1)})
    (tmp_path / "s" / "0.parquet").write_bytes(b"PAR1 but not for long")
    _, version, _ = read_samples(ingest(tmp_path / "root", tmp_path / "s"))
    assert (version.counts, version.totals) == ({"ok": 1}, {})


@pytest.mark.parametrize("line", ["uid", "image", "url"])
def test_what_was_taken_down_comes_as_a_row_without_bytes(tmp_path: Path, line: str) -> None:
    samples = {"a": members(1), "b": members(2, "private words", url=URL), "c": members(3)}
    image = image_id(samples["b"]["jpg"])
    uid = sample_uid(image, "private words", None)
    lines = {"uid": uid, "image": image, "url": f"url:{url_hash(URL)}"}
    store = FolderStore(tmp_path / "root")
    store.put("tombstones/list.txt", lines[line].encode())
    crawl_tar(tmp_path / "s" / "0.tar", samples)
    _, version, rows = read_samples(ingest(tmp_path / "root", tmp_path / "s"))
    assert version.counts == {"ok": 2, "taken_down": 1}
    gone = rows[1]
    assert (gone["uid"], gone["key"], gone["status"]) == (uid, "b", "taken_down")
    nothing = ("image_id", "title", "url", "licence", "no_ai", "phash")
    assert [gone[name] for name in nothing] == [None] * 6
    assert (gone["alt_text"], gone["offset"], gone["length"], gone["width"]) == ("", -1, 0, 0)
    for info in store.list():
        data = store.get(info.key)
        assert not any(one in data for one in (samples["b"]["jpg"], b"private", URL.encode()))
    with store.local_file(rows[0]["tar_key"]) as path:
        entries = index_tar(path)
    assert [entry.key for entry in entries] == ["a", "b", "c"]
    others = [row for row in rows if row["key"] != "b"]
    for row, seed in zip(others, (1, 3), strict=True):
        assert store.get_range(row["tar_key"], row["offset"], row["length"]) == jpeg(seed)


def test_a_folder_that_still_has_it_brings_it_back_neither_as_listing_nor_as_row(
    tmp_path: Path,
) -> None:
    folder, store = tmp_path / "s", FolderStore(tmp_path / "root")
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(jpeg(number))
        (folder / f"{number}.txt").write_text(f"private words {number}")
    before = read_samples(ingest(tmp_path / "root", folder))[2]
    (listing,) = [info.key for info in store.list("sources/")]
    store.put("tombstones/list.txt", before[1]["uid"].encode())
    rows = read_samples(ingest(tmp_path / "root", folder, min_side=8))[2]
    assert [row["status"] for row in rows] == ["ok", "taken_down", "ok"]
    assert [info.key for info in store.list("sources/")] == [listing]  # the shard keeps its name
    listed = from_parquet(store.get(listing)).to_pylist()
    assert [one["alt_text"] for one in listed] == ["private words 0", "", "private words 2"]
    assert listed[1]["image"] is None


def test_why_a_picture_does_not_decode_is_a_sentence_the_same_in_every_run(tmp_path: Path) -> None:
    reasons = []
    crawl_tar(
        tmp_path / "s" / "0.tar",
        {
            "a": {"jpg": b"x", "txt": b"a thing"},
            "b": {"jpg": jpeg(1)[:300], "txt": b"a thing"},
            "c": {"gif": b"GIF89a", "txt": b"a thing"},
        },
    )
    for root in ("one", "two"):
        rows = read_samples(ingest(tmp_path / root, tmp_path / "s"))[2]
        assert {row["status"] for row in rows} == {"corrupt_image"}
        reasons.append([row["reason"] for row in rows])
    assert reasons[0] == reasons[1]
    assert reasons[0][0] == "the file is in no image format that is read"
    assert not any(bad in one for one in reasons[0] for bad in ("0x", "object", "<", "Error"))


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            OSError("cannot read <_io.BytesIO object at 0x7f00aa>\nat all"),
            "cannot read the file at",
        ),
        (KeyError("tile"), "KeyError: 'tile'"),
        (OSError(), "OSError: "),
    ],
)
def test_what_a_decoder_raises_is_told_without_addresses(
    monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(ImageProblemError) as caught:
        decode_image(b"x")
    assert caught.value.reason.startswith(says)
    assert "0x" not in caught.value.reason
