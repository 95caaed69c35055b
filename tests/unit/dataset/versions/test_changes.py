"""What changed between two versions, against counts by hand."""

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp

from openmofi.dataset.versions.changed_entities import Entity
from openmofi.dataset.versions.changes import Names, changes, read_changes, write_changes
from openmofi.dataset.versions.version import Dataset, read_dataset
from support.assembly import assemble
from support.dataset_versions import some, write_version
from support.tables import labelled, write_pool

OLD = {
    "a": [("u1", "train", 0), ("u2", "validation", 0), ("u3", "no_entity"), ("u4", "train", 1)],
    "b": [("u5", "train", 0), ("u6", "corrupt_image")],
    "c": [("u7", "train", 0)],
    "d": [("u8", "train", 1), ("u9", "failed")],
}
# u1 is lost, u2 and u4 have moved, u3 is gained; b has lost u6, c is gone; d has one sample more.
NEW = {
    "a": [("u1", "entity_cap"), ("u2", "train", 0), ("u3", "train", 2), ("u4", "validation", 0)],
    "b": [("u5", "train", 0)],
    "d": [("u8", "train", 0), ("u9", "failed"), ("u10", "train", 2)],
    "e": [("u11", "train", 2, 0), ("u12", "missing_image"), ("u13", "text_failed")],
}


@pytest.fixture
def versions(tmp_path: Path) -> tuple[Dataset, Dataset]:
    old = write_version(tmp_path, "old", OLD, entities=["peru", "chad"])
    new = write_version(tmp_path, "new", NEW, entities=["peru", "chad", "togo"], parent=old)
    return read_dataset(old), read_dataset(new)


def test_shards_are_told_by_name_and_by_what_is_in_them(versions: Any) -> None:
    found = changes(*versions)
    assert found.shards == {
        "added": Names(1, ("e",)),
        "gone": Names(1, ("c",)),
        "changed": Names(2, ("b", "d")),
        "shrunk": Names(1, ("b",)),
    }
    assert found.tables == {"samples": 2}
    assert (found.old, found.new) == ("old", "new")


def test_samples_gained_lost_and_moved(versions: Any) -> None:
    # c held one; u1 is lost in a. u3 is gained in a, u10 in d, u11 in e.
    assert changes(*versions).samples == {
        "gained": 3,
        "lost": 2,
        "train_to_validation": 1,
        "validation_to_train": 1,
    }


def test_counts_of_fresh_shards_stand_alone(versions: Any) -> None:
    found = changes(*versions)
    # b, d and e: what changed counts whole.
    fresh = {"failed": 1, "kept": 4, "missing_image": 1, "text_failed": 1}
    assert found.counts["fresh"] == fresh
    assert found.counts["old"]["kept"] == 6
    assert found.failed == {
        "old": 2 / 9,  # corrupt_image and failed
        "new": pytest.approx(3 / 11),
        "fresh": pytest.approx(3 / 7),
    }


def test_entities_that_came_and_were_emptied(versions: Any) -> None:
    found = changes(*versions).entities
    assert (found.new.count, found.new.first) == (1, (Entity("togo", "Togo", 3),))
    assert (found.emptied.count, found.emptied.first) == (1, (Entity("chad", "Chad", 2),))
    assert found.gone.count == 0
    backwards = changes(*reversed(versions)).entities
    assert backwards.gone.first == found.new.first


def test_shifts_of_entities_are_the_z_of_two_proportions(versions: Any) -> None:
    # Of 5 old training images peru had 3 and chad 2; of 5 labels in b, d and e they have 3 and 0.
    found = {one.entity_id: one for one in changes(*versions).entities.shifted}
    together = 2 / 10
    z = (0 / 5 - 2 / 5) / math.sqrt(together * (1 - together) * (1 / 5 + 1 / 5))
    assert (found["chad"].old, found["chad"].fresh) == (2, 0)
    assert found["chad"].z == pytest.approx(z, abs=1e-3)
    assert found["togo"].z == pytest.approx(-z, abs=1e-3)
    assert "peru" not in found  # 3 of 5 in both


def test_what_decides_the_result_is_told_where_it_differs(tmp_path: Path) -> None:
    shards = {"a": some(2)}
    base = {"config": {"text": {"policy": "any_text"}, "evaluation_sets": ["x"]}, "min_score": 0.2}
    old = write_version(tmp_path, "old", shards, **base, digests={"mentions": {"kb": "1"}})
    other = {"text": {"policy": "text_dependent"}, "evaluation_sets": ["moved"]}
    stages = {"samples": {"version": 2, "config": {"min_side": 8}, "counts": {"ok": 3}}}
    new = write_version(
        tmp_path, "new", shards, config=other, min_score=0.2, digests={}, stages=stages
    )
    assert changes(read_dataset(old), read_dataset(new)).recipe == {
        "config.text.policy": ("any_text", "text_dependent"),
        "digests.mentions.kb": ("1", None),
        "stages.samples.config.min_side": (None, 8),
        "stages.samples.version": (1, 2),
    }


