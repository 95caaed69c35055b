"""All texts of a knowledge base ahead of the pods that score."""

import subprocess
import sys

import pytest

from openmofi.entities.build import build_knowledge_base
from openmofi.errors import InputError
from openmofi.labeling import entities as module
from openmofi.labeling.entities import embed_entities
from openmofi.models.importing import import_model
from support.labeling import ToyTextModel, write_csv
from support.models import write_model

ENTITIES = [("E1", "crane", "a bird"), ("E2", "crane", "a bird"), ("E3", "cat", "")]


@pytest.fixture
def laid(tmp_path):
    """Manifests of a knowledge base and a model under one root."""
    root = str(tmp_path / "root")
    base = build_knowledge_base(root, csv=write_csv(tmp_path / "kb.csv", ENTITIES))
    return base, import_model(root, source=str(write_model(tmp_path / "model")))


def test_all_encodes_every_text_once_and_hands_the_model_on(laid, capsys, monkeypatch):
    base, model = laid
    monkeypatch.setattr(module, "TextModel", ToyTextModel)
    assert embed_entities(base, model, config={"entities": "all"}) == model
    assert "entity_texts: 2 texts, 0 reused, 2 to encode" in capsys.readouterr().err
    assert embed_entities(base, model, config={"entities": "all"}) == model
    assert "entity_texts: 2 texts, 2 reused, 0 to encode" in capsys.readouterr().err


def test_the_models_own_texts_are_what_labelling_finds_later(laid, capsys):
    base, model = laid
    embed_entities(base, model, config={"entities": "all", "batch_size": 2})
    embed_entities(base, model, config={"entities": "all", "template": "{name}"})
    # The bare "cat" had stood for the entity without a description.
    assert "entity_texts: 2 texts, 1 reused, 1 to encode" in capsys.readouterr().err


def test_by_default_nothing_is_read_or_imported(capfd):
    code = (
        "import sys; from openmofi.labeling.entities import embed_entities\n"
        "print(embed_entities('no-base', 'no-model'))\n"
        "assert not {'torch', 'open_clip', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "no-model\n"), done.stderr
    assert "none ahead; label_images encodes" in done.stderr


def test_an_option_that_is_none_is_refused():
    with pytest.raises(InputError, match="label: 'entities'"):
        embed_entities("base", "model", config={"entities": "some"})
