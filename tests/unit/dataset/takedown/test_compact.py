"""Compaction: nothing is left of what was taken down, all else is what it was, kills included."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from openmofi.cli import main
from openmofi.dataset.reading import TrainingImages
from openmofi.dataset.takedown.compact import compact
from openmofi.dataset.takedown.compact_cards import removed_card
from openmofi.dataset.takedown.forget import forget
from openmofi.errors import ShardError
from openmofi.images import image_id
from openmofi.keys import content_digest, hash_file
from openmofi.records import from_parquet
from openmofi.shards import index_tar, write_tar
from openmofi.versions import read_manifest, read_table_version
from support.takedowns import (
    PER_SHARD,
    TAKEN,
    Filled,
    copy_of,
    everything,
    picture,
    pool_rows,
    traces,
    uid_of,
)


def test_nothing_is_left_of_it_in_any_byte_of_any_object(filled: Filled) -> None:
    assert len({one.split("/")[0] for one in traces(filled.store, TAKEN)}) == 5
    compact(str(filled.root))
    assert traces(filled.store, TAKEN) == []


def test_of_all_others_the_pool_holds_what_it_held(filled: Filled) -> None:
    before = {row["uid"]: row for row in pool_rows(filled.store)}
    taken = uid_of(filled, TAKEN)
    compact(str(filled.root))
    after = {row["uid"]: row for row in pool_rows(filled.store)}
    assert list(after) == list(before)
    assert all(after[uid] == before[uid] for uid in before if uid != taken)
    blank = dict.fromkeys(("image_id", "title", "url", "licence", "no_ai", "phash"))
    numbers = {"offset": -1, "length": 0, "width": 0, "height": 0, "alt_text": ""}
    said = {"status": "taken_down", "reason": "it was taken down"}
    known = {"uid": taken, "key": before[taken]["key"]}
    assert after[taken] == {**known, **blank, **numbers, **said}
    store, version = read_table_version(filled.samples, "samples")
    for entry in version.shards:
        data = store.get(entry.tar_key)
        for row in from_parquet(store.get(entry.table_key)).to_pylist():
            if row["uid"] != taken:
                found = data[row["offset"] : row["offset"] + row["length"]]
                assert image_id(found) == row["image_id"]


def test_the_tar_has_zeros_there_and_no_byte_is_moved(filled: Filled) -> None:
    store, version = read_table_version(filled.samples, "samples")
    before = [store.get(entry.tar_key) for entry in version.shards]
    compact(str(filled.root))
    after = [store.get(entry.tar_key) for entry in version.shards]
    assert after[1] == before[1]
    assert len(after[0]) == len(before[0])
    changed = {i for i, (a, b) in enumerate(zip(before[0], after[0], strict=True)) if a != b}
    with store.local_file(version.shards[0].tar_key) as path:
        sample = index_tar(path)[TAKEN]
    inside = {m.offset + i for m in sample.members.values() for i in range(m.length)}
    assert set(sample.members) == {"jpg", "txt", "json"}
    assert changed <= inside
    assert all(after[0][i] == 0 for i in inside)


def test_tables_of_stages_keep_their_rows_or_lose_those_of_the_sample(filled: Filled) -> None:
    def tables() -> dict[str, list[dict[str, Any]]]:
        keys = [i.key for i in filled.store.list("tables/") if i.key.endswith(".parquet")]
        return {key: from_parquet(filled.store.get(key)).to_pylist() for key in keys}

    before, blanked = tables(), {}
    uid = uid_of(filled, TAKEN)
    compact(str(filled.root))
    for key, rows in tables().items():
        kind, old = key.split("/")[1], before[key]
        if rows == old or kind == "samples":
            continue
        if "row" in old[0]:
            assert rows == [row for row in old if row["row"] != TAKEN]
            blanked[kind] = None
        else:
            assert rows == [*old[:TAKEN], rows[TAKEN], *old[TAKEN + 1 :]]
            blanked[kind] = rows[TAKEN]
    lists = ("boxes", "confidences", "detector_confidences", "areas")
    scores = ("caption_score", "masked_score", "masked_area")
    facts = blanked.pop("dataset_facts")
    assert (facts["uid"], facts["status"]) == (uid, "taken_down")
    assert not any(value for name, value in facts.items() if name not in ("uid", "status"))
    assert blanked == {
        "mentions": None,
        "entity_scores": None,
        "image_embeddings": {"embedding": [0.0] * 4, "status": "skipped"},
        "text_regions": {**{name: [] for name in lists}, "status": "skipped"},
        "masked_scores": {**dict.fromkeys(scores), "status": "skipped"},
    }


def test_entries_and_new_versions_say_what_the_tables_are(filled: Filled) -> None:
    before = {info.key for info in filled.store.list("manifests/")}
    compact(str(filled.root))
    store, old = read_table_version(filled.samples, "samples")
    entry = json.loads(store.get(f"tables/samples/{old.shards[0].recipe_key}.json"))
    assert entry["counts"] == {"ok": PER_SHARD - 1, "taken_down": 1}
    new = {info.key for info in filled.store.list("manifests/")} - before
    made = [key for key in sorted(new) if key.endswith(".json")]
    assert [key.split("/")[1] for key in made] == [
        "dataset_facts", "entity_scores", "image_embeddings", "masked_scores", "mentions",
        "samples", "text_regions",
    ]  # fmt: skip
    for key in made:
        kind = key.split("/")[1]
        _, version = read_table_version(f"{filled.store.uri}/{key}", kind)
        for one in version.shards:
            table = from_parquet(store.get(one.table_key))
            assert one.content_digest == content_digest(table)
            assert one.rows == table.num_rows
            body = json.loads(store.get(one.table_key.replace(".parquet", ".json")))
            assert (body["content_digest"], body["counts"]) == (one.content_digest, one.counts)


def test_training_shards_lose_the_sample_and_keep_the_order(filled: Filled) -> None:
    def uids(split: str) -> list[str]:
        return [item["uid"] for item in TrainingImages(filled.training_shards, split)]

    old = read_manifest(filled.training_shards, "training_shards").content
    taken, before = uid_of(filled, TAKEN), {split: uids(split) for split in old["splits"]}
    assert taken not in before["train"] + before["validation"]
    compact(str(filled.root))
    assert {split: uids(split) for split in before} == before
    content = read_manifest(filled.training_shards, "training_shards").content
    assert content["removed"] == {"train": [taken], "validation": []}
    assert content["rows"]["train"] == old["rows"]["train"] - 1 == len(before["train"])
    named = set()
    for entries in content["splits"].values():
        for entry in entries:
            with filled.store.local_file(entry["tar_key"]) as path:
                assert hash_file(path) == entry["digest"]
                assert len(index_tar(path)) == entry["rows"]
            stem = entry["tar_key"].removesuffix(".tar")
            assert json.loads(filled.store.get(f"{stem}.json")) == entry
            named |= {entry["tar_key"], entry["index_key"], f"{stem}.json"}
    assert {info.key for info in filled.store.list("training_shards/")} == named
    changed = [e["tar_key"] for e in content["splits"]["train"] if e not in old["splits"]["train"]]
    assert len(changed) == 1
    assert changed[0].rpartition("/")[2].startswith("train-0000")
    assert changed[0].count(".") == 2


def test_a_training_shard_of_nothing_else_is_gone(filled: Filled) -> None:
    content = read_manifest(filled.training_shards, "training_shards").content
    first, *rest = content["splits"]["train"]
    uids = from_parquet(filled.store.get(first["index_key"])).column("uid").to_pylist()
    forget(str(filled.root), ids=uids)
    compact(str(filled.root))
    after = read_manifest(filled.training_shards, "training_shards").content
    left = {entry["tar_key"] for entry in after["splits"]["train"]}
    assert len(left) == len(rest)
    assert set(uids) <= set(after["removed"]["train"])
    assert not filled.store.exists(first["tar_key"])
    assert len(TrainingImages(filled.training_shards)) == after["rows"]["train"]


def test_what_a_killed_build_left_goes_if_it_has_the_sample_or_is_not_whole(
    filled: Filled,
) -> None:
    manifest = read_manifest(filled.training_shards, "training_shards")
    filled.store.delete(f"manifests/training_shards/{manifest.digest}.json")
    entries = manifest.content["splits"]["train"]
    taken = uid_of(filled, TAKEN)
    holding = [
        entry["tar_key"]
        for entry in entries
        if taken in from_parquet(filled.store.get(entry["index_key"])).column("uid").to_pylist()
    ]
    cut = next(entry for entry in entries if entry["tar_key"] not in holding)
    filled.store.delete(cut["index_key"])
    compact(str(filled.root))
    tars = {i.key for i in filled.store.list("training_shards/") if i.key.endswith(".tar")}
    every = {e["tar_key"] for some in manifest.content["splits"].values() for e in some}
    assert tars == every - {*holding, cut["tar_key"]}
    assert traces(filled.store, TAKEN) == []


def test_a_card_that_showed_it_says_that_it_was_removed(filled: Filled) -> None:
    key = read_manifest(filled.dataset, "dataset").content["card"]
    assert compact(str(filled.root)).cards == 1
    assert filled.store.get(key).decode() == removed_card()
    assert "Assembling again draws a new card" in removed_card()


def test_a_card_that_did_not_show_it_stays(filled: Filled) -> None:
    key = read_manifest(filled.dataset, "dataset").content["card"]
    page = filled.store.get(key).decode().replace(f"/p{TAKEN:02d}", "/other")
    filled.store.put(key, page.encode())
    assert compact(str(filled.root)).cards == 0
    assert filled.store.get(key).decode() == page


@pytest.mark.parametrize("shown", ['title="{}"', '{{"name":"{}","src":""}}'])
def test_a_gallery_shows_it_and_so_does_a_contact_sheet(filled: Filled, shown: str) -> None:
    key, name = read_manifest(filled.dataset, "dataset").content["card"], f"00000/p{TAKEN:02d}"
    page = filled.store.get(key).decode()
    assert f'"name":"{name[:5]}' in page
    page = page.replace(name, "")
    filled.store.put(key, f"{page}<p {shown.format(name)}>".encode())
    assert compact(str(filled.root)).cards == 1


def test_a_list_by_hand_of_a_picture_is_compacted_and_stays_honoured(
    once: Filled, tmp_path: Path
) -> None:
    """Once the row is blank nothing but its status tells that it was that picture."""
    filled = copy_of(once, tmp_path / "root")
    shutil.rmtree(filled.root / "tombstones")
    filled.store.put("tombstones/by-hand.txt", image_id(picture(TAKEN)).encode())
    taken, expected = uid_of(filled, TAKEN), len(TrainingImages(filled.training_shards))
    for _ in range(2):
        compact(str(filled.root))
        uids = [item["uid"] for item in TrainingImages(filled.training_shards)]
        assert taken not in uids
        assert len(uids) == expected
    assert traces(filled.store, TAKEN) == []


def test_a_tar_that_does_not_fit_its_table_is_told_before_anything_is_written(
    filled: Filled,
) -> None:
    _, version = read_table_version(filled.samples, "samples")
    keys = [entry.tar_key for entry in version.shards]
    with filled.store.new_file(keys[0]) as path:
        write_tar(path, [("p00", {"jpg": b"x"})])
    before = everything(filled.root)
    with pytest.raises(ShardError, match=f"{keys[0]} has 1 samples, and .* {PER_SHARD}; nothing"):
        compact(str(filled.root))
    assert everything(filled.root) == before


def test_the_command_says_what_was_rewritten(
    filled: Filled, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["dataset", "compact", "--root", str(filled.root)]
    assert main([*arguments, "--dry-run"]) == 0
    planned = capsys.readouterr().out
    assert planned.startswith("1 pool shard, 8 tables, 1 training shard, 1 card would be rew")
    assert main(arguments) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == planned.strip().replace("would be rewritten", "rewritten")
    assert second.startswith("record compactions/")
    assert filled.store.exists(second.removeprefix("record "))
