"""Models side by side: paired on the same queries, and what differed in data and recipe."""

import json
import shutil

import pytest

from openmofi import tracking
from openmofi.cli import main
from openmofi.errors import InputError
from openmofi.evaluation import metrics
from openmofi.evaluation.comparison.compare import compare_runs
from support.comparisons import DRAWS, Shelf, columns

WEAK, STRONG = columns(1), columns(2, plus=0.3)


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    return Shelf(tmp_path)


@pytest.fixture
def pair(shelf):
    """Two trained models with an evaluation each, on the same images by the same protocol."""
    small = shelf.dataset("d1")
    large = shelf.dataset(
        "d2",
        counts={"kept": 100},
        splits={"train": 90, "validation": 10},
        config={"min_score": 0.25, "text": {"policy": "text_dependent", "drop_text": True}},
    )
    models = [
        shelf.model("m1", dataset=small),
        shelf.model("m2", dataset=large, batch_size=128),
    ]
    for number, (model, scores) in enumerate(zip(models, (WEAK, STRONG), strict=True)):
        shelf.evaluation(f"e{number}", candidate=model, columns=scores)
    return models


def by_name(part):
    return {row["name"]: row["values"] for row in part["differ"]}


def test_each_is_held_against_the_first_on_the_same_queries(shelf, pair):
    facts = compare_runs(pair)
    expected = metrics.compare(STRONG, WEAK, DRAWS, shelf.images.labels)
    rows = {row["metric"]: row for row in facts["metrics"]}
    assert list(rows) == [metrics.RETRIEVAL, metrics.ZERO_SHOT]
    first, second = rows[metrics.RETRIEVAL]["against_first"]
    assert first is None
    told = (second["value"], second["low"], second["high"])
    one = expected[metrics.RETRIEVAL]
    assert told == pytest.approx((one.value, one.low, one.high))
    assert second["verdict"] == "better"
    back = compare_runs(pair[::-1])["metrics"][0]["against_first"][1]
    assert back["verdict"] == "worse"
    assert back["value"] == pytest.approx(-second["value"])
    assert facts["notes"] == []


def test_values_are_those_of_the_evaluations(pair):
    [row, _] = compare_runs(pair)["metrics"]
    assert [value["value"] for value in row["values"]] == pytest.approx(
        [100 * WEAK[metrics.RETRIEVAL].mean(), 100 * STRONG[metrics.RETRIEVAL].mean()]
    )


def test_what_differed_in_the_data_is_told_and_the_rest_counted(pair):
    data = compare_runs(pair)["data"]
    assert by_name(data) == {
        "data set": ["d1", "d2"],
        "kept": ["70", "100"],
        "train": ["60", "90"],
        "dropped, text_region": ["30", "-"],
        "config.text.policy": ["any_text", "text_dependent"],
    }
    assert data["equal"] > 5
    assert data["unknown"] == []


def test_what_differed_in_the_recipe_leaves_out_what_only_names_or_times_a_run(pair):
    facts = compare_runs(pair)
    assert by_name(facts["recipe"]) == {"batch_size": ["64", "128"]}
    assert facts["code"]["unknown"] == ["A", "B"]


def test_a_model_of_unknown_data_makes_nothing_differ_among_the_others(shelf, pair):
    data = compare_runs([pair[0], pair[1], shelf.model("m3")])["data"]
    assert set(by_name(data)) == set(by_name(compare_runs(pair)["data"]))
    assert by_name(data)["kept"] == ["70", "100", "-"]
    assert data["unknown"] == ["C"]


def test_a_difference_that_may_be_none_is_noise(shelf):
    models = [shelf.model(name) for name in ("m1", "m2")]
    for number, model in enumerate(models):
        shelf.evaluation(f"e{number}", candidate=model, columns=columns(number))
    rows = compare_runs(models)["metrics"]
    assert rows[0]["against_first"][1]["verdict"] == "noise"


def test_evaluations_are_named_as_well_as_models(shelf, pair):
    uris = [f"{shelf.store.uri}/manifests/evaluation/e{number}.json" for number in range(2)]
    by_model, by_evaluation = compare_runs(pair), compare_runs(uris)
    for name in ("metrics", "data", "recipe", "notes"):
        assert by_model[name] == by_evaluation[name]


