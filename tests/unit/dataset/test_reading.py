"""A data set for PyTorch: what an item is, that any worker gets it, and that take-downs hold."""

import copy
import io
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms.functional import pil_to_tensor

from openmofi.dataset.reading import TrainingImages
from openmofi.errors import InputError, ShardError, StorageError
from openmofi.images import image_id
from openmofi.records import from_parquet
from openmofi.storage import FolderStore
from openmofi.versions import Manifest
from support.exports import pixels, samples_of, write_shards
from support.tables import Pair, labelled, noise_jpeg


@pytest.fixture
def made(root: Path, knowledge_base: str) -> Manifest:
    return write_shards(root, knowledge_base)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_an_item_is_the_sample_of_that_place(made: Manifest, split: str) -> None:
    data = TrainingImages(made.uri, split)
    expected = samples_of(made, split)
    assert len(data) == len(expected) > 2
    most = max(len(sample["labels"]) for sample in expected)
    for item, sample in zip(data, expected, strict=True):
        assert np.array_equal(np.asarray(item["image"]), pixels(sample["data"]))
        assert (item["uid"], item["alt_text"]) == (sample["uid"], sample["alt_text"])
        padding = [-1] * (most - len(sample["labels"]))
        assert item["labels"].tolist() == sample["labels"] + padding
    assert data[-1]["uid"] == expected[-1]["uid"]
    with pytest.raises(IndexError):
        data[len(expected)]


def test_a_class_has_the_name_of_the_vocabulary(made: Manifest) -> None:
    data = TrainingImages(made.uri)
    rows = from_parquet(made.store.get(made.content["vocabulary"])).to_pylist()
    assert data.classes == [row["name"] for row in rows] == ["Chad", "Norway", "Peru"]
    assert data.vocabulary.to_pylist() == rows


def test_pytorch_makes_batches_of_it_with_nothing_else(made: Manifest) -> None:
    data = TrainingImages(made.uri, transform=pil_to_tensor)
    (batch,) = DataLoader(data, batch_size=len(data))  # type: ignore[arg-type]
    assert batch["image"].shape == (len(data), 3, 32, 32)
    assert batch["labels"].shape == (len(data), 2)
    assert batch["labels"].dtype == torch.int64
    assert batch["uid"] == [sample["uid"] for sample in samples_of(made, "train")]


@pytest.mark.parametrize("workers", [0, 2])
def test_any_number_of_workers_gives_every_sample_once(made: Manifest, workers: int) -> None:
    data = TrainingImages(made.uri, transform=pil_to_tensor)
    loader = DataLoader(data, batch_size=4, shuffle=True, num_workers=workers)  # type: ignore[arg-type]
    found = {
        uid: image.numpy().transpose(1, 2, 0)
        for batch in loader
        for uid, image in zip(batch["uid"], batch["image"], strict=True)
    }
    expected = {sample["uid"]: pixels(sample["data"]) for sample in samples_of(made, "train")}
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[uid], expected[uid]) for uid in expected)


