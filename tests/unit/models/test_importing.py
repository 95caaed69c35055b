import json
import shutil

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file

from openmofi.cli import main
from openmofi.errors import InputError
from openmofi.models.encoder import load_encoder, load_encoder_folder
from openmofi.models.importing import import_model
from openmofi.storage import local_folder
from openmofi.versions import read_manifest
from support.models import SMALL, WORDS, noise, write_model, write_model_with_text_tower


@pytest.fixture
def source(tmp_path):
    return write_model(tmp_path / "source")


def as_pickle(folder, state):
    (folder / "open_clip_model.safetensors").unlink()
    torch.save(state, folder / "open_clip_pytorch_model.bin")


def test_the_copy_embeds_as_the_source_does(root, source):
    uri = import_model(root, source=str(source))
    manifest = read_manifest(uri, "model")
    content = manifest.content
    assert (content["dim"], content["image_size"], content["classes"]) == (8, 16, 0)
    assert content["prefix"] == f"models/{manifest.digest}"
    ours, theirs = load_encoder(uri), load_encoder_folder(source)
    np.testing.assert_array_equal(ours.encode_images(noise(2)), theirs.encode_images(noise(2)))
    np.testing.assert_array_equal(ours.encode_texts(WORDS), theirs.encode_texts(WORDS))


def test_importing_again_finds_the_first(root, source, tmp_path, capsys):
    first = import_model(root, source=str(source))
    moved = shutil.move(source, tmp_path / "elsewhere")
    assert import_model(root, source=f"file://{moved}") == first
    assert "reused" in capsys.readouterr().err


def test_other_weights_are_another_model(root, source, tmp_path):
    other = write_model(tmp_path / "other", seed=2)
    assert import_model(root, source=str(source)) != import_model(root, source=str(other))


def test_a_manifest_is_returned_as_it_is(root, source):
    uri = import_model(root, source=str(source))
    assert import_model("/nowhere", source=uri) == uri


def test_a_manifest_of_another_kind_is_refused(root):
    with pytest.raises(InputError, match="'samples', and 'model' is needed"):
        import_model(root, source=f"{root}/manifests/samples/0.json")


def test_pickled_weights_are_stored_as_the_same_safetensors(root, source, tmp_path):
    pickled = shutil.copytree(source, tmp_path / "pickled")
    as_pickle(pickled, load_file(str(source / "open_clip_model.safetensors")))
    assert import_model(root, source=str(pickled)) == import_model(root, source=str(source))


class Trap:
    def __reduce__(self):
        return (print, ("a pickle has run code",))


def test_a_pickle_with_code_is_refused_and_not_run(root, source, capsys):
    as_pickle(source, {"state_dict": Trap()})
    with pytest.raises(InputError, match=r"open_clip_pytorch_model\.bin does not load"):
        import_model(root, source=str(source))
    assert "has run code" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("open_clip_config.json", r"lacks open_clip_config\.json"),
        ("open_clip_model.safetensors", r"lacks weights: open_clip_model\.safetensors"),
    ],
)
def test_a_missing_file_is_named_and_nothing_is_stored(root, source, tmp_path, name, message):
    (source / name).unlink()
    with pytest.raises(InputError, match=message):
        import_model(root, source=str(source))
    assert not (tmp_path / "root").exists()


def test_weights_cut_short_are_named(root, source):
    weights = source / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"open_clip_model\.safetensors does not load"):
        import_model(root, source=str(source))


def test_weights_of_another_shape_are_refused(root, source):
    config = json.loads((source / "open_clip_config.json").read_text())
    config["model_cfg"]["embed_dim"] = 4
    (source / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"does not load: RuntimeError: .*size mismatch"):
        import_model(root, source=str(source))


def test_a_text_tower_loads_from_wherever_the_copy_is_mounted(root, tmp_path):
    source = write_model_with_text_tower(tmp_path / "source")
    texts = ["crane, large wading bird", "crane, lifts heavy objects"]
    expected = load_encoder_folder(source).encode_texts(texts)
    uri = import_model(root, source=str(source))
    shutil.rmtree(source)
    moved = shutil.move(tmp_path / "root", tmp_path / "mounted")
    again = load_encoder(uri.replace(root, str(moved)))
    np.testing.assert_array_equal(again.encode_texts(texts), expected)
    assert np.abs(expected[0] - expected[1]).max() > 1e-3
    manifest = read_manifest(uri.replace(root, str(moved)), "model")
    folder = local_folder(manifest.store, manifest.content["prefix"], manifest.digest)
    text = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]["text_cfg"]
    assert (text["hf_model_name"], text["hf_tokenizer_name"]) == (".", ".")


def test_a_moved_folder_with_a_text_tower_is_imported_all_the_same(root, tmp_path):
    source = write_model_with_text_tower(tmp_path / "source")
    first = import_model(root, source=str(source))
    moved = shutil.move(source, tmp_path / "moved")
    other = import_model(str(tmp_path / "other"), source=str(moved))
    assert read_manifest(other, "model").digest == read_manifest(first, "model").digest


@pytest.mark.parametrize(
    ("name", "message"),
    [("config.json", r"text tower's config\.json"), ("tokenizer.json", "its tokenizer does not")],
)
def test_a_missing_file_of_the_text_tower_is_named(root, tmp_path, name, message):
    source = write_model_with_text_tower(tmp_path / "source")
    (source / name).unlink()
    with pytest.raises(InputError, match=message):
        import_model(root, source=str(source))


def test_an_architecture_with_a_weights_file_is_imported(root, source, tmp_path):
    config = tmp_path / "openmofi-small.json"
    config.write_text(json.dumps(SMALL))
    open_clip.add_model_config(config)
    weights = str(source / "open_clip_model.safetensors")
    uri = import_model(root, source="openmofi-small", pretrained=weights)
    assert uri == import_model(root, source=str(source))
    assert read_manifest(uri, "model").content["origin"]["source"] == "openmofi-small"


@pytest.mark.parametrize(
    ("source", "pretrained", "message"),
    [
        ("ViT-B-32", "", "'ViT-B-32': no pretrained tag; known tags: openai, .*weights file"),
        ("ViT-B-32", "nonesuch", "no weights named 'nonesuch'; known tags: openai"),
        ("ViT-Q-99", "openai", "'ViT-Q-99' is not an open_clip architecture"),
        ("./no/folder", "", "model folder not found: no/folder"),
    ],
)
def test_an_unknown_source_is_told_in_one_line(root, source, pretrained, message):
    with pytest.raises(InputError, match=message):
        import_model(root, source=source, pretrained=pretrained)


def test_without_network_one_line_names_the_model_and_a_way_out(root, monkeypatch):
    def unreachable(*_, **__):
        raise OSError("Name or service not known")

    monkeypatch.setattr("open_clip.factory.download_pretrained", unreachable)
    message = "'ViT-B-32' with pretrained 'openai' cannot be had .*give a local folder"
    with pytest.raises(InputError, match=message) as caught:
        import_model(root, source="ViT-B-32", pretrained="openai")
    assert "\n" not in str(caught.value)


def test_the_command_prints_the_uri(root, source, capsys):
    assert main(["models", "import", "--root", root, "--source", str(source)]) == 0
    assert capsys.readouterr().out.strip() == import_model(root, source=str(source))


def test_the_command_tells_what_is_wrong(root, capsys):
    assert main(["models", "import", "--root", root, "--source", "./nowhere"]) == 2
    assert capsys.readouterr().err.startswith("openmofi: model folder not found: nowhere")
