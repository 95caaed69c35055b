"""Oracles: the loss with all logits at once, finite differences, memory that was never taken."""

import math

import pytest
import torch

from openmofi.losses.chunked_margin_softmax import Own, chunked_sum
from openmofi.losses.margin_softmax import TakenRows, margin_softmax
from openmofi.losses.margins import Margin
from support.losses import assert_same_gradients, dense_margin_softmax

MARGINS = [Margin(), Margin(0.2), Margin(angle=0.5), Margin(0.1, 0.3)]


def random_case(seed, *, batch=12, classes=50, dim=8):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(batch, dim, generator=generator, requires_grad=True)
    rows = torch.randn(classes, dim, generator=generator, requires_grad=True)
    return images, rows, torch.randint(-1, classes, (batch,), generator=generator)


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("chunk", [1, 7, 25, 49, 50, 64])
@pytest.mark.parametrize("dim", [8, 24])  # logits made again, and kept
def test_chunked_equals_whole_in_loss_and_gradients(margin, chunk, dim):
    images, rows, targets = random_case(chunk, dim=dim)
    kwargs = {"margin": margin, "scale": 32.0}
    whole = dense_margin_softmax(images, rows, targets, **kwargs)
    ours = margin_softmax(images, rows, targets, **kwargs, chunk=chunk)
    torch.testing.assert_close(ours, whole, rtol=1e-5, atol=1e-5)
    assert_same_gradients(ours, whole, (images, rows))


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("dim", [5, 8])
def test_gradients_equal_finite_differences(margin, dim):
    images, rows, targets = random_case(3, batch=4, classes=9, dim=dim)
    images = torch.nn.functional.normalize(images, dim=-1).detach().double().requires_grad_()
    rows = rows.detach().double().requires_grad_()

    own = Own(targets[:, None], torch.ones(4).double(), targets >= 0, margin)

    def loss(images, rows):
        taken = rows.detach(), torch.arange(9), None
        return chunked_sum(images, rows, taken, own, scale=6.0, chunk=4)

    assert torch.autograd.gradcheck(loss, (images, rows))


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("chunk", [7, 64])
def test_several_labels_share_target_and_margin(margin, chunk):
    images, rows, _ = random_case(11)
    targets = torch.tensor([[0, 49, 7], [3, -1, -1], [-1, -1, -1], [8, -1, 6]] * 3)
    kwargs = {"margin": margin, "scale": 16.0}
    ours = margin_softmax(images, rows, targets, **kwargs, chunk=chunk)
    dense = dense_margin_softmax(images, rows, targets, **kwargs)
    torch.testing.assert_close(ours, dense, rtol=1e-5, atol=1e-5)
    assert_same_gradients(ours, dense, (images, rows))


@pytest.mark.parametrize("chunk", [7, 64])
@pytest.mark.parametrize("dim", [8, 24])
def test_offsets_are_taken_off_in_the_sum_alone(chunk, dim):
    images, rows, targets = random_case(12, dim=dim)
    offsets = torch.randn(50, generator=torch.Generator().manual_seed(0))
    offsets[targets[targets >= 0]] = 0.0  # as `choose_classes` has it
    kwargs = {"margin": Margin(0.2), "scale": 16.0, "offsets": offsets}
    ours = margin_softmax(images, rows, targets, **kwargs, chunk=chunk)
    dense = dense_margin_softmax(images, rows, targets, **kwargs)
    torch.testing.assert_close(ours, dense, rtol=1e-5, atol=1e-5)
    assert_same_gradients(ours, dense, (images, rows))


def test_rows_of_a_table_get_the_gradient_of_copies():
    images, table, _ = random_case(13)
    places = torch.tensor([4, 9, 17, 33, 48])
    targets = torch.tensor([0, 4, -1, 2] * 3)
    kwargs = {"margin": Margin(0.2), "scale": 8.0, "chunk": 2}
    taken = TakenRows.of(table.detach(), places)
    copies = table.detach()[places].requires_grad_()
    margin_softmax(images, taken, targets, **kwargs).backward()
    of_images, images.grad = images.grad, None
    margin_softmax(images, copies, targets, **kwargs).backward()
    assert of_images.equal(images.grad)
    assert taken.leaf.grad.equal(copies.grad)
    assert taken.leaf.untyped_storage().nbytes() == 4  # the leaf itself takes no memory


def test_going_back_twice_gives_the_same_twice():
    images, rows, targets = random_case(14, dim=24)
    loss = margin_softmax(images, rows, targets, margin=Margin(0.2), scale=8.0, chunk=7)
    first = torch.autograd.grad(loss, (images, rows), retain_graph=True)
    second = torch.autograd.grad(loss, (images, rows))
    assert all(one.equal(other) for one, other in zip(first, second, strict=True))


def test_large_scales_do_not_overflow():
    images, rows, targets = random_case(5)
    loss = margin_softmax(images, rows * 1e4, targets, margin=Margin(0.2), scale=1e4, chunk=7)
    loss.backward()
    assert math.isfinite(loss.item())
    assert torch.isfinite(rows.grad).all()


def test_no_label_at_all_is_zero_with_zero_gradients():
    images, rows, _ = random_case(6)
    targets = torch.full((12,), -1)
    loss = margin_softmax(images, rows, targets, margin=Margin(0.2), scale=8.0, chunk=7)
    loss.backward()
    assert loss == 0
    assert rows.grad.abs().max() == images.grad.abs().max() == 0


def test_half_precision_outside_changes_nothing_inside():
    images, rows, targets = random_case(7)
    kwargs = {"margin": Margin(0.2), "scale": 8.0, "chunk": 7}
    plain = margin_softmax(images, rows, targets, **kwargs)
    expected = torch.autograd.grad(plain, (images, rows))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = margin_softmax(images, rows, targets, **kwargs)
        found = torch.autograd.grad(inside, (images, rows))  # a trainer goes back inside as well
    assert inside.dtype == torch.float32
    assert inside == plain
    assert all(got.equal(wanted) for got, wanted in zip(found, expected, strict=True))


def test_logits_never_stand_whole():
    images, rows, targets = random_case(8, batch=64, classes=4096, dim=4)
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            made = function(*args, **(kwargs or {}))
            if isinstance(made, torch.Tensor):
                largest = max(largest, made.numel())
            return made

    with Watch():
        margin_softmax(images, rows, targets, margin=Margin(0.2), scale=8.0, chunk=256).backward()
    assert largest == max(64 * 256, 4096 * 4)  # a chunk's logits, the rows; not 64 x 4,096


@pytest.mark.parametrize("angle", [0.2, 0.5, 1.2])
def test_arcface_adds_to_the_angle_and_never_rises_as_the_cosine_falls(angle):
    own = torch.linspace(-0.999, 0.999, 501)
    lowered = Margin(angle=angle)(own)
    thetas = torch.acos(own)
    inside = thetas + angle < math.pi
    torch.testing.assert_close(
        lowered[inside], torch.cos(thetas[inside] + angle), rtol=1e-4, atol=1e-4
    )
    assert (lowered.diff() > 0).all()
    assert (lowered < own).all()
