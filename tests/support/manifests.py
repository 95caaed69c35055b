"""What stands in k8s/, rendered: by `kubectl kustomize`, or by the part of it that we use.

Our kustomizations list resources and components, make config maps of files and literals, and patch
by JSON patches that name one object. That much is rendered here, so that a machine without kubectl
checks the same objects; tests/k8s/test_rendering.py compares the two where it is installed.
"""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

K8S = Path(__file__).parents[2] / "k8s"
OVERLAYS = ("local", "external-s3", "gpu")
Object = dict[str, Any]

# Made by the operator from k8s/secrets.example; all else must be in what is rendered.
SECRETS = {
    f"openmofi-{path.stem}": {
        line.partition("=")[0]
        for line in path.read_text().splitlines()
        if line and not line.startswith("#")
    }
    for path in sorted((K8S / "secrets.example").glob("*.env"))
}
KFP_OWNED = {"kfp-launcher", "mlpipeline-minio-artifact"}
_KEYS = {
    "apiVersion", "kind", "resources", "components", "configMapGenerator", "generatorOptions",
    "patches",
}  # fmt: skip


def render(name: str) -> list[Object]:
    """The objects of a folder under k8s/, or of an overlay by its short name."""
    folder = K8S / "overlays" / name if name in OVERLAYS else K8S / name
    return json.loads(_rendered(folder))  # a copy for each caller


@functools.cache
def _rendered(folder: Path) -> str:
    return json.dumps(_build(folder, []))


def _build(folder: Path, objects: list[Object]) -> list[Object]:
    """What a kustomization makes; a component is handed the ``objects`` that it may patch."""
    file = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(file) <= _KEYS, f"{folder}: the renderer of the tests does not know all of this"
    for name in file.get("resources", ()):
        path = folder / name
        if path.is_dir():
            objects += _build(path.resolve(), [])
        else:
            objects += yaml.safe_load_all(path.read_text())
    for name in file.get("components", ()):
        _build((folder / name).resolve(), objects)
    for generator in file.get("configMapGenerator", ()):
        objects.append(_config_map(folder, generator, file["generatorOptions"]))
    for patch in file.get("patches", ()):
        text = patch.get("patch") or (folder / patch["path"]).read_text()
        found = [one for one in objects if _is_target(one, patch["target"])]
        assert len(found) == 1, f"{folder}: {patch['target']} is in {len(found)} objects"
        for operation in yaml.safe_load(text):
            _apply(found[0], operation)
    return objects


def _config_map(folder: Path, generator: Object, options: Object) -> Object:
    assert options["disableNameSuffixHash"] is True
    data = {name: (folder / name).read_text() for name in generator.get("files", ())}
    data |= dict(literal.split("=", 1) for literal in generator.get("literals", ()))
    metadata = {"name": generator["name"], "labels": options["labels"]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _is_target(one: Object, target: Object) -> bool:
    return (one["kind"], one["metadata"]["name"]) == (target["kind"], target["name"])


def _apply(one: Object, operation: Object) -> None:
    parts = [p.replace("~1", "/").replace("~0", "~") for p in operation["path"].split("/")[1:]]
    *above, last = parts
    for part in above:
        one = one[part]
    assert operation["op"] in {"add", "replace"}
    assert operation["op"] == "add" or last in one
    one[last] = operation["value"]


def named(objects: list[Object], kind: str, name: str) -> Object:
    return next(o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name)


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [one for one in objects if one["kind"] in kinds]


def everything_in(value: Any) -> Iterator[Any]:
    """A value and all that is nested in it."""
    yield value
    if isinstance(value, dict):
        value = list(value.values())
    for child in value if isinstance(value, list) else ():
        yield from everything_in(child)


def templates(objects: list[Object]) -> dict[str, Object]:
    """Every pod template, by kind and name of what it belongs to."""
    found = {}
    for one in objects:
        if one["kind"] == "CustomResourceDefinition":
            continue
        inner = [
            value["template"]
            for value in everything_in(one.get("spec", {}))
            if isinstance(value, dict) and "containers" in value.get("template", {}).get("spec", {})
        ]
        assert len(inner) <= 1
        if inner:
            found[f"{one['kind']}/{one['metadata']['name']}"] = inner[0]
    return found


def containers(template: Object) -> list[Object]:
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]
