"""Scope: a registration that is killed, wherever it is, ends well at the next try."""

import contextlib

import pytest
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

from openmofi.evaluation.run import evaluate_model
from openmofi.evaluation_data.class_folders import read_class_folders
from openmofi.registry import register
from openmofi.registry.champions import read_history
from openmofi.registry.register import register_model
from openmofi.versions import read_manifest
from support.evaluation import publish_dataset, publish_micro_model, write_image_set
from support.mlflow_databases import new_database
from support.registries import KilledError, bury, die_after

LENIENT = {"floor": 0, "max_regression": 100}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two models with their evaluations, and a registry on SQLite."""
    folder = tmp_path_factory.mktemp("killed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", new_database(folder))
        root, data = str(folder / "store"), write_image_set(folder / "set")
        against = [read_class_folders(data).digest]
        found = []
        for seed in (1, 2):
            dataset = publish_dataset(root, f"{seed:032d}", checked_against=against)
            origin = {"kind": "trained", "name": f"m{seed}", "dataset_uri": dataset}
            model = publish_micro_model(root, seed=seed, origin=origin)
            found.append((model, evaluate_model(model, data=str(data))))
        yield found


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """What is logged holds no weights."""

    def log(model, gallery, *, run_id, tags):
        import mlflow

        with mlflow.start_run(run_id=run_id, nested=True):
            logged.append(mlflow.create_external_model(name="model", tags=dict(tags)).model_id)
        return logged[-1]

    logged = []
    monkeypatch.setattr(register, "log_pyfunc", log)
    return logged


def client():
    from openmofi.tracking import mlflow_client

    return mlflow_client()


def aliases(name):
    found = client().get_registered_model(name).aliases
    return {alias: str(version) for alias, version in found.items()}


def history(name):
    tags = client().get_registered_model(name).tags
    assert {key[:18] for key in tags} == {"openmofi.champion."}  # nobody waits, nothing is begun
    return [change.version for change in read_history(tags)]


def test_killed_after_any_write_it_is_ended_by_the_next_try(models, monkeypatch, cheap):
    with monkeypatch.context() as patch:
        made = die_after(patch, 999)
        whole = register_model(*models[0], name="whole", config=LENIENT)
    assert len(made) > 20
    for writes in range(len(made)):
        name, before = f"k{writes}", len(cheap)
        with monkeypatch.context() as patch:
            die_after(patch, writes)
            with pytest.raises((KilledError, OSError)):
                register_model(*models[0], name=name, config=LENIENT)
        if client().search_registered_models(f"name = '{name}'"):
            bury(client(), name)
        uri = register_model(*models[0], name=name, config=LENIENT)
        content = read_manifest(uri, "registration").content
        assert content["reasons"] == read_manifest(whole, "registration").content["reasons"]
        assert aliases(name) == {"candidate": "1", "champion": "1"}, made[writes]
        assert history(name) == ["1"]
        versions = client().search_model_versions(f"name = '{name}'")
        assert ["openmofi.complete" in version.tags for version in versions] == [True]
        assert len(cheap) - before == 1  # what was logged is not logged again


@pytest.mark.parametrize("killed", [False, True])
def test_a_version_is_one_though_the_answer_was_lost_and_mlflow_asked_again(
    models, monkeypatch, killed
):
    create = SqlAlchemyStore.create_model_version

    def twice(store, *args, **options):
        create(store, *args, **options)
        found = create(store, *args, **options)
        if killed:
            raise KilledError
        return found

    name = f"twice {killed}"
    with monkeypatch.context() as patch:
        patch.setattr(SqlAlchemyStore, "create_model_version", twice)
        with pytest.raises(KilledError) if killed else contextlib.nullcontext():
            register_model(*models[0], name=name, config=LENIENT)
    if killed:
        bury(client(), name)
        register_model(*models[0], name=name, config=LENIENT)
    [version] = client().search_model_versions(f"name = '{name}'")
    assert (str(version.version), "openmofi.complete" in version.tags) == ("1", True)
    assert aliases(name) == {"candidate": "1", "champion": "1"}


def test_what_was_decided_against_a_champion_of_then_is_decided_again(models, monkeypatch):
    register_model(*models[0], name="race", config=LENIENT)
    with monkeypatch.context() as patch:
        made = die_after(patch, 999)
        register_model(*models[1], name="copy", config=LENIENT)
    candidate = made.index("set_registered_model_alias")
    with monkeypatch.context() as patch:
        die_after(patch, candidate + 1)  # no model is made, and there is a champion
        with pytest.raises(KilledError):
            register_model(*models[1], name="race", config=LENIENT)
    bury(client(), "race")
    assert aliases("race") == {"candidate": "2", "champion": "1"}

    strict = {**LENIENT, "max_regression": 99}  # another registration of the first model
    register_model(*models[0], name="race", config=strict)
    assert aliases("race") == {"candidate": "3", "champion": "3"}

    monkeypatch.setattr(register, "decide", refusing(register.decide))
    uri = register_model(*models[1], name="race", config=LENIENT)
    content = read_manifest(uri, "registration").content
    assert (content["version"], content["decision"]) == ("2", "refused")
    assert content["champion"]["version"] == "3"
    assert aliases("race") == {"candidate": "3", "champion": "3"}


def refusing(decide):
    def decided(model, evaluation, champion, config):
        return decide(model, evaluation, champion, config.model_copy(update={"floor": 100.1}))

    return decided
