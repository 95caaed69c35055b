import numpy as np
import pytest

from openmofi.labeling import texts as module
from openmofi.labeling.texts import embed_texts, read_entity_texts, write_entity_texts
from openmofi.storage import open_store
from support.labeling import ToyEncoder, ToyTextModel

TEXTS = ["crane, a bird", "crane, a machine", "cat", "dog", "crane, a bird"]


class Unloadable(ToyTextModel):
    def load(self) -> ToyEncoder:
        raise AssertionError("nothing is left to encode")


@pytest.fixture
def store(root):
    return open_store(root)


def test_vectors_are_the_encoders_in_the_order_asked(store):
    vectors = embed_texts(store, ToyTextModel("", "m"), TEXTS)
    assert vectors.dtype == np.float16
    np.testing.assert_array_equal(vectors, ToyEncoder().encode_texts(TEXTS))


def test_a_known_text_is_never_encoded_again(store, capsys):
    model = ToyTextModel("", "m")
    embed_texts(store, model, TEXTS[:2])
    embed_texts(store, model, TEXTS)
    assert "4 texts, 2 reused, 2 to encode" in capsys.readouterr().err
    again = embed_texts(store, Unloadable("", "m"), TEXTS[::-1])
    np.testing.assert_array_equal(again, ToyEncoder().encode_texts(TEXTS[::-1]))


def test_models_do_not_share_vectors(store, capsys):
    embed_texts(store, ToyTextModel("", "m"), TEXTS)
    embed_texts(store, ToyTextModel("", "other"), TEXTS)
    assert capsys.readouterr().err.count("0 reused, 4 to encode") == 2


def test_a_killed_run_keeps_the_parts_it_had_written(store, monkeypatch, capsys):
    monkeypatch.setattr(module, "_PART_TEXTS", 2)
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
        embed_texts(store, Killed("", "m"), TEXTS)
    vectors = embed_texts(store, ToyTextModel("", "m"), TEXTS)
    assert "4 texts, 2 reused, 2 to encode" in capsys.readouterr().err
    np.testing.assert_array_equal(vectors, encoder.encode_texts(TEXTS))


def test_two_runs_at_once_write_the_same_part(store):
    first = {"k": np.ones(4, np.float16)}
    module._write_part(store, "m", first)
    module._write_part(store, "m", first)
    assert len(list(store.list("text_embeddings/m/"))) == 1


def test_no_text_is_no_vector(store):
    assert embed_texts(store, Unloadable("", "m"), []).shape == (0, 0)


def test_entities_are_found_in_the_mapped_table(tmp_path):
    import pyarrow as pa

    vectors = np.arange(6, dtype=np.float16).reshape(3, 2)
    write_entity_texts(tmp_path, ["a", "b", "d"], vectors)
    mapped = read_entity_texts(tmp_path)
    assert mapped.rows(pa.array(["d", "a", "c", "d"])).tolist() == [2, 0, -1, 2]
    assert isinstance(mapped.vectors, np.memmap)
    np.testing.assert_array_equal(mapped.vectors, vectors)
