"""Scope: shards that are fetched as the run comes to them, from a folder and from a real S3."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
import torch

from openmofi.errors import ShardError, StorageError
from openmofi.keys import hash_bytes
from openmofi.storage import open_store
from openmofi.training import tars as tars_module
from openmofi.training.augmentation import Augmentation
from openmofi.training.data import ImageReader, TrainingData
from openmofi.training.loading import step_loader
from openmofi.training.order import SampleOrder
from openmofi.training.shards import TrainingShards, open_shards
from openmofi.training.tars import StoredTar, StreamedTars
from openmofi.training.texts import SampleTexts
from openmofi.versions import Manifest, read_manifest
from support.training import RemoteStore, make_samples, write_training_shards
from support.waiting import wait_for

SHARDS, ROWS, WINDOW = 30, 4, 2
SAMPLES = SHARDS * ROWS


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "s3-cache"  # the same one that `s3_root` names
    monkeypatch.setenv("OPENMOFI_CACHE", str(folder))
    return folder / "training-shards"


@pytest.fixture
def manifest(root) -> Manifest:
    uri = write_training_shards(root, make_samples(SAMPLES, seed=1), shard_rows=ROWS)
    return read_manifest(uri, "training_shards")


def tokenizer(texts):
    return torch.tensor([[len(text)] for text in texts])


def build(shards: TrainingShards) -> TrainingData:
    return TrainingData(
        ImageReader(shards),
        Augmentation((16, 16), crop_area=(0.5, 1.0), crop_aspect=(1.0, 1.0), flip=False),
        SampleTexts(shards.vocabulary, tokenizer, {}, seed=5),
        SampleOrder(shards.rows, seed=5, window_shards=WINDOW),
        seed=5,
        batch_size=4,  # half a window
    )


def digest(batches) -> str:
    (batch,) = batches
    return hash_bytes(batch.images.contiguous().numpy().tobytes()) + " ".join(batch.uids)


def kept(cache: Path) -> int:
    return len(list(cache.glob("*/*.tar")))


def entry(manifest: Manifest, shard: int) -> dict[str, str]:
    found: dict[str, str] = manifest.content["splits"]["train"][shard]
    return found


# Whole runs


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_shards_that_were_fetched_before(manifest, cache, workers):
    steps = range(3, 70)  # over two ends of an epoch
    with open_shards(manifest) as shards:
        expected = [digest(item) for item in step_loader(build(shards), steps, workers=0)]
    with open_shards(manifest, streamed=True) as shards:
        data = build(shards)
        most, found = 0, []
        for item in step_loader(data, steps, workers=workers):
            found.append(digest(item))
            most = max(most, kept(cache))
        assert found == expected
        # Past, present and next window; two workers read up to four steps ahead of the other.
        assert 0 < most <= (3 if workers == 0 else 6) * WINDOW
        data.images.close()
    assert not list(cache.glob("*/"))
    assert len([i for i in manifest.store.list("training/") if i.key.endswith(".tar")]) == SHARDS


def test_the_next_window_comes_before_it_is_needed(manifest, cache):
    with open_shards(manifest, streamed=True) as shards:
        data = build(shards)
        assert kept(cache) == 0
        data[0]
        wait_for(lambda: kept(cache) == 2 * WINDOW)
        data.images.close()


def test_workers_share_nothing_that_the_process_had_before(manifest):
    with open_shards(manifest, streamed=True) as shards:
        data = build(shards)
        expected = [digest(data[step]) for step in range(6)]
        assert [digest(item) for item in step_loader(data, range(6), workers=2)] == expected
        data.images.close()


def test_a_wrong_digest_is_told_when_the_run_comes_to_it(manifest, cache):
    key = entry(manifest, 7)["tar_key"]
    data = bytearray(manifest.store.get(key))
    data[700] ^= 1
    manifest.store.put(key, bytes(data))
    with open_shards(manifest, streamed=True) as shards:
        reader = ImageReader(shards)
        for row in (ROWS * 7 - 1, ROWS * 8):
            reader.read(row, reader.samples([row])[0])
        with pytest.raises(ShardError, match=f"{key} is not what {manifest.uri} names: its digest"):
            reader.read(ROWS * 7, reader.samples([ROWS * 7])[0])
        assert kept(cache) == 2
        assert not list(cache.glob("*/.writing-*"))
        reader.close()


def test_missing_tars_are_found_before_the_first_step(manifest, cache):
    for shard in (4, 9):
        manifest.store.delete(entry(manifest, shard)["tar_key"])
    message = rf"{entry(manifest, 4)['tar_key']} is missing \(2 of 30 tars are\)"
    with pytest.raises(StorageError, match=message), open_shards(manifest, streamed=True):
        pass
    assert not cache.exists()


def test_a_tar_that_is_cut_short_is_found_before_the_first_step(manifest):
    key = entry(manifest, 5)["tar_key"]
    manifest.store.put(key, manifest.store.get(key)[:2000])
    with (
        pytest.raises(ShardError, match=rf"{key} is cut short: it has 2000 bytes"),
        open_shards(manifest, streamed=True),
    ):
        pass


def test_a_process_killed_in_mid_download_leaves_nothing_that_is_taken(
    manifest, tmp_path, monkeypatch
):
    monkeypatch.setattr(tars_module, "_PIECE", 1000)
    folder = tmp_path / "shared"
    folder.mkdir()
    sizes = {info.key: info.size for info in manifest.store.list("training/")}
    first = entry(manifest, 0)
    listed = [StoredTar(first["tar_key"], first["digest"], sizes[first["tar_key"]])]

    def fetch_and_stall() -> None:
        store = RemoteStore(open_store(manifest.store.uri), stalls_after=2)
        StreamedTars(store, listed, folder, "m").open(0)  # type: ignore[arg-type]

    process = multiprocessing.get_context("fork").Process(target=fetch_and_stall)
    process.start()
    wait_for(lambda: any(folder.glob(".writing-*")))
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    tars = StreamedTars(manifest.store, listed, folder, "m")
    with tars.open(0) as reader:  # the dead one's lock is free
        found = reader.read(0, listed[0].size)
    assert hash_bytes(found) == first["digest"]
