"""Pipeline versions are named by commit and content, and made once."""

from dataclasses import replace

import pytest
from kfp import dsl

from pipelines.cluster.errors import ClusterError
from pipelines.cluster.versions import pack, read_spec, upload, version_name
from support.kfp_server import Fault
from support.kfp_toys import PACKAGE

COMMIT = "abcdef1234567890abcdef1234567890abcdef12"


@dsl.component(base_image="python:3.12")
def step():
    pass


@dsl.pipeline(name="toy-graph")
def graph():
    step()


def test_a_version_is_named_by_commit_and_content():
    name = version_name([{"a": 1, "b": 2}], COMMIT)
    assert name == version_name([{"b": 2, "a": 1}], COMMIT)
    assert name.startswith("abcdef123456-")
    assert len(name) == 25
    assert name != version_name([{"a": 1, "b": 3}], COMMIT)
    assert version_name([1], f"{COMMIT}-dirty") == f"abcdef123456-dirty-{name_of([1])}"
    assert version_name([1], "") == f"no-commit-{name_of([1])}"


def name_of(documents):
    return version_name(documents, COMMIT)[-12:]


def test_a_graph_packs_to_the_same_name_twice(monkeypatch):
    monkeypatch.setattr("pipelines.cluster.versions.git_commit", lambda: f"{COMMIT}-dirty")
    first = pack(graph)
    assert (first.pipeline, first.dirty) == ("toy-graph", True)
    assert pack(graph).version == first.version


def test_a_version_that_is_there_is_not_made_again(kfp, api):
    first = upload(api, PACKAGE, "")
    again = upload(api, PACKAGE, "")
    assert (first.new, again.new) == (True, False)
    assert again.version_id == first.version_id
    assert upload(api, replace(PACKAGE, version="other"), "").pipeline_id == first.pipeline_id
    assert len(kfp.all("pipelines")) == 1
    assert len(kfp.all("versions")) == 2


@pytest.mark.parametrize("kind", ["late", "lost", "cut", "garbage"])
@pytest.mark.parametrize("request_", [r"POST .*/pipelines$", r"POST .*/upload_version"])
def test_a_lost_answer_makes_no_second_one(kfp, hurried, kind, request_):
    kfp.faults.append(Fault(kind, request_))
    assert upload(hurried, PACKAGE, "").version_id == kfp.all("versions")[0]["pipeline_version_id"]
    assert (len(kfp.all("pipelines")), len(kfp.all("versions"))) == (1, 1)


@pytest.mark.parametrize("status", [409, 500])
def test_a_version_that_another_has_made_meanwhile_is_success(kfp, api, status):
    made = upload(api, PACKAGE, "")
    kfp.faults.append(Fault("garbage", r"GET .*/versions$"))
    kfp.faults.append(Fault(status, r"POST .*/upload_version"))
    hidden = kfp.stores["versions"].pop(made.version_id)
    kfp.after_write = lambda _: None
    real = api.write

    def write(*arguments, **options):
        kfp.stores["versions"][made.version_id] = hidden
        return real(*arguments, **options)

    api.write = write
    assert upload(api, PACKAGE, "").version_id == made.version_id


def test_an_upload_that_failed_is_told(kfp, api):
    kfp.faults.append(Fault(500, "upload_version"))
    with pytest.raises(ClusterError, match=r"uploading version abcdef123456-0123456789ab: .*500"):
        upload(api, PACKAGE, "")


def test_a_versions_graph_is_read_back(kfp, api):
    made = upload(api, PACKAGE, "")

    class Reference:
        pipeline_id, pipeline_version_id = made.pipeline_id, made.version_id

    assert read_spec(api, Reference)["pipelineInfo"] == {"name": "toy"}
