import os
from pathlib import Path

import numpy as np
import pytest
import torch

from openmofi.errors import InputError, ShardError, StorageError
from openmofi.keys import hash_bytes, hash_json
from openmofi.training.augmentation import Augmentation
from openmofi.training.building import STAGE_VERSION
from openmofi.training.data import Batch, ImageReader, TrainingData, check_inputs
from openmofi.training.loading import step_loader
from openmofi.training.order import SampleOrder
from openmofi.training.shards import TrainingShards, open_shards
from openmofi.training.texts import SampleTexts
from openmofi.versions import read_manifest
from support.training import make_samples, write_training_shards

MIX = {"alt_text": 1.0, "name": 1.0, "name_and_description": 1.0}


def tokenizer(texts):
    """Letters as they are."""
    return torch.stack([torch.tensor(list(text.ljust(40).encode())[:40]) for text in texts])


def build(
    shards: TrainingShards, *, cache_bytes=0, batch_size=16, weights=None, **options
) -> TrainingData:
    return TrainingData(
        ImageReader(shards, cache_bytes=cache_bytes),
        Augmentation((32, 32), crop_area=(0.5, 1.0), crop_aspect=(0.75, 4 / 3), flip=False),
        SampleTexts(shards.vocabulary, tokenizer, {"contrastive": MIX}, seed=5),
        SampleOrder(shards.rows, seed=5, window_shards=2, weights=weights),
        seed=5,
        batch_size=batch_size,
        **options,
    )


@pytest.fixture
def manifest(tmp_path):
    return read_manifest(
        write_training_shards(tmp_path, make_samples(100, seed=1)), "training_shards"
    )


@pytest.fixture
def shards(manifest):
    with open_shards(manifest) as opened:
        yield opened


def digest(batches) -> str:
    parts = []
    for batch in batches:
        arrays = [batch.images, batch.labels, *batch.tokens.values()]
        parts.append([hash_bytes(a.contiguous().numpy().tobytes()) for a in arrays])
        parts.append([list(batch.uids), batch.seed])
    return hash_json(parts)


def digests(loader) -> list[str]:
    return [digest(batches) for batches in loader]


def test_workers_and_cache_change_nothing(shards):
    expected = [digest(build(shards)[step]) for step in range(3, 12)]
    assert digests(step_loader(build(shards), range(3, 12), workers=0)) == expected
    assert digests(step_loader(build(shards), range(3, 12), workers=2)) == expected
    cached = build(shards, cache_bytes=1 << 20)
    assert digests(step_loader(cached, range(3, 12), workers=0)) == expected
    assert [digest(cached[step]) for step in range(3, 12)] == expected
    partly = build(shards, cache_bytes=50_000)  # eight images
    assert [digest(partly[step]) for step in range(3, 12)] == expected


def test_workers_do_not_share_files_that_were_open_before(shards):
    data = build(shards)
    expected = [digest(data[step]) for step in range(6)]
    assert digests(step_loader(data, range(6), workers=2)) == expected


def test_accumulated_batches_are_the_same_samples(shards):
    whole = build(shards, batch_size=16)[1][0]
    parts = build(shards, batch_size=4, accumulate=4)[1]
    assert [uid for part in parts for uid in part.uids] == list(whole.uids)
    assert torch.cat([part.images for part in parts]).equal(whole.images)


def joined(parts: list[Batch]) -> Batch:
    """One batch of the rows of several, in order."""
    width = max(part.label_sets.shape[1] for part in parts)
    sets = [
        torch.nn.functional.pad(p.label_sets, (0, width - p.label_sets.shape[1]), value=-1)
        for p in parts
    ]
    return Batch(
        images=torch.cat([part.images for part in parts]),
        labels=torch.cat([part.labels for part in parts]),
        label_sets=torch.cat(sets),
        tokens={"contrastive": torch.cat([part.tokens["contrastive"] for part in parts])},
        uids=tuple(uid for part in parts for uid in part.uids),
        seed=parts[0].seed,
    )


