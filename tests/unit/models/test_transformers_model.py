"""Vectors are those of transformers' own processor and model; what is no dual encoder is told."""

import json
import shutil

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    AutoProcessor,
    BertConfig,
    BertModel,
    Siglip2ImageProcessorPil,
)

from openmofi.errors import InputError
from openmofi.models.backbones import read_backbone_config
from openmofi.models.encoder import load_encoder_folder
from openmofi.models.folder import load_model, load_tokenizer
from openmofi.models.transformers_model import load_dual_encoder
from support.models import (
    noise,
    write_clip,
    write_model_with_text_tower,
    write_siglip,
    write_siglip_with_pieces,
    write_text_files,
)

TEXTS = ["a crane", "Large wading BIRD, lifts", "dog", "heavy " * 30]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {"clip": write_clip(root / "clip"), "siglip": write_siglip(root / "siglip")}


@pytest.fixture(params=["clip", "siglip"])
def folder(request, folders, tmp_path):
    return shutil.copytree(folders[request.param], tmp_path / request.param)


def oracle(folder):
    """Unit vectors of images and of texts as transformers' documentation makes them."""
    model = AutoModel.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder, backend="pil")
    positions = model.config.text_config.max_position_embeddings

    def images(pictures):
        return model.get_image_features(**processor(images=pictures, return_tensors="pt"))

    def texts(strings):
        told = {"padding": "max_length", "truncation": True, "max_length": positions}
        return model.get_text_features(**processor(text=strings, return_tensors="pt", **told))

    def unit(encode, given):
        with torch.no_grad():
            vectors = encode(given).pooler_output
        return (vectors / vectors.norm(dim=-1, keepdim=True)).numpy()

    return (lambda given: unit(images, given)), (lambda given: unit(texts, given))


def pictures():
    return [noise(1)[0], noise(1, side=15)[0], noise(2, side=40)[1].resize((41, 77))]


def test_images_have_the_vectors_of_transformers(folder):
    encode_images, _ = oracle(folder)
    found = load_encoder_folder(folder).encode_images(pictures())
    np.testing.assert_allclose(found, encode_images(pictures()), atol=1e-5)


def test_siglips_own_tokenizer_gives_the_vectors_of_transformers(tmp_path):
    folder = write_siglip_with_pieces(tmp_path / "siglip")
    found = load_encoder_folder(folder).encode_texts(TEXTS)
    np.testing.assert_allclose(found, oracle(folder)[1](TEXTS), atol=1e-5)


def test_texts_have_the_vectors_of_transformers_up_to_any_length(folder):
    _, encode_texts = oracle(folder)
    found = load_encoder_folder(folder).encode_texts(TEXTS)
    np.testing.assert_allclose(found, encode_texts(TEXTS), atol=1e-5)


def test_vectors_are_float32_of_length_1_and_of_the_width_that_is_told(folder):
    encoder = load_encoder_folder(folder)
    assert encoder.dim == {"clip": 8, "siglip": 16}[folder.name]
    for vectors in (encoder.encode_images(noise(3)), encoder.encode_texts(["a", "b", "c"])):
        assert (vectors.dtype, vectors.shape) == (np.float32, (3, encoder.dim))
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_text_has_the_same_bits_whatever_is_encoded_with_it(folder):
    encoder = load_encoder_folder(folder)
    together = encoder.encode_texts(TEXTS)
    for number in range(1, len(TEXTS)):
        np.testing.assert_array_equal(encoder.encode_texts(TEXTS[:number]), together[:number])


def test_a_processor_saved_as_a_whole_is_read(folder):
    """Newer versions of transformers put the image processor into processor_config.json."""
    expected = load_encoder_folder(folder).preprocess
    AutoProcessor.from_pretrained(folder).save_pretrained(folder)
    (folder / "preprocessor_config.json").unlink()
    assert load_encoder_folder(folder).preprocess == expected


