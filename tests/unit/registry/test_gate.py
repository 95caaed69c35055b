import numpy as np
import pytest

from openmofi.config import parse_config
from openmofi.errors import InputError
from openmofi.evaluation import metrics
from openmofi.evaluation.suites import SUITE_VERSION, Scores, write_scores
from openmofi.registry.config import RegisterConfig
from openmofi.registry.gate import Champion, decide
from openmofi.storage import open_store
from openmofi.versions import write_manifest
from support.evaluation import publish_dataset

DATA, PROTOCOL = "d" * 32, "p" * 32
QUERIES = 400


class Ground:
    """A store in which models and what they scored can be laid down."""

    def __init__(self, root):
        self.root = root
        self.store = open_store(root)
        self.hard = np.random.default_rng(0).random(QUERIES) * 0.8

    def model(self, digest, *, checked=(DATA,), trained=True, start=""):
        origin = {"kind": "imported", "source": "somewhere"}
        if trained:
            dataset = publish_dataset(self.root, f"set-of-{digest}", checked_against=list(checked))
            origin = {"kind": "trained", "dataset": "x", "dataset_uri": dataset}
        if start:
            origin["initial_model"] = {"source": start, "digest": "w"}
        return write_manifest(self.store, "model", digest, {"origin": origin})

    def scores(self, digest, ap):
        columns = {metrics.RETRIEVAL: np.asarray(ap, float)}
        write_scores(self.store, digest, DATA, PROTOCOL, Scores(columns))

    def evaluation(self, digest, value, suite_version=SUITE_VERSION):
        content = {
            "candidate": digest,
            "suite_version": suite_version,
            "data_digest": DATA,
            "protocol": PROTOCOL,
            "data": "/gone",
            "config": {"bootstrap_samples": 200},
            "metrics": {"candidate": {metrics.RETRIEVAL: value}},
        }
        return write_manifest(self.store, "evaluation", f"of-{digest}", content)

    def against_champion(self, ap, **config):
        """The gate's word on a model with these APs, against one with the APs `hard`."""
        champion = self.model("champion")
        self.scores("champion", self.hard)
        self.scores("new", ap)
        evaluation = self.evaluation("new", 100 * float(np.mean(ap)))
        settings = parse_config(RegisterConfig, config, where="test")
        return decide(self.model("new"), evaluation, Champion("7", champion.uri), settings)


@pytest.fixture
def ground(tmp_path):
    return Ground(str(tmp_path))


def config(**values):
    return parse_config(RegisterConfig, values, where="test")


def test_a_first_model_needs_the_floor_only(ground):
    model = ground.model("m")
    assert decide(model, ground.evaluation("m", 30.0), None, config(floor=30)).passed
    refused = decide(model, ground.evaluation("m", 29.9), None, config(floor=30))
    assert not refused.passed
    assert refused.reasons == ("retrieval/map 29.90 is below the floor 30.00",)


def test_a_better_model_passes(ground):
    decision = ground.against_champion(ground.hard + 0.1)
    assert decision.passed
    assert decision.difference.value == pytest.approx(10)
    assert "champion version 7: +10.00 points" in decision.reasons[0]


def test_a_loss_within_what_is_allowed_passes_and_a_larger_one_does_not(ground):
    assert ground.against_champion(ground.hard - 0.01, max_regression=1.5).passed
    assert not ground.against_champion(ground.hard - 0.02, max_regression=1.5).passed


def test_too_few_or_too_noisy_queries_are_no_pass(ground):
    noisy = ground.hard + np.random.default_rng(1).normal(0, 0.5, QUERIES)
    decision = ground.against_champion(noisy - (noisy - ground.hard).mean())
    assert decision.difference.value == pytest.approx(0)
    assert not decision.passed
    assert "is not ruled out" in decision.reasons[0]


def test_the_floor_holds_against_a_weak_champion_too(ground):
    ground.hard = ground.hard * 0.1
    assert not ground.against_champion(ground.hard + 0.05, floor=20).passed


def test_training_data_that_was_not_checked_is_refused(ground):
    model = ground.model("m", checked=["other set"])
    decision = decide(model, ground.evaluation("m", 90.0), None, config())
    assert not decision.passed
    assert "not checked against the evaluation set dddddddddddd" in decision.reasons[0]


def test_a_model_of_unknown_training_data_is_refused(ground):
    model = ground.model("m", trained=False)
    decision = decide(model, ground.evaluation("m", 90.0), None, config())
    assert not decision.passed
    assert "nobody knows" in decision.reasons[0]


def test_every_reason_is_told(ground):
    model = ground.model("m", trained=False)
    assert len(decide(model, ground.evaluation("m", 1.0), None, config()).reasons) == 2


def test_another_models_evaluation_is_an_error(ground):
    with pytest.raises(InputError, match="evaluates another model"):
        decide(ground.model("m"), ground.evaluation("n", 90.0), None, config())


def test_an_unknown_metric_is_an_error_that_names_the_known_ones(ground):
    with pytest.raises(InputError, match="'retrieval/mAP' was not measured; known: retrieval/map"):
        decide(
            ground.model("m"), ground.evaluation("m", 90.0), None, config(metric="retrieval/mAP")
        )


def test_a_champion_that_cannot_be_measured_again_is_an_error(ground):
    champion = ground.model("old")
    ground.scores("m", ground.hard)
    with pytest.raises(InputError, match="evaluation set not found: /gone"):
        decide(
            ground.model("m"), ground.evaluation("m", 90.0), Champion("1", champion.uri), config()
        )


def test_scores_of_an_earlier_suite_are_not_compared(ground):
    champion = ground.model("champion")
    ground.scores("champion", ground.hard)
    ground.scores("m", ground.hard)
    evaluation = ground.evaluation("m", 90.0, suite_version=SUITE_VERSION - 1)
    with pytest.raises(InputError, match="evaluation set not found"):  # it would measure both anew
        decide(ground.model("m"), evaluation, Champion("1", champion.uri), config())


def test_weights_to_begin_with_need_a_check_too(ground):
    def decided(start, **settings):
        model = ground.model("m", start=start)
        return decide(model, ground.evaluation("m", 90.0), None, config(**settings))

    checked = ground.model("start").uri
    assert decided(checked).passed
    assert decided(ground.model("grandchild", start=checked).uri).passed
    foreign = ground.model("foreign", trained=False).uri
    for start in (
        "/a/folder",
        foreign,
        ground.model("unchecked", checked=["other"]).uri,
        ground.model("child", start=foreign).uri,
    ):
        refused = decided(start)
        assert not refused.passed
        assert f"it began with the weights of {start}" in refused.reasons[0]
    assert decided(foreign, foreign_start="allow").passed


def test_the_data_set_is_looked_up_where_the_model_lies_first(ground):
    model = ground.model("m")
    moved = {**model.content["origin"], "dataset": "set-of-m", "dataset_uri": "file:///gone/x"}
    model = write_manifest(ground.store, "model", "m", {"origin": moved})
    assert decide(model, ground.evaluation("m", 90.0), None, config()).passed