class Connected(FolderStore):
    """A store whose connections break in any process but the one that opened them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder, self.process = folder, os.getpid()

    def __copy__(self) -> "Connected":
        return Connected(self.folder)

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        assert self.process == os.getpid(), "the parent's connection was used"
        return super().get_range(key, offset, length)


def test_a_worker_opens_connections_of_its_own(made: Manifest, root: Path) -> None:
    data = TrainingImages(made.uri, transform=pil_to_tensor)
    data._store = Connected(root)
    loader = DataLoader(data, batch_size=4, num_workers=1, multiprocessing_context="fork")  # type: ignore[arg-type]
    assert sum(len(batch["uid"]) for batch in loader) == len(data)


def test_it_can_be_handed_to_a_process_that_was_not_forked(made: Manifest) -> None:
    data = TrainingImages(made.uri)
    again = pickle.loads(pickle.dumps(data))
    assert [item["uid"] for item in again] == [item["uid"] for item in data]


def test_a_picture_is_turned_as_its_exif_says(root: Path, knowledge_base: str) -> None:
    upright = Image.open(io.BytesIO(noise_jpeg(1))).resize((48, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # the top is at the right
    sink = io.BytesIO()
    upright.save(sink, "JPEG", exif=exif, quality=95)
    made = write_shards(root, knowledge_base, [Pair(sink.getvalue(), "lying")], validation_share=0)
    item = TrainingImages(made.uri)[0]
    assert item["image"].size == (32, 48)
    turned = np.rot90(pixels(sink.getvalue()), -1)
    assert np.array_equal(np.asarray(item["image"]), turned)
    assert item["labels"].tolist() == [-1]  # one of a data set without labels


def take_down(made: Manifest, *ids: str) -> None:
    made.store.put("tombstones/list.txt", "\n".join([*ids, "# a reason"]).encode())


def test_what_was_taken_down_since_is_not_there(made: Manifest) -> None:
    """By uid and by image, and nothing else moves: places, labels and pictures stay together."""
    expected = samples_of(made, "train")
    by_uid, by_image = expected[3], expected[6]
    take_down(made, by_uid["uid"], image_id(by_image["data"]), "0" * 32)
    left = [one for one in expected if one not in (by_uid, by_image)]
    data = TrainingImages(made.uri)
    assert [item["uid"] for item in data] == [one["uid"] for one in left]
    for item, one in zip(data, left, strict=True):
        assert np.array_equal(np.asarray(item["image"]), pixels(one["data"]))


def test_a_split_that_is_all_taken_down_or_was_never_there_is_told(
    made: Manifest, root: Path
) -> None:
    with pytest.raises(InputError, match="no sample in split 'test'; it was built with train "):
        TrainingImages(made.uri, "test")
    take_down(made, *(one["uid"] for one in samples_of(made, "validation")))
    with pytest.raises(InputError, match="no sample in split 'validation'"):
        TrainingImages(made.uri, "validation")
    with pytest.raises(InputError, match="'training_shards' is needed"):
        TrainingImages(made.uri.replace("/training_shards/", "/dataset/"))


def test_a_tar_that_is_gone_or_damaged_is_named(made: Manifest) -> None:
    data = TrainingImages(made.uri)
    key = made.content["splits"]["train"][1]["tar_key"]
    size = len(made.store.get(key))
    made.store.put(key, bytes(size))
    with pytest.raises(ShardError, match=f"{key}, sample 000000005: image does not decode"):
        data[5]
    made.store.put(key, bytes(700))
    with pytest.raises(StorageError, match=f"{key} is cut short"):
        data[9]
    made.store.delete(key)
    with pytest.raises(StorageError, match=f"cannot read .*{key}"):
        data[5]
    assert data[4]["uid"] == samples_of_first(made)[4]["uid"]


def samples_of_first(made: Manifest) -> list[dict[str, Any]]:
    content = copy.deepcopy(dict(made.content))
    content["splits"]["train"] = content["splits"]["train"][:1]
    return samples_of(Manifest(made.store, made.kind, made.digest, content), "train")


def test_a_copy_of_the_root_is_read_where_it_lies(
    root: Path, tmp_path: Path, knowledge_base: str
) -> None:
    made = write_shards(root, knowledge_base, [labelled(seed) for seed in range(8)])
    uids = [one["uid"] for one in samples_of(made, "train")]
    root.rename(tmp_path / "elsewhere")
    moved = made.uri.replace(root.as_uri(), (tmp_path / "elsewhere").as_uri())
    FolderStore(tmp_path / "elsewhere").put("tombstones/list.txt", uids[0].encode())
    assert [item["uid"] for item in TrainingImages(moved)] == uids[1:]


def test_without_a_tombstone_the_pool_is_not_read(made: Manifest) -> None:
    """It may be a hundred times as large, and need not be where the shards were copied to."""
    for info in [*made.store.list("tables/"), *made.store.list("manifests/dataset/")]:
        made.store.delete(info.key)
    assert len(TrainingImages(made.uri)) == made.content["rows"]["train"]


def test_reading_needs_no_torch() -> None:
    program = "import sys, openmofi.dataset.reading; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
