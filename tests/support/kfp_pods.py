"""The pods that a cluster makes of a compiled pipeline's steps, without Kubeflow Pipelines.

Written after the source of its compiler and driver (2.17.0) and of Argo's executor settings that it
ships. The driver reads what a pod is made of as text: of a number it reads nothing.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from pipelines.cluster.versions import Package

Object = dict[str, Any]
_CHANNEL = re.compile(r"\{\{\$\.inputs\.parameters\['(.+)'\]\}\}")
_CONTAINED: Object = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
_RESOURCES = {
    "limits": {"cpu": "resourceCpuLimit", "memory": "resourceMemoryLimit"},
    "requests": {"cpu": "resourceCpuRequest", "memory": "resourceMemoryRequest"},
}
# Argo's containers, by KFP's workflow-controller-configmap.
_ARGO = {
    "image": "quay.io/argoproj/argoexec:v4.0.8",
    "securityContext": {**_CONTAINED, "runAsNonRoot": True, "runAsUser": 65532},
}
_LAUNCHER = {
    "name": "kfp-launcher",
    "image": "ghcr.io/kubeflow/kfp-launcher:2.17.0",
    "securityContext": {**_CONTAINED, "runAsNonRoot": True},
    "resources": {"limits": {"memory": "256Mi", "cpu": "0.5"}, "requests": {"cpu": "0.1"}},
}
_SCRATCH = ("kfp-launcher", "gcs-scratch", "s3-scratch", "minio-scratch", "var-run-argo")


def step_pods(
    package: Package, arguments: Mapping[str, Any], run_id: str = "a-run"
) -> dict[str, Object]:
    """A pod of each step, by the step's title; one of a step in a loop.

    Args:
        package: What is uploaded.
        arguments: Of the run; all else has its default.
        run_id: Of Kubeflow Pipelines.
    """
    spec, platform = yaml.load_all(package.text, yaml.CSafeLoader)
    settings = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    executors = spec["deploymentSpec"]["executors"]
    declared = spec["root"]["inputDefinitions"]["parameters"]
    values = {name: one.get("defaultValue") for name, one in declared.items()} | dict(arguments)
    found: dict[str, Object] = {}
    for key, title, executor, outer, inner in _steps(spec, spec["root"], values):
        container = executors[executor]["container"]
        pod = _pod(_main(container, settings[executor], inner), settings[executor], outer)
        pod["metadata"] = _metadata(title, key, run_id)
        assert title not in found
        found[title] = pod
    return found


def _steps(
    spec: Object, component: Object, values: Mapping[str, Any]
) -> Iterator[tuple[str, str, str, Mapping[str, Any], Mapping[str, Any]]]:
    """Key, title and executor of each step, with its graph's parameters and its own."""
    for key, task in component["dag"]["tasks"].items():
        inner = spec["components"][task["componentRef"]["name"]]
        sources = task.get("inputs", {}).get("parameters", {})
        given = {name: _value(source, values) for name, source in sources.items()}
        if "dag" in inner:
            yield from _steps(spec, inner, given)
        else:
            yield key, task["taskInfo"]["name"], inner["executorLabel"], values, given


def _value(source: Object, values: Mapping[str, Any]) -> Any:
    """What another step gives is not known here, and no pod is made of it."""
    if "runtimeValue" in source:
        return source["runtimeValue"]["constant"]
    return values.get(source.get("componentInputParameter", ""))


def _text(written: str, inner: Mapping[str, Any]) -> str:
    found = _CHANNEL.fullmatch(written)
    value = inner[found[1]] if found else written
    return value if isinstance(value, str) else ""


def _main(container: Object, settings: Object, inner: Mapping[str, Any]) -> Object:
    resources = {
        bound: {kind: _text(container["resources"][name], inner) for kind, name in names.items()}
        for bound, names in _RESOURCES.items()
    }
    if accelerator := container["resources"].get("accelerator"):
        kind, count = (_text(accelerator[f"resource{one}"], inner) for one in ("Type", "Count"))
        if kind and count:
            resources["limits"][kind] = count
    mounts = [(one["volumeName"], one["mountPath"]) for one in settings["emptyDirMounts"]]
    mounts += [(name, f"/{name}") for name in _SCRATCH]
    return {
        "name": "main",
        "image": _text(container["image"], inner),
        "imagePullPolicy": settings["imagePullPolicy"],
        "command": ["/kfp-launcher/launch", "--executor_type", "container", "--"],
        "args": [*container["command"], *container["args"]],
        "resources": resources,
        "env": list(_environment(settings)),
        "securityContext": {**_CONTAINED, **settings["securityContext"]},
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts],
    }


def _environment(settings: Object) -> Iterator[Object]:
    for source, kind, key in (
        ("secretAsEnv", "secretKeyRef", "secretKey"),
        ("configMapAsEnv", "configMapKeyRef", "configMapKey"),
    ):
        for one in settings[source]:
            name = one["secretName" if kind == "secretKeyRef" else "configMapName"]
            for pair in one["keyToEnv"]:
                reference = {"name": name, "key": pair[key], "optional": one["optional"]}
                yield {"name": pair["envVar"], "valueFrom": {kind: reference}}


def _pod(main: Object, settings: Object, outer: Mapping[str, Any]) -> Object:
    selector = outer[settings["nodeSelector"]["nodeSelectorJson"]["componentInputParameter"]]
    tolerations: list[Object] = []
    for one in settings["tolerations"]:
        tolerations += outer[one["tolerationJson"]["componentInputParameter"]]
    volumes: list[Object] = [{"name": name, "emptyDir": {}} for name in _SCRATCH]
    for one in settings["emptyDirMounts"]:
        kept = {name: one[name] for name in ("medium", "sizeLimit") if name in one}
        volumes.append({"name": one["volumeName"], "emptyDir": kept})
    spec = {
        "serviceAccountName": "openmofi-pipeline",
        "restartPolicy": "Never",
        "activeDeadlineSeconds": int(settings["activeDeadlineSeconds"]),
        "securityContext": {"seccompProfile": _CONTAINED["seccompProfile"]},
        "nodeSelector": selector,
        "tolerations": tolerations,
        "initContainers": [{**_ARGO, "name": "init"}, _LAUNCHER],
        "containers": [{**_ARGO, "name": "wait"}, main],
        "volumes": volumes,
    }
    return {"apiVersion": "v1", "kind": "Pod", "spec": spec}


def _metadata(title: str, key: str, run_id: str) -> Object:
    workflow = f"wf-{run_id[:8]}"
    return {
        "name": f"{workflow}-{title}",
        "labels": {"pipeline/runid": run_id, "workflows.argoproj.io/workflow": workflow},
        "annotations": {
            "workflows.argoproj.io/node-name": f"{workflow}.root.{key}.executor(0)",
        },
    }
