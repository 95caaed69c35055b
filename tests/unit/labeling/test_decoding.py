import threading
import time

import pytest
from PIL import Image

from openmofi.labeling.decoding import prepared_samples
from openmofi.records import Status
from openmofi.stage import ShardInput
from openmofi.versions import read_table_version
from openmofi.work import align
from support.labeling import quarters_png
from support.tables import Pair, write_pool


@pytest.fixture
def shard(tmp_path):
    pairs = [Pair(quarters_png(side=2 * n), str(n), extension="png") for n in range(4, 12)]
    pairs[3] = Pair(b"no image", "3", status="corrupt_image", extension="png")
    pool = write_pool(tmp_path, {"a": pairs})
    store, version = read_table_version(pool.samples[0], "samples")
    return ShardInput(store, align({"samples": version})[0], "")


def test_samples_come_in_order_however_long_each_takes(shard):
    def slow_at_first(image: Image.Image) -> int:
        time.sleep(0.03 if image.width < 12 else 0)
        return image.width

    found = list(prepared_samples(shard, slow_at_first, threads=4, ahead=6))
    assert [row for row, _, _ in found] == list(range(8))
    assert [width for _, width, _ in found] == [8, 10, 12, None, 16, 18, 20, 22]
    assert [row for row, _, status in found if status == Status.SKIPPED] == [3]


def test_what_cannot_be_prepared_is_failed_and_the_rest_goes_on(shard):
    def fails_at_ten(image: Image.Image) -> int:
        if image.width == 10:
            raise MemoryError("too wide")
        return image.width

    statuses = [
        status for _, _, status in prepared_samples(shard, fails_at_ten, threads=2, ahead=2)
    ]
    assert statuses[1] == Status.FAILED
    assert statuses.count(Status.OK) == 6


def test_decoding_runs_ahead_but_no_further_than_told(shard):
    done, lock = [], threading.Lock()

    def note(image: Image.Image) -> int:
        with lock:
            done.append(image.width)
        return image.width

    samples = prepared_samples(shard, note, threads=2, ahead=2)
    next(samples)
    deadline = time.monotonic() + 5
    while len(done) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert sorted(done) == [8, 10, 12]
    samples.close()
