"""A crawl that grows: what a refresh makes of it, and what it leaves alone whatever happens."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from openmofi.dataset.gate import check_data
from openmofi.dataset.versions.published import publish, resolve
from openmofi.dataset.versions.version import Dataset, read_dataset
from openmofi.keys import content_digest, hash_bytes
from openmofi.records import from_parquet
from openmofi.storage import Store, open_store
from support.refreshing import (
    ASSEMBLE,
    NEW_ENTITY,
    DiedError,
    curate,
    die_at,
    grow,
    refresh,
    write_growing_workplace,
)
from support.tables import noise_jpeg

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

REPOSITORY = Path(__file__).parents[2]
SHARDS, SAMPLES = 9, 6
# What a refresh makes when the tables of the new shard are there.
MADE_LAST = (
    "tables/dataset_facts", "datasets", "manifests/dataset_facts", "manifests/dataset",
    "manifests/data_decision", "published",
)  # fmt: skip


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A crawl that has grown; ``before`` it did, what a ``refresh`` made, and a ``whole`` run."""
    folder = write_growing_workplace(
        tmp_path_factory.mktemp("refresh") / "work", shards=SHARDS, samples=SAMPLES
    )
    refresh(folder, folder / "before")
    grow(folder)
    shutil.copytree(folder / "before", folder / "refresh")
    refresh(folder, folder / "refresh")
    curate(folder, folder / "whole")
    return folder


@pytest.fixture
def root(grown, tmp_path):
    """Before the refresh has assembled: all tables of the crawl are there."""
    shutil.copytree(grown / "refresh", tmp_path / "root")
    for name in MADE_LAST:
        shutil.rmtree(tmp_path / "root" / name)
        shutil.copytree(grown / "before" / name, tmp_path / "root" / name)
    return tmp_path / "root"


def published(root: Path) -> Dataset:
    return read_dataset(resolve(f"{root}@main"))


def files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith(".writing-")
    }


def contents(root: Path) -> dict[str, str]:
    """What is in every object; not when, nor the decisions, which are named by addresses."""
    store, found = open_store(root.as_uri()), {}
    for key in [info.key for info in store.list()]:
        if key.startswith("published/"):
            pointer = json.loads(store.get(key))
            found[key] = [pointer["dataset"], [one["dataset"] for one in pointer["history"]]]
        elif key.startswith("tables/") and key.endswith(".json"):
            found[key] = "an entry, which holds how long its shard took"
        elif key.endswith(".parquet"):
            found[key] = content_digest(from_parquet(store.get(key)))
        elif not key.startswith("manifests/data_decision/"):
            found[key] = hash_bytes(_anywhere(store, key))
    return found


def _anywhere(store: Store, key: str) -> bytes:
    """An object without the address of its root, and sums over that."""
    text = store.get(key).replace(store.uri.encode(), b"")
    if not key.startswith("manifests/dataset/"):
        return text
    card = json.loads(text)["card"].encode()
    lines = text.splitlines()
    return b"\n".join(one for one in lines if b'"checksum"' not in one and card not in one)


def classes(version: Dataset) -> list[str]:
    return version.vocabulary().column("entity_id").to_pylist()


def rows(version: Dataset) -> dict[str, list[tuple]]:
    """All that a version says of each sample, with entities for classes."""
    names = classes(version)
    return {
        shard.shard: [
            *(
                (r["row"], r["uid"], r["split"], [names[label] for label in r["labels"]])
                for r in version.kept(shard).to_pylist()
            ),
            *(tuple(r.values()) for r in version.dropped(shard).to_pylist()),
        ]
        for shard in version.shards
    }


