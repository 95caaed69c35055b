"""A knowledge base with damaged files: one line that says so, wherever it is noticed."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from openmofi.entities.build import build_knowledge_base_folder
from openmofi.entities.kinds import KINDS
from openmofi.entities.knowledge_base import load_knowledge_base_folder
from openmofi.errors import InputError
from support.entities import write_csv, write_wordnet
from support.knowledge_base_fuzz import ROWS
from support.matchers import Array, put, rewrite


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kb")
    return build_knowledge_base_folder(
        str(folder / "kb"),
        csv=str(write_csv(folder / "kb.csv", ROWS)),
        wordnet=str(write_wordnet(folder / "wordnet", noun_exc="men man\ngeese goose\n")),
    )


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def test_an_entity_that_is_not_there_is_refused(copy: Path) -> None:
    path = copy / "matcher" / "posting_entities.npy"
    for row in (10**6, -1):
        rewrite(path, put(slice(None), row))
        with pytest.raises(InputError, match="a row is missing"):
            load_knowledge_base_folder(copy).candidates("red fox")


@pytest.mark.parametrize(
    ("place", "word", "reason"),
    [("offset", 2**40, "an offset points outside"), ("data", 0xFF, "a string is garbled")],
)
def test_a_damaged_string_is_refused_where_it_is_read(
    copy: Path, place: str, word: int, reason: str
) -> None:
    path = copy / "entities.arrow"
    data = bytearray(path.read_bytes())
    _, offsets, strings = pa.ipc.open_file(pa.py_buffer(data)).read_all()["name"].chunk(0).buffers()
    begin = data.index(offsets.to_pybytes()[:64]) + 8 if place == "offset" else 0
    if place == "offset":
        data[begin : begin + 8] = word.to_bytes(8, "little")
    else:
        data[data.index(strings.to_pybytes()[:64])] = word
    path.write_bytes(data)
    base = load_knowledge_base_folder(copy)
    first = base.entities["entity_id"][0].as_py()
    with pytest.raises(InputError, match=reason):
        base.name(first)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("starts", put(1, 10**6)),
        ("starts", put(1, -1)),
        ("starts", lambda array: array[:-1]),
        ("columns", put(slice(None), 10**6)),
        ("columns", put(slice(None), -1)),
        ("values", lambda array: array[:-1]),
        ("idf", lambda array: array[:-1]),
    ],
)
def test_damaged_vectors_are_refused(
    copy: Path, name: str, change: Callable[[Array], Array]
) -> None:
    rewrite(copy / "vectors" / f"{name}.npy", change)
    base = load_knowledge_base_folder(copy)
    with pytest.raises(InputError, match="build"):
        base.vectors.rows(np.arange(len(base)))


@pytest.mark.parametrize(
    "change",
    [
        lambda array: array[:-1],
        lambda array: np.append(array, np.uint8(0)),
        lambda array: array[:0],
        lambda array: array.astype(np.int32),
        put(0, len(KINDS)),
        None,
    ],
    ids=["one less", "one more", "empty", "another type", "an unknown kind", "missing"],
)
def test_damaged_kinds_are_refused(copy: Path, change: Callable[[Array], Array] | None) -> None:
    if change:
        rewrite(copy / "kinds.npy", change)
    else:
        (copy / "kinds.npy").unlink()
    with pytest.raises(InputError, match=r"kinds\.npy .*build it again") as caught:
        _ = load_knowledge_base_folder(copy).kinds
    assert len(str(caught.value).splitlines()) == 1


def test_rows_without_vectors_are_refused(whole: Path) -> None:
    base = load_knowledge_base_folder(whole)
    for row in (-1, len(base)):
        with pytest.raises(InputError, match="contradict"):
            base.vectors.rows(np.array([row]))


def test_any_damage_is_refused_or_does_no_harm(whole: Path) -> None:
    # In a process of its own: a read outside the files would end it. 3,000 more were run by hand.
    run = subprocess.run(
        [sys.executable, "-m", "support.knowledge_base_fuzz", str(whole), "0", "400"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr.splitlines()[-1:]
    counts = json.loads(run.stdout.splitlines()[-1])
    assert set(counts) == {"works", "refused"}
    assert sum(counts.values()) == 1200
