"""A folder of tars: every sample once, tars of a size, and no half of a folder."""

import io
import json
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from openmofi.cli import main
from openmofi.dataset import export_tars as module
from openmofi.dataset.export_tars import export_tars
from openmofi.errors import InputError, ShardError
from openmofi.images import image_id
from openmofi.records import from_parquet, to_parquet
from openmofi.shards import TarReader, index_tar
from openmofi.versions import Manifest
from support.exports import pixels, samples_of, write_shards
from support.tables import labelled


@pytest.fixture
def made(root: Path, knowledge_base: str) -> Manifest:
    return write_shards(root, knowledge_base)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "exports" / "folder"


def contents(folder: Path, split: str) -> list[dict[str, bytes]]:
    """The files of every sample by extension, tar by tar."""
    found = []
    for path in sorted((folder / split).glob("*.tar")):
        with TarReader(path) as tar:
            found += [files for _, files in tar.members(index_tar(path))]
    return found


def picture(files: dict[str, bytes]) -> tuple[str, bytes]:
    return next(iter(files.items()))


@pytest.mark.parametrize("split", ["train", "validation"])
def test_every_sample_is_there_once_with_its_bytes_in_order(
    made: Manifest, out: Path, split: str
) -> None:
    export_tars(made.uri, out)
    expected = samples_of(made, split)
    for files, sample in zip(contents(out, split), expected, strict=True):
        assert picture(files)[1] == sample["data"]
        assert files["txt"].decode() == sample["alt_text"]
        body = json.loads(files["json"])
        assert (body["uid"], body["labels"]) == (sample["uid"], sample["labels"])


def test_tars_are_of_a_size_and_as_many_as_shards(made: Manifest, out: Path) -> None:
    export_tars(made.uri, out)
    shards = [shard["rows"] for shard in made.content["splits"]["train"]]
    assert max(shards) - min(shards) > 1  # what it mends
    paths = sorted((out / "train").glob("*.tar"))
    assert [path.name for path in paths] == [f"train-{i:05d}.tar" for i in range(len(shards))]
    sizes = [len(index_tar(path)) for path in paths]
    assert sum(sizes) == sum(shards)
    assert max(sizes) - min(sizes) <= 1


def test_what_open_clip_passes_over_is_counted_and_copied(made: Manifest, out: Path) -> None:
    done = export_tars(made.uri, out)
    for split, one in done.splits.items():
        extensions = Counter(picture(files)[0] for files in contents(out, split))
        unread = {e: n for e, n in extensions.items() if e in ("gif", "bmp", "tif")}
        assert one.passed_over == unread
        assert one.samples == extensions.total() == made.content["rows"][split]
        assert one.readable == one.samples - sum(unread.values())
        assert not one.converted
        sizes = json.loads((out / split / "sizes.json").read_text())
        assert sizes == one.sizes
        for path in (out / split).glob("*.tar"):
            read = [e for s in index_tar(path) for e in s.members if e in ("jpg", "png", "webp")]
            assert sizes[path.name] == len(read)
    together = sum((one.passed_over for one in done.splits.values()), Counter())
    assert together == {"gif": 1, "bmp": 1, "tif": 1}


def test_convert_makes_jpeg_of_them_and_of_nothing_else(made: Manifest, out: Path) -> None:
    done = export_tars(made.uri, out, convert=True)
    changed = []
    for split in ("train", "validation"):
        for files, sample in zip(contents(out, split), samples_of(made, split), strict=True):
            extension, data = picture(files)
            assert extension in ("jpg", "png", "webp")
            if data != sample["data"]:
                changed.append(sample["alt_text"].split()[1])
                assert extension == "jpg"
                sink = io.BytesIO()
                Image.fromarray(pixels(sample["data"])).save(sink, "JPEG", quality=95)
                assert np.array_equal(pixels(data), pixels(sink.getvalue()))
            assert list(files)[1:] == ["txt", "json"]
    assert sorted(changed) == ["BMP", "GIF", "TIFF"]
    converted = sum((one.converted for one in done.splits.values()), Counter())
    assert converted == {"gif": 1, "bmp": 1, "tif": 1}
    assert all(one.readable == one.samples for one in done.splits.values())


def test_classes_and_origin_stand_beside_the_tars(made: Manifest, out: Path) -> None:
    export_tars(made.uri, out)
    lines = (out / "classes.jsonl").read_text().splitlines()
    vocabulary = from_parquet(made.store.get(made.content["vocabulary"])).to_pylist()
    assert [json.loads(line) for line in lines] == vocabulary
    version = json.loads((out / "version.json").read_text())
    assert version == {"training_shards": made.uri, "dataset": made.content["dataset"]}


def test_what_was_taken_down_stays_behind(made: Manifest, out: Path) -> None:
    expected = samples_of(made, "train")
    gone = [expected[1]["uid"], image_id(expected[7]["data"])]
    made.store.put("tombstones/one.txt", "\n".join(gone).encode())
    done = export_tars(made.uri, out)
    left = [one["uid"] for place, one in enumerate(expected) if place not in (1, 7)]
    found = [json.loads(files["json"])["uid"] for files in contents(out, "train")]
    assert found == left
    assert done.splits["train"].samples == len(left)


