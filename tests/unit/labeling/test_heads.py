"""Heads against a sum over numbers; what is no head; the command."""

import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from openmofi.cli import main
from openmofi.errors import InputError, StorageError
from openmofi.labeling.heads import read_head
from openmofi.storage import open_store
from support.assembly import embedded
from support.heads import write_head
from support.tables import Pool, labelled, write_pool

WEIGHT = [[0.5, -1.0, 2.0], [0.0, 3.0, -0.25]]
BIAS = [0.125, -0.5]


def by_hand(vector: list[float], activation: str) -> list[float]:
    raw = [
        sum(w * v for w, v in zip(row, vector, strict=True)) + b
        for row, b in zip(WEIGHT, BIAS, strict=True)
    ]
    if activation == "sigmoid":
        return [1 / (1 + math.exp(-one)) for one in raw]
    if activation == "softmax":
        return [math.exp(one) / sum(map(math.exp, raw)) for one in raw]
    return raw


@pytest.mark.parametrize("activation", ["none", "sigmoid", "softmax"])
def test_scores_are_the_sum_over_numbers(tmp_path: Path, activation: str) -> None:
    head = read_head(
        str(write_head(tmp_path / "h.safetensors", WEIGHT, bias=BIAS, activation=activation))
    )
    vectors = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    scores = head.scores(vectors)
    assert scores.dtype == np.float32
    expected = [by_hand(vector, activation) for vector in vectors.tolist()]
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_large_sums_saturate_and_warn_of_nothing(tmp_path: Path, activation: str) -> None:
    file = write_head(tmp_path / "h.safetensors", [[1e4], [-1e4]], activation=activation)
    with np.errstate(all="raise", under="ignore"):
        found = read_head(str(file)).scores(np.ones((1, 1), np.float32))
    assert found.tolist() == [[1, 0]]


def test_a_head_of_one_output_may_be_a_vector_without_bias(tmp_path: Path) -> None:
    head = read_head(str(write_head(tmp_path / "h.safetensors", [1.0, 2.0])))
    assert head.scores(np.array([[3, 4]], np.float32)).tolist() == [[11]]
    assert (list(head.outputs), head.encoder) == (["0"], "")


def test_the_digest_is_of_the_content_and_a_store_serves_it_too(tmp_path: Path) -> None:
    one = write_head(tmp_path / "one.safetensors", WEIGHT, outputs="a,b")
    other = write_head(tmp_path / "other.safetensors", WEIGHT, outputs="a,c")
    store = open_store(str(tmp_path / "store"))
    store.put_file("heads/one.safetensors", one)
    stored = read_head(f"{store.uri}/heads/one.safetensors")
    assert stored.digest == read_head(str(one)).digest != read_head(str(other)).digest
    assert list(stored.outputs) == ["a", "b"]
    with pytest.raises(StorageError, match="cannot read"):
        read_head(f"{store.uri}/heads/none.safetensors")


def test_a_wrong_width_names_both(tmp_path: Path) -> None:
    head = read_head(str(write_head(tmp_path / "h.safetensors", WEIGHT)))
    with pytest.raises(InputError, match="embeddings of 3 numbers, and these have 4"):
        head.scores(np.ones((2, 4), np.float32))


@pytest.mark.parametrize(
    ("tensors", "said", "match"),
    [
        ({"w": np.ones(3)}, {}, "must hold 'weight' and perhaps 'bias'; it holds w"),
        ({"weight": np.ones(3), "scale": np.ones(1)}, {}, "it holds scale, weight"),
        ({"weight": np.ones((2, 3)), "bias": np.ones(3)}, {}, r"given are \[2, 3\] and \[3\]"),
        ({"weight": np.ones((2, 3, 1))}, {}, r"given are \[2, 3, 1\]"),
        ({"weight": np.ones((0, 3))}, {}, r"given are \[0, 3\]"),
        ({"weight": np.array([1, np.nan])}, {}, "not finite"),
        ({"weight": np.ones((2, 3))}, {"activation": "relu"}, "activation is 'relu'; known are"),
        ({"weight": np.ones(3)}, {"activation": "softmax"}, "softmax over one output"),
        ({"weight": np.ones((2, 3))}, {"outputs": "a"}, "has 2 outputs, and its 'outputs'"),
        ({"weight": np.ones((2, 3))}, {"outputs": "a,a"}, "has 2 outputs, and its 'outputs'"),
    ],
)
def test_what_is_no_head_is_one_line(tmp_path: Path, tensors, said, match: str) -> None:
    file = tmp_path / "h.safetensors"
    save_file(tensors, file, metadata=said or None)
    with pytest.raises(InputError, match=match) as caught:
        read_head(str(file))
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file_and_a_cut_file_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"head not found: .*none"):
        read_head(str(tmp_path / "none"))
    cut = write_head(tmp_path / "h.safetensors", WEIGHT)
    cut.write_bytes(cut.read_bytes()[:-8])
    with pytest.raises(InputError, match=r"h.safetensors is no readable safetensors file"):
        read_head(str(cut))


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    made = write_pool(
        tmp_path / "store", {"a": [labelled(1), labelled(2)], "b": [labelled(n) for n in (3, 4, 5)]}
    )
    vectors = {"a": [(1, 0), None], "b": [(0, 1), (0.5, 0.5), (-1, 0)]}
    return embedded(made, vectors, model="e" * 32)


