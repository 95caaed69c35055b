"""Sources that are refused before work starts, and those that turn out broken or changed."""

from pathlib import Path

import pytest

from openmofi.errors import InputError, ShardError
from openmofi.ingest.run import ingest_pairs, plan_groups
from support.ingest import crawl, crawl_tar, ingest, jpeg, members, photos, write_table


def one_line(error: pytest.ExceptionInfo[Exception]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def refused(tmp_path: Path, source: str | Path, **config: object) -> str:
    with pytest.raises(InputError) as error:
        plan_groups(str(tmp_path / "root"), source=str(source), groups=1, config=config)
    assert not list((tmp_path / "root").rglob("*.json"))
    return one_line(error)


def test_a_missing_source_is_refused(tmp_path: Path) -> None:
    assert f"not found: {tmp_path}/none" in refused(tmp_path, tmp_path / "none")


def test_another_scheme_is_refused(tmp_path: Path) -> None:
    assert "scheme 'https'" in refused(tmp_path, "https://a.example/crawl")


def test_empty_sources_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no sample" in refused(tmp_path, tmp_path / "empty")
    crawl_tar(tmp_path / "tars" / "0.tar", {})
    assert "holds no sample" in refused(tmp_path, tmp_path / "tars")
    (tmp_path / "t.csv").write_text("image,text\n")
    assert "holds no sample" in refused(tmp_path, tmp_path / "t.csv")


def test_a_folder_with_only_a_table_says_how_to_read_it(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "t.csv").write_text("image,text\na.jpg,b\n")
    assert f"give {tmp_path}/s/t.csv" in refused(tmp_path, tmp_path / "s")


def test_a_table_without_the_column_names_column_file_and_columns(tmp_path: Path) -> None:
    path = write_table(tmp_path, "t.csv", [{"image": "a.jpg", "words": "x"}])
    message = refused(tmp_path, path)
    assert "no text column" in message
    assert str(path) in message
    assert "it has: image, words" in message
    assert "'text_column'" in message
    assert "no column 'foo'" in refused(tmp_path, path, text_column="foo")


def test_urls_are_sent_to_img2dataset(tmp_path: Path) -> None:
    path = write_table(tmp_path, "t.jsonl", [{"url": "https://a.example/1.jpg", "text": "x"}])
    assert "download them with img2dataset" in refused(tmp_path, path)
    path = write_table(tmp_path, "u.csv", [{"image": "https://a.example/1.jpg", "text": "x"}])
    assert "column 'image'" in refused(tmp_path, path)


def test_broken_tables_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"image": "a.jpg", "text": "b"}\n{"image"\n')
    assert "t.jsonl, line 2 is not JSON" in refused(tmp_path, tmp_path / "t.jsonl")
    (tmp_path / "t.parquet").write_bytes(b"no parquet")
    assert "t.parquet cannot be read" in refused(tmp_path, tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_bytes(b"image,text\n\xff\xfe,b\n")
    assert "t.csv cannot be read" in refused(tmp_path, tmp_path / "t.csv")


def test_an_unknown_key_of_the_config_is_refused(tmp_path: Path) -> None:
    assert "unknown key 'min_sides'" in refused(tmp_path, crawl(tmp_path / "s"), min_sides=3)


@pytest.mark.parametrize("cut", [0.5, 0.97])
def test_half_a_tar_fails_by_name_and_the_others_are_done(tmp_path: Path, cut: float) -> None:
    source = crawl(tmp_path / "s", shards=3)
    broken = source / "00001.tar"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: int(9000 * cut)])
    (group,) = plan_groups(str(tmp_path / "root"), source=str(source), groups=1)
    with pytest.raises(
        ShardError, match=r"shard '00001' failed: .*s/00001.tar is cut short"
    ) as error:
        ingest_pairs(group)
    assert "2 of 3 shards are done" in one_line(error)
    broken.write_bytes(whole)
    uri = ingest(tmp_path / "root", source)
    assert uri.split("/")[-1] == ingest(tmp_path / "fresh", source).split("/")[-1]


def test_a_source_that_changed_after_the_plan_is_noticed(tmp_path: Path) -> None:
    source = crawl(tmp_path / "s", shards=1)
    (group,) = plan_groups(str(tmp_path / "root"), source=str(source), groups=1)
    crawl_tar(source / "00000.tar", {"other": members(77)})
    with pytest.raises(ShardError, match=r"00000.tar has changed since it was planned"):
        ingest_pairs(group)
    folder = photos(tmp_path / "p", 2)
    (group,) = plan_groups(str(tmp_path / "root"), source=str(folder), groups=1)
    (folder / "photo1.jpg").write_bytes(jpeg(66))
    with pytest.raises(ShardError, match=r"photo1.jpg has changed"):
        ingest_pairs(group)
