"""Each form of a source, its shards and their fingerprints, on disk and on S3."""

import json
import os
import shutil
from pathlib import Path

import pytest

from openmofi.errors import InputError, StorageError
from openmofi.ingest.config import IngestConfig
from openmofi.ingest.run import describe_group, ingest_pairs, plan_groups
from openmofi.ingest.sources import SourceShard, read_source
from openmofi.storage import open_store
from support.ingest import (
    by_key,
    crawl,
    crawl_tar,
    ingest,
    jpeg,
    members,
    photos,
    read_samples,
    statuses,
    write_table,
)


def shards(tmp_path: Path, source: str | Path, **config: object) -> list[SourceShard]:
    store = open_store(str(tmp_path / "root"))
    return read_source(store, str(source), IngestConfig.model_validate(config))


def test_a_folder_of_tars_has_a_shard_for_each(tmp_path: Path) -> None:
    found = shards(tmp_path, crawl(tmp_path / "s", shards=3))
    assert [shard.name for shard in found] == ["00000", "00001", "00002"]
    assert len({shard.fingerprint for shard in found}) == 3


def test_tars_in_subfolders_keep_apart(tmp_path: Path) -> None:
    crawl(tmp_path / "s" / "a", shards=1)
    crawl(tmp_path / "s" / "b", shards=1)
    assert [shard.name for shard in shards(tmp_path, tmp_path / "s")] == ["a-00000", "b-00000"]


def test_one_tar_is_a_source(tmp_path: Path) -> None:
    path = crawl(tmp_path / "s", shards=2) / "00001.tar"
    rows = read_samples(ingest(tmp_path / "root", path.as_uri()))[2]
    assert [row["alt_text"] for row in rows] == [f"thing number {i}" for i in (3, 4, 5)]


def test_a_folder_with_sidecar_texts(tmp_path: Path) -> None:
    folder = photos(tmp_path / "s")
    (folder / "photo1.txt").unlink()
    (folder / "photo2.json").write_text(json.dumps({"title": "page", "url": "u"}))
    (folder / "readme.txt").write_text("not a sample")
    (folder / ".hidden.jpg").write_bytes(jpeg(9))
    uri = ingest(tmp_path / "root", folder, samples_per_shard=2)
    version = read_samples(uri)[1]
    rows = by_key(uri)
    assert [entry.shard for entry in version.shards] == ["00000", "00001", "00002"]
    assert list(rows) == [f"photo{i}" for i in range(5)]
    assert rows["photo1"]["status"] == "no_text"
    assert (rows["photo2"]["title"], rows["photo2"]["url"]) == ("page", "u")
    assert rows["photo4"]["alt_text"] == "photo number 4"


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet"])
def test_tables_name_images_relative_to_themselves(tmp_path: Path, name: str) -> None:
    photos(tmp_path / "pictures")
    (tmp_path / "tables").mkdir()
    rows = [
        {"image": "../pictures/photo0.jpg", "caption": "zero, with\ta comma", "license": "CC0"},
        {"image": str(tmp_path / "pictures" / "photo1.jpg"), "caption": "one", "license": ""},
        {"image": "../pictures/lost.jpg", "caption": "lost", "license": ""},
        {"image": "", "caption": "nothing", "license": ""},
        {"image": "../pictures/photo0.jpg", "caption": "zero again", "license": ""},
    ]
    path = write_table(tmp_path / "tables", name, rows)
    store, version, found = read_samples(ingest(tmp_path / "root", path))
    expected = ["ok", "ok", "missing_image", "missing_image", "ok"]
    assert [row["status"] for row in found] == expected
    assert [row["alt_text"] for row in found][2:] == ["lost", "nothing", "zero again"]
    assert found[0]["licence"] == "CC0"
    assert found[1]["licence"] is None
    assert found[0]["image_id"] == found[4]["image_id"]
    assert len({row["key"] for row in found}) == 5
    assert version.counts == {"missing_image": 2, "ok": 3}
    assert version.shards[0].bytes > len(jpeg(0)) + len(jpeg(1))
    image = store.get_range(found[1]["tar_key"], found[1]["offset"], found[1]["length"])
    assert image == jpeg(1)


def test_columns_may_have_any_name(tmp_path: Path) -> None:
    photos(tmp_path)
    path = write_table(tmp_path, "t.csv", [{"foto": "photo0.jpg", "text": "no", "wort": "ja"}])
    uri = ingest(tmp_path / "root", path, image_column="foto", text_column="wort")
    assert read_samples(uri)[2][0]["alt_text"] == "ja"


def test_growth_by_a_tar_changes_one_shard(tmp_path: Path) -> None:
    source = crawl(tmp_path / "s", shards=2)
    before = shards(tmp_path, source)
    crawl_tar(source / "00002.tar", {"new": members(50)})
    after = shards(tmp_path, source)
    assert after[:2] == before
    assert [shard.name for shard in after] == ["00000", "00001", "00002"]


