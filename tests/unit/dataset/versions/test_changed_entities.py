"""Entities of two versions: which are listed, in what order, and which share has moved."""

import math
from pathlib import Path

import numpy as np
import pytest

from openmofi.dataset.versions.changed_entities import Entity, entity_changes
from openmofi.dataset.versions.changes import changes
from openmofi.dataset.versions.version import read_dataset
from openmofi.records import VOCABULARY, from_rows
from support.dataset_versions import write_version


def vocabulary(**images: int):
    return from_rows(
        [
            {
                "class_index": place,
                "entity_id": entity,
                "name": entity.title(),
                "description": "",
                "images": count,
            }
            for place, (entity, count) in enumerate(images.items())
        ],
        VOCABULARY,
    )


def none_fresh(table):
    return np.zeros(table.num_rows, np.int64)


def test_an_entity_without_images_before_is_not_emptied():
    old, new = vocabulary(peru=3, chad=0, togo=2), vocabulary(peru=0, chad=0, togo=1)
    found = entity_changes(old, new, none_fresh(new)).emptied
    assert (found.count, found.first) == (1, (Entity("peru", "Peru", 3),))


def test_the_largest_come_first_and_equals_by_id():
    new = vocabulary(chad=1, peru=5, togo=5, lagos=9)
    found = entity_changes(vocabulary(), new, none_fresh(new)).new
    assert [one.entity_id for one in found.first] == ["lagos", "peru", "togo", "chad"]


def test_the_fifty_largest_shifts_are_told():
    old = vocabulary(**{f"e{number:02}": 100 for number in range(60)})
    fresh = np.array([10 * number for number in range(60)])
    zs = {}
    for number in range(60):
        parts = (10 * number, fresh.sum()), (100, 6000)
        pooled = sum(one for one, _ in parts) / sum(whole for _, whole in parts)
        spread = math.sqrt(pooled * (1 - pooled) * sum(1 / whole for _, whole in parts))
        zs[f"e{number:02}"] = (parts[0][0] / parts[0][1] - parts[1][0] / parts[1][1]) / spread
    largest = sorted(zs, key=lambda one: -abs(zs[one]))[:50]
    shifted = entity_changes(old, old, fresh).shifted
    assert [one.entity_id for one in shifted] == largest
    assert [one.z for one in shifted] == pytest.approx([zs[one] for one in largest], abs=1e-3)
    assert {one.z > 0 for one in shifted} == {True, False}


def test_a_single_entity_has_no_share_to_move():
    assert entity_changes(vocabulary(peru=3), vocabulary(peru=4), np.array([1])).shifted == ()


@pytest.mark.parametrize("split", ["train", "validation"])
def test_training_images_of_fresh_shards_alone_count(tmp_path: Path, split):
    shards = {"a": [("u1", "train", 0), ("u2", "train", 1)]}
    more = {**shards, "b": [("u3", "train", 0), ("u4", split, 1), ("u5", split, 1)]}
    old = write_version(tmp_path, "old", shards, entities=["peru", "chad"])
    new = write_version(tmp_path, "new", more, entities=["peru", "chad"])
    shifted = changes(read_dataset(old), read_dataset(new)).entities.shifted
    fresh = {one.entity_id: one.fresh for one in shifted}
    assert fresh == ({"chad": 2, "peru": 1} if split == "train" else {"chad": 0, "peru": 1})
