"""Scope: openmofi.shards: tars written deterministically, indexed, and refused when cut."""

import io
import random
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from openmofi.errors import ShardError
from openmofi.shards import TarReader, index_tar, write_tar

SAMPLES: list[tuple[str, Mapping[str, bytes]]] = [
    ("000000", {"jpg": b"j" * 700, "txt": b"a caption", "json": b"{}"}),
    ("000001", {"jpg": bytes(1024), "txt": b""}),  # zeros and an empty member fool a naive check
    ("deep/er/000002", {"png": b"p" * 512, "txt": "schön".encode()}),
    ("000003", {"txt": b"no picture"}),
    ("000004", {"jpg": bytes(512)}),
]


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    write_tar(tmp_path / "00000.tar", SAMPLES)
    return tmp_path / "00000.tar"


def contents(path: Path) -> list[tuple[str, dict[str, bytes]]]:
    samples = index_tar(path)
    with TarReader(path) as reader:
        return [(sample.key, members) for sample, members in reader.members(samples)]


def test_what_was_written_is_read(tar: Path) -> None:
    assert contents(tar) == [(key, dict(members)) for key, members in SAMPLES]


def test_offsets_from_writing_and_from_reading_are_the_same_and_right(tmp_path: Path) -> None:
    written = write_tar(tmp_path / "t.tar", SAMPLES)
    assert written == index_tar(tmp_path / "t.tar")
    data = (tmp_path / "t.tar").read_bytes()
    for sample, (_, members) in zip(written, SAMPLES, strict=True):
        for extension, member in sample.members.items():
            assert data[member.offset :][: member.length] == members[extension]


def test_an_ordinary_tar_reader_agrees(tar: Path) -> None:
    with tarfile.open(tar) as reader:
        names = [info.name for info in reader]
        assert names == [f"{key}.{extension}" for key, m in SAMPLES for extension in m]
        file = reader.extractfile("000000.txt")
        assert file is not None
        assert file.read() == b"a caption"


def test_the_same_samples_give_the_same_bytes(tmp_path: Path, tar: Path) -> None:
    write_tar(tmp_path / "again.tar", iter(SAMPLES))
    assert (tmp_path / "again.tar").read_bytes() == tar.read_bytes()


def test_no_sample_makes_a_readable_tar(tmp_path: Path) -> None:
    assert write_tar(tmp_path / "none.tar", []) == []
    assert index_tar(tmp_path / "none.tar") == []


def end_of_content(path: Path) -> int:
    """Where the first closing block ends: what follows is padding."""
    with tarfile.open(path) as reader:
        last = reader.getmembers()[-1]
    return last.offset_data + -(-last.size // 512) * 512 + 512


def test_a_cut_at_every_block_is_detected(tmp_path: Path, tar: Path) -> None:
    data, end = tar.read_bytes(), end_of_content(tar)
    cut = tmp_path / "cut.tar"
    cuts = range(0, end, 512)
    assert len(cuts) > 15
    for size in cuts:
        cut.write_bytes(data[:size])
        with pytest.raises(ShardError, match=r"cut\.tar"):
            index_tar(cut)


def test_a_cut_anywhere_is_detected(tmp_path: Path, tar: Path) -> None:
    data, end = tar.read_bytes(), end_of_content(tar)
    cut = tmp_path / "cut.tar"
    for size in random.Random(1).sample(range(1, end), 400):
        cut.write_bytes(data[:size])
        with pytest.raises(ShardError, match=r"cut\.tar"):
            index_tar(cut)


def test_a_cut_in_the_padding_loses_nothing(tmp_path: Path, tar: Path) -> None:
    cut = tmp_path / "cut.tar"
    cut.write_bytes(tar.read_bytes()[: end_of_content(tar)])
    assert contents(cut) == contents(tar)


def test_damage_to_a_header_is_detected(tmp_path: Path, tar: Path) -> None:
    data = tar.read_bytes()
    with tarfile.open(tar) as reader:
        headers = [info.offset for info in reader]
    for offset in headers:
        damaged = bytearray(data)
        damaged[offset + 20] ^= 0xFF
        (tmp_path / "damaged.tar").write_bytes(damaged)
        with pytest.raises(ShardError, match=r"damaged\.tar"):
            index_tar(tmp_path / "damaged.tar")


def test_random_damage_is_read_or_refused_and_nothing_else(tmp_path: Path, tar: Path) -> None:
    data, dice = tar.read_bytes(), random.Random(2)
    path = tmp_path / "damaged.tar"
    refused = 0
    for _ in range(400):
        damaged = bytearray(data)
        start = dice.choice([0, dice.randrange(len(data))])
        damaged[start : start + 512] = dice.randbytes(512)
        path.write_bytes(damaged)
        try:
            contents(path)
        except ShardError:
            refused += 1
    assert refused > 100


def test_a_member_of_negative_size_is_refused(tmp_path: Path) -> None:
    # Sizes in base 256 can be negative; followed blindly they lead round in a circle.
    info = tarfile.TarInfo("a.jpg")
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 11 + b"\x00"  # -256
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "loop.tar").write_bytes(header + bytes(1024))
    with pytest.raises(ShardError, match=r"loop\.tar"):
        index_tar(tmp_path / "loop.tar")


@pytest.mark.parametrize(
    "data", [b"", b"no tar at all", b"\x1f\x8b" + b"z" * 2000], ids=["empty", "text", "gzip"]
)
def test_what_is_no_tar_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(data)
    with pytest.raises(ShardError, match=r"x\.tar is"):
        index_tar(tmp_path / "x.tar")


def test_a_missing_tar_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"gone\.tar"):
        index_tar(tmp_path / "gone.tar")


def test_webdataset_rules_make_the_samples(tmp_path: Path) -> None:
    names = ["a/0.jpg", "a/0.seg.PNG", "b/0.JPG", "1.txt", "b/0.txt"]
    with tarfile.open(tmp_path / "t.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        folder = tarfile.TarInfo("a")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name in names:
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    samples = [(s.key, sorted(s.members)) for s in index_tar(tmp_path / "t.tar")]
    # Up to the first dot; extensions in lower case; only neighbours belong together.
    assert samples == [
        ("a/0", ["jpg", "seg.png"]),
        ("b/0", ["jpg"]),
        ("1", ["txt"]),
        ("b/0", ["txt"]),
    ]


def test_long_names_of_other_writers_are_read(tmp_path: Path) -> None:
    key = "ö" * 80 + "/" + "n" * 120
    with tarfile.open(tmp_path / "t.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        info = tarfile.TarInfo(f"{key}.jpg")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
    assert contents(tmp_path / "t.tar") == [(key, {"jpg": b"abc"})]


def test_a_key_that_would_be_read_otherwise_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"v1\.5"):
        write_tar(tmp_path / "t.tar", [("a/v1.5", {"jpg": b""})])


def test_reading_past_the_end_is_an_error_that_names_the_tar(tar: Path) -> None:
    with TarReader(tar) as reader, pytest.raises(ShardError, match=r"00000\.tar is cut short"):
        reader.read(tar.stat().st_size - 10, 20)
