"""Scope: the folder of fetched tars that a machine's processes share, and who removes what."""

import multiprocessing
import shutil
import threading
import time
from pathlib import Path

import pytest

from openmofi.errors import StorageError
from openmofi.keys import hash_bytes
from openmofi.storage import open_store
from openmofi.training import tars as tars_module
from openmofi.training.tars import StoredTar, StreamedTars, shared_folder
from support.training import RemoteStore
from support.waiting import wait_for


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("OPENMOFI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "training-shards"


@pytest.fixture
def remote(tmp_path) -> RemoteStore:
    """Six tars of 5,000 bytes."""
    store = open_store(str(tmp_path / "remote"))
    for i in range(6):
        store.put(f"{i}.tar", bytes([i]) * 5000)
    return RemoteStore(store)


def streamed(remote: RemoteStore, folder: Path) -> StreamedTars:
    folder.mkdir(exist_ok=True)
    listed = [StoredTar(f"{i}.tar", hash_bytes(bytes([i]) * 5000), 5000) for i in range(6)]
    return StreamedTars(remote, listed, folder, "the manifest")  # type: ignore[arg-type]


# Several processes: each has tars of its own, and the folder is common


def test_who_comes_at_once_fetches_once(remote, tmp_path):
    remote.slow_s = 0.05
    everyone = [streamed(remote, tmp_path / "shared") for _ in range(4)]
    found: list[bytes] = []

    def read(tars: StreamedTars) -> None:
        with tars.open(3) as reader:
            found.append(reader.read(0, 5000))

    threads = [threading.Thread(target=read, args=(tars,)) for tars in everyone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [bytes([3]) * 5000] * 4
    assert remote.asked == ["3.tar"]


def test_one_that_is_a_window_behind_finds_its_tars(remote, tmp_path):
    ahead, behind = (streamed(remote, tmp_path / "shared") for _ in range(2))
    for tars in (ahead, behind):
        tars.expect([0, 1], [2])
    wait_for(lambda: len(remote.asked) == 3)
    ahead.expect([2], [3])
    ahead.open(3).__exit__()
    behind.open(1).__exit__()
    assert sorted(remote.asked) == ["0.tar", "1.tar", "2.tar", "3.tar"]
    for tars in (ahead, behind):
        tars.close()


def test_one_that_is_further_behind_fetches_again_and_removes_it(remote, tmp_path):
    folder = tmp_path / "shared"
    ahead, behind = (streamed(remote, folder) for _ in range(2))
    behind.expect([0], [1])
    held = behind.open(0)
    for window in range(4):
        ahead.expect([window], [window + 1])
        wait_for(lambda w=window: ahead._place(w + 1).exists())
    assert len(list(folder.glob("*.tar"))) == 3
    assert held.read(0, 3) == bytes(3)  # what is open stays
    held.__exit__()
    assert behind.open(1).read(0, 3) == bytes([1]) * 3
    assert remote.asked.count("1.tar") == 2
    for window in (1, 2, 3):
        behind.expect([window], [window + 1])
    wait_for(lambda: not behind._place(1).exists())
    for tars in (ahead, behind):
        tars.close()


def test_closing_does_not_wait_for_a_long_download(remote, tmp_path, monkeypatch):
    monkeypatch.setattr(tars_module, "_PIECE", 10)  # 500 pieces, 25 seconds
    remote.slow_s = 0.05
    tars = streamed(remote, tmp_path / "shared")
    tars.expect([0, 1], [2])
    wait_for(lambda: len(remote.asked) > 2)
    started = time.monotonic()
    tars.close()
    assert time.monotonic() - started < 2
    assert not [path for path in (tmp_path / "shared").iterdir() if path.suffix != ".lock"]


def test_no_room_is_told_in_one_line(remote, tmp_path):
    tars = streamed(remote, tmp_path / "shared")
    shutil.rmtree(tmp_path / "shared")
    with pytest.raises(StorageError, match=r"cannot keep .*/2\.tar in .*OPENMOFI_CACHE") as caught:
        tars.open(2)
    assert "\n" not in str(caught.value)


# The shared folder


def test_the_first_one_in_empties_the_folder_and_the_last_one_out_removes_it():
    with shared_folder("a") as first:
        (first / "left over.tar").touch()
        with shared_folder("a") as second:
            assert second == first
            assert (first / "left over.tar").exists()
        assert (first / "left over.tar").exists()
    assert not first.exists()
    first.mkdir()
    (first / ".writing-by-a-killed-run").touch()
    with shared_folder("a") as again:
        assert again == first
        assert not list(again.iterdir())


def test_a_cache_that_cannot_be_made_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("OPENMOFI_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match=r"cannot use .*OPENMOFI_CACHE"), shared_folder("a"):
        pass


def test_a_forked_process_that_lives_on_keeps_no_lock(tmp_path, cache):
    """Workers may outlive what they were forked for by some seconds."""
    sleep = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    with shared_folder("a"), tars_module._alone(tmp_path / "lock", wait=True):
        sleep.start()
    try:
        for path in (tmp_path / "lock", *cache.glob("a-*.lock")):
            with tars_module._alone(path, wait=False) as free:
                assert free
    finally:
        sleep.kill()