def test_a_split_of_nothing_has_no_folder(root: Path, knowledge_base: str, out: Path) -> None:
    pairs = [labelled(seed) for seed in range(6)]
    made = write_shards(root, knowledge_base, pairs, validation_share=0)
    done = export_tars(made.uri, out)
    assert sorted(path.name for path in out.iterdir()) == ["classes.jsonl", "train", "version.json"]
    assert "--val-data" not in done.command()
    uids = "\n".join(one["uid"] for one in samples_of(made, "train"))
    made.store.put("tombstones/all.txt", uids.encode())
    with pytest.raises(InputError, match="has no sample"):
        export_tars(made.uri, out.with_name("other"))
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_a_folder_that_is_there_is_refused_and_left_alone(made: Manifest, out: Path) -> None:
    out.mkdir(parents=True)
    with pytest.raises(InputError, match=f"{out} is there already; name a new folder"):
        export_tars(made.uri, out)
    assert list(out.iterdir()) == []
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_shard_that_changed_leaves_nothing_behind(made: Manifest, out: Path, split: str) -> None:
    key = made.content["splits"][split][-1]["tar_key"]
    data = bytearray(made.store.get(key))
    data[520] ^= 1  # a pixel's worth: the tar is still readable
    made.store.put(key, bytes(data))
    with pytest.raises(ShardError, match=f"{key} is not what"):
        export_tars(made.uri, out)
    assert not out.parent.exists()


def test_an_index_that_names_what_the_tar_lacks_is_told(made: Manifest, out: Path) -> None:
    shard = made.content["splits"]["train"][0]
    table = from_parquet(made.store.get(shard["index_key"]))
    keys = pa.array([f"x{key}" for key in table.column("key").to_pylist()])
    place = table.schema.get_field_index("key")
    made.store.put(shard["index_key"], to_parquet(table.set_column(place, "key", keys)))
    with pytest.raises(ShardError, match=f"{shard['tar_key']} and its index differ"):
        export_tars(made.uri, out)


def test_a_full_disk_is_one_line_and_leaves_nothing_behind(
    made: Manifest, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = module.write_tar, []

    def full(path: Path, samples: Any) -> Any:
        calls.append(path)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return write(path, samples)

    monkeypatch.setattr(module, "write_tar", full)
    with pytest.raises(InputError, match=f"cannot write {out}: No space left on device"):
        export_tars(made.uri, out)
    assert len(calls) == 3
    assert not out.parent.exists()


DEAD = 2**22 + 1  # no process has such a number


def test_what_a_killed_export_left_is_not_mixed_in(made: Manifest, out: Path) -> None:
    left = out.with_name(f".{out.name}.writing-{DEAD}")
    (left / "train").mkdir(parents=True)
    (left / "train" / "train-00099.tar").write_bytes(b"half")
    export_tars(made.uri, out)
    assert not (out / "train" / "train-00099.tar").exists()
    assert not left.exists()


def test_a_place_that_cannot_be_written_and_a_name_that_is_expanded_are_one_line(
    made: Manifest, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*/file/out: "):
        export_tars(made.uri, tmp_path / "file" / "out")
    for name in ("{a,b}", "one::two", "back\\slash"):
        with pytest.raises(InputError, match="open_clip expands"):
            export_tars(made.uri, tmp_path / name)


@pytest.mark.parametrize(
    ("sizes", "workers", "batch"),
    [
        ([100] * 8, 4, 64),
        ([100] * 3, 3, 64),
        ([64, 64, 64, 63], 2, 64),  # with three or four, one might get the last alone
        ([20] * 16, 4, 64),
        ([40] * 3, 1, 64),
        ([5, 5], 1, 10),
        ([0], 1, 1),
    ],
)
def test_no_worker_of_open_clip_waits_for_a_batch_that_it_cannot_fill(
    sizes: list[int], workers: int, batch: int
) -> None:
    assert module._loading(sizes) == (workers, batch)


def test_the_command_names_what_is_there(made: Manifest, tmp_path: Path) -> None:
    done = export_tars(made.uri, tmp_path / "it's a folder")
    words = shlex.split(done.command())
    assert words[:3] == ["python", "-m", "open_clip_train.main"]
    options = dict(zip(words[3::2], words[4::2], strict=True))
    last = len(made.content["splits"]["train"]) - 1
    folder = tmp_path / "it's a folder"
    assert options["--train-data"] == f"{folder}/train/train-{{00000..{last:05d}}}.tar"
    assert options["--train-num-samples"] == str(done.splits["train"].readable)
    assert options["--val-num-samples"] == str(done.splits["validation"].readable)


def test_by_hand(made: Manifest, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dataset", "export-tars", made.uri, "--out", str(out)]) == 0
    first, unread, _, command = capsys.readouterr().out.splitlines()
    rows = made.content["rows"]
    tars = len(list(out.rglob("*.tar")))
    assert first == (
        f"{out}: train {rows['train']}, validation {rows['validation']} samples in {tars} tars"
    )
    assert "3 samples less; --convert" in unread
    assert command.startswith("python -m open_clip_train.main ")
    assert main(["dataset", "export-tars", made.uri, "--out", str(out)]) == 2
    assert "is there already" in capsys.readouterr().err
    other = str(out.with_name("other"))
    assert main(["dataset", "export-tars", made.uri, "--out", other, "--convert"]) == 0
    assert "written as JPEG: " in capsys.readouterr().out
