"""Whether a version is what its manifest says: all of it there, unchanged, and counts add up."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from openmofi.dataset.causes import Cause
from openmofi.dataset.versions.findings import Findings, Problem
from openmofi.dataset.versions.published import digest_in, resolve, version_key
from openmofi.dataset.versions.references import named_tables
from openmofi.dataset.versions.verify_inputs import check_knowledge_base, check_tables
from openmofi.dataset.versions.version import KIND, Dataset, DatasetShard, digest_of, read_dataset
from openmofi.errors import InputError
from openmofi.keys import content_digest, hash_bytes, hash_json
from openmofi.progress import bar
from openmofi.records import from_parquet

_READERS = 16
# What `write_manifest` puts beside what a version says of itself.
_ENVELOPE = ("kind", "digest", "schema_version", "checksum")


@dataclass(frozen=True)
class Report:
    """What `verify` has found.

    Args:
        dataset: URI of the version.
        shards: Of the pool.
        samples: That it has seen.
        stages: Whose counts were added up.
        counts_add_up: Of every stage, and of the version.
        problems: What is missing or has changed.
        taken_down: The same where a compaction says why: no problem.
    """

    dataset: str
    shards: int
    samples: int
    stages: int
    counts_add_up: bool
    problems: tuple[Problem, ...]
    taken_down: tuple[Problem, ...]


def verify(uri: str, *, deep: bool = False, again: bool = False) -> Report:
    """Check a version against the store.

    Every object that it names is there; its rows have their digests; every sample of the pool is
    kept or dropped, once; counts by cause add up to the samples, in each stage and in all.

    Args:
        uri: Manifest URI of kind ``dataset``, or ``ROOT@name``.
        deep: Read the tables that it was made from, the knowledge base and every picture too.
        again: Assemble it anew, beside it, and compare the content. What was made is removed.

    Raises:
        InputError: It is no version, or its manifest is damaged.
        StorageError: It is not there, or the store cannot be read.
    """
    uri = resolve(uri)
    dataset = _read(uri)
    if not _is_unchanged(dataset, digest_in(uri)):
        what = "has changed: its checksum differs, so nothing that it says was checked"
        return Report(uri, 0, 0, 0, False, (Problem(version_key(digest_in(uri)), what),), ())
    findings = Findings(dataset.store, _present(dataset))
    shards = _check(dataset, findings, deep=deep)
    if again:
        # DuckDB and the labels' readers, of no use otherwise.
        from openmofi.dataset.versions.verify_again import check_again

        check_again(dataset, findings)
    return Report(
        dataset=dataset.uri,
        shards=len(shards),
        samples=sum(shard.rows for shard in shards),
        stages=len(dataset.content["stages"]),
        counts_add_up=findings.counts_add_up,
        problems=tuple(sorted(set(findings.problems))),
        taken_down=tuple(sorted(set(findings.taken_down))),
    )


def _check(dataset: Dataset, findings: Findings, *, deep: bool) -> Sequence[DatasetShard]:
    """All but making it again; returns the shards, none if the index cannot be read."""
    _check_files(dataset, findings)
    shards = findings.read(str(dataset.content["index"]), lambda: dataset.shards) or ()
    with ThreadPoolExecutor(_READERS) as pool:
        checked = pool.map(lambda one: _check_shard(dataset, one, findings), shards)
        parts = bar(checked, label="verify", total=len(shards), unit="shard")
        _check_sums(dataset, _added(parts), findings)
        check_tables(dataset, shards, findings, pool, deep=deep)
    check_knowledge_base(dataset, findings, deep=deep)
    return shards


def _read(uri: str) -> Dataset:
    try:
        return read_dataset(uri)
    except (KeyError, AttributeError, TypeError):
        raise InputError(f"{uri} is damaged: it is no manifest any more") from None


def _is_unchanged(dataset: Dataset, digest: str) -> bool:
    """Whether the manifest is the one of its name, with its own checksum."""
    content = dataset.content
    said = {name: value for name, value in content.items() if name not in _ENVELOPE}
    is_ours = (content["kind"], content["digest"]) == (KIND, digest)
    return is_ours and content.get("checksum") == hash_json(said)


def _present(dataset: Dataset) -> frozenset[str]:
    """Keys of all objects in the folders that a version may name."""
    folders = [f"datasets/{dataset.manifest.digest}/", "pool/"]
    folders += [
        f"{place}/{kind}/" for kind in named_tables(dataset) for place in ("tables", "manifests")
    ]
    return frozenset(info.key for folder in folders for info in dataset.store.list(folder))


def _check_files(dataset: Dataset, findings: Findings) -> None:
    """The files that the manifest names by their hashes."""
    for key, digest in dataset.content["files"].items():
        if not findings.is_there(key):
            continue
        found = hash_bytes(dataset.store.get(key))
        if found != digest:
            findings.add(key, f"has changed: hash {found}, the version names {digest}", found)


@dataclass
class _Sums:
    """What rows add up to."""

    shards: int = 1
    counts: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    labels: int = 0
    classes: set[int] = field(default_factory=set)


def _added(parts: Iterable[_Sums | None]) -> _Sums | None:
    """The sums of all shards; None if one of them could not be read."""
    total, is_whole = _Sums(shards=0), True
    for part in parts:
        is_whole = is_whole and part is not None
        if part is not None:
            total.shards += 1
            total.counts += part.counts
            total.splits += part.splits
            total.labels += part.labels
            total.classes |= part.classes
    return total if is_whole else None


def _check_shard(dataset: Dataset, shard: DatasetShard, findings: Findings) -> _Sums | None:
    kept = _rows(dataset, shard.kept_key, shard.kept_digest, findings)
    dropped = _rows(dataset, shard.dropped_key, shard.dropped_digest, findings)
    if kept is None or dropped is None:
        return None
    index = str(dataset.content["index"])
    rows = np.concatenate([table.column("row").to_numpy() for table in (kept, dropped)])
    if not np.array_equal(np.sort(rows), np.arange(shard.rows)):
        what = f"shard '{shard.shard}': kept and dropped are not its {shard.rows} rows, each once"
        findings.add_count(index, what)
    counts = Counter(dropped.column("cause").to_pylist())
    counts.update({str(Cause.KEPT): kept.num_rows} if kept.num_rows else {})
    if counts != Counter(shard.counts) or kept.num_rows != shard.kept:
        what = f"shard '{shard.shard}': counts {dict(shard.counts)}, its rows {dict(counts)}"
        findings.add_count(index, what)
    labels = compute.list_flatten(kept.column("labels"))
    splits = Counter(kept.column("split").to_pylist())
    return _Sums(1, counts, splits, len(labels), set(labels.unique().to_pylist()))


def _rows(dataset: Dataset, key: str, digest: str, findings: Findings) -> pa.Table | None:
    """A shard's rows if they are what the index says."""
    if not findings.is_there(key):
        return None
    data = dataset.store.get(key)
    table = findings.read(key, lambda: from_parquet(data))
    if table is None:
        return None
    found = content_digest(table)
    if found == digest:
        return table
    what = f"has changed: digest {found}, the version names {digest}"
    findings.add(key, what, found, hash_bytes(data))
    return None


