import json

import numpy as np
import pytest

from openmofi import cli
from openmofi.config import parse_config
from openmofi.errors import InputError
from openmofi.evaluation.array_suites import ArrayFiles, evaluate_array_suites
from openmofi.evaluation.config import EvaluateConfig
from openmofi.evaluation.knn import knn_predict
from openmofi.evaluation.retrieval import average_precisions, unit_rows


@pytest.fixture
def files(tmp_path):
    """Noisy class vectors in three pairs of files."""
    found = {}
    for seed, (role, per_class) in enumerate({"tested": 4, "train": 10, "index": 6}.items()):
        rng = np.random.default_rng(seed)
        labels = np.repeat(np.arange(5), per_class)
        centres = np.random.default_rng(9).standard_normal((5, 8))
        vectors = centres[labels] + 0.8 * rng.standard_normal((len(labels), 8))
        found[role] = ArrayFiles(tmp_path / f"{role}.npy", tmp_path / f"{role}-labels.npy")
        np.save(found[role].embeddings, vectors.astype(np.float32))
        np.save(found[role].labels, labels)
    return found


def test_every_suite_that_the_files_allow_is_run(files):
    alone = evaluate_array_suites(files["tested"])
    assert {name.partition("/")[0] for name in alone["metrics"]} == {"retrieval"}
    found = evaluate_array_suites(files["tested"], train=files["train"], index=files["index"])
    suites = {name.partition("/")[0] for name in found["metrics"]}
    assert suites == {"retrieval", "knn", "linear_probe", "query_index"}
    tested, train = (
        (unit_rows(np.load(files[role].embeddings)), np.load(files[role].labels))
        for role in ("tested", "train")
    )
    voted = knn_predict(*train, tested[0], neighbours=20, temperature=0.07)
    expected = 100 * (voted == tested[1]).mean()
    assert found["metrics"]["knn/top1"]["value"] == pytest.approx(expected)
    assert 50 < expected < 100
    assert found["metrics"]["linear_probe/top1"]["value"] > 50
    assert found["facts"]["query_index/queries_without_positive"] == 0
    scores = average_precisions(np.load(files["tested"].embeddings), np.repeat(np.arange(5), 4))
    assert found["metrics"]["retrieval/map"]["value"] == pytest.approx(100 * scores.ap.mean())
    interval = found["metrics"]["query_index/map"]
    assert interval["low"] <= interval["value"] <= interval["high"]


@pytest.mark.parametrize(
    ("suites", "says"),
    [
        (["zero_shot"], "'zero_shot' needs a model, not arrays"),
        (["knn"], "'knn' needs --train-embeddings"),
        (["query_index"], "'query_index' needs --index-embeddings"),
    ],
)
def test_a_suite_without_its_files_is_told(files, suites, says):
    config = parse_config(EvaluateConfig, {"suites": suites}, where="test")
    with pytest.raises(InputError, match=says):
        evaluate_array_suites(files["tested"], config=config)


def test_files_that_do_not_fit_are_told_by_their_names(files, tmp_path):
    np.save(files["train"].embeddings, np.ones((50, 3), np.float32))
    with pytest.raises(InputError, match=r"train\.npy holds vectors of 3 numbers.* 8"):
        evaluate_array_suites(files["tested"], train=files["train"])
    np.save(files["train"].labels, np.arange(4))
    with pytest.raises(InputError, match=r"train\.npy, .*train-labels\.npy: 50 embeddings and 4"):
        evaluate_array_suites(files["tested"], train=files["train"])
    bad = ArrayFiles(tmp_path / "no.npy", files["train"].labels)
    with pytest.raises(InputError, match=r"file not found: .*no\.npy$"):
        evaluate_array_suites(bad)


def arguments(files, *roles):
    given = ["evaluate", "arrays", "--embeddings", str(files["tested"].embeddings), "--labels",
             str(files["tested"].labels)]  # fmt: skip
    for role in roles:
        given += [f"--{role}-embeddings", str(files[role].embeddings)]
        given += [f"--{role}-labels", str(files[role].labels)]
    return given


def test_the_command_prints_lines_or_json(files, capsys, tmp_path):
    (tmp_path / "c.yaml").write_text("suites: [knn]\nknn_neighbours: 3\n")
    assert cli.main([*arguments(files, "train", "index"), "--json"]) == 0
    assert "linear_probe/c" in json.loads(capsys.readouterr().out)["facts"]
    assert cli.main([*arguments(files, "train"), "--config", str(tmp_path / "c.yaml")]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("knn/top1: ")
    assert " to " in line


def test_half_a_pair_is_told(files, capsys):
    given = [*arguments(files), "--train-labels", str(files["train"].labels)]
    assert cli.main(given) == 2
    assert "--train-embeddings and --train-labels belong together" in capsys.readouterr().err
