"""`register_model`: log a model to MLflow, hold it against the gate, and set its aliases.

What takes long comes first, outside of the registry: the champion is measured where it was not yet,
the gallery is embedded, the model is logged. What decides comes in one turn (`turns`), in which
nobody else moves the champion. A try that was killed, wherever it was, is gone on with by the next.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openmofi import tracking
from openmofi.config import parse_config
from openmofi.errors import InputError
from openmofi.keys import recipe_key
from openmofi.progress import say
from openmofi.registry.champions import CANDIDATE, CHAMPION, crown, settle, take_candidate
from openmofi.registry.config import RegisterConfig
from openmofi.registry.gallery import Chosen, choose_gallery
from openmofi.registry.gate import GATE_VERSION, Champion, Decision, decide
from openmofi.registry.mlflow_model import (
    GALLERY_IMAGES_TAG,
    GALLERY_TAG,
    find_logged,
    log_pyfunc,
    tie,
)
from openmofi.registry.turns import Turn, ensure_registered, turn
from openmofi.versions import Manifest, read_manifest, write_manifest

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

KIND = "registration"
RECORD_TAG, COMPLETE_TAG = "openmofi.record", "openmofi.complete"
DECISION_TAG, MODEL_URI_TAG = "openmofi.decision", "openmofi.model_uri"

_REGISTRATION_TAG = "openmofi.registration"
_FORBIDDEN = set("/:'\"`\\%")


@dataclass(frozen=True)
class _Request:
    """What is registered, under which key."""

    name: str
    key: str
    model: Manifest
    evaluation: Manifest
    gallery: Chosen | None
    config: RegisterConfig
    pipeline_run: str

    def decide(self, client: "MlflowClient") -> Decision:
        """The gate's word against the champion of now."""
        return decide(self.model, self.evaluation, _champion(client, self.name), self.config)


def register_model(
    model: str,
    evaluation: str,
    *,
    name: str,
    config: Mapping[str, Any] | None = None,
    pipeline_run: str = "",
) -> str:
    """Register a model's next version under ``name`` and promote it if the gate lets it pass.

    A refused model is registered too, with its reasons as tags and without an alias: a refusal is
    a recorded decision, not a failure.

    Args:
        model: URI of a model manifest.
        evaluation: URI of the evaluation of that model.
        name: Of the registered model in MLflow.
        config: `RegisterConfig` as plain values.
        pipeline_run: Name of the parent run in MLflow; empty for none.

    Returns:
        URI of the registration's manifest.

    Raises:
        InputError: Config, name, model or evaluation is not usable.
        StorageError: The store or the MLflow server can't be reached, or another process has taken
            over because this one stood still.
    """
    parsed = parse_config(RegisterConfig, config, where="register config")
    check_name(name)
    request = _request(model, evaluation, name, parsed, pipeline_run)
    client = tracking.mlflow_client()
    with tracking.told_in_one_line():
        version = _find_version(client, name, request.key)
        if version is not None and COMPLETE_TAG in version.tags:
            say(f"register: reused version {version.version} of {name}")
        else:
            request.decide(client)  # measures, and tells what is wrong, before anything is made
            version = _in_turn(client, request, "") if version else _from_start(client, request)
    record = _content(version)
    say(f"register: {name} version {version.version} {record['decision']}: {record['reasons'][0]}")
    return write_manifest(request.model.store, KIND, request.key, record).uri


def check_name(name: str) -> None:
    """Raise an `InputError` for a name that the registry cannot hold."""
    if not name.strip() or set(name) & _FORBIDDEN:
        forbidden = "".join(sorted(_FORBIDDEN))
        raise InputError(f"model name {name!r} must be non-empty, without any of {forbidden}")


