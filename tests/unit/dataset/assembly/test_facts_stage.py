"""Facts of a shard against loops over its tables; what makes them anew, and what does not."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openmofi.dataset.assembly.facts import FACTS
from openmofi.dataset.assembly.facts_stage import NAME, STAGE_VERSION, make_facts
from openmofi.dataset.assembly.job import Job, prepare
from openmofi.dataset.assembly.score_bins import bins_of
from openmofi.dataset.config import AssembleConfig
from openmofi.errors import ShardError
from openmofi.images import image_id
from openmofi.keys import hash_json
from openmofi.records import from_parquet, from_rows
from openmofi.storage import open_store
from openmofi.tombstones import url_hash
from openmofi.versions import read_table_version
from support.assembly import assemble, embedded, remade
from support.assembly_pools import random_pool, write_tables
from support.assembly_twin import HeldOut, Sample
from support.heads import write_head
from support.labeling import remove_tars
from support.tables import Pool, labelled, noise_jpeg, without, write_pool

ENTITIES = ("chad", "lagos", "norway", "peru")
MADE = re.compile(r"dataset_facts: \d+ shards, (\d+) reused, (\d+) to do")


def prepared(pool: Any, knowledge_base: str, **config: Any) -> Job:
    tables = pool if isinstance(pool, dict) else pool.tables()
    return prepare(tables, knowledge_base, AssembleConfig(**config), "")


def facts_of(job: Job) -> dict[str, list[dict[str, Any]]]:
    version = make_facts(job.tables, job.row_rules(), job.checked_against())
    tables = {e.shard: from_parquet(job.tables.store.get(e.table_key)) for e in version.shards}
    assert all(table.schema.names == FACTS.names for table in tables.values())
    return {shard: table.to_pylist() for shard, table in tables.items()}


def f32(*values: float) -> list[float]:
    return [float(np.float32(value)) for value in values]


@pytest.mark.parametrize("seed", range(6))
def test_facts_are_what_loops_over_the_tables_say(
    root: Path, knowledge_base: str, tmp_path: Path, seed: int
) -> None:
    samples = random_pool(seed, ENTITIES, HeldOut(ids=set(), hashes=set()))
    files = [write_head(tmp_path / f"{n}.safetensors", np.eye(4)[n]) for n in range(2)]
    heads = {f"head {n}": {"file": str(file), "max": 0.5} for n, file in enumerate(files)}
    job = prepared(write_tables(root, samples), knowledge_base, heads=heads)
    found = facts_of(job)
    assert sum(map(len, found.values())) == len(samples)
    for sample in samples:
        shard, row = sample.place.split("/")
        fact = found[shard][int(row)]
        for name in ("uid", "image_id", "phash", "licence", "no_ai", "status"):
            assert fact[name] == getattr(sample, name)
        assert fact["url_hash"] == url_hash(sample.url)
        vector = [] if sample.vector is None else np.asarray(sample.vector, np.float16)[:2]
        assert fact["heads"] == f32(*vector)
        contexts: dict[str, float] = {}
        for entity, context in sample.mentions:
            contexts[entity] = max(context, contexts.get(entity, 0))
        labels = {e: (s, contexts[e]) for e, (s, on) in sample.scores.items() if on}
        told = zip(fact["entities"], fact["scores"], fact["contexts"], strict=True)
        assert {e: [s, c] for e, s, c in told} == {e: f32(*both) for e, both in labels.items()}
        scores = np.array([score for score, _ in sample.scores.values()], np.float32)
        assert sorted(fact["candidates"]) == sorted(bins_of(scores).tolist())
        boxes = [(sure, area) for sure, area in sample.boxes if sure >= 0.5]
        assert fact["with_text"] == any(0.001 <= area <= 0.2 for _, area in boxes)
        assert fact["large_text"] == any(area > 0.2 for _, area in boxes)
        masked = None if isinstance(sample.masked, str) else f32(sample.masked)[0]
        assert fact["masked_score"] == (masked if fact["with_text"] else None)


@pytest.fixture
def pool(root: Path) -> Pool:
    pairs = [labelled(seed, ("peru", 0.3 + seed / 100)) for seed in range(3)]
    made = write_pool(root, {"a": pairs, "b": [labelled(9, ("peru", 0.4), boxes=[(0.6, 0.05)])]})
    return embedded(made, {"a": [(1, 0), (0, 1), (1, 0)], "b": [(0, 1)]})


def remade_shards(capfd: pytest.CaptureFixture[str]) -> int:
    (found,) = MADE.findall(capfd.readouterr().err)
    return int(found[1])


def test_another_decision_zips_nothing_again(
    pool: Pool, knowledge_base: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = write_head(tmp_path / "h.safetensors", [1.0, 0.0])
    rule: dict[str, Any] = {"file": str(file), "max": 2}
    assemble(pool, knowledge_base, heads={"h": rule})
    assert remade_shards(capfd) == 2
    uris = set()
    for config in (
        {"min_score": 0.31},
        {"min_context_score": 0.5},
        {"heads": {"other name": {**rule, "max": 1.5}}},
        {"max_images_per_entity": 2},
        {"max_labels_per_image": 1},
        {"duplicates": {"embedding_cosine": 0.9}},
        {"rights": {"licences": ["", "cc-*"]}},
        {"validation_share": 0.2},
        {"seed": 5},
    ):
        uris.add(assemble(pool, knowledge_base, **{"heads": {"h": rule}, **config}).uri)
        assert remade_shards(capfd) == 0, config
    open_store(pool.root).put("tombstones/one.txt", image_id(noise_jpeg(1)).encode())
    uris.add(assemble(pool, knowledge_base, heads={"h": rule}).uri)
    assert remade_shards(capfd) == 0
    assert len(uris) == 10


def test_what_decides_a_row_makes_it_anew(
    pool: Pool, knowledge_base: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = [write_head(tmp_path / f"{n}.safetensors", [1.0, n]) for n in range(2)]
    (tmp_path / "set" / "peru").mkdir(parents=True)
    (tmp_path / "set" / "peru" / "0.jpg").write_bytes(noise_jpeg(77))
    sets = [str(tmp_path / "set")]
    for config in (
        {},
        {"text": {"min_confidence": 0.7}},
        {"text": {"drop_text": False}},
        {"heads": {"h": {"file": str(files[0]), "max": 2}}},
        {"heads": {"h": {"file": str(files[1]), "max": 2}}},
        {"evaluation_sets": sets},
        {"evaluation_sets": sets, "evaluation_bits": None},
        {"evaluation_sets": sets, "evaluation_bits": 3},
    ):
        assemble(pool, knowledge_base, **config)
        assert remade_shards(capfd) == 2, config
    other = remade(pool, "text_regions", digests={"detector": "another"})
    assemble(other, knowledge_base)
    assert remade_shards(capfd) == 2


def test_a_pool_that_has_grown_zips_its_new_shards_alone(
    root: Path, knowledge_base: str, capfd: pytest.CaptureFixture[str]
) -> None:
    shards = {f"{n}": [labelled(2 * n, ("peru", 0.4)), labelled(2 * n + 1)] for n in range(5)}
    kinds = ("mentions", "entity_scores", "text_regions")
    raw = {"require_entities": False}
    small = without(write_pool(root, dict(list(shards.items())[:4])), *kinds)
    old = assemble(replace(small, image_embeddings=[]), "", **raw)
    capfd.readouterr()
    whole = without(write_pool(root, shards), *kinds)
    grown = assemble(replace(whole, image_embeddings=[]), "", parent=old.uri, **raw)
    assert "dataset_facts: 5 shards, 4 reused, 1 to do" in capfd.readouterr().err
    elsewhere = without(write_pool(root.with_name("elsewhere"), shards), *kinds)
    full = assemble(replace(elsewhere, image_embeddings=[]), "", **raw)
    assert grown.content["content_digest"] == full.content["content_digest"]


def test_no_tar_is_asked_for(pool: Pool, knowledge_base: str) -> None:
    assert remove_tars(pool.root) == 2
    assert assemble(pool, knowledge_base).content["counts"]["kept"] == 3
    _, version = read_table_version(
        next(
            f"{pool.root}/{info.key}"
            for info in open_store(pool.root).list(f"manifests/{NAME}/")
            if info.key.endswith(".json")
        ),
        NAME,
    )
    assert {entry.tar_key for entry in version.shards} == {""}


def test_a_version_names_its_facts(pool: Pool, knowledge_base: str) -> None:
    made = assemble(pool, knowledge_base)
    assert made.store.exists(made.content["facts"])
    _, version = read_table_version(f"{pool.root}/{made.content['facts']}", NAME)
    assert [entry.rows for entry in version.shards] == [3, 1]
    assert version.counts == {"ok": 4}


def test_a_damaged_shard_is_one_line_and_the_others_are_done(
    root: Path, knowledge_base: str
) -> None:
    pool = write_pool(root, {"a": [labelled(1, ("peru", 0.4))], "b": [labelled(2, ("chad", 0.4))]})
    store, scores = read_table_version(pool.entity_scores[0], "entity_scores")
    tables = {e.shard: from_parquet(store.get(e.table_key)) for e in scores.shards}
    rows = [{**row, "row": 7} for row in tables["b"].to_pylist()]
    broken = {**tables, "b": from_rows(rows, tables["b"].schema)}
    match = "'b' failed: entity_scores name row 7, and samples have 1 rows; 1 of 2 shards are done"
    with pytest.raises(ShardError, match=match):
        assemble(remade(pool, "entity_scores", digests={}, tables=broken), knowledge_base)
    assert not list(store.list("manifests/dataset/"))


def test_the_output_is_pinned_to_the_stage_version(root: Path, knowledge_base: str) -> None:
    one = Sample(
        place="a/0", uid="0" * 32, image_id="1" * 32, phash=5, status="ok",
        url="https://a.test/1", licence="cc0", no_ai=False,
        scores={"peru": (0.5, True), "chad": (0.25, False)},
        mentions=[("peru", 0.5), ("peru", 0.75), ("chad", 0.25)],
        boxes=[(0.75, 0.125)], text_status="ok", masked=0.5, vector=None,
    )  # fmt: skip
    other = replace(one, place="a/1", phash=None, status="too_small", url=None, boxes=[])
    failed = replace(one, place="a/2", text_status="failed", masked="failed", no_ai=None)
    job = prepared(write_tables(root, [one, other, failed]), knowledge_base)
    version = make_facts(job.tables, job.row_rules(), [])
    found = hash_json([entry.content_digest for entry in version.shards])
    assert (STAGE_VERSION, found) == (1, "b2f87134e816e431aa740fbacd96abc1"), (
        "raise STAGE_VERSION on purpose only"
    )
