"""A runner for `run_locally` that starts nothing: it notes what each step is handed."""

import contextlib
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock


class RecordingRunner:
    """Stands in for the container engine, where a step's image and command arrive.

    A step answers with a URI made of its image and inputs, so that what differs upstream differs
    in all that comes after it.

    Args:
        groups: How many items the planning steps return.
    """

    def __init__(self, groups: int = 2) -> None:
        self.calls: dict[str, dict] = {}
        self.arguments: dict[str, str] = {}
        self._groups = groups

    def prepare(self, folder: Path) -> None:
        (folder / "kfp").mkdir(exist_ok=True)

    def kfp_runner(self) -> Any:
        from kfp import local  # noqa: TID251

        return local.DockerRunner()

    @contextlib.contextmanager
    def serving(self, steps):
        def run(client, image, command, volumes, **_) -> int:
            return steps.run(command, lambda step: self._note(step.label, image, command))

        engine = SimpleNamespace(info=dict, close=lambda: None)
        name = "kfp.local.docker_task_handler.run_docker_container"
        with mock.patch(name, run), mock.patch("docker.from_env", return_value=engine):
            yield

    def _note(self, label: str, image: str, command: list[str]) -> int:
        text = command[command.index("--executor_input") + 1]
        function = command[command.index("--function_to_execute") + 1]
        given = json.loads(text)
        inputs = given["inputs"].get("parameterValues", {})
        assert label not in self.calls, f"{label} ran twice"
        self.calls[label] = {"image": image, "function": function, "inputs": inputs}
        self.arguments[label] = text
        key = hashlib.sha256(json.dumps(self.calls[label], sort_keys=True).encode())
        uri = f"s3://toy/{function}/{key.hexdigest()[:32]}"
        answer = {
            "plan_shards": [f"{uri}#{number}" for number in range(self._groups)],
            "check_data": True,
        }.get(function, uri)
        artifact = {"name": "manifest", "uri": "", "metadata": {"uri": uri}}
        output = Path(given["outputs"]["outputFile"])
        output.parent.mkdir(parents=True, exist_ok=True)
        body = {
            "parameterValues": {"Output": answer},
            "artifacts": {"manifest": {"artifacts": [artifact]}},
        }
        output.write_text(json.dumps(body))
        return 0
