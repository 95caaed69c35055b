"""What a command sends to the cluster: a configuration, checked as far as that goes from here."""

import argparse
from dataclasses import dataclass
from typing import Any

from openmofi.errors import InputError
from pipelines.cluster.notes import tell
from pipelines.cluster.versions import Package, pack
from pipelines.config import load_config
from pipelines.pools import load_pools
from pipelines.preflight import POOL_TABLES, check_inputs

# Read by pods from the store, or not at all.
_STORED = (
    "root", "source", "labeler_crawl", "training_shards", "baseline", "model", *POOL_TABLES,
)  # fmt: skip
# May be a path of the image, or of a volume that a cluster mounts into every pod.
_PATHS = ("wikidata", "wordnet", "knowledge_base_csv", "labeler", "evaluation_data")


@dataclass(frozen=True)
class Content:
    """A compiled pipeline and its parameters."""

    package: Package
    parameters: dict[str, Any]


def read_content(arguments: argparse.Namespace, run_name: str) -> Content:
    """Read, check and compile what the options name. Nothing is sent yet.

    Args:
        arguments: ``name``, ``config``, ``settings``, ``pools`` and ``unchecked``.
        run_name: The run's, or what stands for it in a schedule.

    Raises:
        InputError: A configuration or an input that the run would fail on.
        StorageError: The store can't be reached.
    """
    config = load_config(arguments.name, arguments.config, arguments.settings)
    values = config.arguments(run_name)
    pools = load_pools(arguments.pools) if arguments.pools else None
    checkable = _check_places(values)
    if not arguments.unchecked:
        for line in check_inputs(checkable):
            tell(line)
    from pipelines.compile import build

    pipeline = build(arguments.name, pools)
    if pools:
        values = pools.applied(values, pipeline.component_spec.inputs)
    package = pack(pipeline)
    if package.dirty:
        tell(f"the checkout has changes that no commit holds: version {package.version}")
    return Content(package, values)


def _check_places(values: dict[str, Any]) -> dict[str, Any]:
    """Refuse what no pod can see; give what can be checked from here."""
    for name in _STORED:
        given = values.get(name) or ()
        for uri in [given] if isinstance(given, str) else given:
            if isinstance(uri, str) and ("://" not in uri or uri.startswith("file://")):
                raise InputError(
                    f"'{name}': {uri} lies on this machine, where no pod can read it: put it "
                    "into the store, s3://BUCKET/PREFIX"
                )
    local = [name for name in _PATHS if _is_path(name, values.get(name) or "")]
    for name in local:
        tell(f"'{name}': {values[name]} must be there in the pods; from here that can't be seen")
    return {name: value for name, value in values.items() if name not in local}


def _is_path(name: str, value: str) -> bool:
    if not value or ("://" in value and not value.startswith("file://")):
        return False
    by_name = name == "labeler" and not value.startswith((".", "/", "~", "file://"))
    return not (by_name or value.startswith("hf-hub:"))