def test_other_images_are_never_paired(shelf, pair):
    other = shelf.model("m3")
    shelf.evaluation("e3", candidate=other, columns=STRONG, data_digest="elsewhere")
    facts = compare_runs([pair[0], pair[1], other])
    for row in facts["metrics"]:
        assert row["against_first"][1] is not None
        assert row["against_first"][2] is None
        assert row["values"][2] is not None
    assert facts["notes"] == ["C and A were evaluated on other images: no difference is paired"]


def test_of_other_protocols_only_retrieval_is_paired(shelf, pair):
    other = shelf.model("m3")
    shelf.evaluation("e3", candidate=other, columns=STRONG, protocol="other prompts")
    facts = compare_runs([pair[0], other])
    paired = {row["metric"]: row["against_first"][1] for row in facts["metrics"]}
    assert paired[metrics.RETRIEVAL]["verdict"] == "better"
    assert paired[metrics.ZERO_SHOT] is None
    assert "only retrieval is paired" in facts["notes"][0]


def test_the_common_evaluation_is_found_among_several(shelf, pair):
    shelf.evaluation("a", candidate=pair[0], columns=WEAK, protocol="q", images=99)
    shelf.evaluation("b", candidate=pair[1], columns=STRONG, data_digest="elsewhere", images=99)
    facts = compare_runs(pair)
    assert [side["evaluation"].rpartition("/")[2] for side in facts["sides"]] == [
        "e0.json", "e1.json",
    ]  # fmt: skip
    assert facts["notes"] == []


def test_without_scores_by_query_values_stand_alone(shelf, pair):
    other = shelf.model("m3")
    shelf.evaluation("e3", candidate=other, columns=None)
    facts = compare_runs([pair[0], other])
    assert facts["metrics"][0]["against_first"][1] is None
    assert "scores by query are not in the store" in facts["notes"][0]


def test_without_the_images_draws_are_by_image_and_it_says_so(shelf, pair):
    shutil.rmtree(shelf.folder)
    facts = compare_runs(pair)
    found = facts["metrics"][0]["against_first"][1]
    one = metrics.compare(STRONG, WEAK, DRAWS)[metrics.RETRIEVAL]
    assert (found["low"], found["high"]) == pytest.approx((one.low, one.high))
    assert "may be too narrow" in facts["notes"][0]


def test_models_without_evaluations_are_compared_in_the_rest(shelf):
    models = [shelf.model("m1", dataset=shelf.dataset("d1")), shelf.model("m2", batch_size=1)]
    facts = compare_runs(models)
    assert facts["metrics"] == []
    assert by_name(facts["recipe"]) == {"batch_size": ["64", "1"]}
    assert facts["data"]["unknown"] == ["B"]
    assert [note.split(" was")[0] for note in facts["notes"]] == ["A", "B"]


@pytest.mark.parametrize(
    ("runs", "says"),
    [
        (["one"], "takes 2 to 26 runs, got 1"),
        (["one", "two"], "'one' is neither an MLflow run id .* nor the URI of a manifest"),
        (["f" * 32, "two"], "no MLflow database at .*mlflow.db; set MLFLOW_TRACKING_URI"),
        (["/root/manifests/x.json", "two"], "is not a manifest"),
    ],
)
def test_what_is_no_run_is_told(shelf, tmp_path, runs, says):
    with pytest.raises(InputError, match=says) as caught:
        compare_runs(runs)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "mlflow.db").exists()


def test_a_manifest_of_another_kind_is_told(shelf):
    with pytest.raises(InputError, match=r"manifest of 'dataset'; name"):
        compare_runs([shelf.dataset("d1"), shelf.dataset("d1")])


