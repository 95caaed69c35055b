"""A pipeline's configuration: strict, and all of it reaches the graph."""

from pathlib import Path

import pytest
import yaml

from openmofi.errors import InputError
from openmofi.training.config import TrainConfig
from pipelines.__main__ import main
from pipelines.compile import PIPELINES
from pipelines.config import CONFIGS, load_config

CONFIG_FOLDER = Path(__file__).parents[2] / "configs"
PIPELINE_OF = {
    "demo.yaml": "full",
    "your-own-data.yaml": "curate",
    "train.yaml": "train",
    "refresh.yaml": "refresh",
    "recut.yaml": "recut",
}

MINIMAL = {
    "curate": {"source": "crawl", "labeler": "ViT-B-32", "wordnet": "wn"},
    "train": {"training_shards": "uri", "evaluation_data": "eval"},
}
MINIMAL["refresh"] = {**MINIMAL["curate"], "evaluation_data": "eval"}
MINIMAL["full"] = MINIMAL["refresh"]
MINIMAL["recut"] = {
    **{kind: ["uri"] for kind in ("samples", "image_embeddings", "text_regions", "mentions")},
    "entity_scores": ["uri"],
    "knowledge_base": "uri",
    "model": "uri",
}


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENMOFI_ROOT", raising=False)

    def write_and_load(name, *settings, **changes):
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({**MINIMAL[name], **changes}))
        return load_config(name, path, list(settings))

    return write_and_load


def parameters(name):
    return PIPELINES[name].component_spec.inputs


def test_every_shipped_config_is_tested():
    assert {path.name for path in CONFIG_FOLDER.glob("*.yaml")} == set(PIPELINE_OF)


@pytest.mark.parametrize(("file", "name"), PIPELINE_OF.items())
def test_shipped_configs_load(file, name):
    config = load_config(name, CONFIG_FOLDER / file, [])
    assert set(config.arguments("run")) <= set(parameters(name))


@pytest.mark.parametrize("name", CONFIGS)
def test_what_a_minimal_config_gives_is_what_the_graph_must_have(load, name):
    given = load(name).arguments("run-1")
    required = {key for key, item in parameters(name).items() if not item.optional}
    assert required <= set(given) <= set(parameters(name))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_key_of_a_config_is_a_parameter(name):
    keys = set(CONFIGS[name].model_fields) - {"root"}
    assert keys <= set(parameters(name))


@pytest.mark.parametrize("name", CONFIGS)
def test_defaults_of_config_and_graph_are_the_same(name):
    fields = CONFIGS[name].model_fields
    for key, item in parameters(name).items():
        default = fields[key].default if key in fields else None
        if isinstance(default, str | int) and item.optional:
            assert item.default == default, key


def test_only_what_was_set_is_handed_on(load):
    config = load("curate", assemble={"min_score": 0.4, "duplicates": {"perceptual_bits": None}})
    assert config.arguments("r")["assemble"] == {
        "min_score": 0.4,
        "duplicates": {"perceptual_bits": None},
    }


def test_a_setting_lies_over_the_file(load):
    config = load("curate", "assemble.min_score=0.5", "groups=3", assemble={"min_score": 0.4})
    assert (config.assemble.min_score, config.groups) == (0.5, 3)


def test_an_empty_setting_is_an_empty_text(load):
    assert load("curate", "labeler_pretrained=", labeler_pretrained="x").labeler_pretrained == ""


def test_a_template_is_set_as_it_is_written(load):
    config = load("curate", "label.name_template={name}", "label.template={name}, {description}")
    assert config.label.name_template == "{name}"
    assert config.label.template == "{name}, {description}"


@pytest.mark.parametrize(
    ("settings", "changes", "message"),
    [
        ((), {"sorce": "x"}, r"mine.yaml: unknown key 'sorce'; known here: assemble, "),
        ((), {"assemble": {"min_scor": 1}}, r"mine.yaml: unknown key 'assemble.min_scor'"),
        (("link.x=1",), {}, r"mine.yaml with --set: unknown key 'link.x'"),
        (("groups",), {}, r"--set 'groups': write KEY=VALUE"),
        (("source.x=1",), {}, r"--set 'source.x=1': 'source' holds no keys"),
        ((), {"groups": -1}, r"mine.yaml: 'groups'"),
        ((), {"wordnet": ""}, r"mine.yaml: no knowledge base: set 'wikidata'"),
        ((), {"labeler": ""}, r"mine.yaml: 'labeler' is missing"),
        (
            ("assemble.text={policy: text_dependent, min_masked_score: 0.2}",),
            {},
            r"text_dependent needs masked scores, which `recut` makes",
        ),
    ],
)
def test_a_wrong_config_is_one_line_that_names_file_and_key(load, settings, changes, message):
    with pytest.raises(InputError, match=message) as raised:
        load("curate", *settings, **changes)
    assert "\n" not in str(raised.value)


