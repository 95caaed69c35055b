"""Dense entity vectors against a version that is easy to see through, and in a knowledge base."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmofi.cli import main
from openmofi.entities import dense
from openmofi.entities.build import build_knowledge_base, build_knowledge_base_folder
from openmofi.entities.dense import DenseVectors, load_dense, write_dense
from openmofi.entities.knowledge_base import load_knowledge_base, load_knowledge_base_folder
from openmofi.entities.text_encoder import TextEncoder, load_text_encoder
from openmofi.errors import InputError
from openmofi.keys import hash_folder
from openmofi.versions import read_manifest
from support.encoders import write_encoder
from support.entities import GEORGIA, write_csv, write_wordnet
from support.matchers import put, rewrite

NAMES = [("fox", "a red animal"), ("animal", ""), ("crane", "a tall bird"), ("bird", "it flies")]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoders")
    write_encoder(folder / "one")
    write_encoder(folder / "other", seed=2)
    return folder


@pytest.fixture(scope="module")
def encoder(folders: Path) -> TextEncoder:
    return load_text_encoder(str(folders / "one"), device="cpu")


@pytest.fixture
def table(tmp_path: Path) -> str:
    return str(write_csv(tmp_path / "kb.csv", GEORGIA))


def write(folder: Path, edges: list[tuple[int, int]], encoder: TextEncoder) -> DenseVectors:
    names, descriptions = zip(*NAMES, strict=True)
    entities = pa.table({"name": names, "description": descriptions})
    write_dense(folder, entities, np.array(sorted(edges), np.int64).reshape(-1, 2), encoder)
    return load_dense(folder)


def unit(values: list[float]) -> list[float]:
    length = math.sqrt(sum(value**2 for value in values))
    return [value / length for value in values]


def mixed(edges: list[tuple[int, int]], encoder: TextEncoder) -> list[list[float]]:
    texts = [f"{name}, {text}" if text else name for name, text in NAMES]
    own = encoder.encode(texts).tolist()
    found = []
    for row, vector in enumerate(own):
        parents = sorted({parent for child, parent in edges if child == row})
        for parent in parents:
            vector = [a + 0.25 * b / len(parents) for a, b in zip(vector, own[parent], strict=True)]
        found.append(unit(vector))
    return found


nodes = st.integers(0, len(NAMES) - 1)


@given(st.lists(st.tuples(nodes, nodes), max_size=9), st.integers(1, 9))
@settings(max_examples=20)
def test_equals_plain_loops_whatever_the_size_of_blocks(
    tmp_path_factory: pytest.TempPathFactory,
    encoder: TextEncoder,
    edges: list[tuple[int, int]],
    size: int,
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dense, "_BLOCK", size)
        patched.setattr(dense, "_ENCODED", size)
        found = write(tmp_path_factory.mktemp("dense"), edges, encoder)
    wanted = mixed(edges, encoder)
    np.testing.assert_allclose(found.vectors, wanted, atol=1e-3)
    np.testing.assert_allclose(found.mean, np.mean(wanted, axis=0), atol=1e-3)
    assert len(found) == len(NAMES)


def test_the_files_tell_what_made_them(tmp_path: Path, encoder: TextEncoder) -> None:
    found = write(tmp_path, [], encoder)
    assert (found.encoder, found.digest) == (encoder.name, encoder.digest)
    assert found.vectors.dtype == np.float16
    assert json.loads((tmp_path / "dense.json").read_text()) == {
        "encoder": encoder.name,
        "digest": encoder.digest,
        "dimension": 16,
        "template": "{name}, {description}",
    }
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["dense.json", "mean.npy", "vectors.npy"]


@pytest.mark.parametrize("centred", [False, True])
def test_cosines_equal_plain_loops(
    tmp_path: Path, encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch, centred: bool
) -> None:
    monkeypatch.setattr(dense, "_BLOCK", 3)
    found = write(tmp_path, [(0, 1), (2, 3)], encoder)
    texts = encoder.encode(["a fox ran", "birds"])
    pairs = [(text, entity) for text in (1, 0) for entity in (3, 0, 2, 1)]
    mean = found.mean.tolist() if centred else [0.0] * 16
    wanted = []
    for text, entity in pairs:
        ours = unit([a - b for a, b in zip(texts[text].tolist(), mean, strict=True)])
        row = found.vectors[entity].tolist()
        theirs = unit([a - b for a, b in zip(row, mean, strict=True)])
        wanted.append(sum(a * b for a, b in zip(ours, theirs, strict=True)))
    rows = np.array(pairs).T
    cosines = found.cosines(texts, rows[0], rows[1], centred=centred)
    assert cosines.dtype == np.float32
    np.testing.assert_allclose(cosines, wanted, atol=1e-5)
    nothing = np.zeros(0, np.int64)
    assert found.cosines(texts, nothing, nothing).shape == (0,)


def test_an_entity_equal_to_the_mean_has_no_direction(encoder: TextEncoder) -> None:
    one = np.full((1, 4), 0.5, np.float16)
    found = DenseVectors(one, one[0].astype(np.float32), "name", "digest")
    rows = np.zeros(1, np.int64)
    assert found.cosines(one.astype(np.float32), rows, rows).tolist() == [0.0]
    assert found.cosines(one.astype(np.float32), rows, rows, centred=False).tolist() == [1.0]


def test_pairs_that_cannot_be_are_refused(tmp_path: Path, encoder: TextEncoder) -> None:
    found = write(tmp_path, [], encoder)
    texts, row = encoder.encode(["a fox"]), np.zeros(1, np.int64)
    for entity in (-1, len(NAMES)):
        with pytest.raises(InputError, match="damaged or too few"):
            found.cosines(texts, row, np.array([entity]))
    with pytest.raises(InputError, match=r"15 dimensions, .* of 16: encode them with '.*one'"):
        found.cosines(texts[:, :-1], row, row)
    rewrite(tmp_path / "vectors.npy", put((0, 0), np.nan))
    with pytest.raises(InputError, match="damaged or too few"):
        load_dense(tmp_path).cosines(texts, row, row)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("vectors", lambda array: array[:, :-1], r"vectors\.npy is missing or damaged"),
        ("vectors", lambda array: array.astype(np.float32), r"vectors\.npy is missing or damaged"),
        ("vectors", lambda array: array.ravel(), r"vectors\.npy is missing or damaged"),
        ("mean", lambda array: array[:-1], r"mean\.npy does not fit dense\.json"),
        ("mean", lambda array: array * np.nan, r"mean\.npy does not fit .* or is damaged"),
        ("mean", lambda array: array.astype(np.float64), r"mean\.npy is missing or damaged"),
    ],
)
def test_damaged_arrays_are_named(
    tmp_path: Path, encoder: TextEncoder, name: str, change: Any, message: str
) -> None:
    write(tmp_path, [], encoder)
    rewrite(tmp_path / f"{name}.npy", change)
    with pytest.raises(InputError, match=message):
        load_dense(tmp_path)


@pytest.mark.parametrize("name", ["dense.json", "vectors.npy", "mean.npy"])
def test_files_that_are_missing_or_cut_are_named(
    tmp_path: Path, encoder: TextEncoder, name: str
) -> None:
    write(tmp_path, [], encoder)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=rf"{name} is missing or damaged"):
        load_dense(tmp_path)
    path.unlink()
    with pytest.raises(InputError, match=rf"{name} is missing or damaged"):
        load_dense(tmp_path)


@pytest.mark.parametrize(
    "change", [{"dimension": 0}, {"dimension": "x"}, {"dimension": None}, {"dimension": 1e999}]
)
def test_a_damaged_head_is_named(
    tmp_path: Path, encoder: TextEncoder, change: dict[str, Any]
) -> None:
    write(tmp_path, [], encoder)
    head = json.loads((tmp_path / "dense.json").read_text())
    (tmp_path / "dense.json").write_text(json.dumps({**head, **change}))
    with pytest.raises(InputError, match=r"dense\.json is missing or damaged"):
        load_dense(tmp_path)


def test_a_build_with_an_encoder_has_dense_vectors(
    tmp_path: Path, folders: Path, table: str, encoder: TextEncoder
) -> None:
    config = {"encoder": str(folders / "one")}
    uri = build_knowledge_base(str(tmp_path / "root"), csv=table, config=config)
    named = {"name": str(folders / "one"), "digest": encoder.digest}
    assert read_manifest(uri, "knowledge_base").content["encoder"] == named
    base = load_knowledge_base(uri)
    assert base.head["encoder"] == named
    assert base.dense is not None
    assert base.dense.digest == encoder.digest
    ids = base.entities["entity_id"].to_pylist()
    own = encoder.encode(
        [
            "Georgia, country in the Caucasus between Europe and Asia, capital Tbilisi",
            "country, land with a government of its own",
        ]
    ).tolist()
    child, parent = (base.dense.vectors[ids.index(one)] for one in ("Q230", "country"))
    np.testing.assert_allclose(parent, own[1], atol=1e-3)
    wanted = unit([a + 0.25 * b for a, b in zip(*own, strict=True)])
    np.testing.assert_allclose(child, wanted, atol=2e-3)


def test_the_encoder_is_part_of_the_digest_and_its_place_is_not(
    tmp_path: Path, folders: Path, table: str
) -> None:
    def build(out: str, encoder: str) -> Path:
        config = {"encoder": encoder}
        return build_knowledge_base_folder(str(tmp_path / out), csv=table, config=config)

    one, again = (build(name, str(folders / "one")) for name in ("one", "again"))
    assert hash_folder(one) == hash_folder(again)
    moved = build("moved", str(shutil.copytree(folders / "one", tmp_path / "elsewhere")))
    other, without = build("other", str(folders / "other")), build("without", "")
    digests = [load_knowledge_base_folder(folder).digest for folder in (one, moved, other, without)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
    assert load_knowledge_base_folder(without).dense is None
    assert not (without / "dense").exists()
    vectors = [(folder / "dense" / "vectors.npy").read_bytes() for folder in (one, moved, other)]
    assert vectors[0] == vectors[1] != vectors[2]


def test_a_bad_encoder_fails_before_any_source_is_read(tmp_path: Path, folders: Path) -> None:
    bad = shutil.copytree(folders / "one", tmp_path / "bad")
    (bad / "config.json").unlink()
    for build in (build_knowledge_base, build_knowledge_base_folder):
        with pytest.raises(InputError, match=r"bad lacks config\.json"):
            build(str(tmp_path / "out"), csv="/no/such.csv", config={"encoder": str(bad)})
    assert not (tmp_path / "out").exists()


def test_dense_vectors_of_other_entities_are_refused(
    tmp_path: Path, folders: Path, table: str, encoder: TextEncoder
) -> None:
    config = {"encoder": str(folders / "one")}
    folder = build_knowledge_base_folder(str(tmp_path / "kb"), csv=table, config=config)
    rewrite(folder / "dense" / "vectors.npy", lambda array: array[:-1])
    with pytest.raises(InputError, match="dense vectors and entities differ in number"):
        _ = load_knowledge_base_folder(folder).dense
    shutil.rmtree(folder / "dense")
    with pytest.raises(InputError, match=r"dense\.json is missing"):
        _ = load_knowledge_base_folder(folder).dense


def test_the_command_builds_and_merges_with_an_encoder(
    tmp_path: Path, folders: Path, table: str
) -> None:
    one, other, both = (str(tmp_path / name) for name in ("one", "other", "both"))
    config = tmp_path / "kb.yaml"
    config.write_text(f"encoder: {folders / 'one'}\n")
    wordnet = str(write_wordnet(tmp_path / "wordnet"))
    assert main(["kb", "build", "--csv", table, "--config", str(config), "--out", one]) == 0
    assert main(["kb", "build", "--wordnet", wordnet, "--out", other]) == 0
    options = ["--config", str(config), "--encoder", str(folders / "other"), "--out", both]
    assert main(["kb", "merge", one, other, *options]) == 0
    names = [load_knowledge_base_folder(one).dense, load_knowledge_base_folder(both).dense]
    assert [x.encoder for x in names if x] == [str(folders / "one"), str(folders / "other")]
    assert load_knowledge_base_folder(other).dense is None
