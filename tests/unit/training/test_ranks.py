"""Several gloo processes against one: twenty steps with clipping and accumulation, and resumes."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from openmofi.errors import InputError
from openmofi.storage import open_store
from openmofi.training.checkpoint import Checkpoints
from openmofi.training.trainer import Ranks
from support import linear_training
from support.linear_training import BATCH, CLASSES, STEPS, train_launched, train_rank
from support.warm_ranks import forked_with, launch

HALF = STEPS // 2


@pytest.fixture(scope="module", autouse=True)
def warm() -> Iterator[None]:
    with forked_with(linear_training.__name__):
        yield


def train(folder: Path, first: int, last: int, recipe: str, ranks: int) -> Path:
    if ranks == 1:
        train_rank(str(folder), first, last, recipe, Ranks())
        return folder
    launch(train_launched, ranks, str(folder), first, last, recipe)
    return folder


def state(folder: Path) -> dict[str, torch.Tensor]:
    """Weights, and class rows of all ranks in order."""
    store = open_store(str(folder))
    checkpoints = Checkpoints(store, "recipe")
    pieces = list(checkpoints.class_rows("supervised"))
    assert [c for classes, _ in pieces for c in classes] == list(range(CLASSES))
    trunk = store.get(f"checkpoints/recipe/step-{checkpoints.latest():08d}/trunk.pt")
    (folder / "trunk.pt").write_bytes(trunk)
    weights = torch.load(folder / "trunk.pt", weights_only=True)["backbone"]
    return {**weights, "class rows": torch.cat([rows for _, rows in pieces])}


def assert_close(folder: Path, other: Path) -> None:
    ours, theirs = state(folder), state(other)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-4, atol=1e-5, msg=name)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One process, all steps."""
    return {
        recipe: train(tmp_path_factory.mktemp(recipe), 0, STEPS, recipe, 1)
        for recipe in linear_training.RECIPES
    }


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two ranks, saved half way."""
    return train(tmp_path_factory.mktemp("half"), 0, HALF, "sampled", 2)


@pytest.mark.parametrize(
    ("recipe", "ranks"), [("whole", 2), ("sampled", 4), ("soft", 2), ("soft", 4)]
)
def test_several_ranks_equal_one(recipe: str, ranks: int, alone: dict[str, Path], tmp_path: Path):
    assert_close(train(tmp_path / "several", 0, STEPS, recipe, ranks), alone[recipe])


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_saved_on_two_ranks_and_resumed_on_others(
    ranks: int, half: Path, alone: dict[str, Path], tmp_path: Path
):
    folder = shutil.copytree(half, tmp_path / "resumed")
    assert_close(train(folder, HALF, STEPS, "sampled", ranks), alone["sampled"])


def test_a_batch_that_ranks_cannot_share_is_refused(monkeypatch: pytest.MonkeyPatch):
    for name, value in {"WORLD_SIZE": "5", "RANK": "0", "TORCHELASTIC_RUN_ID": "x"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=f"batch_size {BATCH} .*5"):
        Ranks.from_environment(BATCH)


def test_ranks_without_torchrun_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    with pytest.raises(InputError, match="torchrun did not start this process"):
        Ranks.from_environment(BATCH)


def test_a_checkpoint_of_another_vocabulary_is_refused(alone: dict[str, Path], tmp_path: Path):
    folder = shutil.copytree(alone["whole"], tmp_path / "other")
    index = folder / "checkpoints/recipe/latest.json"
    found = json.loads(index.read_text())
    found["heads"]["supervised"] = [[0, CLASSES + 1, found["heads"]["supervised"][0][2]]]
    index.write_text(json.dumps(found))
    with pytest.raises(InputError, match=f"class rows of {CLASSES + 1} classes, .*{CLASSES}: it b"):
        train_rank(str(folder), STEPS, STEPS + 1, "whole", Ranks())


def test_a_save_that_was_killed_before_its_index_leaves_the_one_before(tmp_path: Path):
    """Pieces of a later step, cut short, are not looked at."""
    folder = train(tmp_path / "killed", 0, HALF, "whole", 1)
    before = state(folder)
    later = folder / f"checkpoints/recipe/step-{HALF + 5:08d}"
    later.mkdir()
    (later / "supervised-000000000-000000013.pt").write_bytes(b"PK cut short")
    assert Checkpoints(open_store(str(folder)), "recipe").latest() == HALF
    for name, value in state(folder).items():
        assert value.equal(before[name])