@pytest.mark.parametrize(("ranks", "workers"), [(1, 2), (2, 0), (3, 1), (4, 2)])
def test_the_rows_of_all_ranks_are_the_batch_of_one(shards, ranks, workers):
    options = {"batch_size": 24, "accumulate": 2}
    steps = range(1, 4)
    loaders = [
        step_loader(build(shards, rank=rank, world_size=ranks, **options), steps, workers=workers)
        for rank in range(ranks)
    ]
    whole = build(shards, **options)
    for step, *items in zip(steps, *loaders, strict=True):
        for expected, *parts in zip(whole[step], *items, strict=True):
            assert [len(part.uids) for part in parts] == [24 // ranks] * ranks
            assert {part.seed for part in parts} == {expected.seed}
            assert digest([joined(parts)]) == digest([expected])
            assert joined(parts).label_sets.equal(expected.label_sets)


def test_ranks_must_divide_a_batch(shards):
    with pytest.raises(InputError, match=r"batch_size 16 .* 3 ranks .* 15 would do") as caught:
        build(shards, world_size=3)
    assert "\n" not in str(caught.value)


def test_label_sets_hold_all_distinct_labels(tmp_path):
    samples = make_samples(8, seed=1)
    for sample, labels in zip(samples, [[3], [], [5, 2, 7], [1, 1], [], [0, 4]], strict=False):
        sample["labels"] = labels
    by_uid = {sample["uid"]: sample["labels"] for sample in samples}
    uri = write_training_shards(tmp_path, samples)
    with open_shards(read_manifest(uri, "training_shards")) as opened:
        (batch,) = build(opened, batch_size=8)[0]
    assert batch.label_sets.dtype == torch.int64
    assert batch.label_sets.shape == (8, 3)
    for uid, row in zip(batch.uids, batch.label_sets.tolist(), strict=True):
        labels = list(dict.fromkeys(by_uid[uid]))
        assert row == labels + [-1] * (3 - len(labels))
    assert batch.to(torch.device("meta")).label_sets.device.type == "meta"


def test_label_sets_have_a_column_where_nothing_is_labelled(tmp_path):
    uri = write_training_shards(tmp_path, make_samples(4, seed=1, labelled=False))
    with open_shards(read_manifest(uri, "training_shards")) as opened:
        (batch,) = build(opened, batch_size=4)[0]
    assert batch.label_sets.tolist() == [[-1]] * 4


def test_repeats_in_an_epoch_are_drawn_anew(shards):
    weights = np.ones(100)
    weights[7] = 50.0
    (batch,) = build(shards, batch_size=100, weights=weights)[0]
    uid = shards.samples.column("uid")[7].as_py()
    places = [i for i, other in enumerate(batch.uids) if other == uid]
    assert len(places) > 20
    pictures = {hash_bytes(batch.images[i].contiguous().numpy().tobytes()) for i in places}
    assert len(pictures) == len(places)


def test_tars_of_other_windows_are_closed(tmp_path):
    uri = write_training_shards(tmp_path, make_samples(100, seed=1), shard_rows=5)
    with open_shards(read_manifest(uri, "training_shards")) as opened:
        data = build(opened, batch_size=10)
        for step in range(25):
            data[step]
            assert 1 <= len(open_files(tmp_path)) <= 4  # a window of two, and the next one's
        data.images.close()
        assert not open_files(tmp_path)


def open_files(folder: Path) -> list[str]:
    """Files of this process under ``folder``. Linux only."""
    links = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is(fd)]
    return [link for link in links if link.startswith(str(folder))]


