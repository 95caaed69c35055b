"""Pipeline versions: named by commit and content, so that one that is there need not be made."""

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from openmofi.errors import InputError
from pipelines.checkout import git_commit
from pipelines.cluster.api import Api
from pipelines.cluster.errors import ClusterError, NotThereError, UncertainError
from pipelines.cluster.listing import exactly, made_or_found, within

PIPELINES_API = "PipelineServiceApi"
_DIRTY = "-dirty"


@dataclass(frozen=True)
class Package:
    """A compiled pipeline.

    Args:
        pipeline: Its name in KFP.
        version: ``<commit12>-<sha12 of the content>``, with ``-dirty`` between the two for a
            checkout with changes of its own.
        text: The YAML that is uploaded.
    """

    pipeline: str
    version: str
    text: str

    @property
    def dirty(self) -> bool:
        """Whether the commit alone would not give this content again."""
        return _DIRTY in self.version


@dataclass(frozen=True)
class Version:
    """A pipeline version that the server has."""

    pipeline_id: str
    version_id: str
    name: str
    new: bool


def pack(pipeline: Any) -> Package:
    """Compile a pipeline and name the result.

    Args:
        pipeline: A function that `dsl.pipeline` has decorated.
    """
    from kfp import compiler

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(path))
        text = path.read_text(encoding="utf-8")
    documents = list(yaml.safe_load_all(text))
    name = documents[0]["pipelineInfo"]["name"]
    return Package(name, version_name(documents, git_commit()), text)


def version_name(documents: Any, commit: str) -> str:
    """The name of a compiled content.

    Args:
        documents: The YAML's documents. The order of their keys and their comments do not count.
        commit: As `git_commit` gives it; empty outside a checkout.
    """
    canonical = json.dumps(documents, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    content = hashlib.sha256(canonical.encode()).hexdigest()[:12]
    known = commit.removesuffix(_DIRTY)[:12] or "no-commit"
    return f"{known}{_DIRTY if commit.endswith(_DIRTY) else ''}-{content}"


def upload(api: Api, package: Package, namespace: str) -> Version:
    """Have the server hold a version, and its pipeline; one that is there already is that.

    Args:
        api: The API.
        package: What is uploaded.
        namespace: Of a server with several users; empty on others.

    Raises:
        ClusterError: Refused, unreachable, or an answer was lost and nothing came of it.
    """
    pipeline_id = _pipeline(api, package.pipeline, namespace)
    found = _find_version(api, pipeline_id, package.version)
    if found:
        return Version(pipeline_id, found, package.version, new=False)
    try:
        made = _send(api, package, pipeline_id)
    except ClusterError:
        # Whoever was faster has made the same: the content is in the name. Servers of some ages
        # tell so by 500, not 409.
        made = _find_version(api, pipeline_id, package.version)
        if not made:
            raise
    return Version(pipeline_id, made, package.version, new=True)


def _send(api: Api, package: Package, pipeline_id: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{package.pipeline}.yaml"
        path.write_text(package.text, encoding="utf-8")
        what = f"uploading version {package.version}"
        made = api.write(
            what,
            "PipelineUploadServiceApi",
            "upload_pipeline_version",
            str(path),
            name=package.version,
            display_name=package.version,
            pipelineid=pipeline_id,
            description=f"python -m pipelines, {package.version}",
        )
    if not made.pipeline_version_id:
        raise UncertainError(f"{what}: {api.endpoint.url} gave no id")
    return str(made.pipeline_version_id)


def _pipeline(api: Api, name: str, namespace: str) -> str:
    """Its id; it is made where it is missing."""
    found = find_pipeline(api, name, namespace)
    if found:
        return found
    import kfp_server_api

    wanted = kfp_server_api.V2beta1Pipeline(
        display_name=name, name=name, namespace=namespace or None, description="OpenMOFI"
    )
    call, what = "pipeline_service_create_pipeline", f"making pipeline {name}"
    return made_or_found(
        api,
        what,
        lambda: api.write(what, PIPELINES_API, call, wanted).pipeline_id,
        lambda: find_pipeline(api, name, namespace),
    )


def find_pipeline(api: Api, name: str, namespace: str) -> str:
    """Its id, or empty."""
    call = "pipeline_service_get_pipeline_by_name"
    try:
        found = api.read(
            f"looking for pipeline {name}", PIPELINES_API, call, name, **within(namespace)
        )
    except NotThereError:
        return ""
    return str(found.pipeline_id or "")


def _find_version(api: Api, pipeline_id: str, name: str) -> str:
    call = "pipeline_service_list_pipeline_versions"
    listed = api.pages(
        f"looking for version {name}",
        PIPELINES_API,
        call,
        "pipeline_versions",
        pipeline_id=pipeline_id,
        filter=exactly("display_name", name),
    )
    return next((str(v.pipeline_version_id) for v in listed if v.display_name == name), "")


def read_spec(api: Api, reference: Any) -> dict[str, Any]:
    """The compiled content of a run's version, such as a run names it.

    Raises:
        InputError: The run names no version, so it is none of ours.
    """
    if reference is None or not reference.pipeline_version_id:
        raise InputError("the run names no pipeline version")
    call = "pipeline_service_get_pipeline_version"
    arguments = (reference.pipeline_id, reference.pipeline_version_id)
    found = api.read("reading the run's version", PIPELINES_API, call, *arguments)
    spec = found.pipeline_spec or {}
    return dict(spec.get("pipeline_spec") or spec)
