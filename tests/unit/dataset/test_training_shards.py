"""Training shards: what is in them, who can read them, and that order is arithmetic."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import webdataset
from PIL import Image

from openmofi.dataset.assemble import assemble_dataset
from openmofi.dataset.training_shards import STAGE_VERSION, build_shards
from openmofi.dataset.versions.version import read_dataset
from openmofi.errors import InputError, OpenMofiError
from openmofi.keys import hash_bytes, hash_json
from openmofi.records import from_parquet
from openmofi.shards import index_tar
from openmofi.storage import open_store
from openmofi.versions import Manifest, read_manifest
from support.tables import Pair, labelled, noise_jpeg, write_pool


def png(seed: int) -> bytes:
    sink = io.BytesIO()
    Image.open(io.BytesIO(noise_jpeg(seed))).save(sink, "PNG")
    return sink.getvalue()


@pytest.fixture
def dataset(root: Path, knowledge_base: str) -> str:
    """23 kept samples in two pool shards, some for validation; the last is a PNG named .jpg."""
    pairs = [labelled(seed, ("peru", 0.4), ("chad", 0.5 - seed / 100)) for seed in range(22)]
    pairs.append(Pair(png(22), "a PNG — “quoted”", mentions=pairs[0].mentions))
    pairs.append(labelled(23))
    pool = write_pool(root, {"a": pairs[:9], "b": pairs[9:]})
    config = {"min_images_per_entity": 1, "validation_share": 0.3}
    return assemble_dataset(**pool.tables(), knowledge_base=knowledge_base, config=config)


def build(dataset: str, **config: Any) -> Manifest:
    return read_manifest(build_shards(dataset, config=config), "training_shards")


def rows(made: Manifest) -> dict[str, list[dict[str, Any]]]:
    return {
        split: [
            row
            for shard in shards
            for row in from_parquet(made.store.get(shard["index_key"])).to_pylist()
        ]
        for split, shards in made.content["splits"].items()
    }


def pool_rows(dataset: str) -> dict[str, dict[str, Any]]:
    """What must come out, by uid, joined by hand from the data set's own tables."""
    source = read_dataset(dataset)
    found = {}
    for shard in source.shards:
        samples = from_parquet(source.store.get(shard.samples_key)).to_pylist()
        for kept in from_parquet(source.store.get(shard.kept_key)).to_pylist():
            sample = samples[kept["row"]]
            data = source.store.get_range(shard.tar_key, sample["offset"], sample["length"])
            found[kept["uid"]] = {**kept, "alt_text": sample["alt_text"], "data": data}
    return found


def test_every_kept_sample_is_copied_once_with_its_bytes(dataset: str) -> None:
    made = build(dataset, samples_per_shard=5)
    expected = pool_rows(dataset)
    seen = {}
    for split, shards in made.content["splits"].items():
        for shard in shards:
            for row in from_parquet(made.store.get(shard["index_key"])).to_pylist():
                data = made.store.get_range(shard["tar_key"], row["offset"], row["length"])
                assert row["uid"] not in seen
                seen[row["uid"]] = (split, row["alt_text"], row["labels"], data)
    assert seen == {
        uid: (row["split"], row["alt_text"], row["labels"], row["data"])
        for uid, row in expected.items()
    }
    assert len(seen) == 23


def test_shards_are_full_but_the_last_of_each_split(dataset: str) -> None:
    made = build(dataset, samples_per_shard=5)
    for split, number in read_manifest(dataset, "dataset").content["splits"].items():
        sizes = [shard["rows"] for shard in made.content["splits"][split]]
        assert sum(sizes) == number > 0
        assert all(size == 5 for size in sizes[:-1])
    assert made.content["classes"] == 2
    for shard in made.content["splits"]["train"]:
        assert shard["digest"] == hash_bytes(made.store.get(shard["tar_key"]))


def test_the_order_is_a_seeded_shuffle_over_all_shards(dataset: str) -> None:
    def order(**config: Any) -> list[str]:
        return [row["uid"] for row in rows(build(dataset, **config))["train"]]

    pool = [uid for uid, row in pool_rows(dataset).items() if row["split"] == "train"]
    assert order(samples_per_shard=5) == order(samples_per_shard=4)
    assert order() != pool
    assert order() != order(seed=1)
    assert sorted(order()) == sorted(order(seed=1)) == sorted(pool)


def test_the_tar_says_what_a_sample_is(dataset: str, tmp_path: Path) -> None:
    made = build(dataset, samples_per_shard=50)
    (shard,) = made.content["splits"]["train"]
    path = tmp_path / "shard.tar"
    path.write_bytes(made.store.get(shard["tar_key"]))
    index = rows(made)["train"]
    names = [tuple(sample.members) for sample in index_tar(path)]
    assert {name[1:] for name in names} == {("txt", "json")}
    sample = index_tar(path)[0].members["json"]
    body = json.loads(path.read_bytes()[sample.offset : sample.offset + sample.length])
    assert set(body) == {"uid", "labels", "entity_ids", "entities"}
    assert (body["uid"], body["labels"]) == (index[0]["uid"], index[0]["labels"])
    vocabulary = from_parquet(made.store.get(made.content["vocabulary"])).to_pylist()
    assert body["entity_ids"] == [vocabulary[label]["entity_id"] for label in body["labels"]]
    assert body["entities"][0] == {
        "id": body["entity_ids"][0],
        "name": body["entity_ids"][0].title(),
        "description": "a place & more",
    }


