"""Damage a knowledge base's files in all ways and use it; run as a process, since it may crash.

``python -m support.knowledge_base_fuzz FOLDER SEED COUNT`` prints how often each outcome came.
Anything but a result or an `InputError` of one line ends it with exit code 1; what was tried last
stands on stderr, for a crash or a hang.
"""

import itertools
import json
import os
import random
import re
import resource
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from openmofi.entities.config import LinkConfig
from openmofi.entities.knowledge_base import KnowledgeBase, load_knowledge_base_folder
from openmofi.entities.linker import EntityLinker
from openmofi.errors import InputError

MEMORY = 1 << 30  # bytes that one use may take beyond what the process has
SECONDS = 20  # that one use may take

ROWS = [
    {
        "entity_id": f"Q{number}",
        "name": f"{first} {second}",
        "aliases": f"{second}|{first}|{first} {second} of the sea",
        "description": f"the {second} that {first} saw",
        "prior": str(number % 3 + 1),
        "parents": "Q1" if number > 1 else "",
    }
    for number, (first, second) in enumerate(
        itertools.product(
            ("red", "bl\u00fce", "\ufb01ne", "\u5317"), ("fox", "goose", "\u00bd cup", "Q")
        ),
        1,
    )
]  # fmt: skip
PIECES = (
    "red", "foxes", "Bl\u00dcE", "geese", "fine", "\u5317", "\u00bd", "cup", "of the sea",
    "\U0001f98a", "\u2026", "blu\u0308e", "\u00ad", "\u0e01\u0e33", "\u0621\ufdfa",
    "\u0301x\u0316\u0321", "\U00020000", "don't 0.5", "e\ufe0f",
)  # fmt: skip


def make_texts(generator: random.Random, count: int = 200) -> list[str]:
    """Texts in which aliases stand, and characters of every kind."""
    return [" ".join(generator.choices(PIECES, k=generator.randint(0, 9))) for _ in range(count)]


# --- damages -------------------------------------------------------------------------------------

Damage = Callable[[random.Random, bytes, bytes], bytes]
WORDS = (0, 1, -1, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63), 0x80000000, 0x1FFFF, 0x20000, 1000)


def flip_anywhere(generator: random.Random, data: bytes, _: bytes) -> bytes:
    return _flipped(generator, data, len(data))


def flip_header(generator: random.Random, data: bytes, _: bytes) -> bytes:
    return _flipped(generator, data, 160)


def _flipped(generator: random.Random, data: bytes, within: int) -> bytes:
    changed = bytearray(data)
    for _ in range(generator.randint(1, 4)):
        if changed:
            changed[generator.randrange(min(within, len(changed)))] = generator.randrange(256)
    return bytes(changed)