def _is(fd: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{fd}")  # the listing's own is closed by now


def test_an_epoch_has_every_sample_with_its_own_label(shards):
    labels = dict(
        zip(
            shards.samples.column("uid").to_pylist(),
            shards.samples.column("labels").to_pylist(),
            strict=True,
        )
    )
    data = build(shards, batch_size=10)
    seen = []
    for step in range(10):
        (batch,) = data[step]
        seen += batch.uids
        assert [labels[uid] for uid in batch.uids] == [[label] for label in batch.labels.tolist()]
    assert sorted(seen) == sorted(labels)


def test_an_image_is_cropped_anew_every_epoch(shards):
    data = build(shards, batch_size=100)
    (first,), (second,) = data[0], data[1]
    places = [second.uids.index(uid) for uid in first.uids]
    same = (first.images == second.images[places]).flatten(1).all(1)
    assert same.float().mean() < 0.05


def test_batches_are_channels_last_bytes(shards):
    (batch,) = build(shards)[0]
    assert batch.images.shape == (16, 3, 32, 32)
    assert batch.images.dtype == torch.uint8
    assert batch.images.is_contiguous(memory_format=torch.channels_last)


def test_batches_are_pinned_to_the_stage_version(shards):
    """Raise STAGE_VERSION when order, augmentation, labels or texts change on purpose."""
    found = hash_json([digest(build(shards, accumulate=2)[step]) for step in (0, 7)])
    assert (STAGE_VERSION, found) == (2, "119e1e9dcee0dcf3960bffef75efe514")


def test_a_tar_that_changed_is_found(manifest):
    key = manifest.content["splits"]["train"][1]["tar_key"]
    data = bytearray(manifest.store.get(key))
    data[1000] ^= 1
    manifest.store.put(key, bytes(data))
    with (
        pytest.raises(ShardError, match=f"{key} is not what .* its digest differs"),
        open_shards(manifest),
    ):
        pass


def test_a_missing_tar_is_named(manifest):
    key = manifest.content["splits"]["train"][2]["tar_key"]
    manifest.store.delete(key)
    with pytest.raises(StorageError, match=key), open_shards(manifest):
        pass


def test_no_sample_at_all(tmp_path):
    uri = write_training_shards(tmp_path, [])
    with (
        pytest.raises(InputError, match="no training sample"),
        open_shards(read_manifest(uri, "training_shards")),
    ):
        pass


def test_an_image_that_does_not_decode_is_named(shards):
    sample = shards.samples.slice(50, 1).to_pylist()[0]
    with pytest.raises(ShardError, match=rf"00001\.tar, sample {sample['key']}: image does not"):
        ImageReader(shards).read(50, {**sample, "length": 40})


@pytest.mark.parametrize("workers", [0, 1])
def test_a_worker_tells_an_error_in_one_line(manifest, workers):
    key = manifest.content["splits"]["train"][0]["tar_key"]
    with open_shards(manifest) as opened:
        path = manifest.store._path(key)
        path.write_bytes(bytes(path.stat().st_size))
        with pytest.raises(ShardError, match="image does not decode") as caught:
            list(step_loader(build(opened), range(6), workers=workers))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "supervised", "message"),
    [
        ({}, False, "batch_size 101 is more than the data set's 100 samples"),
        ({"vocabulary": False}, True, "vocabulary is empty"),
        ({"labelled": False}, True, "no sample has one"),
        ({"vocabulary": False}, False, "labels run from 0 to 7.* has 0 classes"),
    ],
)
def test_senseless_input_is_refused_in_one_line(tmp_path, options, supervised, message):
    samples = make_samples(100, seed=1, labelled=options.get("labelled", True))
    uri = write_training_shards(tmp_path, samples, vocabulary=options.get("vocabulary", True))
    size = 101 if not options else 32
    with open_shards(read_manifest(uri, "training_shards")) as shards:
        with pytest.raises(InputError, match=message) as caught:
            check_inputs(shards, batch_size=size, supervised=supervised)
        assert "\n" not in str(caught.value)


def test_good_input_passes(shards):
    check_inputs(shards, batch_size=100, supervised=True)
    assert np.array(shards.rows).tolist() == [40, 40, 20]
