"""A folder of Parquet: what is in it, and that Hugging Face's ``datasets`` reads it offline."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openmofi.cli import main
from openmofi.dataset import export_parquet as module
from openmofi.dataset.export_parquet import export_parquet
from openmofi.dataset.versions.version import Dataset, read_dataset
from openmofi.errors import InputError, ShardError, StorageError
from openmofi.images import image_id
from openmofi.keys import hash_bytes
from openmofi.records import from_parquet, to_parquet
from openmofi.versions import Manifest
from support.exports import pixels, samples_of, write_shards
from support.tables import labelled

# Prints every row that `datasets` finds, with the hash of the pixels that it decodes.
_READ = """
import json, sys
from datasets import load_dataset
from openmofi.keys import hash_bytes

found, names = {}, None
for split, rows in load_dataset(sys.argv[1]).items():
    label = rows.features["labels"].feature
    names = getattr(label, "names", None)
    found[split] = [
        {**row, "image": [*row["image"].size, hash_bytes(row["image"].convert("RGB").tobytes())]}
        for row in rows
    ]
print(json.dumps([names, found]))
"""


def read_by_datasets(folder: Path, home: Path) -> tuple[list[str] | None, dict[str, Any]]:
    """Class names, and rows by split, in a process without a network."""
    offline = {"HF_HOME": str(home), "HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", _READ, str(folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **offline}
    )
    assert done.returncode == 0, done.stderr
    names, found = json.loads(done.stdout)
    return names, found


@pytest.fixture
def made(root: Path, knowledge_base: str) -> Manifest:
    """As crawled from the pages of their keys, some with a licence."""
    made = write_shards(root, knowledge_base)
    for shard in dataset_of(made).shards:
        rows = from_parquet(made.store.get(shard.samples_key)).to_pylist()
        for row in rows:
            number = int(row["key"])
            row["url"] = f"https://example.org/{shard.shard}/{number}.jpg"
            row["licence"] = "CC0-1.0" if number % 2 else None
        table = from_parquet(made.store.get(shard.samples_key))
        rewritten = pa.Table.from_pylist(rows, schema=table.schema)
        made.store.put(shard.samples_key, to_parquet(rewritten))
    return made


def dataset_of(made: Manifest) -> Dataset:
    return read_dataset(made.content["dataset_uri"])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "exports" / "folder"


def expected_rows(made: Manifest, split: str) -> list[dict[str, Any]]:
    """What must come out, joined by loops from the store's own tables."""
    entities = from_parquet(made.store.get(made.content["vocabulary"])).to_pylist()
    pool = {}
    for shard in dataset_of(made).shards:
        for row in from_parquet(made.store.get(shard.samples_key)).to_pylist():
            pool[row["uid"]] = row
    rows = []
    for sample in samples_of(made, split):
        named = [entities[label] for label in sample["labels"]]
        rows.append(
            {
                "image": sample["data"],
                "alt_text": sample["alt_text"],
                "labels": sample["labels"],
                "entity_ids": [entity["entity_id"] for entity in named],
                "entities": [entity["name"] for entity in named],
                "uid": sample["uid"],
                "url": pool[sample["uid"]]["url"],
                "licence": pool[sample["uid"]]["licence"],
            }
        )
    return rows


def rows_of(folder: Path, split: str) -> list[dict[str, Any]]:
    """Rows file by file, each with its picture's bytes."""
    rows = []
    for path in sorted((folder / "data").glob(f"{split}-*.parquet")):
        rows += pq.ParquetFile(path).read(use_threads=False).to_pylist()
    return [{**row, "image": row["image"]["bytes"]} for row in rows]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_every_sample_is_a_row_with_all_that_is_known_of_it(
    made: Manifest, out: Path, split: str
) -> None:
    export_parquet(made.uri, out)
    assert rows_of(out, split) == expected_rows(made, split)
    assert {row["licence"] for row in rows_of(out, split)} == {None, "CC0-1.0"}


def test_a_file_a_shard_which_says_how_many_there_are(made: Manifest, out: Path) -> None:
    export_parquet(made.uri, out)
    for split, shards in made.content["splits"].items():
        paths = sorted((out / "data").glob(f"{split}-*"))
        number = len(shards)
        assert [path.name for path in paths] == [
            f"{split}-{i:05d}-of-{number:05d}.parquet" for i in range(number)
        ]
        assert [pq.ParquetFile(p).metadata.num_rows for p in paths] == [s["rows"] for s in shards]


