"""Entity texts: encoded once, and the table of their vectors."""

import numpy as np
import pyarrow as pa
import pytest

from openmofi.entities.build import build_knowledge_base
from openmofi.entities.knowledge_base import load_knowledge_base
from openmofi.errors import InputError, StorageError
from openmofi.labeling import texts as module
from openmofi.labeling.config import LabelConfig
from openmofi.labeling.texts import (
    EntityTexts,
    encode_texts,
    entity_texts_of,
    read_entity_texts,
    write_entity_texts,
)
from openmofi.storage import open_store
from support.labeling import ToyEncoder, ToyTextModel, write_csv

TEXTS = ["crane, a bird", "crane, a machine", "cat", "dog", "crane, a bird"]
IDS = ["E1", "E2", "E3", "E4", "E5"]


class Unloadable(ToyTextModel):
    def load(self) -> ToyEncoder:
        raise AssertionError("nothing is left to encode")


class Given(ToyTextModel):
    """An encoder that gives every text the same vector."""

    def __init__(self, vector):
        super().__init__("model-uri", "m")
        object.__setattr__(self, "vector", vector)

    def load(self):
        return self

    def encode_texts(self, texts, *, batch_size):
        return np.tile(np.array(self.vector, np.float32), (len(texts), 1))


@pytest.fixture
def store(root):
    return open_store(root)


def table_of(folder, store, model, texts, ids=IDS):
    write_entity_texts(folder, ids, store, model.digest, encode_texts(store, model, texts))
    return read_entity_texts(folder)


def test_vectors_are_the_encoders_in_the_order_of_the_ids(store, tmp_path):
    mapped = table_of(tmp_path, store, ToyTextModel("", "m"), TEXTS)
    assert mapped.vectors.dtype == np.float16
    assert isinstance(mapped.vectors, np.memmap)
    np.testing.assert_array_equal(mapped.vectors, ToyEncoder().encode_texts(TEXTS))
    assert mapped.ids.to_pylist() == IDS


def test_a_known_text_is_never_encoded_again(store, tmp_path, capsys):
    model = ToyTextModel("", "m")
    encode_texts(store, model, TEXTS[:2])
    encode_texts(store, model, TEXTS)
    assert "4 texts, 2 reused, 2 to encode" in capsys.readouterr().err
    again = table_of(tmp_path, store, Unloadable("", "m"), TEXTS[::-1])
    np.testing.assert_array_equal(again.vectors, ToyEncoder().encode_texts(TEXTS[::-1]))


def test_models_do_not_share_vectors(store, capsys):
    encode_texts(store, ToyTextModel("", "m"), TEXTS)
    encode_texts(store, ToyTextModel("", "other"), TEXTS)
    assert capsys.readouterr().err.count("0 reused, 4 to encode") == 2


def test_a_killed_run_keeps_the_parts_it_had_written(store, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "PART_TEXTS", 2)
    encoder = ToyEncoder()
    seen = []

    class Killed(ToyTextModel):
        def load(self):
            return self

        def encode_texts(self, texts, *, batch_size):
            seen.append(texts)
            if len(seen) == 2:
                raise KeyboardInterrupt
            return encoder.encode_texts(texts)

    with pytest.raises(KeyboardInterrupt):
        encode_texts(store, Killed("", "m"), TEXTS)
    mapped = table_of(tmp_path, store, ToyTextModel("", "m"), TEXTS)
    assert "4 texts, 2 reused, 2 to encode" in capsys.readouterr().err
    np.testing.assert_array_equal(mapped.vectors, encoder.encode_texts(TEXTS))


def test_the_encoder_gets_its_batch_size(store):
    sizes = []

    class Sized(Given):
        def encode_texts(self, texts, *, batch_size):
            sizes.append(batch_size)
            return super().encode_texts(texts, batch_size=batch_size)

    encode_texts(store, Sized([1.0, 0.0]), TEXTS)
    assert sizes == [64]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6], ids=["nan", "inf", "float16 overflow"])
