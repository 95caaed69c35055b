"""What becomes of one sample: pixels, texts, and what stands in the pool."""

import io
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from openmofi.images import MAX_PIXELS, image_id, perceptual_hash, sample_uid
from openmofi.ingest.config import IngestConfig
from openmofi.ingest.stage import STAGE_VERSION
from openmofi.records import SAMPLES, Status
from openmofi.shards import index_tar, write_tar
from support.ingest import (
    by_key,
    crawl,
    crawl_tar,
    ingest,
    jpeg,
    members,
    picture,
    read_samples,
)
from support.pictures import encoded


def one(tmp_path: Path, image: bytes | None, text: str = "a thing", **config: object) -> dict:
    contents = {"txt": text.encode()}
    if image is not None:
        contents = {"jpg": image, **contents}
    crawl_tar(tmp_path / "source" / "0.tar", {"k": contents})
    return by_key(ingest(tmp_path / "root", tmp_path / "source", **config))["k"]


def test_a_sound_sample_is_recorded_whole(tmp_path: Path) -> None:
    data = jpeg(1)
    title = "page"
    metadata = {"title": title, "url": "https://a.example/1", "license": "CC0", "wordnet_id": "n1"}
    crawl_tar(
        tmp_path / "s" / "0.tar",
        {"k": {"jpg": data, "txt": b" a thing\n", "json": json.dumps(metadata).encode()}},
    )
    store, _, (row,) = read_samples(ingest(tmp_path / "root", tmp_path / "s"))
    assert row["status"] == "ok"
    assert row["reason"] is None
    assert (row["alt_text"], row["title"]) == ("a thing", title)
    assert (row["url"], row["licence"]) == ("https://a.example/1", "CC0")
    assert row["image_id"] == image_id(data)
    assert row["uid"] == sample_uid(image_id(data), "a thing", title)
    assert (row["width"], row["height"]) == (32, 24)
    assert row["phash"] == perceptual_hash(Image.open(io.BytesIO(data)).convert("RGB"))
    assert store.get_range(row["tar_key"], row["offset"], row["length"]) == data


def test_the_pool_holds_no_other_field_of_the_json(tmp_path: Path) -> None:
    crawl_tar(tmp_path / "s" / "0.tar", {"k": members(1, source="label", wordnet_id="n1")})
    store, _, (row,) = read_samples(ingest(tmp_path / "root", tmp_path / "s"))
    assert b"label" not in store.get(row["tar_key"])
    assert b"wordnet" not in store.get(row["tar_key"])


def test_every_tar_entry_has_one_row_in_tar_order(tmp_path: Path) -> None:
    samples = {"a": members(1), "b": {"txt": b"no image"}, "c": {"jpg": b"x"}, "d": {"json": b"{}"}}
    crawl_tar(tmp_path / "s" / "0.tar", samples)
    store, version, rows = read_samples(ingest(tmp_path / "root", tmp_path / "s"))
    with store.local_file(rows[0]["tar_key"]) as path:
        entries = index_tar(path)
    assert [entry.key for entry in entries] == [row["key"] for row in rows] == list("abcd")
    for entry, row in zip(entries, rows, strict=True):
        images = [m for e, m in entry.members.items() if e not in ("txt", "json")]
        expected = [(row["offset"], row["length"])] if row["offset"] >= 0 else []
        assert [(m.offset, m.length) for m in images] == expected
    assert sum(version.counts.values()) == len(rows)
    assert version.counts == {"ok": 1, "missing_image": 2, "corrupt_image": 1}


def test_a_sample_without_image_has_no_offset_and_no_image_id(tmp_path: Path) -> None:
    row = one(tmp_path, None)
    assert (row["status"], row["offset"], row["length"]) == ("missing_image", -1, 0)
    assert row["image_id"] is None
    assert row["phash"] is None


def huge_png() -> bytes:
    """A valid header of 60,000 x 60,000 pixels over a tiny body."""
    data = bytearray(encoded(picture(1), "PNG"))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    ("image", "status"),
    [
        (jpeg(1)[: len(jpeg(1)) // 2], Status.CORRUPT_IMAGE),
        (b"<html>404</html>", Status.CORRUPT_IMAGE),
        (b"", Status.CORRUPT_IMAGE),
        (huge_png(), Status.TOO_MANY_PIXELS),
        (encoded(Image.new("RGB", (1, 1)), "PNG"), Status.TOO_SMALL),
        (jpeg(1, (15, 60)), Status.TOO_SMALL),
        (jpeg(1, (100, 16)), Status.BAD_ASPECT),
        (jpeg(1, (80, 16)), Status.OK),
    ],
    ids=["truncated", "html", "empty", "huge", "one pixel", "small", "wide", "just ok"],
)
def test_images_that_cannot_be_used_are_counted_rows(
    tmp_path: Path, image: bytes, status: Status
) -> None:
    row = one(tmp_path, image)
    assert row["status"] == status
    assert (row["phash"] is None) == (status != Status.OK)
    assert (row["reason"] is None) == (status == Status.OK)
    assert row["length"] == len(image)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", "no_text"),
        (" \n\t", "no_text"),
        ("x", "short_text"),
        ("ox", "ok"),
        ("y" * 21, "long_text"),
    ],
)
def test_texts_are_bounded(tmp_path: Path, text: str, status: str) -> None:
    assert one(tmp_path, jpeg(1), text, max_text_chars=20)["status"] == status


