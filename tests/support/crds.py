"""Objects of other projects' kinds held against their CRDs, with unknown fields forbidden."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema

Object = dict[str, Any]
_FOLDER = Path(__file__).parents[1] / "k8s" / "crds"


def read_crd(plural: str) -> Object:
    return json.loads((_FOLDER / f"{plural}.json").read_text())


def definition(plural: str) -> Object:
    """The CRD as a server takes it: its stored version, with its status and its rules in CEL."""
    crd = read_crd(plural)
    group, _, version = crd["apiVersion"].partition("/")
    schema = crd["schema"]
    if crd["status"]:
        schema["properties"]["status"] = crd["status"]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": crd["names"],
            "scope": crd["scope"],
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": crd["subresources"],
                }
            ],
        },
    }


def closed(schema: Any) -> Any:
    """The schema with unknown fields forbidden wherever it names the known ones."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        made.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        made.setdefault("type", ["integer", "string"])
    return made


def check(one: Object, crd: Object) -> None:
    """Raise `jsonschema.ValidationError` where an object does not fit."""
    schema = copy.deepcopy(crd["schema"])
    # The schema leaves metadata to Kubernetes.
    names = {"name": {"type": "string"}, "namespace": {"type": "string"}}
    labels = {"type": "object", "additionalProperties": {"type": "string"}}
    schema["properties"]["metadata"]["properties"] = {
        **names, "labels": labels, "annotations": labels,
    }  # fmt: skip
    jsonschema.Draft7Validator(closed(schema)).validate(one)
