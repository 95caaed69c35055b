"""What a manifest says, flattened for people and dashboards: any kind, by its URI."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from openmofi.errors import InputError
from openmofi.versions import read_manifest

_SECTIONS = ("counts", "totals", "metrics", "splits")
_NOT_METRICS = {"schema_version", "stage_version"}
# A page that a kind of manifest names by its store key.
_PAGES = ("card", "report")
# And whatever else lies beside it for people and programs, by its address.
_FILES = (*_PAGES, "report_json")


@dataclass(frozen=True)
class ManifestSummary:
    """A manifest, ready to be shown.

    Args:
        text: Its JSON.
        metadata: URI, kind, digest, the counts as they stand, and the addresses of pages.
        metrics: Every number of its counts, totals and metrics. Names hold letters, digits and
            ``_ - . /`` only; values are finite.
        html: The page that it names (data card, report), or an empty string.
    """

    text: str
    metadata: Mapping[str, Any]
    metrics: Mapping[str, float]
    html: str = ""


def manifest_kind(uri: str) -> str:
    """The kind that stands in a manifest's URI.

    Raises:
        InputError: The URI is no manifest's.
    """
    found = re.search(r"/manifests/([^/]+)/[^/]+\.json$", uri)
    if not found:
        raise InputError(f"{uri!r} is not a manifest; expected ROOT/manifests/KIND/DIGEST.json")
    return found.group(1)


def summarize(uri: str) -> ManifestSummary:
    """Read any manifest and flatten it.

    Raises:
        InputError: The URI is no manifest's.
        StorageError: It is not there, or a page that it names is not.
    """
    kind = manifest_kind(uri)
    manifest = read_manifest(uri, kind)
    content = manifest.content
    shown = {name: content[name] for name in ("counts", "totals") if content.get(name)}
    files = {
        name: f"{manifest.store.uri}/{content[name]}"
        for name in _FILES
        if isinstance(content.get(name), str)
    }
    page = next((content[name] for name in _PAGES if isinstance(content.get(name), str)), "")
    return ManifestSummary(
        text=json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False),
        metadata={"uri": uri, "kind": kind, "digest": manifest.digest, **shown, **files},
        metrics=dict(_metrics(content)),
        html=manifest.store.get(page).decode() if page else "",
    )


def _metrics(content: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in content.items():
        if name in _SECTIONS or (name not in _NOT_METRICS and not isinstance(value, Mapping)):
            yield from _numbers(name, value)


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Finite numbers at any depth of mappings; lists and texts are no metrics."""
    if isinstance(value, Mapping):
        for part, inner in value.items():
            yield from _numbers(f"{name}/{part}", inner)
    elif isinstance(value, bool | int | float) and math.isfinite(value):
        yield re.sub(r"[^A-Za-z0-9_\-./]", "_", name), float(value)