def test_nine_shards_and_one_more_equal_ten_at_once(grown):
    refreshed = published(grown / "refresh")
    [uri] = (grown / "whole/manifests/dataset").iterdir()
    whole = read_dataset(f"{(grown / 'whole').as_uri()}/manifests/dataset/{uri.name}")
    assert rows(refreshed) == rows(whole)
    assert len(rows(whole)) == SHARDS + 1
    # A picture that the new shard repeats: the first keeps its place, and takes the label.
    assert whole.content["counts"]["duplicate_exact"] == 1
    assert any(NEW_ENTITY in row[3] for row in rows(whole)["00000"] if len(row) == 4)
    # Class indices follow the parent.
    assert classes(refreshed) == ["E1", "E2", NEW_ENTITY]
    assert classes(whole) == [NEW_ENTITY, "E1", "E2"]


def test_a_refresh_tells_what_changed(grown):
    version = published(grown / "refresh")
    told = json.loads(version.store.get(version.content["changes"]))
    assert told["shards"]["added"] == {"count": 1, "first": [f"{SHARDS:05}"]}
    assert told["samples"]["lost"] == 0
    assert told["entities"]["new"]["first"][0]["entity_id"] == NEW_ENTITY
    assert told["recipe"] == {}
    assert set(told["tables"].values()) == {0}