def test_the_command_prints_a_table_or_json(pair, capsys):
    assert main(["compare", *pair]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "A  model m1"
    assert any(line.startswith("Retrieval: mAP ") and " better" in line for line in lines)
    assert any(line.split() == ["batch_size", "64", "128"] for line in lines)
    assert max(map(len, lines)) < 160
    assert main(["compare", "--json", *pair]) == 0
    assert json.loads(capsys.readouterr().out) == compare_runs(pair)


def test_the_table_says_what_it_leaves_out_and_what_nobody_knows(shelf, capsys):
    cells = {
        f"typographic_grid/{size}/centre/red": columns(size)["retrieval/map"] for size in (25, 50)
    }
    models = [shelf.model("m1", dataset=shelf.dataset("d1")), shelf.model("m2")]
    for number, model in enumerate(models):
        shelf.evaluation(f"e{number}", candidate=model, columns={**columns(number), **cells})
    main(["compare", *models])
    printed = capsys.readouterr().out
    assert "(2 cells of the typographic grid: see --json)" in printed
    assert "centre" not in printed
    assert "Of B nothing is known of the data: it can't be compared." in printed
    assert "Nothing differed in the recipe." in printed
    assert len(compare_runs(models)["metrics"]) == 4


def test_a_wrong_run_is_one_line(pair, capsys):
    assert main(["compare", pair[0], "nonsense"]) == 2
    assert capsys.readouterr().err.startswith("openmofi: 'nonsense' is neither")


def record(name, tags, *, params=None, pipeline="", file=None):
    with tracking.tracked_run(name, pipeline_run=pipeline, tags=tags, params=params or {}) as run:
        if file is not None:
            run.log_file(file, "evaluation")
    return run.run_id


def test_runs_of_every_step_stand_for_their_model(shelf, pair, tmp_path):
    evaluation = f"{shelf.store.uri}/manifests/evaluation/e0.json"
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"candidate_uri": pair[0]}))
    evaluated = {"openmofi.step": "evaluate", "openmofi.evaluation": "e0"}
    histogram = {"openmofi.role": "colour_histogram", "openmofi.model": "colour histogram"}
    runs = {
        "train": record("train a", {"openmofi.model": pair[0]}, pipeline="whole"),
        "evaluate": record("evaluate candidate", {
            **evaluated, "openmofi.role": "candidate", "openmofi.model": "model m1",
            "openmofi.evaluation_uri": evaluation,
        }, pipeline="whole"),
        "by its report": record("evaluate candidate", {
            **evaluated, "openmofi.role": "candidate", "openmofi.model": "model m1",
        }, file=report),
        "register": record(
            "register a", {"openmofi.step": "register"}, params={"evaluation": evaluation}
        ),
    }  # fmt: skip
    record("evaluate colour histogram", {**evaluated, **histogram}, pipeline="whole")
    client = tracking.mlflow_client()
    runs["pipeline"] = client.get_run(runs["train"]).data.tags["mlflow.parentRunId"]
    expected = compare_runs([evaluation, pair[1]])
    for step, run in runs.items():
        facts = compare_runs([run, pair[1]])
        for name in ("metrics", "data", "recipe"):
            assert facts[name] == expected[name], step
        assert facts["sides"][0]["given"] == run
    assert compare_runs([runs["train"], runs["evaluate"]])["code"]["unknown"] == []


def test_a_run_that_made_nothing_is_told(shelf, pair):
    run = record("look around", {})
    with pytest.raises(InputError, match=r"look around.* made neither a model nor an evaluation"):
        compare_runs([run, pair[0]])


def test_an_unknown_run_is_told_in_one_line(shelf, pair):
    from openmofi.errors import StorageError

    record("anything", {})
    with pytest.raises(StorageError, match="MLflow at sqlite") as caught:
        compare_runs(["0" * 32, pair[0]])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("candidate", ["/elsewhere/manifests/model/m1.json", "vectors.npy"])
def test_a_run_whose_evaluation_lies_nobody_knows_where_is_told(shelf, pair, tmp_path, candidate):
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"candidate_uri": candidate}))
    tags = {"openmofi.step": "evaluate", "openmofi.evaluation": "e0"}
    run = record("evaluate candidate", tags, file=report)
    with pytest.raises(InputError, match="does not say in which store its evaluation lies"):
        compare_runs([run, pair[0]])
