"""Oracle: torch.optim.Adam on a whole parameter."""

import pytest
import torch

from openmofi.errors import InputError
from openmofi.training.class_head import ClassHead, class_block, initial_rows

BETAS = (0.9, 0.98)


def taken(head, classes):
    """The rows as an autograd leaf whose gradient goes where the head looks for it."""
    one = head.take(classes)
    return _Rows.apply(one.leaf, one.table[one.places])


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, leaf, rows):
        return rows.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient.clone(), None


def quadratic(rows, target):
    return ((rows - target) ** 2).sum()


def test_all_rows_taken_equals_adam():
    head = ClassHead(range(6), 4, seed=0, betas=BETAS)
    parameter = torch.nn.Parameter(head.rows.clone())
    adam = torch.optim.Adam([parameter], lr=0.01, betas=BETAS)
    target = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    for _ in range(20):
        quadratic(taken(head, torch.arange(6)), target).backward()
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
        quadratic(taken(head, classes), target[classes]).backward()
        head.step(0.01)
        if step % 3 == 0:
            adam.zero_grad()
            quadratic(parameter, target[[2]]).backward()
            adam.step()
    torch.testing.assert_close(head.rows[[2]], parameter.detach(), rtol=1e-5, atol=1e-6)


def test_rows_that_were_not_taken_stay_to_the_bit():
    head = ClassHead(range(6), 4, seed=0)
    before = head.rows.clone()
    quadratic(taken(head, torch.tensor([1, 3])), 1.0).backward()
    head.step(0.1)
    others = [0, 2, 4, 5]
    assert head.rows[others].equal(before[others])
    assert not head.rows[[1, 3]].equal(before[[1, 3]])


def test_accumulated_gradients_are_summed_by_class():
    once, twice = (ClassHead(range(6), 4, seed=0) for _ in range(2))
    weight = torch.randn(6, 4, generator=torch.Generator().manual_seed(2))
    for classes in (torch.tensor([0, 2, 3]), torch.tensor([2, 5])):
        (taken(twice, classes) * weight[classes]).sum().backward()
    classes = torch.tensor([0, 2, 3, 5])
    counts = torch.tensor([1.0, 2.0, 1.0, 1.0])[:, None]
    (taken(once, classes) * weight[classes] * counts).sum().backward()
    torch.testing.assert_close(twice.gradient(), once.gradient())
    once.step(0.1)
    twice.step(0.1)
    torch.testing.assert_close(twice.rows, once.rows)


def test_a_scaled_gradient_is_the_one_that_counts():
    head = ClassHead(range(3), 4, seed=0)
    before = head.rows.clone()
    taken(head, torch.tensor([1])).sum().backward()
    head.gradient().mul_(0.0)
    head.step(0.1)
    assert head.rows.equal(before)


def test_a_step_without_backward_changes_nothing():
    head = ClassHead(range(3), 4, seed=0)
    before = head.rows.clone()
    taken(head, torch.tensor([1]))
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
    assert taken(head, torch.tensor([10, 19])).detach().equal(head.rows[[0, 9]])


def test_growth_keeps_rows_and_equals_a_head_of_that_size():
    head = ClassHead(range(4), 3, seed=0)
    taken(head, torch.arange(4)).sum().backward()
    head.step(0.1)
    old = head.part(range(4))
    head.grow(range(6))
    for name, value in head.part(range(4)).items():
        assert value.equal(old[name])
    assert head.rows[4:].equal(ClassHead(range(6), 3, seed=0).rows[4:])
    assert head.part(range(4, 6))["second_moments"].equal(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="cannot grow"):
        head.grow(range(5))


def advance(heads, steps, classes=7):
    """Steps of one head, or of several that have the classes between them."""
    for step in steps:
        for head in heads:
            wanted = {step % 4, 4, step * 3 % classes} & set(head.block)
            places = torch.tensor(sorted(wanted), dtype=torch.int64)
            quadratic(taken(head, places), float(step)).backward()
            head.step(0.05)


def heads_of(ranks, **options):
    return [ClassHead(class_block(7, r, ranks), 3, seed=0, **options) for r in range(ranks)]


def rows_of(heads):
    return torch.cat([head.rows for head in heads])


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
@pytest.mark.parametrize("again", [1, 2, 3, 4])
def test_state_goes_on_to_the_bit_on_any_number_of_ranks(ranks, again):
    straight, first, second = heads_of(1), heads_of(ranks), heads_of(again)
    advance(straight, range(10))
    advance(first, range(6))
    for head in first:
        for start in range(head.block.start, head.block.stop, 2):  # in pieces, as a checkpoint is
            piece = range(start, min(start + 2, head.block.stop))
            for other in second:
                other.load_part(piece, head.part(piece))
    advance(second, range(6, 10))
    assert rows_of(second).equal(straight[0].rows)


@pytest.mark.parametrize("state", ["cpu", "disk"])
def test_where_the_moments_lie_changes_nothing(state, tmp_path):
    plain, other = heads_of(1), heads_of(1, state=str(tmp_path) if state == "disk" else state)
    advance(plain, range(10))
    advance(other, range(10))
    assert other[0].rows.equal(plain[0].rows)
    other[0].grow(range(9))
    plain[0].grow(range(9))
    for name, value in plain[0].part(range(9)).items():
        assert other[0].part(range(9))[name].equal(value)
    assert not list(tmp_path.iterdir())  # nothing is left, whenever the process ends


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"class_state .*nowhere.* is neither"):
        heads_of(1, state=str(tmp_path / "nowhere"))


def test_rows_of_another_width_are_refused():
    part = ClassHead(range(5), 4, seed=0).part(range(5))
    with pytest.raises(InputError, match="4 wide, this run's 3"):
        ClassHead(range(5), 3, seed=0).load_part(range(5), part)


def test_a_rank_without_classes_takes_its_steps():
    (head,) = [ClassHead(range(3, 3), 4, seed=0)]
    taken(head, torch.zeros(0, dtype=torch.int64)).sum().backward()
    assert head.gradient().shape == (0, 4)
    head.step(0.1)
