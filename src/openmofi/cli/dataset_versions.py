"""``openmofi dataset show | diff | verify | publish | gc``: what an operator does with versions."""

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from openmofi.errors import InputError

if TYPE_CHECKING:
    from openmofi.dataset.versions.version import Dataset

_VERSION = "manifest of a data set, or ROOT@NAME of a published one"


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add what looks at versions, and what keeps and removes them."""
    show = verbs.add_parser("show", help="counts of a data set, by step and cause")
    show.add_argument("dataset", metavar="URI", help=_VERSION)
    show.set_defaults(run=_show)

    diff = verbs.add_parser("diff", help="what changed from one version to another")
    diff.add_argument("old", metavar="OLD", help=_VERSION)
    diff.add_argument("new", metavar="NEW", help=_VERSION)
    diff.set_defaults(run=_diff)

    verify = verbs.add_parser("verify", help="whether a version is there, unchanged, and adds up")
    verify.add_argument("dataset", metavar="URI", help=_VERSION)
    verify.add_argument(
        "--deep", action="store_true", help="read all tables and pictures behind it too"
    )
    verify.add_argument(
        "--again", action="store_true", help="assemble it anew and compare what comes of it"
    )
    verify.set_defaults(run=_verify)

    publish = verbs.add_parser("publish", help="let a name stand for a version, or go back to one")
    publish.add_argument("dataset", metavar="URI", help=_VERSION)
    publish.add_argument("--name", default="main", help="default main")
    publish.add_argument("--force", action="store_true", help="whatever the version grew from")
    publish.set_defaults(run=_publish)

    gc = verbs.add_parser("gc", help="remove what no published version names")
    gc.add_argument("--root", required=True, help="file:///folder or s3://bucket/prefix")
    gc.add_argument(
        "--keep", type=int, default=2, help="versions before each published one (default 2)"
    )
    gc.add_argument("--yes", action="store_true", help="remove them; else they are only counted")
    gc.set_defaults(run=_gc)


def _show(arguments: argparse.Namespace) -> None:
    from openmofi.dataset.causes import Cause, funnel
    from openmofi.dataset.versions.version import read_dataset

    dataset = read_dataset(arguments.dataset)
    content = dataset.content
    counts = dict(content["counts"])
    left = sum(counts.values())
    print(f"{'seen':<38}{'':>10}{left:>10}")
    for step, cause, dropped in funnel(counts):
        left -= dropped
        print(f"{step:<16}{cause:<22}{-dropped:>10}{left:>10}")
    splits = " + ".join(f"{name} {number}" for name, number in content["splits"].items())
    print(f"kept {counts[Cause.KEPT]} = {splits}")
    print(_listed(content["totals"]))
    for line in _provenance(dataset):
        print(line)


def _provenance(dataset: "Dataset") -> Iterator[str]:
    from openmofi.dataset.versions.published import digest_in, read_pointers

    content = dataset.content
    samples = sum(content["counts"].values())
    yield f"version    {dataset.manifest.digest}"
    size = f"{content['shards']:,} shards, {samples:,} samples"
    yield f"content    {content['content_digest']}: {size}"
    parent = digest_in(content["parent"])
    yield f"parent     {parent or 'none'}"
    for name, pointer in read_pointers(dataset.store).items():
        if digest_in(pointer["dataset"]) == dataset.manifest.digest:
            yield f"published  as {name} since {pointer['history'][0]['at']}"
    yield f"\n{'stage':<18}{'version':>7}  seen by cause"
    for kind, stage in sorted(content["stages"].items()):
        seen = sum(stage["counts"].values())
        yield f"{kind:<18}{stage['version']:>7}  {seen} = {_listed(stage['counts'])}"
    yield "\nmade from"
    yield from (f"  {name:<34}{value}" for name, value in _origins(content))
    yield f"card: {dataset.store.uri}/{content['card']}"


def _origins(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Models, tables and lists behind a version, by digest."""
    if content["knowledge_base"]:
        yield "knowledge base", content["knowledge_base"]
    for kind, roles in sorted(content["digests"].items()):
        for role, digest in sorted(roles.items()):
            if role != "knowledge_base":
                yield f"{kind}: {role}", digest
    for kind, digest in sorted(content["table_digests"].items()):
        yield f"table {kind}", digest
    for digest in content["checked_against"]:
        yield "checked against", digest
    yield "made with", _listed(content["made_with"])


def _diff(arguments: argparse.Namespace) -> None:
    from openmofi.dataset.versions.changes import describe_changes, read_changes
    from openmofi.dataset.versions.version import read_dataset
    from openmofi.progress import say

    found = read_changes(read_dataset(arguments.old), read_dataset(arguments.new))
    say(describe_changes(found))
    print(json.dumps(found, indent=1, ensure_ascii=False))


def _verify(arguments: argparse.Namespace) -> None:
    from openmofi.dataset.versions.verify import describe, verify

    report = verify(arguments.dataset, deep=arguments.deep, again=arguments.again)
    for line in describe(report):
        print(line)
    if report.problems:
        first = report.problems[0]
        raise InputError(
            f"{report.dataset} is not what it says: {first.key} {first.what}; see above"
        )


def _publish(arguments: argparse.Namespace) -> None:
    from openmofi.dataset.versions.published import digest_in, publish, read_pointer, resolve
    from openmofi.dataset.versions.version import read_dataset

    uri = resolve(arguments.dataset)
    store = read_dataset(uri).store
    before = digest_in(read_pointer(store, arguments.name).get("dataset", ""))
    if publish(uri, name=arguments.name, why="by hand", force=arguments.force):
        print(f"published {arguments.name}: {digest_in(uri)} (was {before or 'nothing'})")
    else:
        print(f"{arguments.name} is {digest_in(uri)} already")


def _gc(arguments: argparse.Namespace) -> None:
    from openmofi.dataset.versions.gc import collect, plan_gc
    from openmofi.storage import open_store

    store = open_store(arguments.root)
    found = plan_gc(store, keep=arguments.keep)
    print(f"versions that stay: {', '.join(found.kept)}")
    if found.in_progress:
        print(
            f"nothing is removed: {found.in_progress} was written within a day and no manifest "
            "names it yet, so a run may be going on"
        )
        return
    for folder, (number, size) in found.by_folder.items():
        print(f"  {folder:<18}{number:>8} objects {size / 1e6:>12,.1f} MB")
    if arguments.yes:
        collect(store, found)
    done = "removed" if arguments.yes else "dry run; --yes removes them"
    print(
        f"{found.objects} objects, {found.bytes / 1e6:,.1f} MB, named by no version that stays "
        f"({done})"
    )


def _listed(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.items())
