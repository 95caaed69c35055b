import json
from importlib import resources

import open_clip
import pytest
import torch

from openmofi.errors import InputError
from openmofi.models.backbones import (
    create_backbone,
    create_tokenizer,
    export_folder,
    read_backbone_config,
)
from openmofi.models.encoder import load_encoder_folder
from support.models import SMALL, noise, write_text_files


def test_tiny_backbone_is_a_dual_encoder_of_128_numbers():
    model = create_backbone("tiny", seed=0)
    tokens = create_tokenizer("tiny")(["a flag", "a vase"])
    images = model.encode_image(torch.rand(2, 3, 64, 64), normalize=True)
    texts = model.encode_text(tokens, normalize=True)
    assert tokens.shape == (2, 24)
    assert images.shape == texts.shape == (2, 128)
    torch.testing.assert_close(images.norm(dim=1), torch.ones(2))


def test_every_bundled_config_builds():
    folder = resources.files("openmofi.models") / "configs"
    names = [entry.name.removesuffix(".json") for entry in folder.iterdir()]
    assert "tiny" in names
    for name in names:
        create_backbone(name)


def test_seed_alone_decides_the_weights_and_leaves_the_global_generator():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = create_backbone(SMALL, seed=1).state_dict()
    assert torch.equal(torch.rand(3), expected)
    second = create_backbone(SMALL, seed=1).state_dict()
    other = create_backbone(SMALL, seed=2).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["token_embedding.weight"], other["token_embedding.weight"])


def test_plain_open_clip_loads_an_export_to_equal_features(tmp_path):
    model = create_backbone("tiny", seed=0)
    with torch.no_grad():  # running statistics that differ from the initial ones
        model.encode_image(torch.rand(8, 3, 64, 64))
    export_folder(model, *read_backbone_config("tiny"), tmp_path)
    again, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tmp_path}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{tmp_path}")
    model.eval()
    again.eval()
    images = torch.stack([preprocess(image) for image in noise(2)])
    tokens = tokenizer(["a flag", "a vase"])
    with torch.no_grad():
        assert torch.equal(again.encode_image(images), model.encode_image(images))
        assert torch.equal(again.encode_text(tokens), model.encode_text(tokens))


def test_export_is_deterministic(tmp_path):
    for name in ("a", "b"):
        export_folder(create_backbone(SMALL, seed=1), *read_backbone_config(SMALL), tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_preprocessing_given_beside_the_model_is_exported_and_used(tmp_path):
    config = {"model_cfg": SMALL, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(config))
    model = create_backbone(str(path))
    export_folder(model, *read_backbone_config(str(path)), tmp_path / "model")
    encoder = load_encoder_folder(tmp_path / "model")
    assert (encoder.preprocess.height, encoder.preprocess.width) == (16, 16)
    assert encoder.preprocess.mean == encoder.preprocess.std == (0.5, 0.5, 0.5)


def test_text_tower_of_transformers_needs_its_files(tmp_path):
    files = write_text_files(tmp_path / "bert")
    text = {"hf_model_name": str(files), "hf_tokenizer_name": "x", "hf_proj_type": "linear"}
    config = {**SMALL, "text_cfg": {**text, "hf_pooler_type": "mean_pooler"}}
    model = create_backbone(config)
    with pytest.raises(ValueError, match="text_files"):
        export_folder(model, *read_backbone_config(config), tmp_path / "out")


def test_a_name_of_open_clip_resolves():
    model, preprocess = read_backbone_config("ViT-B-32")
    assert (model["embed_dim"], preprocess["size"]) == (512, 224)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("tinny", r"'tinny' is neither .*; did you mean .*tiny"),
        ("no/such.json", r"no/such\.json is not readable JSON"),
        ({"embed_dim": 8}, "needs embed_dim, vision_cfg and text_cfg"),
        ({**SMALL, "vision_cfg": {"timm_model_name": "nonesuch"}}, "cannot be built: .*nonesuch"),
        ({**SMALL, "multimodal_cfg": {}}, "multimodal_cfg"),
    ],
)
def test_a_wrong_config_is_told_in_one_line(config, message):
    with pytest.raises(InputError, match=message) as caught:
        create_backbone(config)
    assert "\n" not in str(caught.value)
