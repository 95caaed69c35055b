"""`dataset verify`: whatever is missing or another is named, and counts add up."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from openmofi.dataset.versions.verify import Report, describe, verify
from openmofi.dataset.versions.version import Dataset
from openmofi.errors import OpenMofiError
from openmofi.keys import content_digest, hash_bytes
from openmofi.labeling.config import LabelConfig
from openmofi.labeling.quality.calibration import Calibration, Interval, write_calibration
from openmofi.records import from_parquet, from_rows, to_parquet
from openmofi.storage import Store
from openmofi.tombstones import FOLDER
from openmofi.versions import Manifest
from support.assembly import assemble, remade
from support.tables import Pair, write_pool
from support.versions import SHARDS, Built, altered, everything, listing, pool, rewritten

# What nobody reads: the time that a shard took, the name of it in the entry beside its table (the
# same content has one entry under any name), and how facts were made, which assembly knows.
NOBODYS = {
    "tables/": ("/seconds", "/shard"),
    "manifests/dataset_facts/": ("/config", "/digests", "/stage_version"),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built.of(tmp_path_factory.mktemp("built"), "ab")


def named(report: Report, key: str) -> bool:
    return any(key.startswith(one.key) or key in one.what for one in report.problems)


def told(uri: str, key: str, *, deep: bool = True) -> bool:
    """Whether `verify` says that something is wrong with ``key``, in a report or in its error."""
    try:
        return named(verify(uri, deep=deep), key)
    except OpenMofiError as error:
        return key in str(error)


def test_a_version_is_what_it_says(version: Manifest) -> None:
    report = verify(version.uri, deep=True)
    assert report == Report(version.uri, 2, 8, 5, True, (), ())
    assert list(describe(report)) == [
        "verified 2 shards, 8 samples: counts add up in 5 stages; no problem"
    ]


def test_a_shard_of_which_nothing_is_kept_adds_up(
    version: Manifest, root: Path, knowledge_base: str
) -> None:
    gone = [Pair(b"broken", "gone", status="corrupt_image")]
    shards = {"a": SHARDS["a"], "x": gone, "y": [SHARDS["b"][0]]}
    made = assemble(write_pool(root, shards), knowledge_base)
    assert [one.kept for one in Dataset(made).shards] == [3, 0, 1]
    assert verify(made.uri, deep=True, again=True) == Report(made.uri, 3, 7, 5, True, (), ())


def test_every_object_that_is_missing_is_named(version: Manifest) -> None:
    store = version.store
    keys = listing(store)
    assert len(keys) > 30
    missed = []
    for key in keys:
        data = store.get(key)
        store.delete(key)
        # Files of a knowledge base have one digest, which only a deep look compares.
        if not told(version.uri, key, deep=key.startswith("kb/")):
            missed.append(key)
        store.put(key, data)
    assert missed == []


def others(version: Manifest) -> Iterator[tuple[str, str, bytes]]:
    """Every object, what is another about it, and what it holds then."""
    keys = listing(version.store)
    base = [key for key in keys if key.startswith("kb/")]
    for key in keys:
        data = version.store.get(key)
        if key in base:
            # All its files have one digest.
            yield from [(key, "a byte more", data + b"0")] if key in (base[0], base[-1]) else []
        elif not key.startswith("manifests/knowledge_base/"):  # which has no digest of its own
            yield from ((key, how, other) for how, other in altered(key, data))


def test_every_object_that_is_another_is_named(tmp_path: Path) -> None:
    (version,) = Built.of(tmp_path, "a").restored()
    store, missed, tried = version.store, [], 0
    for key, how, other in others(version):
        if any(key.startswith(place) and how.startswith(n) for place, n in NOBODYS.items()):
            continue
        data = store.get(key)
        store.put(key, other)
        if not told(version.uri, key):
            missed.append((key, how))
        store.put(key, data)
        tried += 1
    assert missed == []
    assert tried > 300


def test_any_byte_of_a_picture_or_a_text_is_looked_at(version: Manifest) -> None:
    store, shard = version.store, Dataset(version).shards[1]
    samples = from_parquet(store.get(shard.samples_key)).to_pylist()
    tar = store.get(shard.tar_key)
    last = samples[-1]
    for at in (last["offset"] + last["length"] - 1, tar.rindex(last["alt_text"].encode())):
        store.put(shard.tar_key, bytes([*tar[:at], tar[at] ^ 1, *tar[at + 1 :]]))
        (problem,) = verify(version.uri, deep=True).problems
        assert problem.key == shard.tar_key
        assert f"1 samples are not what was ingested, the first {last['uid']}" in problem.what
        assert not verify(version.uri).problems  # pictures are read by a deep look alone


@pytest.fixture
def heir(version: Manifest, root: Path, knowledge_base: str) -> Manifest:
    return assemble(pool(root, "abc"), knowledge_base, parent=version.uri)


def test_changes_of_an_heir_are_a_part_of_it(heir: Manifest) -> None:
    key = heir.content["changes"]
    heir.store.put(key, heir.store.get(key).replace(b'"gained": 3', b'"gained": 4'))
    assert [one.key for one in verify(heir.uri).problems] == [key]


def test_a_parent_that_was_removed_is_no_problem(version: Manifest, heir: Manifest) -> None:
    version.store.delete(f"manifests/dataset/{version.digest}.json")
    assert not verify(heir.uri, deep=True, again=True).problems


def blanked(table: pa.Table, **values: str | None) -> pa.Table:
    """``samples`` with other values in its first row."""
    first, *others = table.to_pylist()
    return from_rows([{**first, **values}, *others], table.schema)


def test_what_a_compaction_has_changed_was_taken_down(version: Manifest) -> None:
    store, shard, card = version.store, Dataset(version).shards[0], version.content["card"]
    samples = from_parquet(store.get(shard.samples_key))
    page = b"<html>fewer pictures</html>"
    store.put(card, page)
    store.delete(shard.dropped_key)

    def compacted(table: pa.Table) -> Report:
        store.put(shard.samples_key, to_parquet(table))
        after = {shard.samples_key: content_digest(table), card: hash_bytes(page)}
        objects = {key: {"before": "0", "after": one} for key, one in after.items()}
        objects[shard.dropped_key] = {"before": "0", "after": ""}
        store.put("compactions/1.json", json.dumps({"objects": objects}).encode())
        report = verify(version.uri, deep=True)
        assert {one.key for one in report.taken_down} == objects.keys()
        assert list(describe(report))[-1].startswith("taken down since: 3 objects")
        return report

    # A text that is in the tar still; and a row that says nothing of it any more.
    report = compacted(blanked(samples, alt_text=""))
    assert {one.key for one in report.problems} == {shard.tar_key}
    assert compacted(blanked(samples, alt_text="", image_id=None)).problems == ()
    store.put(card, page + b" ")
    assert {one.key for one in verify(version.uri).problems} == {card}


# Made again


def test_a_version_is_made_again_and_nothing_of_it_stays(version: Manifest) -> None:
    before = everything(version.store)
    assert not verify(version.uri, again=True).problems
    assert everything(version.store) == before


def test_what_cannot_be_made_again_is_told(version: Manifest, root: Path) -> None:
    before = listing(version.store)
    other = rewritten(version, config={**version.content["config"], "min_score": 0.38})
    (problem,) = verify(other, again=True).problems
    assert "another when it is made again" in problem.what
    assert listing(version.store) == before
    shutil.rmtree(root / "kb")
    problems = verify(other, again=True).problems
    assert any("cannot be made again" in one.what for one in problems)


def test_a_calibrated_version_is_made_again(
    version: Manifest, root: Path, knowledge_base: str, tmp_path: Path
) -> None:
    label = LabelConfig().semantic()
    one, made = Interval(0.9, 0.8, 1.0), {"model": "m" * 32, "label": label}
    found = Calibration(0.38, 0.9, 0.95, one, one, one, 9, 8, 7, 6, 5, made, "5" * 32, ())
    write_calibration(found, tmp_path / "cut.json")
    scored = remade(pool(root, "a"), "entity_scores", digests={"model": "m" * 32}, config=label)
    version = assemble(scored, knowledge_base, calibration=str(tmp_path / "cut.json"))
    assert version.content["min_score"] == 0.38

    def told() -> list[str]:
        # Of the scores remade by hand, rows were counted and no samples: that is told as well.
        problems = verify(version.uri, again=True).problems
        return [one.what for one in problems if "again" in one.what]

    assert told() == []
    (tmp_path / "cut.json").unlink()
    (what,) = told()
    assert what.startswith("cannot be made again: ")


def test_after_a_take_down_nothing_is_made_again(
    version: Manifest, capfd: pytest.CaptureFixture[str]
) -> None:
    version.store.put(f"{FOLDER}1.txt", b"0" * 32)
    capfd.readouterr()
    assert not verify(version.uri, again=True).problems
    assert "taken down since" in capfd.readouterr().err


# Bad input


def damaged(store: Store, version: Manifest) -> Iterator[tuple[str, str]]:
    key = f"manifests/dataset/{version.digest}.json"
    body = store.get(key)
    for spoilt in (b"{", b"[]", b'{"schema_version": 1}'):
        store.put(key, spoilt)
        yield version.uri, "damaged"
    store.put(key, b'{"schema_version": 1, "digest": "0", "format": 1}')
    yield version.uri, "is a data set of format 1"
    store.delete(key)
    yield version.uri, "cannot read"
    yield f"{store.uri}@main", "nothing is published as 'main'"
    yield f"{store.uri}@Main", "is no name for a version"
    yield f"{store.uri}/manifests/samples/1.json", "is a manifest of 'samples'"
    store.put(key, body)
    store.put("compactions/1.json", b"[]")
    yield version.uri, "compactions/1.json is damaged"


def test_what_is_no_version_is_one_line(version: Manifest) -> None:
    for uri, said in damaged(version.store, version):
        with pytest.raises(OpenMofiError, match=said) as raised:
            verify(uri)
        assert "\n" not in str(raised.value)