def test_a_vector_that_is_not_finite_is_refused_and_not_stored(store, value):
    with pytest.raises(InputError, match=r"model-uri gives no finite vector of the text 'cat'"):
        encode_texts(store, Given([0.5, value]), ["cat"])
    assert list(store.list("entity_texts/")) == []


def test_no_entity_is_a_table_of_no_rows(store, tmp_path):
    mapped = table_of(tmp_path, store, Unloadable("", "m"), [], ids=[])
    assert (mapped.vectors.shape, len(mapped.ids)) == ((0, 0), 0)
    assert mapped.rows(pa.array(["E1"])).tolist() == [-1]


def test_a_part_that_was_deleted_meanwhile_is_told(store, tmp_path):
    keys = encode_texts(store, ToyTextModel("", "m"), TEXTS)
    for info in list(store.list("entity_texts/")):
        store.delete(info.key)
    with pytest.raises(StorageError, match="has lost entity texts of model m; run it again"):
        write_entity_texts(tmp_path, IDS, store, "m", keys)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_entities_are_found_by_id(kind):
    ids = pa.array(["", "Q", "Q1", "Q10", "Q2", "a", "É", "猫"], kind)
    texts = EntityTexts(ids, np.zeros((8, 2), np.float16))
    asked = ["猫", "Q1", "Q3", "", "Q10", "Q1", "É", "Q11", "zz", "~"]
    expected = [7, 2, -1, 0, 3, 2, 6, -1, -1, -1]
    assert texts.rows(pa.array(asked)).tolist() == expected
    assert texts.rows(pa.array(["x", *asked]).slice(1)).tolist() == expected
    assert texts.rows(pa.array([], pa.string())).tolist() == []


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 1000])
def test_ids_are_found_as_in_a_dictionary(count):
    generator = np.random.default_rng(count)
    ids = sorted({"Q" + "ab"[n % 2] * (n % 7) + str(n) for n in generator.integers(0, 5000, count)})
    places = {one: place for place, one in enumerate(ids)}
    asked = [*ids, *("Q" + "ab"[n % 2] * (n % 7) + str(n) for n in range(500))]
    texts = EntityTexts(pa.array(ids, pa.string()), np.zeros((len(ids), 2), np.float16))
    assert texts.rows(pa.array(asked)).tolist() == [places.get(one, -1) for one in asked]


def test_an_id_is_not_found_by_its_beginning():
    ids = pa.array(["a" * length for length in range(0, 200, 2)])
    texts = EntityTexts(ids, np.zeros((len(ids), 2), np.float16))
    expected = [-1 if length % 2 else length // 2 for length in range(200)]
    assert texts.rows(pa.array(["a" * length for length in range(200)])).tolist() == expected


def test_ids_that_are_a_slice_are_found_in_it():
    ids = pa.array(["a", "b", "c", "d"]).slice(1, 2)
    texts = EntityTexts(ids, np.zeros((2, 2), np.float16))
    assert texts.rows(pa.array(["a", "b", "c", "d"])).tolist() == [-1, 0, 1, -1]


@pytest.fixture
def base(tmp_path):
    entities = [("E1", "crane", "a bird"), ("E2", "crane", ""), ("E3", "cat", "it purrs")]
    csv = write_csv(tmp_path / "kb.csv", entities)
    return load_knowledge_base(build_knowledge_base(str(tmp_path / "root"), csv=csv))


def test_a_text_is_made_of_name_and_description(base, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 2)
    options = LabelConfig(template="{name}: {description}", name_template="the {name}")
    found = entity_texts_of(base, options, ["E3", "E1", "E2"])
    assert found == ["cat: it purrs", "crane: a bird", "the crane"]
    every = base.entities.column("entity_id").combine_chunks()
    assert entity_texts_of(base, options, every) == ["crane: a bird", "the crane", "cat: it purrs"]


def test_an_entity_that_is_not_there_is_named(base):
    with pytest.raises(InputError, match="entity 'E9' of the mentions is not in"):
        entity_texts_of(base, LabelConfig(), ["E1", "E9"])
