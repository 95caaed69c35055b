"""Whether a version can be made again: assembled anew beside it, compared, and removed."""

from openmofi.config import parse_config
from openmofi.dataset.assemble import assemble_job
from openmofi.dataset.assembly.job import Job, prepare
from openmofi.dataset.config import AssembleConfig
from openmofi.dataset.versions.findings import Findings
from openmofi.dataset.versions.published import digest_in, version_key
from openmofi.dataset.versions.verify_inputs import knowledge_base_uri
from openmofi.dataset.versions.version import Dataset, read_dataset
from openmofi.errors import OpenMofiError
from openmofi.keys import hash_json
from openmofi.progress import say
from openmofi.versions import manifest_key


def check_again(dataset: Dataset, findings: Findings) -> None:
    """Note if assembly, given the same tables and decisions, comes to another content."""
    name = version_key(dataset.manifest.digest)
    try:
        job = _job(dataset)
        if job.tombstones.digest != dataset.content["tombstones"]:
            say("verify: more was taken down since, so another content is right; not made again")
            return
        found = _assembled(dataset, job)
    except OpenMofiError as error:
        findings.add(name, f"cannot be made again: {error}")
        return
    if found != dataset.content["content_digest"]:
        findings.add(name, f"is another when it is made again: content digest {found}")


def _job(dataset: Dataset) -> Job:
    root, content = dataset.store.uri, dataset.content
    config = dict(content["config"])
    if config["calibration"]:
        del config["min_score"]  # a default, in whose stead the calibration's cut stands
    given = {
        kind: [f"{root}/{manifest_key(kind, digest)}"]
        for kind, digest in content["table_digests"].items()
    }
    parsed = parse_config(AssembleConfig, config, where=dataset.uri)
    return prepare(given, knowledge_base_uri(dataset), parsed, _parent(dataset))


def _parent(dataset: Dataset) -> str:
    """Whose class indices go on: where the parent was removed, the version's own, the same ones."""
    parent = version_key(digest_in(str(dataset.content["parent"])))
    if not dataset.content["parent"]:
        return ""
    return f"{dataset.store.uri}/{parent}" if dataset.store.exists(parent) else dataset.uri


def _assembled(dataset: Dataset, job: Job) -> str:
    """The content digest of what is made; nothing of it stays."""
    store, digest = dataset.store, hash_json(["again", dataset.manifest.digest])
    try:
        return str(read_dataset(assemble_job(job, digest)).content["content_digest"])
    finally:
        store.delete(version_key(digest))
        for info in list(store.list(f"datasets/{digest}/")):
            store.delete(info.key)
