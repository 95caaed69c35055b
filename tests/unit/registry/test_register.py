import base64
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from openmofi.errors import InputError
from openmofi.evaluation.run import evaluate_model
from openmofi.evaluation_data.class_folders import read_class_folders
from openmofi.models.encoder import load_encoder
from openmofi.models.stored import model_folder
from openmofi.registry.register import register_model
from openmofi.versions import read_manifest
from support.evaluation import publish_dataset, publish_micro_model, write_image_set
from support.mlflow_databases import new_database
from support.runbooks import blocks

README = Path(__file__).parents[3] / "README.md"
LENIENT = {"floor": 0, "max_regression": 100}


class Ground:
    """A store with an evaluation set, and a registry on SQLite."""

    def __init__(self, folder):
        self.root = str(folder / "store")
        self.data = write_image_set(folder / "set")
        self.evaluations = {}

    def model(self, seed, *, checked=True, data=None):
        digest = read_class_folders(data or self.data).digest
        against = [digest] if checked else []
        dataset = publish_dataset(self.root, f"{seed:032d}", checked_against=against)
        origin = {"kind": "trained", "name": f"m{seed}", "dataset_uri": dataset}
        return publish_micro_model(self.root, seed=seed, origin=origin)

    def register(self, model, *, name, config=None, templates=None, data=None):
        options = {"templates": templates} if templates else None
        data = str(data or self.data)
        evaluation = evaluate_model(model, data=data, config=options, pipeline_run="p")
        config = config or LENIENT
        return register_model(model, evaluation, name=name, config=config, pipeline_run="p")


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", new_database(folder))
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        yield Ground(folder)


def client():
    from openmofi.tracking import mlflow_client

    return mlflow_client()


def aliases(name):
    found = client().get_registered_model(name).aliases
    return {alias: str(version) for alias, version in found.items()}


def test_versions_are_compared_promoted_and_refused(ground):
    first = ground.model(1)
    uri = ground.register(first, name="steps")
    content = read_manifest(uri, "registration").content
    assert (content["decision"], content["version"]) == ("accepted", "1")
    assert aliases("steps") == {"candidate": "1", "champion": "1"}

    # Other prompts: the champion was never measured so, and is measured now.
    second = ground.model(2)
    uri = ground.register(second, name="steps", templates=["the {}"])
    content = read_manifest(uri, "registration").content
    assert content["champion"] == {"version": "1", "model_uri": first}
    assert content["difference"]["queries"] == 12
    assert aliases("steps") == {"candidate": "2", "champion": "2"}

    refused = ground.register(ground.model(3, checked=False), name="steps")
    content = read_manifest(refused, "registration").content
    assert (content["decision"], content["version"]) == ("refused", "3")
    assert aliases("steps") == {"candidate": "2", "champion": "2"}
    tags = client().get_model_version("steps", "3").tags
    assert tags["openmofi.decision"] == "refused"
    assert "not checked against the evaluation set" in tags["openmofi.reason"]

    # An old pipeline that is run again finds its version and moves no alias.
    ground.register(first, name="steps")
    assert aliases("steps") == {"candidate": "2", "champion": "2"}
    assert len(client().search_model_versions("name = 'steps'")) == 3


def test_a_person_has_the_last_word_where_the_config_says_so(ground):
    ground.register(ground.model(1), name="waits", config={**LENIENT, "promote": "candidate_only"})
    assert aliases("waits") == {"candidate": "1"}


def test_a_champion_is_measured_again_when_the_data_are_others(ground):
    ground.register(ground.model(1), name="again")
    other = write_image_set(ground.data.parent / "other", side=24)
    uri = ground.register(ground.model(5, data=other), name="again", data=other)
    content = read_manifest(uri, "registration").content
    assert content["data_digest"] == read_class_folders(other).digest
    assert content["champion"]["version"] == "1"
    assert content["difference"]["queries"] == 12


def test_a_registration_that_died_before_its_aliases_is_completed(ground):
    model = ground.model(1)
    uri = ground.register(model, name="died")
    client().delete_registered_model_alias("died", "champion")
    client().delete_model_version_tag("died", "1", "openmofi.complete")
    assert ground.register(model, name="died") == uri
    assert aliases("died") == {"candidate": "1", "champion": "1"}


def test_the_champion_answers_from_images_and_from_texts(ground):
    import mlflow

    uri = ground.model(1)
    ground.register(uri, name="answers")
    model = mlflow.pyfunc.load_model("models:/answers@champion")
    path = ground.data / "c0" / "0.png"
    data = path.read_bytes()

    expected = load_encoder(uri).encode_texts(["Red Land"])[0]
    said = model.predict(["Red Land"])
    assert said.kind[0] == "text"
    np.testing.assert_allclose(said.embedding[0], expected, atol=1e-6)

    coded = base64.b64encode(data).decode()
    forms = ([path], [data], [Image.open(path)], [coded], [f"data:image/png;base64,{coded}"])
    same = [model.predict(form) for form in forms]
    assert [answer.kind[0] for answer in same] == ["image"] * 5
    assert all(answer.embedding[0] == same[0].embedding[0] for answer in same)
    assert np.linalg.norm(same[0].embedding[0]) == pytest.approx(1)

    best = model.predict([path, "Red Land"], params={"top_k": 2})
    assert best.kind.tolist() == ["image", "text"]
    assert [len(entities) for entities in best.entities] == [2, 2]
    scores = [entity["score"] for entity in best.entities[0]]
    assert scores == sorted(scores, reverse=True)
    assert set(best.entities[0][0]) == {"entity_id", "name", "score"}
    assert best.neighbours.tolist() == [[], []]  # its training data are not in the store

    forced = model.predict([str(path)], params={"kind": "text"})
    assert forced.kind[0] == "text"
    with pytest.raises(Exception, match=r"input 1: no image: .* are not opened"):
        model.predict(["a text", str(path)])


def test_the_lines_of_the_readme_load_it_and_ask_it(ground):
    uri = ground.model(1)
    ground.register(uri, name="read")
    (lines,) = [block.code for block in blocks(README) if block.language == "python"]
    folder = model_folder(read_manifest(uri, "model"))
    mine = {"openmofi-demo": "read", "photo.jpg": f"{ground.data}/c0/0.png"}
    for theirs, ours in {**mine, "EXPORT_FOLDER": str(folder)}.items():
        assert theirs in lines
        lines = lines.replace(theirs, ours)
    names = {}
    exec(lines, names)
    assert names["answer"].kind.tolist() == ["image", "text"]


@pytest.mark.parametrize("name", ["", "a/b", "models:/x", "it's"])
def test_names_that_a_registry_cannot_hold_are_told(ground, name):
    with pytest.raises(InputError, match="model name"):
        register_model("model", "evaluation", name=name)