def test_full_takes_a_labeler_or_a_crawl_to_train_one_on(load):
    assert load("full").arguments("r")["train_the_labeler"] is False
    crawl = load("full", labeler="", labeler_crawl="second")
    assert crawl.arguments("r")["train_the_labeler"] is True
    with pytest.raises(InputError, match="not both"):
        load("full", labeler_crawl="second")


def test_fulls_baseline_is_a_clip_with_the_models_options(load):
    given = load("full", training={"max_steps": 7, "objectives": "supervised"}).arguments("r")
    baseline = TrainConfig.model_validate(given["baseline_training"])
    assert [objective.kind for objective in baseline.objectives] == ["clip"]
    assert baseline.max_steps == TrainConfig.model_validate(given["training"]).max_steps == 7


def test_a_recut_without_what_labels_need_is_told_before_gpus_start(load):
    with pytest.raises(InputError, match=r"mine.yaml: no knowledge_base: give it, or set"):
        load("recut", knowledge_base="")
    relaxed = load("recut", knowledge_base="", assemble={"require_entities": False})
    assert "root" not in relaxed.arguments("r")


def test_a_recut_without_its_cut_is_told(load):
    with pytest.raises(InputError, match="text_dependent needs min_masked_score"):
        load("recut", "assemble.text.policy=text_dependent")


def test_each_manifest_of_a_list_is_checked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    uri = "file:///nowhere/manifests/mentions/0.json"
    Path("mine.yaml").write_text(yaml.safe_dump({**MINIMAL["recut"], "samples": [uri]}))
    assert main(["run", "recut", "--config", "mine.yaml"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"{uri} is a manifest of 'mentions', and 'samples' is needed" in line


def test_assembly_keeps_clear_of_the_evaluation_data(load):
    for name in ("full", "refresh"):
        given = load(name, assemble={"evaluation_sets": ["other"]}).arguments("r")
        assert given["assemble"]["evaluation_sets"] == ["other", "eval"]


def test_a_refresh_follows_what_it_publishes_unless_told_otherwise(load):
    assert load("refresh").arguments("r")["parent"] == "published:main"
    mine = load("refresh", "publish_as=mine").arguments("r")
    assert (mine["publish_as"], mine["parent"]) == ("mine", "published:mine")
    assert load("refresh", "publish_as=mine", parent="URI").arguments("r")["parent"] == "URI"
    assert load("refresh", "parent=").arguments("r")["parent"] == ""
    with pytest.raises(InputError, match=r"mine\.yaml with --set: 'publish_as': 'a/b' is no"):
        load("refresh", "publish_as=a/b")


def test_raw_pairs_share_duplicates_and_evaluation_sets_but_no_rule_of_labels(load):
    assemble = {"min_score": 0.4, "duplicates": {"drop": False}, "max_images_per_entity": 9}
    raw = load("full", assemble=assemble).arguments("r")["assemble_raw"]
    assert raw == {
        "require_entities": False,
        "duplicates": {"drop": False},
        "evaluation_sets": ["eval"],
    }


def test_the_root_is_the_settings_the_environments_then_the_files(load, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert load("curate").resolved_root() == (tmp_path / "openmofi-data").as_uri()
    assert load("curate", root="s3://bucket/x").resolved_root() == "s3://bucket/x"
    monkeypatch.setenv("OPENMOFI_ROOT", "s3://other")
    assert load("curate", root="s3://bucket/x").resolved_root() == "s3://other"
    config = load("curate", "root=s3://asked/for", root="s3://bucket/x")
    assert config.resolved_root() == "s3://asked/for"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "nowhere"}, "nowhere"),
        ({"wordnet": "no-words"}, "'wordnet': no-words is not there"),
        ({"labeler": "./no-model"}, "'labeler': ./no-model is not there"),
        ({"unknown": 1}, "unknown key 'unknown'"),
        ({"root": "ftp://x"}, "has scheme 'ftp'"),
    ],
)
def test_what_is_missing_is_found_before_anything_runs(
    tmp_path, monkeypatch, capsys, changes, message
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENMOFI_ROOT", raising=False)
    Path("wn").mkdir()
    Path("mine.yaml").write_text(yaml.safe_dump({**MINIMAL["curate"], **changes}))
    assert main(["run", "curate", "--config", "mine.yaml"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("pipelines: ")
    assert message in line
    assert not Path("build").exists()


def test_a_missing_config_file_is_named(capsys):
    assert main(["run", "curate", "--config", "nowhere.yaml"]) == 2
    assert capsys.readouterr().err == "pipelines: config file not found: nowhere.yaml\n"