def local_tars(made: Manifest, folder: Path) -> list[str]:
    paths = []
    for shards in made.content["splits"].values():
        for shard in shards:
            path = folder / Path(shard["tar_key"]).name
            path.write_bytes(made.store.get(shard["tar_key"]))
            paths.append(str(path))
    return paths


def test_webdataset_reads_them_as_open_clip_does(dataset: str, tmp_path: Path) -> None:
    made = build(dataset, samples_per_shard=5)
    # The steps of open_clip's training reader, without its tokenizer and augmentation.
    pipeline = webdataset.DataPipeline(
        webdataset.SimpleShardList(local_tars(made, tmp_path)),
        webdataset.tarfile_to_samples(),
        webdataset.select(lambda s: "txt" in s and any(e in s for e in ("png", "jpg", "jpeg"))),
        webdataset.decode("pilrgb"),
        webdataset.rename(image="jpg;png;jpeg;webp", text="txt", meta="json"),
        webdataset.to_tuple("image", "text", "meta"),
    )
    expected = pool_rows(dataset)
    found = list(pipeline)
    assert len(found) == len(expected)
    for image, text, meta in found:
        row = expected[meta["uid"]]
        assert text == row["alt_text"]
        assert meta["labels"] == row["labels"]
        assert image.tobytes() == Image.open(io.BytesIO(row["data"])).convert("RGB").tobytes()


def test_the_extension_is_that_of_the_bytes(dataset: str, tmp_path: Path) -> None:
    made = build(dataset)
    extensions = [
        next(iter(sample.members))
        for path in local_tars(made, tmp_path)
        for sample in index_tar(Path(path))
    ]
    assert extensions.count("png") == 1
    assert extensions.count("jpg") == 22


def test_a_second_run_and_an_interrupted_one_do_nothing_twice(
    dataset: str, root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first = build(dataset, samples_per_shard=5)
    capfd.readouterr()
    assert build(dataset, samples_per_shard=5).uri == first.uri
    assert "training shards: reused" in capfd.readouterr().err
    store = open_store(str(root))
    shards = first.content["splits"]["train"]
    tar = store.get(shards[0]["tar_key"])
    store.delete(f"manifests/training_shards/{first.digest}.json")
    store.delete(shards[0]["tar_key"].replace(".tar", ".json"))
    store.put(shards[0]["tar_key"], b"half")
    again = build_shards(dataset, config={"samples_per_shard": 5}, workers=3)
    number = sum(len(one) for one in first.content["splits"].values())
    assert f"{number} shards, {number - 1} reused" in capfd.readouterr().err
    assert read_manifest(again, "training_shards").content == first.content
    assert store.get(shards[0]["tar_key"]) == tar


def test_a_pool_that_changed_is_named(dataset: str, root: Path) -> None:
    source = read_dataset(dataset)
    tar_key = source.shards[0].tar_key
    data = bytearray(source.store.get(tar_key))
    data[600:700] = bytes(100)
    source.store.put(tar_key, bytes(data))
    with pytest.raises(OpenMofiError, match=tar_key):
        build_shards(dataset)
    assert not list(open_store(str(root)).list("manifests/training_shards"))


def test_a_wrong_kind_and_a_wrong_key_are_one_line(dataset: str) -> None:
    with pytest.raises(InputError, match="'dataset' is needed"):
        build_shards(dataset.replace("/dataset/", "/samples/"))
    with pytest.raises(InputError, match="'samples_per_shard': Input should be greater"):
        build_shards(dataset, config={"samples_per_shard": 0})


def test_the_output_is_pinned_to_the_stage_version(root: Path) -> None:
    sink = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(sink, "BMP")
    pairs = [Pair(sink.getvalue(), f"text {number}") for number in range(6)]
    pool = write_pool(root, {"a": pairs})
    made = build(
        assemble_dataset(
            samples=pool.samples,
            mentions=[],
            image_embeddings=[],
            entity_scores=[],
            text_regions=[],
            knowledge_base="",
            config={"require_entities": False, "duplicates": {"drop": False}},
        ),
        samples_per_shard=4,
    )
    splits = made.content["splits"]
    found = hash_json([shard["digest"] for shard in splits["train"] + splits["validation"]])
    pinned = (1, "68112a68a87143fa93259d6f42bd34dc")
    assert (STAGE_VERSION, found) == pinned, "raise the version when output changes on purpose"
