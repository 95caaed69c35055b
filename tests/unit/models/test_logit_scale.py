"""The scale is read from the weights as open_clip has them, and a model without one is told."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from openmofi.errors import InputError
from openmofi.models.folder import WEIGHTS_FILE, load_model
from openmofi.models.importing import import_model
from openmofi.models.logit_scale import read_logit_scale
from openmofi.models.publishing import publish_model
from openmofi.storage import open_store
from support.models import write_clip, write_model, write_siglip


@pytest.fixture
def folder(tmp_path):
    return write_model(tmp_path / "model")


def published(root, folder, change):
    """The URI of a model whose tensors were changed in place."""
    tensors = load_file(folder / WEIGHTS_FILE)
    change(tensors)
    save_file(tensors, folder / WEIGHTS_FILE)
    return publish_model(open_store(str(root)), folder, origin={})


@pytest.mark.parametrize("write", [write_clip, write_siglip])
def test_it_is_that_of_transformers_models_too(tmp_path, write):
    model = AutoModel.from_pretrained(write(tmp_path / "source"))
    uri = import_model(str(tmp_path / "root"), source=str(tmp_path / "source"))
    assert read_logit_scale(uri) == pytest.approx(model.logit_scale.exp().item())


def test_a_manifest_without_a_layout_is_open_clips(tmp_path, folder):
    """Those of older versions have none."""
    uri = import_model(str(tmp_path / "root"), source=str(folder))
    path = Path(uri.removeprefix("file://"))
    manifest = json.loads(path.read_text())
    expected = read_logit_scale(uri)
    assert manifest.pop("layout") == "open_clip"
    path.write_text(json.dumps(manifest))
    assert read_logit_scale(uri) == expected


def test_it_is_the_loaded_models(tmp_path, folder):
    model = load_model(folder)
    uri = import_model(str(tmp_path / "root"), source=str(folder))
    assert read_logit_scale(uri) == pytest.approx(model.logit_scale.exp().item())


@pytest.mark.parametrize("kind", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(), (1,)])
def test_any_float_of_any_shape(tmp_path, folder, kind, shape):
    def change(tensors):
        tensors["logit_scale"] = torch.full(shape, 2.5, dtype=kind)

    uri = published(tmp_path / "root", folder, change)
    assert read_logit_scale(uri) == math.exp(2.5)


@pytest.mark.parametrize(
    "value",
    [None, torch.tensor(float("nan")), torch.tensor([1.0, 2.0]), torch.tensor(3)],
    ids=["none", "nan", "two", "integer"],
)
def test_a_model_without_one_is_told_with_the_way_out(tmp_path, folder, value):
    def change(tensors):
        del tensors["logit_scale"]
        if value is not None:
            tensors["logit_scale"] = value

    uri = published(tmp_path / "root", folder, change)
    with pytest.raises(InputError, match=r"no readable logit_scale.*set label\.image_weight"):
        read_logit_scale(uri)


def test_no_other_byte_is_read(tmp_path, folder):
    """Weights may be gigabytes, and far away."""
    uri = import_model(str(tmp_path / "root"), source=str(folder))
    path = next((tmp_path / "root" / "models").glob(f"*/{WEIGHTS_FILE}"))
    data = bytearray(path.read_bytes())
    size = int.from_bytes(data[:8], "little")
    begin, end = json.loads(data[8 : 8 + size])["logit_scale"]["data_offsets"]
    before = read_logit_scale(uri)
    for place in (*range(8 + size, 8 + size + begin), *range(8 + size + end, len(data))):
        data[place] ^= 0xFF
    path.write_bytes(data)
    assert read_logit_scale(uri) == before