def test_the_same_again_writes_nothing_but_its_decision(grown, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(grown / "refresh", root)
    stood = published(root).uri
    curate(grown, root)  # its plan names another folder
    before = files(root)
    dataset, decision = refresh(grown, root)
    assert dataset == stood
    assert decision.reasons == ("nothing is new: it is the version that stands already",)
    after = files(root)
    written = {key for key in after if before.get(key) != after[key]}
    assert written == {f"manifests/data_decision/{Path(decision.uri).name}"}
    assert before.keys() <= after.keys()
    assert refresh(grown, root)[1].uri == decision.uri
    assert files(root) == after


@pytest.mark.parametrize(
    ("prefix", "place"),
    [
        ("tables/dataset_facts/", 1),
        ("tables/dataset_facts/", 2),
        ("datasets/", 1),
        ("datasets/", 11),
        ("manifests/samples/", 1),
        ("manifests/dataset/", 1),
        ("manifests/data_decision/", 1),
        ("published/", 1),
    ],
)
def test_a_run_that_dies_leaves_what_was_published_and_the_next_ends_as_an_undisturbed_one(
    grown, root, monkeypatch, prefix, place
):
    before = files(root)
    with monkeypatch.context() as patch:
        die_at(patch, prefix, place)
        with pytest.raises(DiedError):
            refresh(grown, root)
    left = files(root)
    assert {key: left.get(key) for key in before} == before
    assert [k for k in left if k.startswith("published/")] == ["published/main.json"]
    refresh(grown, root)
    assert contents(root) == contents(grown / "refresh")


def start(folder: Path, root: Path, *killed_at: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "support.refreshing", str(folder), str(root), *killed_at]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_killed_before_it_publishes_and_two_at_once(grown, root, tmp_path):
    shutil.copytree(root, tmp_path / "killed")
    before = files(tmp_path / "killed")
    killed = start(grown, tmp_path / "killed", "published/")
    both = [start(grown, root), start(grown, root)]
    told = [run.communicate() for run in [killed, *both]]
    assert killed.returncode == -signal.SIGKILL, told[0][1]
    left = files(tmp_path / "killed")
    assert {key: left.get(key) for key in before} == before
    # Two at once: one digest, whichever comes first.
    assert [run.returncode for run in both] == [0, 0], told
    assert told[1][0] == told[2][0] == f"{published(root).uri}\n"
    refresh(grown, tmp_path / "killed")
    expected = contents(grown / "refresh")
    assert contents(root) == contents(tmp_path / "killed") == expected


def test_a_shard_that_left_the_source_is_missed(grown, root, tmp_path):
    shutil.copytree(grown / "crawl", tmp_path / "crawl")
    (tmp_path / "crawl/00004.tar").unlink()
    for name in ("entities.csv", "labeler"):
        (tmp_path / name).symlink_to(grown / name)
    before = files(root)
    _, decision = refresh(tmp_path, root)
    assert decision.reasons[-1].startswith("1 shards of its parent are gone")
    assert files(root)["published/main.json"] == before["published/main.json"]


def test_another_knowledge_base_is_a_backfill_that_embeds_nothing(grown, tmp_path, capfd):
    root = tmp_path / "root"
    shutil.copytree(grown / "refresh", root)
    for name in ("crawl", "labeler"):
        (tmp_path / name).symlink_to(grown / name)
    kept = (grown / "entities.csv").read_text().splitlines()
    kept = [line for line in kept if not line.startswith("E1,")] + ["E3,lake,,water,,"]
    (tmp_path / "entities.csv").write_text("\n".join(kept) + "\n")
    old = published(root)
    dataset = curate(tmp_path, root)
    said = capfd.readouterr().err
    for kind in ("samples", "image_embeddings", "text_regions"):
        assert f"{kind}: 10 shards, 10 reused, 0 to do" in said
    assert "mentions: 10 shards, 0 reused, 10 to do" in said
    new = read_dataset(dataset)
    assert classes(new) == ["E1", "E2", NEW_ENTITY, "E3"]
    assert new.vocabulary().column("images").to_pylist()[0] == 0
    told = json.loads(new.store.get(new.content["changes"]))
    assert [one["entity_id"] for one in told["entities"]["emptied"]["first"]] == ["E1"]
    assert told["tables"]["image_embeddings"] == told["tables"]["text_regions"] == 0
    assert "knowledge_base" in told["recipe"]
    assert told["counts"]["fresh"] == {}
    assert check_data(dataset, parent="published:main", config={"min_growth": -0.2}).passed
    assert publish(dataset, why="by hand")
    assert published(root).content["parent"] == old.uri.replace(str(grown / "refresh"), str(root))


@pytest.fixture
def run(grown, tmp_path, monkeypatch):
    """`refresh` as a user runs it, on a crawl whose tables and version are there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENMOFI_ROOT", raising=False)
    shutil.copytree(grown / "refresh", "root")
    shutil.copytree(grown / "crawl", "crawl")
    for name in ("entities.csv", "labeler"):
        Path(name).symlink_to(grown / name)
    Path("evaluation/crane").mkdir(parents=True)
    Path("evaluation/crane/one.jpg").write_bytes(noise_jpeg(77))
    config = yaml.safe_load((grown / "mine.yaml").read_text())
    config |= {"root": "root", "evaluation_data": "evaluation", "groups": 1, "assemble": ASSEMBLE}
    config["gate"] = {"min_growth": 0.02}
    Path("mine.yaml").write_text(yaml.safe_dump(config))
    # In a process of its own: a graph that has run here would be compiled without its retries.
    command = [sys.executable, "-m", "pipelines", "run", "refresh", "--config", "mine.yaml"]
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY), prepend=os.pathsep)
    return lambda name: subprocess.run(
        [*command, "--run-name", name], capture_output=True, text=True, check=False
    )


def test_a_bad_tar_ends_the_run_in_one_line_and_publishes_nothing(run):
    Path("crawl/00077.tar").write_bytes(Path("crawl/00000.tar").read_bytes()[:5000])
    before = files(Path("root"))
    ended = run("bad")
    assert ended.returncode == 2, ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("pipelines: step 'ingest-pairs' failed: ")
    assert "00077" in last
    left = files(Path("root"))
    assert {key: left.get(key) for key in before} == before
    assert not [k for k in left.keys() - before.keys() if k.startswith(("datasets", "published"))]


def test_the_graph_ends_at_the_gate_where_it_refuses(run):
    before = files(Path("root"))
    ended = run("refused")
    assert ended.returncode == 0, ended.stderr
    assert "refused; grew by" in ended.stdout
    assert "published" not in ended.stdout
    steps = json.loads(Path("build/runs/refused/outputs.json").read_text())
    assert {"assemble-dataset", "check-data"} <= {one["step"] for one in steps}
    assert not {"publish-dataset", "build-model-shards"} & {one["step"] for one in steps}
    assert files(Path("root"))["published/main.json"] == before["published/main.json"]
