import shutil
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

from openmofi.errors import InputError, StorageError
from openmofi.keys import hash_file
from openmofi.models.device import resolve_precision
from openmofi.models.encoder import load_encoder, load_encoder_folder
from openmofi.models.importing import import_model
from openmofi.models.stored import model_folder
from openmofi.storage import local_folder, open_store, put_folder
from openmofi.versions import read_manifest, write_manifest
from support.models import noise, write_clip, write_model, write_siglip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return load_encoder_folder(write_model(tmp_path_factory.mktemp("tiny"), config="tiny"))


def test_embeddings_are_float32_unit_vectors(tiny):
    for vectors in (tiny.encode_images(noise(3)), tiny.encode_texts(["a", "b", "c"])):
        assert vectors.dtype == np.float32
        assert vectors.shape == (3, tiny.dim)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_an_image_does_not_depend_on_its_batch(tiny):
    """It would if batch normalisation were in training mode."""
    images = noise(4)
    alone = np.concatenate([tiny.encode_images([image]) for image in images])
    np.testing.assert_allclose(tiny.encode_images(images), alone, atol=1e-5)


def test_images_have_the_vectors_of_plain_open_clip(tmp_path):
    folder = write_model(tmp_path, config="tiny")
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    images = noise(2, side=90)
    with torch.no_grad():
        batch = torch.stack([transform(image) for image in images])
        expected = model.eval().encode_image(batch, normalize=True).numpy()
    found = load_encoder_folder(folder).encode_images(images)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def pixels_of(encoder, count):
    return np.stack([encoder.preprocess.pixels(image) for image in noise(count)])


def test_pixels_are_taken_as_arrays_and_as_tensors(tiny):
    pixels = pixels_of(tiny, 3)
    expected = tiny.encode_images(noise(3))
    np.testing.assert_array_equal(tiny.encode_pixels(pixels), expected)
    np.testing.assert_array_equal(tiny.encode_pixels(torch.from_numpy(pixels)), expected)


def test_launch_leaves_the_same_vectors_on_the_device_and_the_pixels_as_they_are(tiny):
    pixels = pixels_of(tiny, 3)
    kept = pixels.copy()
    launched = tiny.launch(pixels)
    assert (launched.device.type, launched.dtype) == ("cpu", torch.float32)
    assert not launched.requires_grad
    np.testing.assert_array_equal(launched.numpy(), tiny.encode_pixels(kept))
    np.testing.assert_array_equal(pixels, kept)


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
    assert tiny.encode_images([]).shape == (0, 128)
    assert tiny.encode_pixels(np.zeros((0, 64, 64, 3), np.uint8)).shape == (0, 128)
    assert tiny.encode_texts([]).shape == (0, 128)


@pytest.mark.parametrize("device", ["gpu", "cuda:7"])
def test_a_device_that_is_not_there_is_refused(tmp_path, device):
    if device.startswith("cuda") and torch.cuda.device_count() > 7:
        device = "cuda:99"
    with pytest.raises(InputError, match=f"device '{device}'"):
        load_encoder_folder(write_model(tmp_path), device=device)


@pytest.mark.parametrize("config", ["tiny", "transformers"])
def test_bfloat16_gives_float32_vectors_that_are_nearly_those_of_float32(tmp_path, config):
    is_tiny = config == "tiny"
    folder = write_model(tmp_path, config=config) if is_tiny else write_siglip(tmp_path)
    exact = load_encoder_folder(folder, precision="float32")
    rough = load_encoder_folder(folder, precision="bfloat16")
    texts = ["a crane", "a bird", "large cat"]
    pairs = [
        (exact.encode_images(noise(3)), rough.encode_images(noise(3))),
        (exact.encode_texts(texts), rough.encode_texts(texts)),
    ]
    for one, other in pairs:
        assert other.dtype == np.float32
        assert (one != other).any()
        np.testing.assert_allclose(np.linalg.norm(other, axis=1), 1, atol=1e-6)
        assert (one * other).sum(axis=1).min() > 0.999


def test_automatic_precision_is_float32_on_a_cpu(tiny, tmp_path):
    exact = load_encoder_folder(write_model(tmp_path, config="tiny"), precision="float32")
    np.testing.assert_array_equal(tiny.encode_images(noise(2)), exact.encode_images(noise(2)))