def heads(pool: Pool, out: Path, *given: str) -> int:
    arguments = ["--embeddings", pool.image_embeddings[0], "--samples", pool.samples[0]]
    named = [part for one in given for part in ("--head", one)]
    return main(["labeling", "heads", *arguments, *named, "--out", str(out)])


def test_the_command_writes_a_column_an_output_and_prints_quantiles(
    pool: Pool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write_head(tmp_path / "one.safetensors", [2.0, 0.0], encoder="e" * 32)
    two = write_head(tmp_path / "two.safetensors", np.eye(2), outputs="left,right")
    out = tmp_path / "new" / "scores.parquet"
    assert heads(pool, out, f"safe={one}", f"side={two}") == 0
    assert pq.read_table(out).to_pydict() == {
        "shard": ["a", "a", "b", "b", "b"],
        "key": ["00000", "00001", "00000", "00001", "00002"],
        "safe": [2, None, 0, 1, -2],
        "side_left": [1, None, 0, 0.5, -1],
        "side_right": [0, None, 1, 0.5, 0],
    }
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{out}: 4 of 5 images have scores"
    assert lines[1].split() == ["min", "1%", "5%", "25%", "50%", "75%", "95%", "99%", "max"]
    values = np.quantile([2, 0, 1, -2], [0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1])
    assert lines[2].split() == ["safe", *(f"{value:.4f}" for value in values)]


def test_a_pool_without_embeddings_has_no_quantiles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = embedded(
        write_pool(tmp_path / "store", {"a": [labelled(1)], "b": [labelled(2)]}),
        {"a": [None], "b": [None]},
        dim=2,
    )
    head = write_head(tmp_path / "h.safetensors", [1.0, 0.0])
    assert heads(made, tmp_path / "scores.parquet", f"h={head}") == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("0 of 2 images have scores")
    assert pq.read_table(tmp_path / "scores.parquet").column("h").to_pylist() == [None, None]


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (["no-name"], "write NAME=FILE"),
        (["h={head}", "h={head}"], "each name once"),
        (["key={head}"], "two columns would be called 'key'"),
        (["h={other}"], "was fitted on the model"),
        (["h={wide}"], "embeddings of 3 numbers, and these have 2"),
    ],
)
def test_what_the_command_refuses_is_one_line_and_writes_nothing(
    pool: Pool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    given: list[str],
    match: str,
) -> None:
    files = {
        "head": write_head(tmp_path / "h.safetensors", [1.0, 0.0]),
        "other": write_head(tmp_path / "o.safetensors", [1.0, 0.0], encoder="f" * 32),
        "wide": write_head(tmp_path / "w.safetensors", [1.0, 0.0, 0.0]),
    }
    out = tmp_path / "out" / "scores.parquet"
    assert heads(pool, out, *(one.format(**files) for one in given)) == 2
    assert match in capsys.readouterr().err
    assert not out.parent.exists() or list(out.parent.iterdir()) == []


def test_a_pool_of_other_rows_is_refused(
    pool: Pool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = write_head(tmp_path / "h.safetensors", [1.0, 0.0])
    other = embedded(
        write_pool(tmp_path / "store", {"a": [labelled(1)], "b": [labelled(3)]}),
        {"a": [(1, 0)], "b": [(1, 0)]},
    )
    mixed = Pool(**{**vars(pool), "image_embeddings": other.image_embeddings})
    assert heads(mixed, tmp_path / "scores.parquet", f"h={head}") == 2
    assert "image_embeddings has 1 rows and samples 2" in capsys.readouterr().err
    assert list(tmp_path.glob("*scores*")) == []
