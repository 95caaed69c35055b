"""Scope: assembly, evaluation and the gate mean the same images, in every layout."""

import pytest

from openmofi.config import parse_config
from openmofi.evaluation.run import evaluate_model
from openmofi.registry.config import RegisterConfig
from openmofi.registry.gate import decide
from openmofi.versions import read_manifest
from support.assembly import assemble, pool_of
from support.evaluation import publish_micro_model
from support.evaluation_layouts import KNOWN_LAYOUTS, known_coco
from support.mlflow_databases import new_database
from support.tables import Pair, noise_jpeg, without


@pytest.fixture(autouse=True)
def tracking(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new_database(tmp_path))


def decided(root, pool, data, suite, **given):
    """The gate's word on a model of data that were assembled with ``given``."""
    dataset = assemble(pool, "", require_entities=False, **given)
    origin = {"kind": "trained", "name": "m", "dataset_uri": dataset.uri}
    model = publish_micro_model(str(root), seed=len(given), origin=origin)
    uri = evaluate_model(model, data=str(data), config={"suites": [suite]})
    evaluation = read_manifest(uri, "evaluation")
    metric = min(evaluation.content["metrics"]["candidate"])
    config = parse_config(RegisterConfig, {"metric": metric, "floor": 0}, where="test")
    return decide(read_manifest(model, "model"), evaluation, None, config)


@pytest.mark.parametrize("write", KNOWN_LAYOUTS)
def test_a_model_of_data_that_was_kept_clear_of_the_set_passes_the_gate(tmp_path, write):
    root = tmp_path / "store"
    data = write(tmp_path / "set", [noise_jpeg(seed) for seed in range(4)], noise_jpeg(9))
    pairs = [Pair(noise_jpeg(seed), f"picture {seed}") for seed in (0, 9, 10)]
    pool = without(pool_of(root, *pairs), "mentions", "entity_scores")
    suite = "image_text" if write is known_coco else "retrieval"
    assert decided(root, pool, data, suite, evaluation_sets=[str(data)]).passed
    unchecked = decided(root, pool, data, suite)
    assert not unchecked.passed
    assert "was not checked against the evaluation set" in unchecked.reasons[0]
