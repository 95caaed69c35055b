"""The data gate's bounds, one by one."""

import numpy as np
import pytest

from openmofi.dataset.gate import check_data
from openmofi.dataset.versions.changes import write_changes
from openmofi.dataset.versions.parent import was_taken_back
from openmofi.dataset.versions.published import publish
from openmofi.dataset.versions.version import read_dataset
from openmofi.errors import InputError
from openmofi.storage import open_store
from openmofi.versions import read_manifest, write_manifest
from support.dataset_versions import some, write_version


@pytest.fixture
def dataset(tmp_path):
    """Writes a version of two shards: what ``old`` holds, and the rest."""

    def write(digest, *, parent="", old=None, **counts):
        new = {cause: counts.get(cause, 0) - (old or {}).get(cause, 0) for cause in counts}
        shards = {"a": some(**{"kept": 0, **old}), "b": some(prefix="b", **new)} if old else {}
        return write_version(tmp_path, digest, shards or {"a": some(**counts)}, parent=parent)

    return write


def test_a_first_version_is_held_to_the_absolute_bounds_only(dataset):
    decision = check_data(dataset("new", kept=20, no_entity=80))
    assert decision.passed
    assert decision.values == {
        "seen": 100.0,
        "kept": 20.0,
        "kept_fraction": 0.2,
        "failure_fraction": 0.0,
    }


@pytest.mark.parametrize(
    ("counts", "config", "reason"),
    [
        ({"kept": 4, "no_entity": 96}, {"min_kept_fraction": 0.05}, "kept 4.0% of the samples"),
        ({"kept": 0}, {}, "kept 0.0% of the samples"),
        (
            {"kept": 50, "corrupt_image": 20, "missing_image": 20, "failed": 5, "text_failed": 5},
            {"max_failure_fraction": 0.4},
            "50.0% of the samples failed",
        ),
    ],
)
def test_absolute_bounds(dataset, counts, config, reason):
    decision = check_data(dataset("new", **counts), config=config)
    assert not decision.passed
    [found] = decision.reasons
    assert found.startswith(reason)


OLD = {"kept": 40, "no_entity": 60}


@pytest.mark.parametrize(
    ("new", "config", "reason"),
    [
        ({"kept": 40, "no_entity": 61}, {"min_growth": 0.1}, "grew by 0.0% against its parent"),
        ({"kept": 100, "no_entity": 100}, {"max_drift": 1.2}, "the kept share changed 1.25-fold"),
        ({"kept": 50, "no_entity": 100}, {"max_drift": 1.19}, "the kept share changed 1.20-fold"),
    ],
)
def test_bounds_against_the_parent(dataset, new, config, reason):
    parent = dataset("old", **OLD)
    decision = check_data(dataset("new", old=OLD, **new), parent=parent, config=config)
    [found] = decision.reasons
    assert found.startswith(reason)


def test_a_version_that_grew_in_kind_passes(dataset):
    parent = dataset("old", **OLD)
    decision = check_data(dataset("new", old=OLD, kept=60, no_entity=90), parent=parent)
    assert decision.passed
    assert (decision.values["fresh_shards"], decision.values["lost_shards"]) == (1, 0)


@pytest.mark.parametrize("loses", ["a shard", "a sample"])
def test_what_the_parent_had_is_missed(tmp_path, loses):
    old = write_version(tmp_path, "old", {"a": some(5), "b": some(5, "b")})
    shards = {"a": some(5), "b": some(4, "b"), "c": some(9, "c")}
    if loses == "a shard":
        del shards["b"]
    new = write_version(tmp_path, "new", shards, parent=old)
    [reason] = check_data(new).reasons
    assert reason.startswith("1 shards of its parent are gone or lack samples that they had")
    assert check_data(new, config={"allow_lost_shards": True}).passed


def test_ten_bad_shards_do_not_hide_among_ninety(tmp_path):
    good = {f"{number:02}": some(8, f"{number}-", no_text=2) for number in range(9)}
    old = write_version(tmp_path, "old", good)
    bad = some(5, "bad", corrupt_image=5)
    new = write_version(tmp_path, "new", {**good, "09": bad}, parent=old)
    decision = check_data(new)
    assert decision.values["failure_fraction"] == 0.05
    assert decision.values["new_failure_fraction"] == 0.5
    [reason] = decision.reasons
    assert reason.startswith("50.0% of the samples in fresh shards failed, at most 20.0%")
    assert check_data(new, config={"max_new_failure_fraction": 0.5}).passed
    assert check_data(new, config={"max_new_failure_fraction": None}).passed


