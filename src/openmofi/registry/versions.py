"""Versions of a registered model, as `openmofi registry list` and ``show`` tell them."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openmofi import tracking
from openmofi.errors import InputError, StorageError
from openmofi.records import read_parquet
from openmofi.registry.champions import SINCE_TAG, UNTIL_TAG, read_history
from openmofi.registry.gallery_index import ENTRIES_FILE
from openmofi.registry.register import COMPLETE_TAG, RECORD_TAG, check_name
from openmofi.tombstones import read_tombstones
from openmofi.versions import read_manifest

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

_COLUMNS = ("version", "decision", "metric", "value", "difference", "aliases", "data set", "made")


def registered_model(client: "MlflowClient", name: str) -> "RegisteredModel":
    """A registered model, or an `InputError`."""
    check_name(name)
    found = client.search_registered_models(f"name = '{name}'")
    if not found:
        raise InputError(f"there is no registered model {name!r} at {tracking.tracking_uri()}")
    return found[0]


def version_of(client: "MlflowClient", name: str, which: str) -> "ModelVersion":
    """A version by number or alias, or an `InputError` that tells what there is."""
    model = registered_model(client, name)
    aliases = {alias: str(version) for alias, version in model.aliases.items()}
    number = aliases.get(which, which)
    versions = {str(v.version): v for v in client.search_model_versions(f"name = '{name}'")}
    if number not in versions:
        known = ", ".join([*sorted(versions, key=int), *sorted(aliases)]) or "none"
        raise InputError(f"{name} has no version {which!r}; there is: {known}")
    return versions[number]


def list_versions(name: str) -> Iterator[str]:
    """Lines of a table of all versions, the newest first, and of all changes of the champion."""
    client = tracking.mlflow_client()
    with tracking.told_in_one_line():
        model = registered_model(client, name)
        found = client.search_model_versions(f"name = '{name}'")
    aliases: dict[str, list[str]] = {}
    for alias, number in sorted(model.aliases.items()):
        aliases.setdefault(str(number), []).append(alias)
    versions = sorted(found, key=lambda version: -int(version.version))
    rows = [_COLUMNS, *(_row(v, aliases.get(str(v.version), [])) for v in versions)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    for change in read_history(model.tags):
        before = f" after {change.before}" if change.before else ""
        told = f"{change.how} by {change.by}: {change.why}"
        yield f"{change.at}  champion {change.version}{before}, {told}"


def show_version(name: str, which: str) -> str:
    """The whole record of a version as JSON, and how many of its gallery were taken down since."""
    client = tracking.mlflow_client()
    with tracking.told_in_one_line():
        version = version_of(client, name, which)
        model = client.get_registered_model(name)
    number = str(version.version)
    shown: dict[str, Any] = {
        "name": name,
        "version": number,
        "aliases": sorted(alias for alias, v in model.aliases.items() if str(v) == number),
        "made": _time(version),
        "champion_since": version.tags.get(SINCE_TAG, ""),
        "champion_until": version.tags.get(UNTIL_TAG, ""),
        "complete": COMPLETE_TAG in version.tags,
        "mlflow_run_id": version.run_id,
        "source": version.source,
        **_record(version),
    }
    if shown.get("gallery"):
        shown["gallery_taken_down"] = _taken_down(version, shown["model_uri"])
    return json.dumps(shown, indent=1, ensure_ascii=False)


def _row(version: "ModelVersion", aliases: list[str]) -> tuple[str, ...]:
    record = _record(version)
    decision = record.get("decision", "unknown")
    if record and COMPLETE_TAG not in version.tags:
        decision += ", unfinished"
    value = f"{record['value']:.2f}" if record else ""
    return (
        str(version.version), decision, record.get("metric", ""), value, _difference(record),
        " ".join(aliases), record.get("dataset", "")[:12], _time(version),
    )  # fmt: skip


def _difference(record: Mapping[str, Any]) -> str:
    """Of the paired interval: ``+1.2 (-0.3 to +2.7) to 3``, in percentage points."""
    found = record.get("difference")
    if not found:
        return ""
    low, high = ("?" if found[end] is None else f"{found[end]:+.2f}" for end in ("low", "high"))
    value = "?" if found["value"] is None else f"{found['value']:+.2f}"
    return f"{value} ({low} to {high}) to version {record['champion']['version']}"


def _record(version: "ModelVersion") -> dict[str, Any]:
    record: dict[str, Any] = json.loads(version.tags.get(RECORD_TAG, "{}"))
    return record


def _time(version: "ModelVersion") -> str:
    at = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _taken_down(version: "ModelVersion", model_uri: str) -> int | None:
    """Images of the gallery that a takedown names by now; None if the store is out of reach."""
    import mlflow

    try:
        tombstones = read_tombstones(read_manifest(model_uri, "model").store)
    except StorageError:
        return None
    with tracking.told_in_one_line():
        path = mlflow.artifacts.download_artifacts(
            f"models:/{version.name}/{version.version}/artifacts/gallery/{ENTRIES_FILE}"
        )
    return int(tombstones.rows(read_parquet(Path(path))).sum())
