"""What MLflow takes as params and tags, and what it must never get."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# MLflow's limits (mlflow.utils.validation, 3.17); longer values are refused by the server.
_MAX_KEY, _MAX_PARAM, _MAX_TAG = 250, 6000, 8000

# Whole words of a key, so that "tokenizer" and "max_tokens" stay.
_SECRET = re.compile(
    r"(^|[^a-z])(password|passwd|secret|token|credentials?|api_?key|access_?key|private_?key)"
    r"($|[^a-z])"
)
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+@")
_SIGNATURE = re.compile(
    r"([?&][^=&\s]*(?:signature|credential|token|secret|password|sig)=)[^&\s]+", re.IGNORECASE
)
_NO_VALUE = ("_file", "_path", "_uri", "_url")  # variables that say where a secret lies
_SHORTEST = 8  # shorter ones are words that a text may hold by chance


def flatten_params(params: Mapping[str, Any]) -> dict[str, str]:
    """Params as MLflow takes them: ``{"a": {"b": 1}}`` becomes ``{"a.b": "1"}``.

    Members of a list that each have another ``kind`` are called by it, so that two recipes show
    the same setting in the same row; those of other lists are numbered. Keys that name a secret
    are left out, secrets are cut from values, keys and values are cut at MLflow's limits.
    """
    flat: dict[str, str] = {}
    _flatten("", params, flat)
    return flat


def without_secrets(text: str) -> str:
    """A text without the user info and signatures of URLs, and without this process's secrets."""
    for secret in _secrets():
        text = text.replace(secret, "***")
    return _SIGNATURE.sub(r"\1***", _USER_INFO.sub("", text))


def clean_name(name: str) -> str:
    """A name of the characters that MLflow allows."""
    return re.sub(r"[^\w\-. /:]", "_", name, flags=re.ASCII).strip("/. ")[:_MAX_KEY] or "_"


def clean_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags that MLflow takes, without secrets."""
    return {clean_name(key): without_secrets(str(v))[:_MAX_TAG] for key, v in tags.items()}


def _secrets() -> list[str]:
    """Values of the environment that are secret by their name, the longest first."""
    found = {
        value
        for name, value in os.environ.items()
        if _SECRET.search(name.lower())
        and not name.lower().endswith(_NO_VALUE)
        and len(value) >= _SHORTEST
    }
    return sorted(found, key=lambda value: (-len(value), value))


def _flatten(prefix: str, value: Any, into: dict[str, str]) -> None:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            if not _SECRET.search(str(key).lower()):
                _flatten(f"{prefix}.{key}" if prefix else str(key), inner, into)
    elif isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value):
        kinds = _kinds(value)
        if kinds:
            into[clean_name(prefix)] = ", ".join(kinds)
        for key, inner in _members(value, kinds):
            _flatten(f"{prefix}.{key}", inner, into)
    elif prefix:
        into[clean_name(prefix)] = without_secrets(str(value))[:_MAX_PARAM]


def _kinds(values: Sequence[Any]) -> list[str]:
    """What the members of a list are, if each is something else; nothing if not."""
    kinds = [str(v.get("kind", "")) if isinstance(v, Mapping) else "" for v in values]
    return kinds if all(kinds) and len(set(kinds)) == len(kinds) else []


def _members(values: Sequence[Any], kinds: Sequence[str]) -> Iterable[tuple[Any, Any]]:
    if not kinds:
        return enumerate(values)
    rest = ({key: inner for key, inner in v.items() if key != "kind"} for v in values)
    return [(kind, inner) for kind, inner in zip(kinds, rest, strict=True) if inner]