def scored(tmp_path, mean, count):
    """A version with one more shard, whose scores lie around another mean."""
    rng = np.random.default_rng(3)
    scores = {"a": rng.normal(0.3, 0.05, 800), "b": rng.normal(mean, 0.05, count)}
    shards = {"a": some(8), "b": some(8, "b")}
    old = write_version(tmp_path, "old", {"a": shards["a"]}, scores={"a": scores["a"]})
    return write_version(tmp_path, "new", shards, scores=scores, parent=old)


def test_scores_that_drift_are_refused(tmp_path):
    new = scored(tmp_path, 0.35, 300)
    decision = check_data(new)
    [reason] = decision.reasons
    assert reason.startswith("the scores of fresh shards have drifted: index 0.99, at most 0.25")
    assert decision.values["score_drift"] > 0.25 > decision.values["score_drift_by_chance"]
    assert check_data(new, config={"max_score_drift": decision.values["score_drift"]}).passed
    assert check_data(new, config={"max_score_drift": None}).passed


def test_what_chance_gives_a_few_scores_is_no_drift(tmp_path):
    decision = check_data(scored(tmp_path, 0.3, 12))
    assert decision.values["score_drift_by_chance"] > decision.values["score_drift"] > 0.25
    assert decision.passed


def test_all_objections_are_recorded_with_what_was_compared(dataset):
    parent = dataset("old", **OLD)
    new = dataset("new", kept=0, corrupt_image=10)
    decision = check_data(new, parent=parent)
    content = read_manifest(decision.uri, "data_decision").content
    assert len(content["reasons"]) == 6  # and a has other samples: fresh failures, lost samples
    assert (content["dataset"], content["parent"], content["passed"]) == (new, parent, False)
    assert content["metrics"] == decision.values


def test_the_parent_is_the_one_that_it_grew_from_unless_another_is_named(dataset):
    old, other = dataset("old", **OLD), dataset("other", kept=50, no_entity=50)
    new = dataset("new", old=OLD, parent=old, kept=60, no_entity=90)
    assert check_data(new).values["parent_kept"] == 40
    assert check_data(new, parent=other).values["parent_kept"] == 50


def test_what_is_published_is_the_parent_by_its_name(dataset, tmp_path):
    old = dataset("old", **OLD)
    new = dataset("new", old=OLD, kept=60, no_entity=90)
    unpublished = check_data(new, parent="published:main")
    assert "parent_kept" not in unpublished.values
    publish(old, why="by hand")
    assert check_data(new, parent="published:main").values["parent_kept"] == 40
    assert check_data(new, parent=f"{tmp_path}@main").values["parent_kept"] == 40
    with pytest.raises(InputError, match="nothing is published as 'other'"):
        check_data(new, parent=f"{tmp_path}@other")


@pytest.mark.parametrize("published", [False, True])
def test_the_version_that_stands_already_is_nothing_new(dataset, published):
    uri = dataset("one", kept=9)
    if published:
        publish(uri, why="by hand")
    decision = check_data(uri, parent="published:main" if published else uri)
    assert not decision.passed
    assert decision.reasons == ("nothing is new: it is the version that stands already",)
    assert read_manifest(decision.uri, "data_decision").content["parent"] == uri


def test_a_run_does_not_undo_that_somebody_went_back(dataset):
    old = dataset("old", **OLD)
    new = dataset("new", old=OLD, parent=old, kept=60, no_entity=90)
    publish(old, why="refresh")
    assert check_data(new, parent="published:main").passed
    publish(new, why="refresh")
    assert not was_taken_back(new, "published:main", read_dataset(new).store)
    publish(old, why="by hand")
    [reason] = check_data(new, parent="published:main").reasons
    assert reason.startswith("it was published before and taken back")
    assert check_data(new, parent="published:other").passed
    assert check_data(new, parent=old).passed


def test_what_assembly_has_written_is_not_compared_again(dataset, monkeypatch):
    old = dataset("old", **OLD)
    new = read_dataset(dataset("new", old=OLD, parent=old, kept=60, no_entity=90))
    key = write_changes(new, read_dataset(old))
    uri = write_manifest(new.store, "dataset", "new", {**new.content, "changes": key}).uri
    monkeypatch.setattr("openmofi.dataset.versions.changes.changes", None)
    assert check_data(uri).passed


def test_the_same_question_has_the_same_answer(dataset):
    new = dataset("new", kept=1)
    assert check_data(new).uri == check_data(new).uri


def test_another_kind_of_manifest_is_refused(tmp_path):
    samples = write_manifest(open_store(str(tmp_path)), "samples", "s", {"counts": {}}).uri
    with pytest.raises(InputError, match="'dataset' is needed"):
        check_data(samples)


def test_an_unknown_bound_is_refused(dataset):
    with pytest.raises(InputError, match="gate: unknown key 'min_growht'"):
        check_data(dataset("new", kept=1), config={"min_growht": 0})
