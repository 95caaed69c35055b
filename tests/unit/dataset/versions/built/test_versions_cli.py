"""`openmofi dataset show | diff | verify | publish | gc`, as an operator types them."""

import json
import re
from pathlib import Path

import pytest

from openmofi.cli import main
from openmofi.dataset.versions.changes import changes
from openmofi.dataset.versions.version import read_dataset
from openmofi.storage import open_store
from openmofi.versions import Manifest
from support.versions import Built, age, everything

Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built.of(tmp_path_factory.mktemp("built"), "a", "ab", "abc")


def said(capsys: Output, *arguments: str) -> list[str]:
    """Lines of a command that ends well."""
    capsys.readouterr()
    assert main(["dataset", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def refused(capsys: Output, *arguments: str) -> str:
    """The one line of a command that does not."""
    capsys.readouterr()
    assert main(["dataset", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_publish_goes_forward_and_back(versions: list[Manifest], capsys: Output) -> None:
    first, second = (one.digest for one in versions[:2])
    uris = [one.uri for one in versions]
    assert said(capsys, "publish", uris[0]) == [f"published main: {first} (was nothing)"]
    assert said(capsys, "publish", uris[1]) == [f"published main: {second} (was {first})"]
    assert said(capsys, "publish", uris[1]) == [f"main is {second} already"]
    assert said(capsys, "publish", uris[0]) == [f"published main: {first} (was {second})"]
    assert said(capsys, "publish", uris[2], "--name", "next")[0].startswith("published next")


def test_show_tells_where_a_version_stands(
    versions: list[Manifest], root: Path, capsys: Output
) -> None:
    first, second = versions[:2]
    said(capsys, "publish", second.uri)
    lines = said(capsys, "show", f"{root}@main")
    assert lines[0].split() == ["seen", "8"]
    assert f"version    {second.digest}" in lines
    assert f"content    {second.content['content_digest']}: 2 shards, 8 samples" in lines
    assert f"parent     {first.digest}" in lines
    (since,) = [line for line in lines if line.startswith("published")]
    assert re.fullmatch(r"published  as main since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", since)
    stages = {line.split()[0]: line for line in lines if " = " in line}
    assert stages["samples"].endswith("8 = corrupt_image 1, ok 7")
    assert any(line.split()[:2] == ["table", "mentions"] for line in lines)
    assert any(line.split()[:2] == ["made", "with"] for line in lines)
    other = said(capsys, "show", first.uri)
    assert "parent     none" in other
    assert not any(line.startswith("published") for line in other)


def test_diff_prints_what_changed(versions: list[Manifest], capsys: Output) -> None:
    first, second, last = (read_dataset(one.uri) for one in versions)
    for old, new in ((second, last), (first, last), (last, first)):
        found = json.loads("\n".join(said(capsys, "diff", old.uri, new.uri)))
        assert found == changes(old, new).plain()


def test_verify_ends_well_or_with_the_first_problem(
    versions: list[Manifest], capsys: Output
) -> None:
    uri, store = versions[1].uri, versions[1].store
    sound = "verified 2 shards, 8 samples: counts add up in 5 stages; no problem"
    assert said(capsys, "verify", uri) == [sound]
    assert said(capsys, "verify", uri, "--deep", "--again") == [sound]
    tar, other = (one.tar_key for one in read_dataset(uri).shards)
    store.delete(tar)
    store.put(other, b"no tar")
    line = refused(capsys, "verify", uri)
    assert line == f"openmofi: {uri} is not what it says: {tar} is missing; see above"
    capsys.readouterr()
    assert main(["dataset", "verify", uri, "--deep"]) == 2
    first, *problems = capsys.readouterr().out.splitlines()
    assert first.endswith("; 2 problems")
    assert sorted(line.split()[0] for line in problems) == sorted([tar, other])


def test_gc_counts_first_and_removes_if_told(
    versions: list[Manifest], root: Path, capsys: Output
) -> None:
    store = open_store(str(root))
    for one in versions:
        said(capsys, "publish", one.uri)
    before = everything(store)
    young = said(capsys, "gc", "--root", str(root), "--keep", "0", "--yes")
    assert everything(store) == before
    assert young[-1].startswith("0 objects, 0.0 MB")
    age(root)
    dry = said(capsys, "gc", "--root", str(root), "--keep", "0")
    assert everything(store) == before
    assert dry[0] == f"versions that stay: {versions[2].digest}"
    assert dry[-1].endswith("named by no version that stays (dry run; --yes removes them)")
    done = said(capsys, "gc", "--root", str(root), "--keep", "0", "--yes")
    assert done[-1] == dry[-1].replace("(dry run; --yes removes them)", "(removed)")
    gone = len(before) - len(everything(store))
    assert gone == int(done[-1].split()[0]) > 0
    assert said(capsys, "verify", versions[2].uri, "--deep")[0].endswith("no problem")


def test_gc_waits_for_a_run_in_progress(
    versions: list[Manifest], root: Path, capsys: Output
) -> None:
    said(capsys, "publish", versions[2].uri)
    age(root)
    open_store(str(root)).put("tables/mentions/1.parquet", b"half")
    lines = said(capsys, "gc", "--root", str(root), "--keep", "0", "--yes")
    assert lines[-1].startswith("nothing is removed: tables/mentions/1.parquet was written")


@pytest.mark.parametrize("verb", ["show", "verify", "publish", "diff"])
def test_what_is_no_version_is_one_line(
    versions: list[Manifest], root: Path, capsys: Output, verb: str
) -> None:
    more = [versions[0].uri] if verb == "diff" else []
    samples = versions[0].content["table_digests"]["samples"]
    for given, line in (
        (f"{root.as_uri()}/manifests/samples/{samples}.json", "a manifest of 'samples'"),
        (f"{root.as_uri()}/manifests/dataset/{'0' * 32}.json", "cannot read"),
        (f"{root}@main", f"nothing is published as 'main' in {root.as_uri()}"),
        (f"{root}@no name", "'no name' is no name for a version"),
        (str(root), "is not a manifest"),
    ):
        assert line in refused(capsys, verb, given, *more)


def test_gc_of_what_is_no_root_is_one_line(tmp_path: Path, capsys: Output) -> None:
    for root, line in (
        (str(tmp_path / "nothing"), "nothing is published in"),
        ("ftp://host/root", "has scheme 'ftp'"),
    ):
        assert line in refused(capsys, "gc", "--root", root)
    assert not (tmp_path / "nothing").exists()


def test_two_parents_are_one_line(versions: list[Manifest], root: Path, capsys: Output) -> None:
    before = everything(versions[0].store)
    samples = versions[0].content["table_digests"]["samples"]
    given = ["assemble", "--samples", f"{root.as_uri()}/manifests/samples/{samples}.json"]
    for one in versions[:2]:
        given += ["--parent", one.uri]
    assert "--parent is given 2 times, and a version grows from one" in refused(capsys, *given)
    assert everything(versions[0].store) == before


def test_a_fork_is_refused_in_one_line(versions: list[Manifest], capsys: Output) -> None:
    said(capsys, "publish", versions[2].uri)
    body = json.loads(versions[1].store.get(f"manifests/dataset/{versions[1].digest}.json"))
    key = f"manifests/dataset/{'f' * 32}.json"
    versions[1].store.put(key, json.dumps({**body, "digest": "f" * 32}).encode())
    fork = f"{versions[1].store.uri}/{key}"
    assert "two versions grew from one parent" in refused(capsys, "publish", fork)
    assert said(capsys, "publish", fork, "--force")[0].startswith("published main: ffff")
