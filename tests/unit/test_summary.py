"""Any manifest, flattened."""

import json
import re

import pytest

from openmofi.errors import InputError
from openmofi.storage import open_store
from openmofi.summary import manifest_kind, summarize
from openmofi.versions import write_manifest


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path))


def test_metadata_holds_address_and_counts(store):
    made = write_manifest(
        store, "samples", "abc", {"counts": {"ok": 3}, "totals": {}, "config": {}}
    )
    assert summarize(made.uri).metadata == {
        "uri": made.uri,
        "kind": "samples",
        "digest": "abc",
        "counts": {"ok": 3},
    }


def test_metrics_are_every_finite_number_of_counts_totals_and_metrics(store):
    content = {
        "rows": 5,
        "stage_version": 4,
        "config": {"threshold": 0.5},
        "counts": {"ok": 3, "corrupt_image": 2},
        "totals": {"boxes": 7},
        "metrics": {"candidate": {"retrieval/map": 12.5, "bad": float("nan"), "note": "x"}},
        "shards": [{"rows": 5}],
    }
    made = write_manifest(store, "evaluation", "abc", content)
    assert summarize(made.uri).metrics == {
        "rows": 5.0,
        "counts/ok": 3.0,
        "counts/corrupt_image": 2.0,
        "totals/boxes": 7.0,
        "metrics/candidate/retrieval/map": 12.5,
    }


def test_names_hold_only_what_dashboards_take(store):
    made = write_manifest(store, "toy", "abc", {"metrics": {"R@1 (text → image)": 1}})
    [name] = summarize(made.uri).metrics
    assert re.fullmatch(r"[A-Za-z0-9_\-./]+", name)


@pytest.mark.parametrize("name", ["card", "report"])
def test_the_page_that_a_manifest_names_comes_along(store, name):
    store.put("pages/one.html", b"<p>one</p>")
    made = write_manifest(store, "toy", "abc", {name: "pages/one.html"})
    assert summarize(made.uri).html == "<p>one</p>"


def test_a_manifest_without_a_page_has_none(store):
    assert summarize(write_manifest(store, "toy", "abc", {}).uri).html == ""


def test_the_text_is_the_manifests_json(store):
    made = write_manifest(store, "toy", "abc", {"name": "Tōkyō"})
    assert json.loads(summarize(made.uri).text)["name"] == "Tōkyō"


@pytest.mark.parametrize(
    "uri", ["", "s3://bucket/x.json", "/manifests/", "/root/manifests/a/b/c.json"]
)
def test_anything_else_is_refused(uri):
    with pytest.raises(InputError, match="is not a manifest"):
        manifest_kind(uri)


def test_metadata_says_where_the_page_and_the_json_beside_it_lie(store):
    store.put("pages/one.html", b"<p>one</p>")
    content = {"report": "pages/one.html", "report_json": "pages/one.json"}
    made = write_manifest(store, "evaluation", "abc", content)
    found = summarize(made.uri).metadata
    assert found["report"] == f"{store.uri}/pages/one.html"
    assert found["report_json"] == f"{store.uri}/pages/one.json"