def _request(
    model: str, evaluation: str, name: str, config: RegisterConfig, pipeline_run: str
) -> _Request:
    found, measured = read_manifest(model, "model"), read_manifest(evaluation, "evaluation")
    gallery = choose_gallery(found, config.gallery_images)
    digests = {"model": found.digest, "evaluation": measured.digest}
    if gallery is not None:  # a takedown since makes another gallery, and so another version
        digests["gallery"] = gallery.digest
    key = recipe_key(KIND, GATE_VERSION, config.model_dump(), digests, [name])
    return _Request(name, key, found, measured, gallery, config, pipeline_run)


def _find_version(client: "MlflowClient", name: str, key: str) -> "ModelVersion | None":
    """The version that this very registration made before, perhaps without coming to its end."""
    return next(iter(_versions_of(client, name, key)), None)


def _versions_of(client: "MlflowClient", name: str, key: str) -> "list[ModelVersion]":
    """What a registration has made, the first one first; `_without_copies` leaves one."""
    found = client.search_model_versions(f"name = '{name}'")
    ours = [version for version in found if version.tags.get(_REGISTRATION_TAG) == key]
    return sorted(ours, key=lambda version: int(version.version))


def _champion(client: "MlflowClient", name: str) -> Champion | None:
    found = client.search_registered_models(f"name = '{name}'")
    aliases = {a: v for m in found for a, v in m.aliases.items()}
    if CHAMPION not in aliases:
        return None
    version = client.get_model_version(name, aliases[CHAMPION])
    uri = version.tags.get(MODEL_URI_TAG)
    if not uri:
        raise InputError(
            f"champion version {version.version} of {name} has no tag {MODEL_URI_TAG}, so it "
            "can't be compared; take the alias 'champion' away from it first"
        )
    return Champion(str(version.version), uri)


def _from_start(client: "MlflowClient", request: _Request) -> "ModelVersion":
    """Log the model, then decide on it. A model that an earlier try has logged is taken over."""
    tags = {"openmofi.step": "register", _REGISTRATION_TAG: request.key}
    params = {
        "model": request.model.uri,
        "evaluation": request.evaluation.uri,
        "name": request.name,
        "config": request.config.model_dump(),
    }
    with tracking.tracked_run(
        f"register {request.name}",
        pipeline_run=request.pipeline_run,
        tags=tags,
        params=params,
    ) as run:
        mark = {_REGISTRATION_TAG: request.key}
        logged = find_logged(client, run.run_id, mark) or log_pyfunc(
            request.model, request.gallery, run_id=run.run_id, tags=mark
        )
        tie(client, run.run_id, logged, request.model, request.evaluation)
        return _in_turn(client, request, logged)


def _in_turn(client: "MlflowClient", request: _Request, logged: str) -> "ModelVersion":
    """Decide and set aliases while nobody else does."""
    ensure_registered(client, request.name)
    with turn(client, request.name, f"register {request.key[:8]}") as mine:
        settle(mine)
        # Again: the same registration, retried beside this one, may have been first.
        version = _without_copies(mine, request)
        if version is None:
            version = _new_version(mine, request, logged)
        elif COMPLETE_TAG not in version.tags and _is_outdated(client, version):
            version = _decided_again(mine, request, version)
        if COMPLETE_TAG not in version.tags:
            _finish(mine, version)
    return client.get_model_version(request.name, version.version)


def _new_version(mine: Turn, request: _Request, logged: str) -> "ModelVersion":
    """Make the version, which carries the decision from its first moment."""
    import mlflow

    gallery = mine.client.get_logged_model(logged).tags
    record = _record(request.decide(mine.client), request, gallery)
    mine.check()
    made = mlflow.register_model(
        f"models:/{logged}", request.name, tags=_version_tags(request.key, record)
    )
    return _without_copies(mine, request) or made


def _without_copies(mine: Turn, request: _Request) -> "ModelVersion | None":
    """The version that is there, if one is; MLflow's client asks again where an answer was lost."""
    versions = _versions_of(mine.client, request.name, request.key)
    for copy in versions[1:]:
        mine.check()
        mine.client.delete_model_version(request.name, copy.version)
    return versions[0] if versions else None


