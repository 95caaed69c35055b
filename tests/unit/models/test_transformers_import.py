"""A dual encoder of transformers becomes a model of the store, from a folder."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoImageProcessor, AutoModel, SiglipImageProcessorPil

from openmofi.cli import main
from openmofi.errors import InputError
from openmofi.keys import hash_file
from openmofi.models.encoder import load_encoder, load_encoder_folder
from openmofi.models.importing import import_model
from openmofi.storage import local_folder
from openmofi.versions import read_manifest
from support.models import WORDS, noise, write_clip, write_siglip, write_text_files

KINDS = {"clip": write_clip, "siglip": write_siglip}


@pytest.fixture(params=list(KINDS))
def source(request, tmp_path):
    return KINDS[request.param](tmp_path / request.param)


def stored_folder(uri):
    manifest = read_manifest(uri, "model")
    return local_folder(manifest.store, manifest.content["prefix"], manifest.digest)


def test_the_copy_embeds_as_the_source_does(root, source):
    ours, theirs = load_encoder(import_model(root, source=str(source))), load_encoder_folder(source)
    np.testing.assert_array_equal(ours.encode_images(noise(2)), theirs.encode_images(noise(2)))
    np.testing.assert_array_equal(ours.encode_texts(WORDS), theirs.encode_texts(WORDS))


def test_the_manifest_tells_layout_width_size_and_files(root, source):
    uri = import_model(root, source=str(source))
    content = read_manifest(uri, "model").content
    dim = {"clip": 8, "siglip": 16}[source.name]
    assert (content["layout"], content["dim"], content["image_size"]) == ("transformers", dim, 16)
    assert content["classes"] == 0
    assert "transformers" in content["origin"]
    found = {path.name: hash_file(path) for path in stored_folder(uri).iterdir()}
    assert content["files"] == found


def test_nothing_but_the_model_is_stored(root, source):
    (source / "README.md").write_text("hello")
    torch.save({}, source / "pytorch_model.bin")
    assert {
        path.name for path in stored_folder(import_model(root, source=str(source))).iterdir()
    } == {
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_an_image_that_is_not_square_has_the_larger_side(root, tmp_path):
    folder = write_siglip(tmp_path / "siglip")
    # As many patches as 16 x 16 has.
    SiglipImageProcessorPil(size={"height": 8, "width": 32}).save_pretrained(folder)
    assert (
        read_manifest(import_model(root, source=str(folder)), "model").content["image_size"] == 32
    )


def test_the_stored_folder_imported_again_is_the_same_model(root, source, tmp_path):
    first = import_model(root, source=str(source))
    again = import_model(str(tmp_path / "other"), source=str(stored_folder(first)))
    assert Path(again).name == Path(first).name


def test_another_version_of_transformers_makes_no_other_model(root, source, tmp_path, monkeypatch):
    first = import_model(root, source=str(source))
    monkeypatch.setattr("transformers.configuration_utils.__version__", "9.9.9")
    again = import_model(str(tmp_path / "other"), source=str(source))
    assert Path(again).name == Path(first).name


def test_importing_again_finds_the_first_wherever_the_folder_lies(root, source, tmp_path, capsys):
    first = import_model(root, source=str(source))
    moved = shutil.move(source, tmp_path / "elsewhere")
    assert import_model(root, source=f"file://{moved}") == first
    assert "reused" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"]
)
def test_a_changed_file_is_another_source(root, source, name, capsys):
    import_model(root, source=str(source))
    path = source / name
    if name == "model.safetensors":
        KINDS[source.name](source, seed=2)
    else:
        path.write_text(path.read_text() + "\n")
    capsys.readouterr()
    import_model(root, source=str(source))
    assert "reused" not in capsys.readouterr().err


def test_the_same_weights_in_parts_or_pickled_are_the_same_model(root, source, tmp_path):
    expected = import_model(root, source=str(source))
    parts = shutil.copytree(source, tmp_path / "parts")
    (parts / "model.safetensors").unlink()
    AutoModel.from_pretrained(source).save_pretrained(parts, max_shard_size="4KB")
    assert not (parts / "model.safetensors").exists()
    pickled = shutil.copytree(source, tmp_path / "pickled")
    (pickled / "model.safetensors").unlink()
    torch.save(load_file(source / "model.safetensors"), pickled / "pytorch_model.bin")
    assert import_model(root, source=str(parts)) == expected
    assert import_model(root, source=str(pickled)) == expected


def test_half_weights_are_stored_in_float32(root, source):
    AutoModel.from_pretrained(source).half().save_pretrained(source)
    weights = load_file(stored_folder(import_model(root, source=str(source))) / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


class Trap:
    def __reduce__(self):
        return (print, ("a pickle has run code",))


def test_a_pickle_with_code_is_refused_and_not_run(root, source, capsys):
    (source / "model.safetensors").unlink()
    torch.save({"logit_scale": Trap()}, source / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pytorch_model\.bin does not load"):
        import_model(root, source=str(source))
    assert "has run code" not in capsys.readouterr().out


def test_a_processor_that_does_more_is_refused_before_anything_is_stored(root, source, tmp_path):
    """ALIGN's can normalise twice."""
    processor = AutoImageProcessor.from_pretrained(source).to_dict()
    processor |= {"image_processor_type": "EfficientNetImageProcessor", "include_top": True}
    (source / "preprocessor_config.json").write_text(json.dumps(processor))
    with pytest.raises(InputError, match="EfficientNetImageProcessorPil does more than resize"):
        import_model(root, source=str(source))
    assert not (tmp_path / "root").exists()


