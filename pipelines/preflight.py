"""Find what would fail before anything runs: each problem in one line that names it."""

from pathlib import Path
from typing import Any

from openmofi.dataset.versions.parent import find_parent
from openmofi.dataset.versions.version import read_dataset
from openmofi.errors import InputError
from openmofi.evaluation_data.hash_list import is_hash_list, read_hash_list
from openmofi.evaluation_data.layouts import read_evaluation_data
from openmofi.ingest.groups import most_groups
from openmofi.ingest.run import describe_group, plan_groups
from openmofi.inputs import check_input, is_on_s3
from openmofi.storage import open_store
from openmofi.versions import read_manifest, root_of

# Lists of manifests, one a group of shards.
POOL_TABLES = ("samples", "mentions", "image_embeddings", "entity_scores", "text_regions")
# Each is described by the listing of the whole source, which is read again for it.
_GROUPS_SHOWN = 8
# Which parameters name manifests, and of what kind.
_MANIFESTS = {
    **{name: name for name in POOL_TABLES},
    "training_shards": "training_shards",
    "baseline": "model",
    "model": "model",
    "knowledge_base": "knowledge_base",
}


def check_inputs(arguments: dict[str, Any]) -> list[str]:
    """Check what a pipeline's parameters name.

    Args:
        arguments: The parameters.

    Returns:
        What ingest has to do, one line a group of source shards; of many groups the first.

    Raises:
        InputError: Something is missing or empty.
        StorageError: The root can't be reached.
    """
    if "root" in arguments:
        open_store(arguments["root"]).check()
    for name, kind in _MANIFESTS.items():
        for uri in _uris(arguments.get(name)):
            read_manifest(uri, kind)
    _check_parent(arguments)
    for name in ("wikidata", "wordnet", "knowledge_base_csv", "labeler"):
        _check_path(name, arguments.get(name, ""))
    _check_evaluation_sets(arguments)
    return [
        line
        for name in ("labeler_crawl", "source")
        if arguments.get(name)
        for line in _describe_groups(arguments[name], arguments)
    ]


def _describe_groups(source: str, arguments: dict[str, Any]) -> list[str]:
    root = arguments["root"]
    groups = plan_groups(
        root,
        source=source,
        groups=arguments.get("groups", 0),
        config=arguments.get("ingest"),
    )
    most = most_groups(open_store(root).uri)
    if len(groups) > most:
        raise InputError(
            f"'groups': {len(groups)} are too many for one step to be handed what all of them "
            f"made: with this root at most {most}, or 0 for as many as suit"
        )
    shown = [describe_group(group) for group in groups[:_GROUPS_SHOWN]]
    rest = len(groups) - len(shown)
    return [*shown, f"and {rest} more groups like these"] if rest else shown


def _uris(value: Any) -> list[str]:
    """One, several or none; a mapping under the same name is a section of options."""
    if not value or isinstance(value, dict):
        return []
    return [value] if isinstance(value, str) else list(value)


def _check_parent(arguments: dict[str, Any]) -> None:
    """The version that a data set would follow, as its step will find it."""
    if not arguments.get("parent"):
        return
    # Without a root, everything goes where the tables lie.
    root = arguments.get("root") or root_of(arguments["samples"][0])
    uri = find_parent(arguments["parent"], open_store(root))
    if uri:
        read_dataset(uri)


def _check_evaluation_sets(arguments: dict[str, Any]) -> None:
    """What assembly keeps clear of, too: hours lie between here and there."""
    assemble = arguments.get("assemble") or {}
    sets = dict.fromkeys(assemble.get("evaluation_sets", ()), "assemble.evaluation_sets")
    if arguments.get("evaluation_data"):
        sets[arguments["evaluation_data"]] = "evaluation_data"
    for data, name in sets.items():
        try:
            if is_hash_list(data) and name != "evaluation_data":
                read_hash_list(data)
            else:
                read_evaluation_data(data)
        except InputError as error:
            raise InputError(f"'{name}': {error}") from None


def _check_path(name: str, value: str) -> None:
    """A labeler may be a name too: it counts as a path where it is written as one."""
    if is_on_s3(value):
        try:
            check_input(value)
        except InputError as error:
            raise InputError(f"'{name}': {error}") from None
    if not value or "://" in value or value.startswith("hf-hub:"):
        return
    if name == "labeler" and not value.startswith((".", "/", "~")) and not Path(value).suffix:
        return
    if not Path(value).exists():
        raise InputError(f"'{name}': {value} is not there")