def _is_outdated(client: "MlflowClient", version: "ModelVersion") -> bool:
    """Whether a version was compared with another champion than there is now."""
    compared = (_record_of(version)["champion"] or {}).get("version")
    champion = _champion(client, version.name)
    now = champion.version if champion else None
    return now not in (compared, str(version.version))


def _decided_again(mine: Turn, request: _Request, version: "ModelVersion") -> "ModelVersion":
    record = _record(request.decide(mine.client), request, version.tags)
    mine.check()
    for key, value in _version_tags(request.key, record).items():
        mine.client.set_model_version_tag(request.name, version.version, key, value)
    return mine.client.get_model_version(request.name, version.version)


def _record(decision: Decision, request: _Request, gallery: Mapping[str, str]) -> dict[str, Any]:
    aliases = [CANDIDATE] if decision.passed else []
    if decision.passed and request.config.promote == "at_once":
        aliases.append(CHAMPION)
    origin = request.model.origin
    return {
        **decision.plain(),
        "aliases": aliases,
        "metric": request.config.metric,
        "config": request.config.model_dump(),
        "model": request.model.digest,
        "model_uri": request.model.uri,
        "evaluation": request.evaluation.digest,
        "evaluation_uri": request.evaluation.uri,
        "data_digest": request.evaluation.content["data_digest"],
        "suite_version": request.evaluation.content["suite_version"],
        "dataset": origin.get("dataset", ""),
        "gallery": gallery.get(GALLERY_TAG, ""),
        "gallery_images": int(gallery.get(GALLERY_IMAGES_TAG, 0)),
    }


def _version_tags(key: str, record: Mapping[str, Any]) -> dict[str, str]:
    return {
        _REGISTRATION_TAG: key,
        MODEL_URI_TAG: record["model_uri"],
        "openmofi.model_digest": record["model"],
        "openmofi.evaluation_uri": record["evaluation_uri"],
        "openmofi.data_digest": record["data_digest"],
        "openmofi.suite_version": str(record["suite_version"]),
        "openmofi.dataset_digest": record["dataset"],
        GALLERY_TAG: record["gallery"],
        GALLERY_IMAGES_TAG: str(record["gallery_images"]),
        DECISION_TAG: record["decision"],
        "openmofi.reason": "; ".join(record["reasons"]),
        RECORD_TAG: json.dumps(record, sort_keys=True),
    }


def _finish(mine: Turn, version: "ModelVersion") -> None:
    """Set the aliases that the decision gave, once: a later champion is not pushed aside again."""
    record, number = _record_of(version), str(version.version)
    mine.check()
    if CANDIDATE in record["aliases"]:
        mine.client.set_registered_model_alias(version.name, CANDIDATE, number)
    else:  # it may have been one, in a try that was killed
        take_candidate(mine.client, version.name, number)
    if CHAMPION in record["aliases"]:
        crown(mine, number, how="gate", why=record["reasons"][0])
    metrics = {"gate/value": record["value"]}
    if record["difference"] and record["difference"]["low"] is not None:
        metrics |= {f"gate/difference_{k}": record["difference"][k] for k in ("low", "high")}
    run = tracking.TrackedRun(mine.client, str(version.run_id))
    run.set_tags({DECISION_TAG: record["decision"]})
    run.log_metrics(metrics)
    mine.client.set_model_version_tag(version.name, number, COMPLETE_TAG, "true")


def _record_of(version: "ModelVersion") -> dict[str, Any]:
    record: dict[str, Any] = json.loads(version.tags[RECORD_TAG])
    return record


def _content(version: "ModelVersion") -> dict[str, Any]:
    """What the registration's manifest holds."""
    number = str(version.version)
    found = {"name": version.name, "version": number, "mlflow_run_id": version.run_id}
    return {**_record_of(version), **found, "mlflow_uri": f"models:/{version.name}/{number}"}
