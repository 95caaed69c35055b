"""Take-downs hold at once: building, exports, audit pictures and previews leave samples out."""

from pathlib import Path

import numpy as np
import pytest

from openmofi.dataset.export_tars import export_tars
from openmofi.dataset.reading import TrainingImages
from openmofi.dataset.takedown.compact import compact
from openmofi.dataset.takedown.forget import forget
from openmofi.dataset.training_shards import build_shards
from openmofi.images import image_id
from openmofi.labeling.quality.labels import read_label_tables
from openmofi.labeling.quality.pictures import pictures_of_store
from openmofi.textregions.preview.region_tables import RegionTables
from openmofi.versions import read_manifest
from support.takedowns import PER_SHARD, SAMPLES, TAKEN, Filled, filled_store, picture, uid_of, url

LIST = "tombstones/by-hand.txt"


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    return filled_store(tmp_path)


def uids(shards: str) -> dict[str, list[str]]:
    return {
        split: [item["uid"] for item in TrainingImages(shards, split)]
        for split in ("train", "validation")
    }


@pytest.mark.parametrize("by_hand", [False, True])
def test_shards_built_after_are_built_without_it(filled: Filled, by_hand: bool) -> None:
    taken, before = uid_of(filled, TAKEN), uids(filled.training_shards)
    if by_hand:
        filled.store.put(LIST, image_id(picture(TAKEN)).encode())
    else:
        forget(str(filled.root), urls=[url(TAKEN)])
    config = {"samples_per_shard": 4}
    made = build_shards(filled.dataset, config=config)
    assert made != filled.training_shards  # whose finished shards it must not go on with
    content = read_manifest(made, "training_shards").content
    assert sum(content["rows"].values()) == SAMPLES - 1
    left = {split: [uid for uid in some if uid != taken] for split, some in before.items()}
    assert uids(made) == left  # the order is a hash: nobody else moves
    filled.store.delete(made.removeprefix(f"{filled.store.uri}/"))
    compact(str(filled.root))
    assert build_shards(filled.dataset, config=config) == made
    assert uids(made) == left


def test_without_a_list_the_recipe_is_what_it_was(filled: Filled) -> None:
    filled.store.put(LIST, b"0" * 32)  # of no sample here
    assert build_shards(filled.dataset, config={"samples_per_shard": 4}) == filled.training_shards


def test_an_export_leaves_it_out(filled: Filled, tmp_path: Path) -> None:
    forget(str(filled.root), urls=[url(TAKEN)])
    made = export_tars(filled.training_shards, tmp_path / "out")
    assert sum(split.samples for split in made.splits.values()) == SAMPLES - 1
    data = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*.tar"))
    assert picture(TAKEN) not in data
    assert all(picture(number) in data for number in range(SAMPLES) if number != TAKEN)


@pytest.mark.parametrize("compacted", [False, True])
def test_an_audit_shows_no_picture_of_it(filled: Filled, compacted: bool) -> None:
    scores = [uri_of(filled, "entity_scores")]
    forget(str(filled.root), urls=[url(TAKEN)])
    if compacted:
        compact(str(filled.root))
    _, store, work = read_label_tables(scores, [filled.samples])
    images = [("00000", f"p{number:02d}") for number in (TAKEN, TAKEN + 1)]
    assert list(pictures_of_store(store, work, images)) == images[1:]


@pytest.mark.parametrize("compacted", [False, True])
def test_a_preview_counts_it_as_not_looked_at(filled: Filled, compacted: bool) -> None:
    regions = [uri_of(filled, "text_regions")]
    forget(str(filled.root), urls=[url(TAKEN)])
    if compacted:
        compact(str(filled.root))
    source = RegionTables(regions, [filled.samples])
    first, second = source.tables()
    expected = ["ok"] * PER_SHARD
    assert second.column("status").to_pylist() == expected
    expected[TAKEN] = "skipped"
    assert first.column("status").to_pylist() == expected
    (gone, data), (other, shown) = source.chosen(np.array([TAKEN, TAKEN + 1]))
    assert (gone.polygons.shape, data) == ((0, 8), None)
    assert (other.polygons.shape, shown) == ((1, 8), picture(TAKEN + 1))


def uri_of(filled: Filled, kind: str) -> str:
    """Of the one version of a table."""
    (info,) = [i for i in filled.store.list(f"manifests/{kind}/") if i.key.endswith(".json")]
    return f"{filled.store.uri}/{info.key}"