def test_images_that_the_tower_does_not_take_are_told(root, source):
    SiglipImageProcessorPil(size={"height": 24, "width": 24}).save_pretrained(source)
    with pytest.raises(InputError, match=r"encodes nothing \(\w+: ") as caught:
        import_model(root, source=str(source))
    assert "\n" not in str(caught.value)


def test_a_model_with_a_vector_for_every_patch_is_refused(root, source, monkeypatch):
    """FLAVA's features are of that kind."""
    kind = type(AutoModel.from_pretrained(source))
    monkeypatch.setattr(
        kind, "get_image_features", lambda self, pixel_values: torch.zeros(len(pixel_values), 4, 8)
    )
    with pytest.raises(InputError, match=r"of shape \[\(1, 4, 8\), .*one and two rows of"):
        import_model(root, source=str(source))


def test_a_tensor_in_place_of_an_object_is_understood(root, source, monkeypatch):
    """As older versions of transformers give it."""
    expected = load_encoder_folder(source).encode_texts(WORDS)
    kind = type(AutoModel.from_pretrained(source))
    features = kind.get_text_features
    monkeypatch.setattr(
        kind, "get_text_features", lambda self, **tokens: features(self, **tokens).pooler_output
    )
    np.testing.assert_array_equal(load_encoder_folder(source).encode_texts(WORDS), expected)


def without(name):
    return lambda folder: (folder / name).unlink()


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without("preprocessor_config.json"), "lacks preprocessor_config.json"),
        (without("tokenizer.json"), "lacks its tokenizer's files: tokenizer.json"),
        (without("config.json"), "lacks open_clip_config.json, and config.json"),
        (cut, "model.safetensors does not load"),
        (shutil.rmtree, "model folder not found"),
    ],
)
def test_the_command_tells_what_is_wrong_in_one_line(
    root, source, tmp_path, capsys, damage, message
):
    damage(source)
    assert main(["models", "import", "--root", root, "--source", str(source)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("openmofi: model folder ")
    assert message in line
    assert not (tmp_path / "root").exists()


def test_a_text_model_is_told_to_be_none(root, tmp_path, capsys):
    folder = write_text_files(tmp_path / "bert")
    (folder / "model.safetensors").write_bytes(b"")
    assert main(["models", "import", "--root", root, "--source", str(folder)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "a bert model has no image and text features" in line
