"""What makes another version of a data set; the same again; the vocabulary of a version's heirs."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from openmofi.dataset.assembly.job import STAGE_VERSION
from openmofi.dataset.versions.published import publish
from openmofi.dataset.versions.version import Dataset
from openmofi.keys import hash_json
from support.assembly import assemble, pool_of, table
from support.tables import Candidate, Pair, labelled, without, write_pool


def test_class_indices_are_kept_for_ever(root: Path, knowledge_base: str) -> None:
    one = [labelled(1, ("peru", 0.4)), labelled(2, ("lagos", 0.4))]
    first = assemble(write_pool(root, {"a": one}), knowledge_base)
    more = [labelled(3, ("chad", 0.4)), labelled(4, ("peru", 0.4))]
    shards = {"a": [one[0]], "b": more}
    grown = assemble(write_pool(root, shards), knowledge_base, parent=first.uri)
    rows = table(grown, grown.content["vocabulary"])
    found = [(row["class_index"], row["entity_id"], row["images"]) for row in rows]
    assert found == [(0, "lagos", 0), (1, "peru", 2), (2, "chad", 1)]
    assert (rows[2]["name"], rows[2]["description"]) == ("Chad", "a place & more")
    assert grown.content["parent"] == first.uri
    fresh = assemble(write_pool(root, shards), knowledge_base)
    assert fresh.digest != grown.digest


def test_the_same_inputs_are_reused(
    root: Path, knowledge_base: str, capfd: pytest.CaptureFixture[str]
) -> None:
    pool = pool_of(root, labelled(1, ("peru", 0.4)))
    first = assemble(pool, knowledge_base)
    capfd.readouterr()
    assert assemble(pool, knowledge_base).uri == first.uri
    assert "reused" in capfd.readouterr().err


def test_a_version_from_which_nothing_has_changed_has_no_heir(
    root: Path, knowledge_base: str
) -> None:
    pool = pool_of(root, labelled(1, ("peru", 0.4)))
    first = assemble(pool, knowledge_base)
    assert assemble(pool, knowledge_base, parent="published:main").uri == first.uri
    publish(first.uri, why="by hand")
    assert assemble(pool, knowledge_base, parent="published:main").uri == first.uri
    other = assemble(pool, knowledge_base, parent="published:main", min_score=0.3)
    assert other.content["parent"] == first.uri
    assert assemble(pool, knowledge_base, parent=other.uri, min_score=0.3).uri == other.uri


def test_the_grouping_of_shards_does_not_matter(root: Path) -> None:
    shards = {name: [labelled(ord(name))] for name in "abc"}
    config = {"require_entities": False}
    others = ("mentions", "image_embeddings", "entity_scores", "text_regions")
    whole = without(write_pool(root, shards), *others)
    one = write_pool(root, {"a": shards["a"], "c": shards["c"]})
    two = write_pool(root, {"b": shards["b"]})
    grouped = replace(whole, samples=[*two.samples, *one.samples])
    assert assemble(grouped, "", **config).uri == assemble(whole, "", **config).uri


def test_nothing_new_is_the_parent_itself(
    root: Path, knowledge_base: str, capfd: pytest.CaptureFixture[str]
) -> None:
    pool = write_pool(root, {"a": [labelled(1, ("peru", 0.4))]})
    first = assemble(pool, knowledge_base)
    before = {info.key: info.tag for info in first.store.list()}
    capfd.readouterr()
    again = assemble(pool, knowledge_base, parent=first.uri)
    assert again.uri == first.uri
    assert f"nothing is new since the parent {first.digest}" in capfd.readouterr().err
    assert {info.key: info.tag for info in first.store.list()} == before
    grown = write_pool(root, {"a": [labelled(1, ("peru", 0.4))], "b": [labelled(2, ("chad", 0.4))]})
    second = assemble(grown, knowledge_base, parent=first.uri)
    assert second.uri != first.uri
    # The parent's own parent is no part of what is new.
    assert assemble(grown, knowledge_base, parent=second.uri).uri == second.uri
    assert assemble(grown, knowledge_base, parent=second.uri, seed=1).uri != second.uri
    first.store.put("tombstones/one.txt", ("f" * 32).encode())
    assert assemble(grown, knowledge_base, parent=second.uri).uri != second.uri


def test_another_threshold_is_another_version(root: Path, knowledge_base: str) -> None:
    pool = pool_of(root, labelled(1, ("peru", 0.4)), labelled(2, ("peru", 0.3)))
    low = assemble(pool, knowledge_base, min_score=0.25)
    high = assemble(pool, knowledge_base, min_score=0.35)
    assert low.uri != high.uri
    assert (low.content["counts"]["kept"], high.content["counts"]["kept"]) == (2, 1)


def test_the_output_is_pinned_to_the_stage_version(root: Path, knowledge_base: str) -> None:
    # Drawn by hand: a JPEG would bring the codec's version into the hash of the split.
    def picture(seed: int) -> bytes:
        sink = io.BytesIO()
        coarse = Image.linear_gradient("L").resize((8, 8)).rotate(40 * seed)
        coarse.convert("RGB").save(sink, "BMP")
        return sink.getvalue()

    pairs = [
        Pair(picture(seed), f"picture {seed}", [[Candidate("peru", 0.3 + seed / 100)]])
        for seed in range(8)
    ]
    made = assemble(pool_of(root, *pairs), knowledge_base, validation_share=0.3)
    shard = Dataset(made).shards[0]
    found = hash_json([table(made, shard.kept_key), table(made, made.content["vocabulary"])])
    assert (STAGE_VERSION, found) == (5, "59781894914070146336fd576ed088b2"), (
        "raise STAGE_VERSION on purpose only"
    )
