import bz2
import gzip
import itertools
import random
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from openmofi.entities.dump import Block, read_blocks
from openmofi.errors import InputError

Pack = Callable[[bytes], bytes]
PACKS: dict[str, Pack] = {"plain": bytes, "gzip": gzip.compress, "bzip2": bz2.compress}


def text_of_lines(count: int = 2000, seed: int = 0) -> bytes:
    draw = random.Random(seed)
    lines = (draw.randbytes(draw.randrange(80)).hex() for _ in range(count))
    return "\n".join(lines).encode() + b"\n"


def in_streams(pack: Pack, data: bytes) -> bytes:
    """Several members or streams, cut without regard to lines, an empty one among them."""
    cuts = [0, 1000, 1000, len(data) // 2, len(data)]
    return b"".join(pack(data[start:end]) for start, end in itertools.pairwise(cuts))


def blocks_by_lines(data: bytes, block_bytes: int) -> list[Block]:
    """The same rule, a line at a time."""
    blocks: list[Block] = []
    held, first = b"", 1
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        held += line
        if len(held) >= block_bytes and held.endswith(b"\n"):
            blocks.append(Block(len(blocks), first, held))
            held, first = b"", number + 1
    return blocks + ([Block(len(blocks), first, held)] if held else [])


@pytest.mark.parametrize("kind", PACKS)
@pytest.mark.parametrize("block_bytes", [1, 100, 5000, 1 << 30])
@pytest.mark.parametrize("last", [b"", b"the last has no line end"])
def test_blocks_are_whole_lines_and_depend_on_the_text_alone(
    tmp_path: Path, kind: str, block_bytes: int, last: bytes
) -> None:
    data = text_of_lines() + last
    path = tmp_path / "any.name"
    path.write_bytes(in_streams(PACKS[kind], data))
    assert list(read_blocks(path, block_bytes=block_bytes)) == blocks_by_lines(data, block_bytes)


def test_pieces_of_a_megabyte_leave_no_trace(tmp_path: Path) -> None:
    data = text_of_lines(40_000)
    assert len(data) > 3 << 20
    expected = blocks_by_lines(data, 1 << 19)
    for kind, pack in PACKS.items():
        path = tmp_path / kind
        path.write_bytes(pack(data))
        assert list(read_blocks(path, block_bytes=1 << 19)) == expected


@pytest.mark.parametrize("kind", PACKS)
def test_advance_adds_up_to_the_size_of_the_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "dump"
    path.write_bytes(PACKS[kind](text_of_lines(20_000)))
    steps: list[int] = []
    for _ in read_blocks(path, block_bytes=1000, advance=steps.append):
        pass
    assert sum(steps) == path.stat().st_size
    assert len(steps) > 1


@pytest.mark.parametrize("zeros", [1, 512, 200_000])
def test_zeros_after_a_gzip_member_are_no_data(tmp_path: Path, zeros: int) -> None:
    path = tmp_path / "dump"
    path.write_bytes(gzip.compress(b"a\n") + bytes(zeros) + gzip.compress(b"b\n") + bytes(zeros))
    assert [block.data for block in read_blocks(path)] == [b"a\nb\n"]


@pytest.mark.parametrize("kind", PACKS)
def test_a_line_may_be_as_long_as_the_limit_and_no_longer(tmp_path: Path, kind: str) -> None:
    for before, length, block_bytes in itertools.product((0, 1, 99), (500, 501), (10, 10_000)):
        path = tmp_path / "dump"
        data = b"x\n" * before + b"y" * length + b"\nz\n"
        path.write_bytes(PACKS[kind](data))
        blocks = read_blocks(path, block_bytes=block_bytes, max_line=500)
        if length == 500:
            assert b"".join(block.data for block in blocks) == data
            continue
        message = f"dump, line {before + 1} is longer than 500 bytes; "
        with pytest.raises(InputError, match=message):
            list(blocks)


@pytest.mark.parametrize("kind", ["gzip", "bzip2"])
def test_a_file_cut_short_anywhere_is_told(tmp_path: Path, kind: str) -> None:
    whole = PACKS[kind](text_of_lines(5))
    for end in range(2, len(whole)):
        path = tmp_path / "dump"
        path.write_bytes(whole[:end])
        message = f"dump is cut short: its {kind} data ends early; download it again$"
        with pytest.raises(InputError, match=message):
            list(read_blocks(path))


def test_a_cut_in_the_second_stream_is_told_after_the_blocks_before_it(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(gzip.compress(b"a\nb\n") + gzip.compress(b"c\n")[:-1])
    blocks = read_blocks(path, block_bytes=1)
    assert [next(blocks).data, next(blocks).data] == [b"a\n", b"b\n"]
    with pytest.raises(InputError, match="cut short"):
        list(blocks)


def damaged(pack: Pack, place: int) -> bytes:
    data = bytearray(pack(text_of_lines(50)))
    data[place] ^= 0x55
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "dump is empty"),
        (gzip.compress(b"", mtime=0), "dump is empty"),
        (damaged(gzip.compress, -6), "dump is damaged: its gzip data: .*; download it again"),
        (damaged(gzip.compress, 100), "dump is damaged: its gzip data"),
        (gzip.compress(b"a\n", mtime=0) + b"garbage", "dump is damaged: its gzip data"),
        (damaged(bz2.compress, -6), "dump is damaged: its bzip2 data: .*; download it again"),
        (damaged(bz2.compress, 100), "dump is damaged: its bzip2 data"),
    ],
)
def test_bad_files_are_told_in_one_line(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "dump"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        list(read_blocks(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["absent.json.gz", "."])
def test_what_is_no_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"dump not found: {tmp_path}"):
        list(read_blocks(tmp_path / name))


def bomb(kind: str) -> bytes:
    """400 MB of zeros."""
    if kind == "bzip2":
        return bz2.compress(bytes(40_000_000)) * 10
    packer = zlib.compressobj(1, wbits=31)
    return b"".join(packer.compress(bytes(1_000_000)) for _ in range(400)) + packer.flush()


@pytest.mark.parametrize("kind", ["gzip", "bzip2"])
def test_a_bomb_ends_in_an_error_and_in_bounded_memory(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "dump"
    path.write_bytes(bomb(kind))
    assert path.stat().st_size < 4_000_000
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="line 1 is longer than 67108864 bytes"):
            list(read_blocks(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (32 + 64 + 16) << 20


def test_blocks_of_a_long_dump_are_not_held(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(gzip.compress(b"some line\n" * 10_000_000, 1))
    tracemalloc.start()
    try:
        total = sum(len(block.data) for block in read_blocks(path, block_bytes=4 << 20))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 100_000_000
    assert peak < 16 << 20