def test_a_text_that_is_no_utf8_does_not_break_the_shard(tmp_path: Path) -> None:
    crawl_tar(tmp_path / "s" / "0.tar", {"k": {"jpg": jpeg(1), "txt": b"caf\xe9", "json": b"{"}})
    assert by_key(ingest(tmp_path / "r", tmp_path / "s"))["k"]["alt_text"] == "caf\ufffd"


def test_inner_blanks_keep_their_places(tmp_path: Path) -> None:
    assert one(tmp_path, jpeg(1), "\ufeff a\tb  c\r\n")["alt_text"] == "a b  c"


def test_exif_is_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = picture(3, (24, 32))
    data = encoded(upright.rotate(90, expand=True), "PNG", exif=exif)
    row = one(tmp_path, data)
    assert (row["width"], row["height"]) == (24, 32)
    assert row["phash"] == perceptual_hash(upright)


def opaque(image: Image.Image) -> Image.Image:
    return Image.merge("RGBA", (*image.split(), Image.new("L", image.size, 255)))


def distance(first: int, second: int) -> int:
    return (first ^ second).bit_count()


FEW = picture(3).quantize(32)  # 32 colours, so that a GIF holds them exactly
SHOWN = FEW.convert("RGB")


@pytest.mark.parametrize(
    ("data", "extension"),
    [
        (encoded(SHOWN, "WEBP", lossless=True), "webp"),
        (encoded(SHOWN, "BMP"), "bmp"),
        (encoded(SHOWN.convert("CMYK"), quality=95), "jpg"),
        (encoded(FEW, "GIF", save_all=True, append_images=[picture(9).quantize(32)]), "gif"),
        (encoded(FEW, "PNG"), "png"),
        (encoded(opaque(SHOWN), "PNG"), "png"),
    ],
    ids=["webp", "bmp", "cmyk", "animated", "palette", "alpha"],
)
def test_formats_show_the_same_picture_under_their_true_extension(
    tmp_path: Path, data: bytes, extension: str
) -> None:
    store, _, (row,) = read_samples(_with_name(tmp_path, data))
    with store.local_file(row["tar_key"]) as path:
        assert list(index_tar(path)[0].members) == [extension, "txt", "json"]
    assert row["status"] == "ok"
    assert distance(row["phash"], perceptual_hash(SHOWN)) <= 4


def _with_name(tmp_path: Path, data: bytes) -> str:
    crawl_tar(tmp_path / "s" / "0.tar", {"k": {"jpg": data, "txt": b"a thing"}})
    return ingest(tmp_path / "root", tmp_path / "s")


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    grey = picture(3).convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    row = one(tmp_path, encoded(deep, "PNG"))
    assert row["phash"] == perceptual_hash(grey.convert("RGB"))


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    mask = Image.new("L", (32, 24), 0)
    mask.paste(255, (8, 4, 24, 20))
    clear = Image.merge("RGBA", (*Image.new("RGB", (32, 24)).split(), mask))
    white = Image.new("RGB", (32, 24), "white")
    white.paste("black", (8, 4, 24, 20))
    assert one(tmp_path, encoded(clear, "PNG"))["phash"] == perceptual_hash(white)


def test_keys_are_unique_and_safe(tmp_path: Path) -> None:
    twice = [("a", members(1)), ("b", members(2)), ("a", members(3))]
    long = "n" * 90
    path = tmp_path / "s" / "0.tar"
    path.parent.mkdir()
    write_tar(path, [*twice, ("grün", members(4)), (long, members(5)), ("./d", members(6))])
    keys = [row["key"] for row in read_samples(ingest(tmp_path / "root", tmp_path / "s"))[2]]
    assert keys[:2] == ["a", "b"]
    assert keys[5] == "d"
    assert len(set(keys)) == 6
    assert all(key.isascii() and len(key) <= 80 for key in keys)


def test_the_bound_on_pixels_is_that_of_later_stages() -> None:
    assert IngestConfig().max_pixels == MAX_PIXELS


def test_output_of_a_fixed_shard_is_pinned_to_the_stage_version(tmp_path: Path) -> None:
    samples = {"a": members(0, title="t"), "b": {"txt": b"lost"}, "c": {"jpg": b"x", "txt": b"y"}}
    # BMP: JPEG libraries may round otherwise.
    samples["a"]["jpg"] = encoded(Image.linear_gradient("L").resize((32, 32), 0), "BMP")
    crawl_tar(tmp_path / "s" / "0.tar", samples)
    _, version, rows = read_samples(ingest(tmp_path / "root", tmp_path / "s"))
    assert set(rows[0]) - {"tar_key"} == set(SAMPLES.names)
    found = (STAGE_VERSION, version.shards[0].content_digest)
    assert found == (2, "e1f705162e8fd553d1de61ca7ebfcab4"), (
        "raise STAGE_VERSION when output changes on purpose"
    )


def test_the_pool_tar_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    source = crawl(tmp_path / "s", shards=1)
    tars = []
    for root in ("one", "two"):
        store, version, _ = read_samples(ingest(tmp_path / root, source))
        tars.append(store.get(version.shards[0].tar_key))
    assert tars[0] == tars[1]
