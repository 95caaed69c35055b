"""Oracle: torch.optim.Adam on a whole parameter."""

import pytest
import torch

from openmofi.errors import InputError
from openmofi.training.class_head import ClassHead, class_block, initial_rows

BETAS = (0.9, 0.98)


def quadratic(rows, target):
    return ((rows - target) ** 2).sum()


def test_all_rows_taken_equals_adam():
    head = ClassHead(range(6), 4, seed=0, betas=BETAS)
    parameter = torch.nn.Parameter(head.rows.clone())
    adam = torch.optim.Adam([parameter], lr=0.01, betas=BETAS)
    target = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    for _ in range(20):
        quadratic(head.take(torch.arange(6)), target).backward()
        head.step(0.01)
        adam.zero_grad()
        quadratic(parameter, target).backward()
        adam.step()
    torch.testing.assert_close(head.rows, parameter.detach(), rtol=1e-5, atol=1e-6)


def test_a_row_is_updated_as_if_only_its_own_steps_existed():
    head = ClassHead(range(6), 4, seed=0, betas=BETAS)
    parameter = torch.nn.Parameter(head.rows[[2]].clone())
    adam = torch.optim.Adam([parameter], lr=0.01, betas=BETAS)
    target = torch.ones(6, 4)
    for step in range(12):
        classes = torch.tensor([0, 2, 5]) if step % 3 == 0 else torch.tensor([0, 4])
        quadratic(head.take(classes), target[classes]).backward()
        head.step(0.01)
        if step % 3 == 0:
            adam.zero_grad()
            quadratic(parameter, target[[2]]).backward()
            adam.step()
    torch.testing.assert_close(head.rows[[2]], parameter.detach(), rtol=1e-5, atol=1e-6)


def test_rows_that_were_not_taken_stay_to_the_bit():
    head = ClassHead(range(6), 4, seed=0)
    before = head.rows.clone()
    quadratic(head.take(torch.tensor([1, 3])), 1.0).backward()
    head.step(0.1)
    others = [0, 2, 4, 5]
    assert head.rows[others].equal(before[others])
    assert not head.rows[[1, 3]].equal(before[[1, 3]])


def test_accumulated_gradients_are_summed_by_class():
    once, twice = (ClassHead(range(6), 4, seed=0) for _ in range(2))
    weight = torch.randn(6, 4, generator=torch.Generator().manual_seed(2))
    for classes in (torch.tensor([0, 2, 3]), torch.tensor([2, 5])):
        (twice.take(classes) * weight[classes]).sum().backward()
    classes = torch.tensor([0, 2, 3, 5])
    counts = torch.tensor([1.0, 2.0, 1.0, 1.0])[:, None]
    (once.take(classes) * weight[classes] * counts).sum().backward()
    torch.testing.assert_close(twice.gradient(), once.gradient())
    once.step(0.1)
    twice.step(0.1)
    torch.testing.assert_close(twice.rows, once.rows)


def test_a_scaled_gradient_is_the_one_that_counts():
    head = ClassHead(range(3), 4, seed=0)
    before = head.rows.clone()
    head.take(torch.tensor([1])).sum().backward()
    head.gradient().mul_(0.0)
    head.step(0.1)
    assert head.rows.equal(before)


def test_a_step_without_backward_changes_nothing():
    head = ClassHead(range(3), 4, seed=0)
    before = head.rows.clone()
    head.take(torch.tensor([1]))
    assert head.gradient().shape == (0, 4)
    head.step(0.1)
    assert head.rows.equal(before)


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
def test_blocks_cover_all_classes_in_order(world_size):
    blocks = [class_block(20, rank, world_size) for rank in range(world_size)]
    assert [c for block in blocks for c in block] == list(range(20))
    assert max(map(len, blocks)) - min(map(len, blocks)) <= 1


def test_a_row_depends_on_seed_and_class_alone():
    whole = initial_rows(range(9000), 3, seed=5)
    for block in (range(10), range(4000, 4100), range(8192, 9000)):
        assert initial_rows(block, 3, seed=5).equal(whole[block.start : block.stop])
    assert not initial_rows(range(10), 3, seed=6).equal(whole[:10])
    assert abs(whole.std().item() - 0.01) < 0.0005


def test_a_block_takes_global_class_indices():
    head = ClassHead(range(10, 20), 4, seed=0)
    assert head.take(torch.tensor([10, 19])).detach().equal(head.rows[[0, 9]])


def test_growth_keeps_rows_and_equals_a_head_of_that_size():
    head = ClassHead(range(4), 3, seed=0)
    head.take(torch.arange(4)).sum().backward()
    head.step(0.1)
    old = head.state_dict()
    head.grow(range(6))
    assert head.rows[:4].equal(old["rows"])
    assert head.state_dict()["second_moments"][:4].equal(old["second_moments"])
    assert head.rows[4:].equal(ClassHead(range(6), 3, seed=0).rows[4:])
    with pytest.raises(ValueError, match="cannot grow"):
        head.grow(range(5))


def test_state_goes_on_to_the_bit():
    def advance(head, steps):
        for step in steps:
            classes = torch.tensor([step % 4, 4])
            quadratic(head.take(classes), float(step)).backward()
            head.step(0.05)

    straight, first, second = (ClassHead(range(5), 3, seed=0) for _ in range(3))
    advance(straight, range(10))
    advance(first, range(6))
    second.load_state_dict(first.state_dict())
    advance(second, range(6, 10))
    for name, value in straight.state_dict().items():
        assert torch.equal(torch.as_tensor(second.state_dict()[name]), torch.as_tensor(value))


def test_another_vocabularys_state_is_refused():
    head = ClassHead(range(5), 3, seed=0)
    with pytest.raises(InputError, match="another vocabulary"):
        head.load_state_dict(ClassHead(range(6), 3, seed=0).state_dict())
