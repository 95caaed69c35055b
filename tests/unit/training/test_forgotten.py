"""Training never reads what was taken down, before a compaction and after it, in the same order."""

from pathlib import Path

import pytest
import torch

from openmofi.config import parse_config
from openmofi.dataset.takedown.compact import compact
from openmofi.dataset.takedown.forget import forget
from openmofi.errors import InputError
from openmofi.images import image_id
from openmofi.tombstones import write_tombstones
from openmofi.training.augmentation import Augmentation
from openmofi.training.building import plan_run
from openmofi.training.config import TrainConfig
from openmofi.training.data import ImageReader, TrainingData
from openmofi.training.order import SampleOrder
from openmofi.training.shards import TrainingShards, forgotten, open_shards
from openmofi.training.texts import SampleTexts
from openmofi.versions import Manifest, read_manifest
from support.takedowns import TAKEN, filled_store, picture, uid_of, url
from support.training import make_samples, write_backbone, write_training_shards


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENMOFI_CACHE", str(tmp_path / "cache"))


def manifest_of(uri: str) -> Manifest:
    return read_manifest(uri, "training_shards")


def epoch(shards: TrainingShards) -> list[str]:
    """Uids and pixels of two epochs, in the order in which training takes them."""
    data = TrainingData(
        ImageReader(shards),
        Augmentation((16, 16), crop_area=(0.5, 1.0), crop_aspect=(1.0, 1.0), flip=False),
        SampleTexts(shards.vocabulary, lambda texts: torch.zeros(len(texts), 1), {}, seed=5),
        SampleOrder(shards.rows, seed=5, window_shards=2),
        seed=5,
        batch_size=1,
    )
    batches = [data[step][0] for step in range(2 * sum(shards.rows))]
    data.images.close()
    return [f"{one.uids[0]} {int(one.images.long().sum())}" for one in batches]


@pytest.mark.parametrize("streamed", [False, True])
def test_it_is_read_before_and_after_a_compaction_as_if_it_had_never_been_there(
    tmp_path: Path, streamed: bool
) -> None:
    filled = filled_store(tmp_path)
    taken, found = uid_of(filled, TAKEN), []
    with open_shards(manifest_of(filled.training_shards), streamed=streamed) as shards:
        before = epoch(shards)
    assert any(one.startswith(taken) for one in before)
    forget(str(filled.root), urls=[url(TAKEN)])
    for _ in range(2):
        with open_shards(manifest_of(filled.training_shards), streamed=streamed) as shards:
            found.append(epoch(shards))
        compact(str(filled.root))
    assert not any(one.startswith(taken) for one in found[0])
    assert found[0] == found[1]
    assert set(found[0]) == {one for one in before if not one.startswith(taken)}


def test_lists_of_uids_need_no_pool(tmp_path: Path) -> None:
    """A copy of training shards alone trains on: what else would tell what a uid is?"""
    samples = make_samples(12, seed=1)
    uri = write_training_shards(tmp_path, samples, shard_rows=4)
    manifest = manifest_of(uri)
    gone = [samples[place]["uid"] for place in (1, 4, 5, 6, 7)]  # the second shard is all gone
    write_tombstones(manifest.store, ids=gone, urls=["a" * 32])
    with open_shards(manifest) as shards:
        assert shards.rows == (3, 4)
        left = [sample["uid"] for sample in samples if sample["uid"] not in gone]
        assert shards.samples.column("uid").to_pylist() == left
        assert {one.split()[0] for one in epoch(shards)} == set(left)
    assert forgotten(manifest) == sorted(gone)


def test_with_nothing_left_there_is_no_training_sample(tmp_path: Path) -> None:
    samples = make_samples(6, seed=1)
    manifest = manifest_of(write_training_shards(tmp_path, samples))
    write_tombstones(manifest.store, ids=[one["uid"] for one in samples], urls=[])
    with pytest.raises(InputError, match="has no training sample"), open_shards(manifest):
        pass


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_run_on_what_is_left_is_another_run(tmp_path: Path, by_hand: bool) -> None:
    """Else it would go on at checkpoints of another order, or take the old model for its own."""
    filled = filled_store(tmp_path)
    backbone = write_backbone(tmp_path)
    settings = parse_config(
        TrainConfig, {"backbone": backbone, "objectives": "contrastive"}, where="train"
    )

    def recipe() -> str:
        return plan_run(settings, manifest_of(filled.training_shards), "one").recipe

    first = recipe()
    if by_hand:
        filled.store.put("tombstones/list.txt", image_id(picture(TAKEN)).encode())
    else:
        forget(str(filled.root), urls=[url(TAKEN)])
    assert forgotten(manifest_of(filled.training_shards)) == [uid_of(filled, TAKEN)]
    second = recipe()
    compact(str(filled.root))
    assert first != second == recipe()


def test_a_list_of_samples_that_are_not_in_it_changes_no_run(tmp_path: Path) -> None:
    samples = make_samples(6, seed=1)
    manifest = manifest_of(write_training_shards(tmp_path, samples))
    assert forgotten(manifest) == []
    write_tombstones(manifest.store, ids=["0" * 32], urls=[])
    assert forgotten(manifest) == []
