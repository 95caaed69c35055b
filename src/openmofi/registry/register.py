"""`register_model`: log a model to MLflow, hold it against the gate, and set its aliases."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from openmofi import tracking
from openmofi.config import parse_config
from openmofi.errors import InputError
from openmofi.keys import recipe_key
from openmofi.progress import say
from openmofi.registry.config import RegisterConfig
from openmofi.registry.gate import GATE_VERSION, Champion, Decision, decide
from openmofi.registry.mlflow_model import log_pyfunc
from openmofi.versions import Manifest, read_manifest, write_manifest

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

KIND = "registration"
CANDIDATE, CHAMPION = "candidate", "champion"

_REGISTRATION_TAG = "openmofi.registration"
_MODEL_URI_TAG = "openmofi.model_uri"
_RECORD_TAG = "openmofi.record"
_COMPLETE_TAG = "openmofi.complete"
_FORBIDDEN = set("/:'\"`\\%")


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
        StorageError: The store or the MLflow server can't be reached.
    """
    parsed = parse_config(RegisterConfig, config, where="register config")
    _check_name(name)
    model_manifest = read_manifest(model, "model")
    evaluation_manifest = read_manifest(evaluation, "evaluation")
    digests = {"model": model_manifest.digest, "evaluation": evaluation_manifest.digest}
    key = recipe_key(KIND, GATE_VERSION, parsed.model_dump(), digests, [name])
    client = tracking.mlflow_client()
    with tracking.told_in_one_line():
        version = _find_version(client, name, key)
        if version is None:
            champion = _champion(client, name)
            decision = decide(model_manifest, evaluation_manifest, champion, parsed)
            record = _record(decision, model_manifest, evaluation_manifest, parsed)
            version = _new_version(client, name, key, record, model_manifest, pipeline_run)
        else:
            say(f"register: reused version {version.version} of {name}")
        record = _finish(client, version)
    say(f"register: {name} version {version.version} {record['decision']}: {record['reasons'][0]}")
    return write_manifest(model_manifest.store, KIND, key, record).uri


def _check_name(name: str) -> None:
    if not name.strip() or set(name) & _FORBIDDEN:
        forbidden = "".join(sorted(_FORBIDDEN))
        raise InputError(f"model name {name!r} must be non-empty, without any of {forbidden}")


def _find_version(client: "MlflowClient", name: str, key: str) -> "ModelVersion | None":
    """The version that this very registration made before, perhaps without coming to its end."""
    for version in client.search_model_versions(f"name = '{name}'"):
        if version.tags.get(_REGISTRATION_TAG) == key:
            return version
    return None


def _champion(client: "MlflowClient", name: str) -> Champion | None:
    aliases = {a: v for m in _registered(client, name) for a, v in m.aliases.items()}
    if CHAMPION not in aliases:
        return None
    version = client.get_model_version(name, aliases[CHAMPION])
    uri = version.tags.get(_MODEL_URI_TAG)
    if not uri:
        raise InputError(
            f"champion version {version.version} of {name} has no tag {_MODEL_URI_TAG}, so it "
            "can't be compared; take the alias 'champion' away from it first"
        )
    return Champion(str(version.version), uri)


def _registered(client: "MlflowClient", name: str) -> list[Any]:
    return list(client.search_registered_models(f"name = '{name}'"))


def _record(
    decision: Decision, model: Manifest, evaluation: Manifest, config: RegisterConfig
) -> dict[str, Any]:
    aliases = [CANDIDATE] if decision.passed else []
    if decision.passed and config.promote == "at_once":
        aliases.append(CHAMPION)
    origin = model.content.get("origin") or {}
    return {
        **decision.plain(),
        "aliases": aliases,
        "metric": config.metric,
        "config": config.model_dump(),
        "model": model.digest,
        "model_uri": model.uri,
        "evaluation": evaluation.digest,
        "evaluation_uri": evaluation.uri,
        "data_digest": evaluation.content["data_digest"],
        "suite_version": evaluation.content["suite_version"],
        "dataset": origin.get("dataset", ""),
    }


def _new_version(
    client: "MlflowClient",
    name: str,
    key: str,
    record: dict[str, Any],
    model: Manifest,
    pipeline_run: str,
) -> "ModelVersion":
    """Log the model and make its version, which carries the decision from its first moment."""
    import mlflow

    tags = {"openmofi.step": "register", "openmofi.decision": record["decision"]}
    params = {"model": record["model_uri"], "evaluation": record["evaluation_uri"], "name": name}
    metrics = {"gate/value": record["value"]}
    if record["difference"] and record["difference"]["low"] is not None:
        metrics |= {f"gate/difference_{k}": record["difference"][k] for k in ("low", "high")}
    with tracking.tracked_run(
        f"register {name}",
        pipeline_run=pipeline_run,
        tags={**tags, _REGISTRATION_TAG: key},
        params={**params, "config": record["config"]},
        metrics=metrics,
    ) as run:
        uri = log_pyfunc(model, run_id=run.run_id)
        version = mlflow.register_model(uri, name, tags=_version_tags(key, record))
    return client.get_model_version(name, version.version)


def _version_tags(key: str, record: Mapping[str, Any]) -> dict[str, str]:
    return {
        _REGISTRATION_TAG: key,
        _MODEL_URI_TAG: record["model_uri"],
        "openmofi.model_digest": record["model"],
        "openmofi.evaluation_uri": record["evaluation_uri"],
        "openmofi.data_digest": record["data_digest"],
        "openmofi.suite_version": str(record["suite_version"]),
        "openmofi.dataset_digest": record["dataset"],
        "openmofi.decision": record["decision"],
        "openmofi.reason": "; ".join(record["reasons"]),
        _RECORD_TAG: json.dumps(record, sort_keys=True),
    }


def _finish(client: "MlflowClient", version: "ModelVersion") -> dict[str, Any]:
    """Set the aliases that the decision gave, once: a later champion is not pushed aside again."""
    record: dict[str, Any] = json.loads(version.tags[_RECORD_TAG])
    number = str(version.version)
    if _COMPLETE_TAG not in version.tags:
        for alias in record["aliases"]:
            client.set_registered_model_alias(version.name, alias, number)
        client.set_model_version_tag(version.name, number, _COMPLETE_TAG, "true")
    found = {"name": version.name, "version": number, "mlflow_run_id": version.run_id}
    return {**record, **found, "mlflow_uri": f"models:/{version.name}/{number}"}