@pytest.mark.parametrize(
    ("can", "device", "expected"),
    [
        (True, "cuda", "bfloat16"),
        (True, "cuda:1", "bfloat16"),
        (False, "cuda", "float32"),
        (True, "cpu", "float32"),
    ],
)
def test_automatic_precision_is_bfloat16_on_a_gpu_that_has_it(monkeypatch, can, device, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *, including_emulation: can)
    assert resolve_precision("auto", device) == expected


def test_an_unknown_precision_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(InputError, match="precision 'half' is unknown; use auto, float32"):
        load_encoder_folder(tmp_path / "nowhere", precision="half")


def test_without_a_compiler_compiling_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(InputError, match=r"compiled needs g\+\+ or clang\+\+ on cpu"):
        load_encoder_folder(tmp_path / "nowhere", compiled=True)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("c++"), reason="a C++ compiler is needed")
@pytest.mark.parametrize("config", ["tiny", "transformers"])
def test_compiled_gives_the_vectors_of_eager(tmp_path, config):
    is_tiny = config == "tiny"
    folder = write_model(tmp_path, config=config) if is_tiny else write_siglip(tmp_path)
    eager = load_encoder_folder(folder).encode_images(noise(4))
    compiled = load_encoder_folder(folder, compiled=True).encode_images(noise(4))
    np.testing.assert_allclose(compiled, eager, atol=1e-5)


@pytest.fixture(params=[write_model, write_clip], ids=["open_clip", "transformers"])
def stored(request, tmp_path):
    uri = import_model(str(tmp_path / "root"), source=str(request.param(tmp_path / "source")))
    manifest = read_manifest(uri, "model")
    return uri, local_folder(manifest.store, manifest.content["prefix"], manifest.digest)


def test_encoder_of_a_manifest_equals_that_of_its_folder(stored):
    uri, folder = stored
    by_uri, by_folder = load_encoder(uri), load_encoder_folder(folder)
    assert by_uri.digest == by_folder.digest == Path(uri).stem
    np.testing.assert_array_equal(by_uri.encode_texts(["x"]), by_folder.encode_texts(["x"]))


def test_a_changed_file_in_the_store_is_refused_by_name(stored):
    uri, folder = stored
    weights = next(folder.glob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    message = rf"model {uri}: .*{weights.name} is not what was stored"
    with pytest.raises(StorageError, match=message):
        load_encoder(uri)


def test_a_missing_file_in_the_store_is_named(stored):
    uri, folder = stored
    weights = next(folder.glob("*.safetensors"))
    weights.unlink()
    with pytest.raises(InputError, match=rf"model {uri}: .*{weights.name} is missing"):
        load_encoder(uri)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"model folder not found: .*nowhere"):
        load_encoder_folder(tmp_path / "nowhere")


@pytest.mark.s3
def test_a_model_whose_card_differs_by_root_loads_from_both_on_one_machine(s3_root, tmp_path):
    """A trained model: its digest covers neither its card nor the facts of its run."""
    stored = read_manifest(import_model(s3_root, source=str(write_model(tmp_path / "m"))), "model")
    folder = model_folder(stored)
    for name in ("one", "two"):
        store, card = open_store(f"{s3_root}/{name}"), tmp_path / name
        card.write_text(f"# A model of {name}\n")
        put_folder(store, "models/d", folder)
        store.put_file("models/d/README.md", card)
        files = {**stored.content["files"], "README.md": hash_file(card)}
        content = {**stored.content, "digest": "d", "prefix": "models/d", "files": files}
        manifest = write_manifest(store, "model", "d", content)
        assert load_encoder(manifest.uri).digest == "d"
        assert (model_folder(manifest) / "README.md").read_text() == card.read_text()


@pytest.mark.s3
def test_a_model_on_s3_is_copied_once_and_embeds_the_same(s3_root, tmp_path):
    source = write_model(tmp_path / "source")
    uri = import_model(s3_root, source=str(source))
    expected = load_encoder_folder(source).encode_texts(["x"])
    np.testing.assert_array_equal(load_encoder(uri).encode_texts(["x"]), expected)
    assert (tmp_path / "s3-cache" / Path(uri).stem / "open_clip_model.safetensors").is_file()
