"""With and without: the same loss, gradients and running statistics, from less memory."""

import pytest
import torch

from openmofi.errors import InputError
from openmofi.training.activation_checkpointing import checkpoint_activations
from support.two_towers import BACKBONES, backbone, backward, make_batch


@pytest.mark.parametrize("name", BACKBONES)
def test_loss_gradients_and_statistics_are_the_same(name):
    plain, other, batch = backbone(name), backbone(name), make_batch(name)
    checkpoint_activations(other)
    for _ in range(2):  # the statistics of the second step come after a backward pass
        loss, gradients = backward(plain, batch)
        again, others = backward(other, batch)
        torch.testing.assert_close(again, loss, rtol=1e-6, atol=0)
        torch.testing.assert_close(others, gradients, rtol=1e-4, atol=1e-6)
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(other.state_dict()[key], value, rtol=1e-5, atol=1e-7, msg=key)


@pytest.mark.parametrize("name", BACKBONES)
def test_less_is_kept_for_the_backward_pass(name):
    plain, other, batch = backbone(name), backbone(name), make_batch(name)
    checkpoint_activations(other)
    assert kept(other, batch) < 0.8 * kept(plain, batch)


@pytest.mark.parametrize("name", ["CLIP", "tiny"])
def test_names_of_the_weights_are_the_same(name):
    other = backbone(name)
    checkpoint_activations(other)
    assert list(other.state_dict()) == list(backbone(name).state_dict())


def test_towers_that_cannot_are_refused():
    from openmofi.models.backbones import create_backbone

    resnet = {
        **BACKBONES["CLIP"],
        "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8},
    }
    with pytest.raises(InputError, match=r"the image tower \(ModifiedResNet\).*leave") as caught:
        checkpoint_activations(create_backbone(resnet, seed=0))
    assert "\n" not in str(caught.value)


def test_a_timm_tower_that_refuses_is_refused():
    model = backbone("convolutions")

    def refuse(enable: bool) -> None:
        assert not enable, "gradient checkpointing not supported"

    model.visual.trunk.set_grad_checkpointing = refuse
    with pytest.raises(InputError, match=r"image tower \(ResNet\)"):
        checkpoint_activations(model)


def kept(model, batch) -> int:
    """Bytes that the image tower's forward pass saves, weights apart."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    saved = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        features = model.encode_image(batch[0], normalize=True)
    assert features.requires_grad
    return sum(saved.values())
