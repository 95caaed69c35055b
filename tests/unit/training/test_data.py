import numpy as np
import pytest
import torch

from openmofi.errors import InputError, ShardError, StorageError
from openmofi.keys import hash_bytes, hash_json
from openmofi.training.augmentation import Augmentation
from openmofi.training.building import STAGE_VERSION
from openmofi.training.data import ImageReader, TrainingData, check_inputs, step_loader
from openmofi.training.order import SampleOrder
from openmofi.training.shards import TrainingShards, open_shards
from openmofi.training.texts import SampleTexts
from openmofi.versions import read_manifest
from support.training import make_samples, write_training_shards

MIX = {"alt_text": 1.0, "name": 1.0, "name_and_description": 1.0}


def tokenizer(texts):
    """Letters as they are."""
    return torch.stack([torch.tensor(list(text.ljust(40).encode())[:40]) for text in texts])


def build(shards: TrainingShards, *, cache_bytes=0, accumulate=1, batch_size=16) -> TrainingData:
    return TrainingData(
        ImageReader(shards, cache_bytes=cache_bytes),
        Augmentation((32, 32), crop_area=(0.5, 1.0), crop_aspect=(0.75, 4 / 3), flip=False),
        SampleTexts(shards.vocabulary, tokenizer, {"contrastive": MIX}, seed=5),
        SampleOrder(shards.rows, seed=5, window_shards=2),
        seed=5,
        batch_size=batch_size,
        accumulate=accumulate,
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
    assert (STAGE_VERSION, found) == (1, "119e1e9dcee0dcf3960bffef75efe514")


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