@pytest.mark.parametrize("form", ["folder", "table"])
def test_growth_at_the_end_keeps_full_shards(tmp_path: Path, form: str) -> None:
    folder = photos(tmp_path / "s", 5)

    def found(count: int) -> list[SourceShard]:
        photos(folder, count)
        rows = [{"image": f"photo{i}.jpg", "text": f"t{i}"} for i in range(count)]
        source = write_table(folder, "t.csv", rows) if form == "table" else folder
        return shards(tmp_path, source, samples_per_shard=2)

    before, after = found(5), found(7)
    assert after[:2] == before[:2]
    assert after[2].fingerprint != before[2].fingerprint
    assert [shard.name for shard in after] == ["00000", "00001", "00002", "00003"]


def test_a_moved_source_is_the_same_source(tmp_path: Path) -> None:
    source = crawl(tmp_path / "s")
    first = ingest(tmp_path / "root", source)
    shutil.move(source, tmp_path / "elsewhere")
    assert ingest(tmp_path / "root", tmp_path / "elsewhere") == first


def test_content_decides_not_the_time_of_change(tmp_path: Path) -> None:
    source = crawl(tmp_path / "s", shards=1)
    path = source / "00000.tar"
    before = shards(tmp_path, source)
    os.utime(path, (1, 1))
    assert shards(tmp_path, source) == before
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    os.utime(path, (2, 2))
    assert shards(tmp_path, source) != before


def test_groups_share_the_shards_out(tmp_path: Path) -> None:
    source = crawl(tmp_path / "s", shards=3)
    root = str(tmp_path / "root")
    assert len(plan_groups(root, source=str(source), groups=9)) == 3
    groups = plan_groups(root, source=str(source), groups=2)
    names = [[e.shard for e in read_samples(ingest_pairs(group))[1].shards] for group in groups]
    assert names == [["00000", "00002"], ["00001"]]
    assert plan_groups(root, source=str(source), groups=2) == groups
    with pytest.raises(InputError, match="has groups 0 to 1"):
        ingest_pairs(groups[0].replace("#0", "#2"))
    with pytest.raises(InputError, match="is no group"):
        ingest_pairs(groups[0].replace("#0", ""))
    with pytest.raises(InputError, match="'groups' must be at least 1"):
        plan_groups(root, source=str(source), groups=-1)


def test_an_option_of_the_checks_makes_new_shards_and_others_do_not(tmp_path: Path) -> None:
    source = crawl(tmp_path / "s")
    root = str(tmp_path / "root")
    ingest(root, source)
    (group,) = plan_groups(root, source=str(source), groups=1, config={"samples_per_shard": 7})
    assert "0 shards to do" in describe_group(group)
    (group,) = plan_groups(root, source=str(source), groups=1, config={"min_side": 17})
    assert "2 shards to do" in describe_group(group, price_per_hour=2.0)


def test_links_are_followed_and_dangling_ones_are_no_samples(tmp_path: Path) -> None:
    photos(tmp_path / "real", 1)
    folder = photos(tmp_path / "s", 1)
    (folder / "photo8.jpg").symlink_to(tmp_path / "real" / "photo0.jpg")
    (folder / "photo9.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "link").symlink_to(folder)
    assert statuses(ingest(tmp_path / "root", tmp_path / "link")) == ["ok", "no_text"]


@pytest.mark.s3
def test_sources_on_s3(s3_root: str, tmp_path: Path) -> None:
    source = open_store(f"{s3_root}/source")
    for path in crawl(tmp_path / "tars", shards=2).iterdir():
        source.put_file(f"tars/{path.name}", path)
    for path in photos(tmp_path / "photos", 2).iterdir():
        source.put_file(f"photos/{path.name}", path)
    source.put("photos/t.csv", b"image,text\nphoto1.jpg,one\n../photos/lost.jpg,lost\n")
    root = f"{s3_root}/root"
    assert statuses(ingest(root, f"{s3_root}/source/tars")) == ["ok"] * 6
    assert statuses(ingest(root, f"{s3_root}/source/tars/00001.tar")) == ["ok"] * 3
    assert statuses(ingest(root, f"{s3_root}/source/photos/")) == ["ok", "ok"]
    assert statuses(ingest(root, f"{s3_root}/source/photos/t.csv")) == ["ok", "missing_image"]
    local = ingest(tmp_path / "root", tmp_path / "tars")
    assert local.split("/")[-1] == ingest(root, f"{s3_root}/source/tars").split("/")[-1]
    with pytest.raises(InputError, match="holds no sample"):
        ingest(root, f"{s3_root}/source/none")
    with pytest.raises(StorageError):
        ingest(root, "s3://no-such-bucket/x")