def test_row_groups_are_small_enough_for_random_reads(
    root: Path, knowledge_base: str, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROWS", 3)
    pairs = [labelled(seed) for seed in range(8)]
    made = write_shards(root, knowledge_base, pairs, samples_per_shard=8, validation_share=0)
    export_parquet(made.uri, out)
    (path,) = (out / "data").iterdir()
    metadata = pq.ParquetFile(path).metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [3, 3, 2]
    assert "validation" not in (out / "README.md").read_text()


def test_a_picture_of_two_pages_comes_from_the_first(
    root: Path, knowledge_base: str, out: Path
) -> None:
    """Else the rows behind it would get the origins of others."""
    pairs = [labelled(seed) for seed in (1, 2, 3, 1, 4, 5)]
    made = write_shards(root, knowledge_base, pairs, validation_share=0, duplicates={"drop": False})
    for place, shard in enumerate(dataset_of(made).shards):
        table = from_parquet(made.store.get(shard.samples_key))
        urls = pa.array([f"{place}/{row}" for row in range(3)])
        number = table.schema.get_field_index("url")
        made.store.put(shard.samples_key, to_parquet(table.set_column(number, "url", urls)))
    export_parquet(made.uri, out)
    rows = {row["alt_text"]: row["url"] for row in rows_of(out, "train")}
    assert rows["picture 1"] == "0/0"
    assert (rows["picture 3"], rows["picture 4"]) == ("0/2", "1/1")


def test_datasets_reads_every_row_and_picture(made: Manifest, out: Path, tmp_path: Path) -> None:
    export_parquet(made.uri, out)
    names, found = read_by_datasets(out, tmp_path / "home")
    assert names == ["Chad", "Norway", "Peru"]
    assert sorted(found) == ["train", "validation"]
    for split, rows in found.items():
        expected = expected_rows(made, split)
        for row in expected:
            image = pixels(row["image"])
            size = [image.shape[1], image.shape[0]]
            row["image"] = [*size, hash_bytes(image.tobytes())]
        assert rows == expected


def test_datasets_reads_one_without_labels(
    root: Path, knowledge_base: str, out: Path, tmp_path: Path
) -> None:
    made = write_shards(root, knowledge_base, [labelled(seed) for seed in range(4)])
    export_parquet(made.uri, out)
    names, found = read_by_datasets(out, tmp_path / "home")
    assert names is None
    assert [row["labels"] for rows in found.values() for row in rows] == [[]] * 4


def test_no_two_classes_have_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """`datasets` refuses two of a name, and the knowledge base has many."""

    def named(*entities: tuple[str, str]) -> list[str] | None:
        rows = [{"entity_id": entity, "name": name} for entity, name in entities]
        label = module._features(rows)["info"]["features"]["labels"]["feature"]
        return label.get("names")

    one, two = ("us", "Georgia"), ("ge", "Georgia")
    assert named(one, ("pe", "Peru"), two) == ["Georgia (us)", "Peru", "Georgia (ge)"]
    assert named(one, two, ("x", "Georgia (us)")) == ["us", "ge", "x"]
    assert named() is None
    monkeypatch.setattr(module, "_MOST_NAMES", 1)
    assert named(one) == ["Georgia"]
    assert named(one, ("pe", "Peru")) is None


def test_what_was_taken_down_stays_behind(made: Manifest, out: Path) -> None:
    expected = expected_rows(made, "train")
    gone = [expected[1]["uid"], image_id(expected[5]["image"])]
    made.store.put("tombstones/one.txt", "\n".join(gone).encode())
    done = export_parquet(made.uri, out)
    left = [row for place, row in enumerate(expected) if place not in (1, 5)]
    assert rows_of(out, "train") == left
    assert done.samples["train"] == len(left)


def test_a_folder_that_is_there_is_refused_and_left_alone(made: Manifest, out: Path) -> None:
    out.parent.mkdir()
    out.write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        export_parquet(made.uri, out)
    assert [path.read_text() for path in out.parent.iterdir()] == ["mine"]


def test_what_is_missing_or_changed_leaves_nothing_behind(made: Manifest, out: Path) -> None:
    key = made.content["splits"]["validation"][-1]["tar_key"]
    data = made.store.get(key)
    made.store.put(key, data[:-1] + b"x")
    with pytest.raises(ShardError, match=f"{key} is not what"):
        export_parquet(made.uri, out)
    made.store.put(key, data)
    made.store.delete(f"manifests/dataset/{made.content['dataset']}.json")
    with pytest.raises(StorageError, match=r"cannot read .*/manifests/dataset/"):
        export_parquet(made.uri, out)
    assert not out.parent.exists()


def test_by_hand(made: Manifest, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dataset", "export-parquet", made.uri, "--out", str(out)]) == 0
    rows, files = made.content["rows"], len(list((out / "data").iterdir()))
    assert capsys.readouterr().out.splitlines() == [
        f"{out}: train {rows['train']}, validation {rows['validation']} samples in {files} files",
        f'load_dataset("{out}")',
    ]
    assert made.uri in (out / "README.md").read_text()
    assert main(["dataset", "export-parquet", made.uri, "--out", str(out)]) == 2