def test_weights_in_parts_are_read(folder):
    expected = load_encoder_folder(folder).encode_texts(TEXTS)
    model = AutoModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="4KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    np.testing.assert_array_equal(load_encoder_folder(folder).encode_texts(TEXTS), expected)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["config.json"], r"lacks open_clip_config\.json, and config\.json of a dual encoder"),
        (["preprocessor_config.json"], r"lacks preprocessor_config\.json, its image processor"),
        (["tokenizer.json"], r"lacks its tokenizer's files: tokenizer\.json"),
        (["model.safetensors"], r"lacks weights: model\.safetensors is needed"),
    ],
)
def test_a_missing_file_is_named(folder, names, message):
    for name in names:
        (folder / name).unlink()
    with pytest.raises(InputError, match=message) as caught:
        load_encoder_folder(folder)
    assert str(folder) in str(caught.value)


def test_a_missing_part_of_the_weights_is_named(folder):
    AutoModel.from_pretrained(folder).save_pretrained(folder, max_shard_size="4KB")
    (folder / "model.safetensors").unlink()
    part = min(folder.glob("model-*.safetensors"))
    part.unlink()
    with pytest.raises(InputError, match=rf"lacks {part.name} of model\.safetensors\.index\.json"):
        load_encoder_folder(folder)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def blank(path):
    path.write_text("{}")


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("model.safetensors", cut, r"model\.safetensors does not load \("),
        ("tokenizer.json", cut, r"its tokenizer does not load \("),
        ("preprocessor_config.json", cut, r"its image processor does not load \("),
        ("config.json", blank, r"its config\.json does not load \("),
    ],
)
def test_a_damaged_file_is_named_in_one_line(folder, name, damage, message):
    damage(folder / name)
    with pytest.raises(InputError, match=message) as caught:
        load_encoder_folder(folder)
    assert "\n" not in str(caught.value)


def test_weights_that_lack_a_tensor_are_refused_and_not_made_up(folder):
    model = AutoModel.from_pretrained(folder)
    state = model.state_dict()
    name = next(key for key in state if key.startswith("text_model.encoder"))
    del state[name]
    model.save_pretrained(folder, state_dict=state)
    with pytest.raises(InputError, match=rf"its weights lack {name}"):
        load_encoder_folder(folder)


def test_a_model_of_another_kind_is_told_with_what_is_needed(tmp_path):
    folder = write_text_files(tmp_path / "bert")
    BertModel(BertConfig.from_pretrained(folder)).save_pretrained(folder)
    message = "a bert model has no image and text features; a dual encoder .* is needed"
    with pytest.raises(InputError, match=message):
        load_encoder_folder(folder)


def test_images_of_no_fixed_size_are_refused_with_the_folder(folder):
    """A SigLIP 2 of any resolution, for example."""
    Siglip2ImageProcessorPil(patch_size=8).save_pretrained(folder)
    message = rf"model folder {folder}: Siglip2ImageProcessor .* images of no fixed size"
    with pytest.raises(InputError, match=message):
        load_encoder_folder(folder)


def test_code_that_a_folder_brings_is_not_run(folder, capsys):
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.C", "AutoModel": "mine.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text("print('code has run')\nclass C: pass\nclass M: pass\n")
    with pytest.raises(InputError, match=r"its config\.json does not load"):
        load_encoder_folder(folder)
    assert "code has run" not in capsys.readouterr().out


def test_a_folder_with_both_configs_is_open_clips(tmp_path):
    """Its config.json describes the text tower alone."""
    folder = write_model_with_text_tower(tmp_path / "model")
    assert (folder / "config.json").is_file()
    assert load_encoder_folder(folder).encode_texts(["a crane"]).shape == (1, 8)


def read_backbone(folder):
    return read_backbone_config(str(folder))


@pytest.mark.parametrize("load", [load_model, load_tokenizer, read_backbone])
def test_what_needs_open_clips_layout_says_so(folder, load):
    message = r"lacks open_clip_config\.json \(it is in transformers' layout\); open_clip's layout"
    with pytest.raises(InputError, match=message):
        load(folder)


def test_nothing_is_written_to_the_terminal(folder, capfd):
    load_dual_encoder(folder)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
