"""What is compared: a model with its evaluations, data set and recipe, found by one address."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openmofi.errors import InputError, StorageError
from openmofi.evaluation.comparison.runs import Found, code_of, find_run, is_run
from openmofi.evaluation.embedders import HISTOGRAM, colour_histogram
from openmofi.storage import Store
from openmofi.summary import manifest_kind
from openmofi.versions import Manifest, read_manifest


@dataclass(frozen=True)
class Evaluated:
    """A model's part in an evaluation."""

    manifest: Manifest
    role: str

    @property
    def data_digest(self) -> str:
        """Of the images."""
        return str(self.manifest.content["data_digest"])

    @property
    def protocol(self) -> tuple[int, str]:
        """What must be equal for two columns of scores to mean the same."""
        return int(self.manifest.content["suite_version"]), str(self.manifest.content["protocol"])

    @property
    def model(self) -> str:
        """Digest of the model, under which its scores are kept."""
        if self.role == HISTOGRAM:
            return colour_histogram().digest
        return str(self.manifest.content[self.role])

    @property
    def model_uri(self) -> str:
        """Of the model's manifest; empty where it has none."""
        return str(self.manifest.content.get(f"{self.role}_uri", ""))

    @property
    def intervals(self) -> Mapping[str, Mapping[str, Any]]:
        """Each metric in percent, as plain values."""
        found: Mapping[str, Mapping[str, Any]] = self.manifest.content["intervals"][self.role]
        return found


@dataclass(frozen=True)
class Side:
    """One of the models compared.

    Attributes:
        given: How it was named.
        name: For people.
        evaluations: Those that it takes part in.
        model: Its manifest; None where there is none, or none that can be read.
        dataset: Manifest of what it was trained on; None as before.
        params: Of the training run in MLflow, where it was named by that.
        code: What it was trained or evaluated with, where MLflow says so.
    """

    given: str
    name: str
    evaluations: Sequence[Evaluated] = ()
    model: Manifest | None = None
    dataset: Manifest | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)


def open_side(given: str) -> Side:
    """Find a model by an MLflow run id, or by the URI of a model's or an evaluation's manifest.

    Raises:
        InputError: It is none of these.
        StorageError: The store or the tracking server can't be reached, or does not have it.
    """
    if is_run(given):
        found = find_run(given)
    elif "/manifests/" in given:
        found = Found(given)
    else:
        raise InputError(
            f"'{given}' is neither an MLflow run id (32 hex digits) nor the URI of a manifest"
        )
    kind = manifest_kind(found.uri)
    if kind == "model":
        manifest = read_manifest(found.uri, "model")
        return _side(given, _evaluations(manifest.store, manifest.digest), manifest, found)
    if kind == "evaluation":
        one = Evaluated(read_manifest(found.uri, "evaluation"), found.role)
        return _side(given, (one,), _read(one.model_uri, "model"), found)
    raise InputError(f"{found.uri} is a manifest of '{kind}'; name a model or an evaluation")


def _side(
    given: str, evaluations: Sequence[Evaluated], model: Manifest | None, found: Found
) -> Side:
    origin = (model.content.get("origin") if model else None) or {}
    run = str(origin.get("mlflow_run_id", ""))
    # Without a run among what was named, nobody spoke of a tracking server; ask none.
    code = (code_of(run) if run and found.code else {}) or found.code
    return Side(
        given=given,
        name=_name(evaluations, model, given),
        evaluations=evaluations,
        model=model,
        dataset=_read(str(origin.get("dataset_uri", "")), "dataset"),
        params=found.params,
        code=code,
    )


def _evaluations(store: Store, model: str) -> list[Evaluated]:
    """All evaluations of the store that a model takes part in."""
    found = []
    for info in store.list("manifests/evaluation/"):
        with contextlib.suppress(InputError):  # of another release
            manifest = read_manifest(f"{store.uri}/{info.key}", "evaluation")
            roles = [r for r in ("candidate", "baseline") if manifest.content.get(r) == model]
            found += [Evaluated(manifest, role) for role in roles[:1]]
    return found


def _read(uri: str, kind: str) -> Manifest | None:
    """None if it is not there, or no manifest: what is known of the rest is still compared."""
    try:
        return read_manifest(uri, kind) if uri else None
    except (InputError, StorageError):
        return None


def _name(evaluations: Sequence[Evaluated], model: Manifest | None, given: str) -> str:
    if evaluations:
        one = evaluations[0]
        return str(one.manifest.content["models"][one.role])
    if model is None:
        return given
    origin = model.origin
    return f"{origin.get('name') or origin.get('source') or 'model'} ({model.digest[:8]})"
