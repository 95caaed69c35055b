from pathlib import Path

import numpy as np
import pytest
import torch

from openmofi.errors import InputError, StorageError
from openmofi.models.encoder import load_encoder, load_encoder_folder
from openmofi.models.importing import import_model
from openmofi.storage import local_folder
from openmofi.versions import read_manifest
from support.models import noise, write_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return load_encoder_folder(write_model(tmp_path_factory.mktemp("tiny"), config="tiny"))


def test_embeddings_are_float32_unit_vectors(tiny):
    for vectors in (tiny.encode_pixels(noise(3)), tiny.encode_texts(["a", "b", "c"])):
        assert vectors.dtype == np.float32
        assert vectors.shape == (3, tiny.dim)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_an_image_does_not_depend_on_its_batch(tiny):
    """It would if batch normalisation were in training mode."""
    images = noise(4)
    alone = np.concatenate([tiny.encode_pixels([image]) for image in images])
    np.testing.assert_allclose(tiny.encode_pixels(images), alone, atol=1e-5)


def test_pixels_are_preprocessed_as_by_hand(tiny):
    images = noise(2)
    batch = torch.stack([tiny.preprocess(image) for image in images])
    assert batch.shape == (2, 3, 64, 64)
    np.testing.assert_array_equal(tiny.encode_pixels(images), tiny.encode_images(batch))


def test_texts_in_batches_equal_texts_at_once(tiny):
    texts = [f"flag number {i}" for i in range(5)]
    batched = tiny.encode_texts(texts, batch_size=2)
    np.testing.assert_allclose(batched, tiny.encode_texts(texts), atol=1e-5)


def test_a_text_has_the_same_bits_whatever_is_encoded_with_it(tiny):
    """Texts are stored one by one and met again in other company, after a kill for example."""
    texts = [f"flag number {i}" for i in range(8)]
    together = tiny.encode_texts(texts)
    for number in range(1, 8):
        np.testing.assert_array_equal(tiny.encode_texts(texts[:number]), together[:number])


def test_nothing_gives_no_rows(tiny):
    assert tiny.encode_pixels([]).shape == (0, 128)
    assert tiny.encode_texts([]).shape == (0, 128)


@pytest.mark.parametrize("device", ["gpu", "cuda:7"])
def test_a_device_that_is_not_there_is_refused(tmp_path, device):
    if device.startswith("cuda") and torch.cuda.device_count() > 7:
        device = "cuda:99"
    with pytest.raises(InputError, match=f"device '{device}'"):
        load_encoder_folder(write_model(tmp_path), device=device)


@pytest.fixture
def stored(tmp_path):
    uri = import_model(str(tmp_path / "root"), source=str(write_model(tmp_path / "source")))
    manifest = read_manifest(uri, "model")
    return uri, local_folder(manifest.store, manifest.content["prefix"], manifest.digest)


def test_encoder_of_a_manifest_equals_that_of_its_folder(stored):
    uri, folder = stored
    by_uri, by_folder = load_encoder(uri), load_encoder_folder(folder)
    assert by_uri.digest == by_folder.digest == Path(uri).stem
    np.testing.assert_array_equal(by_uri.encode_texts(["x"]), by_folder.encode_texts(["x"]))


def test_a_changed_file_in_the_store_is_refused_by_name(stored):
    uri, folder = stored
    weights = folder / "open_clip_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(StorageError, match=r"open_clip_model\.safetensors is not what was stored"):
        load_encoder(uri)


def test_a_missing_file_in_the_store_is_named(stored):
    uri, folder = stored
    (folder / "open_clip_model.safetensors").unlink()
    with pytest.raises(InputError, match=r"open_clip_model\.safetensors is missing"):
        load_encoder(uri)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"model folder not found: .*nowhere"):
        load_encoder_folder(tmp_path / "nowhere")


@pytest.mark.s3
def test_a_model_on_s3_is_copied_once_and_embeds_the_same(s3_root, tmp_path):
    source = write_model(tmp_path / "source")
    uri = import_model(s3_root, source=str(source))
    expected = load_encoder_folder(source).encode_texts(["x"])
    np.testing.assert_array_equal(load_encoder(uri).encode_texts(["x"]), expected)
    assert (tmp_path / "s3-cache" / Path(uri).stem / "open_clip_model.safetensors").is_file()