def test_scores_of_fresh_shards_are_held_against_all_others(tmp_path: Path) -> None:
    draw = np.random.default_rng(5).normal
    old_scores = {name: draw(0.3, 0.05, 200).astype(np.float32) for name in "ab"}
    # What the old version said of b does not count: its scores were made anew.
    scores = {**old_scores, "b": old_scores["b"] + 0.01, "c": draw(0.35, 0.05, 90)}
    shards = {name: some(2, name) for name in "abc"}
    old = write_version(
        tmp_path, "old", {n: shards[n] for n in "ab"}, scores={n: old_scores[n] for n in "ab"}
    )
    new = write_version(tmp_path, "new", shards, scores=scores)
    found = changes(read_dataset(old), read_dataset(new))
    assert found.tables == {"entity_scores": 1, "samples": 0}
    assert found.scores is not None
    assert (found.scores.old, found.scores.new) == (400, 90)
    others = np.concatenate([scores["a"], scores["b"]])
    assert found.scores.ks == pytest.approx(ks_2samp(others, scores["c"]).statistic, abs=0.02)
    assert found.scores.psi > found.scores.psi_by_chance


def test_without_fresh_shards_or_scores_no_drift_is_told(tmp_path: Path) -> None:
    shards = {"a": some(2)}
    bare = read_dataset(write_version(tmp_path, "bare", shards))
    scored = read_dataset(write_version(tmp_path, "scored", shards, scores={"a": [0.3]}))
    more = {**shards, "b": some(2, "b")}
    grown = read_dataset(write_version(tmp_path, "grown", more))
    assert changes(scored, scored).scores is changes(bare, grown).scores is None
    assert changes(bare, bare).counts["fresh"] == {}
    assert changes(bare, bare).failed["fresh"] == 0


def test_copies_that_are_kept_count_one_by_one(tmp_path: Path) -> None:
    old = write_version(tmp_path, "old", {"a": [("u", "train"), ("u", "train"), ("u", "no_text")]})
    new = write_version(
        tmp_path, "new", {"a": [("u", "validation"), ("u", "no_text"), ("u", "no_text")]}
    )
    found = changes(read_dataset(old), read_dataset(new))
    assert found.samples == {"gained": 0, "lost": 1, "train_to_validation": 1}
    assert found.shards["changed"].count == 0  # the same samples, decided otherwise


def test_names_are_listed_to_a_thousand_and_counted_to_the_last(tmp_path: Path) -> None:
    old = write_version(tmp_path, "old", {"x": some(1)})
    shards = {f"{number:04}": [(f"u{number}", "train", number)] for number in range(1001)}
    names = [f"e{number:04}" for number in range(1001)]
    new = write_version(tmp_path, "new", shards, entities=names)
    found = changes(read_dataset(old), read_dataset(new))
    for listed in (found.shards["added"], found.entities.new):
        assert (listed.count, len(listed.first)) == (1001, 1000)
    assert found.shards["added"].first[-1] == "0999"


def test_assembly_writes_what_changed_against_its_parent(root: Path, knowledge_base: str) -> None:
    one = [labelled(seed, ("peru", 0.4)) for seed in range(3)]
    first = assemble(write_pool(root, {"a": one}), knowledge_base)
    assert first.content["changes"] == ""
    shards = {"a": one, "b": [labelled(7, ("chad", 0.3)), labelled(8, ("peru", 0.1))]}
    grown = assemble(write_pool(root, shards), knowledge_base, parent=first.uri)
    told = json.loads(grown.store.get(grown.content["changes"]))
    assert told["shards"]["added"] == {"count": 1, "first": ["b"]}
    assert told["samples"] == {"gained": 1, "lost": 0}
    assert told["counts"]["fresh"] == {"kept": 1, "no_entity": 1}
    assert [one["entity_id"] for one in told["entities"]["new"]["first"]] == ["chad"]
    assert (told["scores"]["old"], told["scores"]["new"]) == (3, 2)
    assert told == changes(Dataset(first), Dataset(grown)).plain()


def test_what_was_written_is_read_where_it_is_of_that_parent(tmp_path: Path) -> None:
    uris = {name: write_version(tmp_path, name, {name: some(1)}) for name in ("old", "other")}
    old, other = (read_dataset(uri) for uri in uris.values())
    new = read_dataset(write_version(tmp_path, "new", {"old": some(1)}))
    key = write_changes(new, old)
    assert key == "datasets/new/changes.json"
    new.store.put(key, new.store.get(key).replace(b'"gained": 0', b'"gained": 17'))
    content = {**new.content, "changes": key}
    written = Dataset(replace(new.manifest, content=content))
    assert read_changes(old, written)["samples"]["gained"] == 17
    assert read_changes(other, written)["samples"] == {"gained": 1, "lost": 1}


def test_a_parent_of_which_classes_alone_are_left_is_followed(
    root: Path, knowledge_base: str
) -> None:
    one = [labelled(seed, ("peru", 0.4)) for seed in range(2)]
    first = assemble(write_pool(root, {"a": one}), knowledge_base)
    first.store.delete(first.content["index"])
    shards = {"a": one, "b": [labelled(7, ("chad", 0.4))]}
    grown = assemble(write_pool(root, shards), knowledge_base, parent=first.uri)
    assert (grown.content["parent"], grown.content["changes"]) == (first.uri, "")
    assert Dataset(grown).vocabulary().column("entity_id").to_pylist() == ["peru", "chad"]


def test_shards_of_equal_rows_are_not_opened(
    versions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Counter[str] = Counter()
    for name in ("kept", "dropped"):
        original = getattr(Dataset, name)

        def counted(self: Dataset, shard: Any, *, original: Any = original) -> Any:
            read[shard.shard] += 1
            return original(self, shard)

        monkeypatch.setattr(Dataset, name, counted)
    old, _ = versions
    changes(old, old)
    assert not read  # equal digests: nothing is opened