def set_words(generator: random.Random, data: bytes, _: bytes) -> bytes:
    """Numbers that lead outside; rather at the start, where letters and first rows lie."""
    changed = bytearray(data)
    begin = 128 if data.startswith(b"\x93NUMPY") else 0
    width = generator.choice((4, 8))
    within = generator.choice((1 << 10, len(data)))
    for _ in range(generator.randint(1, 6)):
        place = begin + width * generator.randrange(max(1, within // width))
        word = generator.choice((*WORDS, generator.getrandbits(20), len(data)))
        word &= (1 << 8 * width) - 1
        if place + width <= len(changed):
            changed[place : place + width] = word.to_bytes(width, "little")
    return bytes(changed)


def cut(generator: random.Random, data: bytes, _: bytes) -> bytes:
    return data[: generator.randrange(len(data) + 1)]


def cut_end(generator: random.Random, data: bytes, _: bytes) -> bytes:
    return data[: -generator.randint(1, 8)]


def extend(generator: random.Random, data: bytes, _: bytes) -> bytes:
    return data + generator.randbytes(generator.randint(1, 4096))


def empty(_generator: random.Random, _data: bytes, _: bytes) -> bytes:
    return b""


def swap(_generator: random.Random, _data: bytes, other: bytes) -> bytes:
    return other


def other_type(generator: random.Random, data: bytes, _: bytes) -> bytes:
    types = (
        b"'<u4'",
        b"'<i4'",
        b"'<f4'",
        b"'>u4'",
        b"'<i8'",
        b"'<u8'",
        b"'|u1'",
        b"'|b1'",
        b"'|O'",
    )
    return re.sub(rb"'[<|>][a-z]\d'", generator.choice(types), data, count=1)


def other_shape(generator: random.Random, data: bytes, _: bytes) -> bytes:
    shapes = (b"(-1,)", b"(0,)", b"(9999999999999,)", b"(1, 1, 1)", b"()", b"(7, 2)", b"(2.5,)")
    return re.sub(rb"\([\d, ]+\)", generator.choice(shapes), data, count=1)


def other_digits(generator: random.Random, data: bytes, _: bytes) -> bytes:
    """For the JSON files."""
    digits = (b"-1", b"1e999", b"null", b'"x\\ny"', b"[]", b"9" * 5000, b"0", b"65", b"true")
    return re.sub(rb"\d+", lambda _: generator.choice(digits), data[:2000]) + data[2000:]


def nested_brackets(_generator: random.Random, _data: bytes, _: bytes) -> bytes:
    return b"[" * 100_000


DAMAGES: tuple[Damage, ...] = (
    flip_anywhere, flip_header, set_words, set_words, set_words, set_words, cut, cut_end, extend,
    empty, swap, swap, other_type, other_shape, other_digits, nested_brackets,
)  # fmt: skip


# --- uses ----------------------------------------------------------------------------------------


def match(base: KnowledgeBase, texts: list[str]) -> None:
    found = base.matcher.match_column(pa.array(texts), nested=True)
    for alias in sorted(set(found.aliases.tolist())):
        base.matcher.index.key(alias)
        base.matcher.index.is_stop(alias)
        rows, _ = base.matcher.candidates(alias)
        ids = base.entity_ids(rows.astype("int64")).to_pylist()
        for entity_id in ids:
            _names(base, entity_id)


def _names(base: KnowledgeBase, entity_id: str) -> None:
    try:
        base.name(entity_id)
        base.description(entity_id)
        base.kind(entity_id)
    except KeyError:  # the promised answer where a damaged column is not in order
        pass


def look_up(base: KnowledgeBase, _texts: list[str]) -> None:
    for surface in (*PIECES, "the", "red fox", "\u5317 Q"):
        base.candidates(surface)
        base.is_stop_phrase(surface)
    index = base.matcher.index
    for alias in range(len(index)):
        index.key(alias)
        index.is_stop(alias)
    for number in range(1, len(ROWS) + 2):
        _names(base, f"Q{number}")


def link(base: KnowledgeBase, texts: list[str]) -> None:
    links = EntityLinker(base, LinkConfig(max_candidates=3)).link(texts)
    base.entity_ids(links.entities).to_pylist()


USES = (match, look_up, link)


def outcome(folder: Path, use: Callable[[KnowledgeBase, list[str]], None], texts: list[str]) -> str:
    """What came of one use of the damaged files: ``works``, ``refused``, or what is wrong."""
    signal.alarm(SECONDS)
    try:
        use(load_knowledge_base_folder(folder), texts)
    except InputError as error:
        return "refused" if len(str(error).splitlines()) == 1 else f"several lines: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    return "works"


def damaged_copy(base: Path, folder: Path, generator: random.Random) -> str:
    """Links to all files but one or two, which are damaged; tells how."""
    files = sorted(
        path.relative_to(base)
        for path in base.rglob("*")
        if path.suffix in (".npy", ".json", ".arrow")
    )
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(base / name)
    told = []
    for _ in range(generator.choice((1, 1, 1, 2))):
        name, other = generator.choice(files), generator.choice(files)
        damage = generator.choice(DAMAGES)
        data = damage(generator, (folder / name).read_bytes(), (base / other).read_bytes())
        (folder / name).unlink()
        (folder / name).write_bytes(data)
        told.append(f"{damage.__name__} {name}" + (f" {other}" if damage is swap else ""))
    return ", ".join(told)


def main(folder: str, first: str, count: str) -> int:
    base = Path(folder).resolve()
    texts = make_texts(random.Random(0))
    for use in USES:  # all compiled code is loaded before memory is measured
        if outcome(base, use, texts) != "works":
            raise RuntimeError(f"the whole knowledge base: {outcome(base, use, texts)}")
    signal.signal(signal.SIGALRM, _too_long)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    counts = Counter[str]()
    for seed in range(int(first), int(first) + int(count)):
        with tempfile.TemporaryDirectory() as temporary:
            copy = Path(temporary, "kb")
            how = damaged_copy(base, copy, random.Random(seed))
            for use in USES:
                print(f"\n{seed} {use.__name__}: {how}", end="", file=sys.stderr, flush=True)
                result = outcome(copy, use, texts)
                counts[result] += 1
                if result not in ("works", "refused"):
                    print(f" -> {result}", end="", file=sys.stderr, flush=True)
    print(json.dumps(counts))
    return 0 if set(counts) <= {"works", "refused"} else 1


def _too_long(*_: object) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
