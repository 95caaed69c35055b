"""Foreign files that are damaged in any way end in a knowledge base or in one line, in any size."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from openmofi.entities.build import build_knowledge_base_folder
from openmofi.entities.sources import Source
from openmofi.entities.tabular import read_table_source
from openmofi.entities.wordnet import read_wordnet
from openmofi.errors import InputError
from support.entities import DATA_NOUN, GEORGIA, INDEX_NOUN, NOUN_EXC, write_csv, write_wordnet

WORDNET = {"data.noun": DATA_NOUN, "index.noun": INDEX_NOUN, "noun.exc": NOUN_EXC}
# What readers trip over: marks of the formats, numbers out of range, halves of characters.
SNIPPETS = (
    b'"', b"|", b",", b"\n", b"\r", b"\0", b" ", b"  ", b"_", b"[", b"{", b"}", b":", b"null",
    b"-1", b"0", b"1e309", b"1e300", b"9" * 400, b"9" * 5000, b"NaN", b"true", b"\xff", b"\xc3",
    b"\xef\xbb\xbf", b"\\ud800", b"\xe2\x80\xa8", b" | ", b"@", b"00000010", b"[[1]]", b'{"a": 1}',
    b"x" * 40_000, b"a " * 100, b"a_" * 100, b"a|" * 1000,
)  # fmt: skip


@st.composite
def damage(draw: st.DrawFn, valid: bytes) -> bytes:
    """A valid file after one to four edits: cut, cut out, doubled, put in, one byte changed."""
    data = valid
    for _ in range(draw(st.integers(1, 4))):
        begin, end = sorted(draw(st.tuples(*[st.integers(0, len(data))] * 2)))
        kind = draw(st.sampled_from(["snippet", "snippet", "replace", "cut", "drop", "double"]))
        snippet = draw(st.sampled_from(SNIPPETS))
        data = {
            "snippet": data[:begin] + snippet + data[begin:],
            "replace": data[:begin] + snippet + data[begin + len(snippet) :],
            "cut": data[:begin],
            "drop": data[:begin] + data[end:],
            "double": data[:end] + data[begin:],
        }[kind]
    return data


def jsonl() -> bytes:
    rows = [{**row, "aliases": row["aliases"].split("|"), "prior": 2} for row in GEORGIA]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def read_whole(read: Callable[[], Source]) -> bool:
    """Whether it is a source; if not, it is told in one line of a length that one can read."""
    message = ""
    try:
        for part in read().parts():
            assert part.entities["entity_id"].null_count == 0
    except InputError as error:
        message = str(error)
    assert "\n" not in message
    assert len(message) < 1000
    return not message


FUZZ = settings(max_examples=250, suppress_health_check=list(HealthCheck))


@FUZZ
@given(damage(jsonl()))
@example(jsonl().replace(b'"prior": 2', b'"prior": ' + b"9" * 400))
@example(jsonl().replace(b'"prior": 2', b'"prior": ' + b"[" * 500 + b"]" * 500))
@example(jsonl().replace(b'"Tbilisi"', b"[" * 900 + b"]" * 900))
@example(b"\xef\xbb\xbf" + jsonl())
def test_damaged_jsonl(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.jsonl"
    path.write_bytes(data)
    read_whole(lambda: read_table_source(path, 16))


@FUZZ
@given(st.data())
def test_damaged_csv(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = write_csv(tmp_path_factory.getbasetemp() / "fuzz.csv", GEORGIA)
    path.write_bytes(data.draw(damage(path.read_bytes())))
    read_whole(lambda: read_table_source(path, 16))


@pytest.mark.parametrize("name", sorted(WORDNET))
@FUZZ
@given(st.data())
def test_damaged_wordnet(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    folder = write_wordnet(tmp_path_factory.getbasetemp() / "fuzz")
    (folder / name).write_bytes(data.draw(damage(WORDNET[name].encode())))
    read_whole(lambda: read_wordnet(folder, 16))


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(damage(jsonl()), st.sampled_from(sorted(WORDNET)), st.data())
def test_what_can_be_read_can_be_built(
    tmp_path_factory: pytest.TempPathFactory, table: bytes, name: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("whole")
    wordnet = write_wordnet(folder / "wordnet")
    (wordnet / name).write_bytes(data.draw(damage(WORDNET[name].encode())))
    (folder / "kb.jsonl").write_bytes(table)
    before = sorted(folder.rglob("*"))
    out, message = folder / "kb", ""
    try:
        build_knowledge_base_folder(str(out), csv=str(folder / "kb.jsonl"), wordnet=str(wordnet))
    except InputError as error:
        message = str(error)
    assert "\n" not in message
    if message:
        assert sorted(folder.rglob("*")) == before
        return
    aliases = pq.read_table(out / "aliases.parquet").group_by("surface")
    sums = aliases.aggregate([("prior", "sum")])["prior_sum"].to_numpy()
    assert np.allclose(sums, 1, atol=1e-5)


def test_a_header_of_any_form_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "kb.csv"
    for header in ('"entity\nid",name\n', ",".join(f"column{n}" for n in range(10**5)) + "\n"):
        path.write_text(header + "a,b\n")
        assert not read_whole(lambda: read_table_source(path, 16))


SCRIPT = """
import resource, sys
from pathlib import Path
from openmofi.entities.tabular import read_table_source
from openmofi.entities.wordnet import read_wordnet
from openmofi.errors import InputError

def size():
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()

resource.setrlimit(resource.RLIMIT_AS, (size() + (256 << 20),) * 2)
for given in sys.argv[1:]:
    path = Path(given)
    read = read_wordnet if path.is_dir() else read_table_source
    try:
        for part in read(path, 16).parts():
            pass
    except InputError as error:
        print(error)
"""


def test_a_line_without_an_end_is_not_read_whole(tmp_path: Path) -> None:
    size = 300 << 20
    heads = {
        "kb.csv": "entity_id,name,aliases,description\nQ1,",
        "kb.jsonl": '{"entity_id": "',
        **{f"{name}.d/{name}": text for name, text in WORDNET.items()},
        "licence.d/data.noun": "  1 a licence",
    }
    for name, head in heads.items():
        path = tmp_path / name
        if "/" in name:
            write_wordnet(path.parent)
        with path.open("wb") as file:
            file.write(head.encode() + b"a")
            file.truncate(size)  # zeros that take no room on the disk
    given = [tmp_path / name.partition("/")[0] for name in heads]
    command = [sys.executable, "-c", SCRIPT, *map(str, given)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert len(lines) == len(heads)
    for line, name in zip(lines, heads, strict=True):
        assert line.startswith(f"{tmp_path / name}, line ")
        assert "is longer than 16777216 characters" in line
