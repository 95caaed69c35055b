"""The data gate's bounds, one by one."""

import pytest

from openmofi.dataset.gate import check_data
from openmofi.errors import InputError
from openmofi.storage import open_store
from openmofi.versions import read_manifest, write_manifest


@pytest.fixture
def dataset(tmp_path):
    store = open_store(str(tmp_path))

    def write(digest, **counts):
        return write_manifest(store, "dataset", digest, {"counts": counts}).uri

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


@pytest.mark.parametrize(
    ("new", "config", "reason"),
    [
        ({"kept": 40, "no_entity": 60}, {"min_growth": 0.1}, "grew by 0.0% against its parent"),
        ({"kept": 30, "no_entity": 70}, {"min_growth": -0.2}, "grew by -25.0% against its parent"),
        ({"kept": 100, "no_entity": 100}, {"max_drift": 1.2}, "the kept share changed 1.25-fold"),
        ({"kept": 50, "no_entity": 100}, {"max_drift": 1.19}, "the kept share changed 1.20-fold"),
    ],
)
def test_bounds_against_the_parent(dataset, new, config, reason):
    parent = dataset("old", kept=40, no_entity=60)
    decision = check_data(dataset("new", **new), parent=parent, config=config)
    [found] = decision.reasons
    assert found.startswith(reason)


def test_a_version_that_grew_in_kind_passes(dataset):
    parent = dataset("old", kept=40, no_entity=60)
    assert check_data(dataset("new", kept=60, no_entity=90), parent=parent).passed


def test_all_objections_are_recorded_with_what_was_compared(dataset):
    parent = dataset("old", kept=40, no_entity=60)
    new = dataset("new", kept=0, corrupt_image=10)
    decision = check_data(new, parent=parent)
    content = read_manifest(decision.uri, "data_decision").content
    assert len(content["reasons"]) == 4
    assert (content["dataset"], content["parent"], content["passed"]) == (new, parent, False)


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