def _check_sums(dataset: Dataset, found: _Sums | None, findings: Findings) -> None:
    """The manifest's sums against the rows. Rows that are not whole were told already."""
    name, content = version_key(dataset.manifest.digest), dataset.content
    vocabulary = findings.read(str(content["vocabulary"]), dataset.vocabulary)
    if vocabulary is None or not found or not found.shards:
        return
    totals = {"labels": found.labels, "entities": len(found.classes)}
    totals["classes"] = vocabulary.num_rows
    for one, (told, summed) in {
        "counts": (_some(content["counts"]), _some(found.counts)),
        "splits": (_some(content["splits"]), _some(found.splits)),
        "totals": ({name: content["totals"][name] for name in totals}, totals),
        "shards": (content["shards"], found.shards),
    }.items():
        if told != summed:
            findings.add_count(name, f"{one} are {_shown(told)}, its rows {_shown(summed)}")
    made = digest_of(dataset.shards, vocabulary)
    if made != content["content_digest"]:
        what = f"has content digest {content['content_digest']}, its rows and classes {made}"
        findings.add(name, what)


def _some(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: number for name, number in sorted(counts.items()) if number}


def _shown(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def describe(report: Report) -> Iterator[str]:
    """The report in lines, the first of which says it all."""
    counts = "counts add up" if report.counts_add_up else "counts do NOT add up"
    number = len(report.problems)
    problems = "no problem" if not number else f"{number} problem{'s' * (number > 1)}"
    yield (
        f"verified {report.shards:,} shards, {report.samples:,} samples: {counts} in "
        f"{report.stages} stages; {problems}"
    )
    yield from (f"  {one.key} {one.what}" for one in report.problems)
    if report.taken_down:
        yield f"taken down since: {len(report.taken_down)} objects, as compactions have recorded"
