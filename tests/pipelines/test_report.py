"""The table at the end of a run, from manifests."""

import pytest

from openmofi.dataset.versions.changes import write_changes
from openmofi.dataset.versions.version import read_dataset
from openmofi.storage import open_store
from openmofi.versions import write_manifest
from pipelines import report
from pipelines.local import StepOutput
from pipelines.report import describe_run
from support.dataset_versions import some, write_version


@pytest.fixture
def made(tmp_path):
    store = open_store(str(tmp_path))
    number = iter(range(100))

    def output(step, kind, group="", **content):
        manifest = write_manifest(store, kind, f"d{next(number)}", content)
        return StepOutput(step, group, manifest.uri, 1.5)

    return output


def test_groups_of_a_step_are_added_up(made):
    text = describe_run(
        [
            made("embed-images", "image_embeddings", "0", counts={"ok": 3, "skipped": 1}),
            made("embed-images", "image_embeddings", "1", counts={"ok": 4}),
        ]
    )
    [line] = [line for line in text.splitlines() if line.startswith("embed-images")]
    assert line.split() == ["embed-images", "3.0", "8", "ok", "7,", "skipped", "1"]


def test_causes_are_never_parted_from_their_numbers(made):
    counts = {f"a_rather_long_cause_{i}": 10 + i for i in range(12)}
    text = describe_run([made("assemble-dataset", "dataset", counts=counts, card="c.html")])
    rows = text.partition("\n\n")[0].splitlines()[2:]
    assert len(rows) > 2
    assert all(row.rstrip(",")[-1].isdigit() for row in rows)


def test_models_stand_side_by_side_with_their_difference(made):
    paired = {"value": 4.0, "low": 1.0, "high": 7.0, "noise": False, "queries": 9}
    text = describe_run(
        [
            made(
                "evaluate-model",
                "evaluation",
                metrics={
                    "colour_histogram": {"retrieval/map": 10.0},
                    "baseline": {"retrieval/map": 20.04},
                    "candidate": {"retrieval/map": 24.04},
                },
                models={
                    "candidate": "mine",
                    "baseline": "clip",
                    "colour_histogram": "colour histogram",
                },
                paired={"retrieval/map": paired},
                report="r.html",
            )
        ]
    )
    head, _, row = text.split("\n\n")[1].splitlines()
    order = ["candidate: mine", "baseline: clip", "colour histogram", "candidate - baseline"]
    assert [head.index(name) for name in order] == sorted(head.index(name) for name in order)
    assert row.split()[2:] == ["24.0", "20.0", "10.0", "+4.0", "[+1.0,", "+7.0]"]


def test_a_refusal_of_the_data_gate_is_told_with_its_reasons(made):
    output = made("check-data", "data_decision", passed=False, reasons=["kept too few"])
    assert describe_run([output]).endswith("data gate  refused; kept too few")


def test_a_published_data_set_is_told_once(made):
    content = {"counts": {"kept": 7}, "card": "c.html", "changes": ""}
    assembled = made("assemble-dataset", "dataset", **content)
    text = describe_run([assembled, StepOutput("publish-dataset", "", assembled.uri, 0.5)])
    assert text.endswith(f"published                    {assembled.uri}")
    assert text.count("kept 7") == text.count("c.html") == 1
    assert [line.split()[:2] for line in text.splitlines() if line.startswith("publish-")] == [
        ["publish-dataset", "0.5"]
    ]


def test_what_changed_is_told_in_one_line(tmp_path):
    old = read_dataset(write_version(tmp_path, "old", {"a": some(2)}))
    more = {"a": some(2), "b": some(3, "b", corrupt_image=1)}
    new = read_dataset(write_version(tmp_path, "new", more))
    content = {**new.content, "changes": write_changes(new, old)}
    uri = write_manifest(new.store, "dataset", "new", content).uri
    text = describe_run([StepOutput("assemble-dataset", "", uri, 1.5)])
    line = "1 shard added, 3 samples gained, 25.0% of fresh shards' samples failed"
    assert text.splitlines()[-1] == f"changes, assemble-dataset    {line}"


def test_a_registration_is_told_with_its_version(made):
    output = made(
        "register-model",
        "registration",
        name="mine",
        version="3",
        decision="refused",
        reasons=["below the floor"],
    )
    assert "registry  mine version 3 refused; below the floor" in describe_run([output])


@pytest.mark.parametrize(
    ("tracking", "shown"),
    [
        ("sqlite:///x.db", "mlflow ui --backend-store-uri sqlite:///x.db"),
        ("http://mlflow:5000", "MLflow  http://mlflow:5000"),
    ],
)
def test_it_says_how_to_open_mlflow(made, monkeypatch, tracking, shown):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    assert shown in describe_run([made("train-model", "model")])


@pytest.mark.parametrize("uri", ["http://me:hidden@mlflow:5000", "postgresql://me:hidden@db/m"])
def test_the_way_to_mlflow_tells_no_password(monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    told = report._how_to_open_mlflow()
    assert uri.rpartition("@")[2] in told
    assert "hidden" not in told
