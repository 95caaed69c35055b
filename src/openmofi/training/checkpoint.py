"""A run's checkpoint in the store: files of a step first, the name of the step last."""

import io
import json
from collections.abc import Mapping
from typing import Any

import torch

from openmofi.storage import Store
from openmofi.training.module import EmbeddingModule

_LATEST = "latest.json"
_TRUNK = "trunk.pt"
_HEAD = "head-{rank}-of-{world_size}.pt"


class Checkpoints:
    """The checkpoints of one recipe.

    Args:
        store: Where they lie.
        recipe: The run's recipe key: another configuration or vocabulary never meets them.
    """

    def __init__(self, store: Store, recipe: str) -> None:
        self._store = store
        self._prefix = f"checkpoints/{recipe}"

    def latest(self) -> int:
        """Steps that the newest checkpoint has done; 0 without one."""
        key = f"{self._prefix}/{_LATEST}"
        return int(json.loads(self._store.get(key))["step"]) if self._store.exists(key) else 0

    def save(self, module: EmbeddingModule, optimizer: torch.optim.Optimizer) -> None:
        """Write the state after ``module.step`` steps, then remove older ones."""
        folder = self._folder(module.step)
        trunk = {"backbone": module.backbone.state_dict(), "optimizer": optimizer.state_dict()}
        self._write(f"{folder}/{_TRUNK}", trunk)
        heads = _heads(module)
        if heads:
            self._write(f"{folder}/{_HEAD.format(rank=0, world_size=1)}", heads)
        latest = json.dumps({"step": module.step, "world_size": 1})
        self._store.put(f"{self._prefix}/{_LATEST}", latest.encode())
        for info in list(self._store.list(f"{self._prefix}/step-")):
            if not info.key.startswith(f"{folder}/"):
                self._store.delete(info.key)

    def load(self, module: EmbeddingModule, optimizer: torch.optim.Optimizer | None) -> None:
        """Bring ``module``, whose ``step`` says which one, to the saved state.

        Without an optimizer the run can't go on, only end.
        """
        folder = self._folder(module.step)
        trunk = self._read(f"{folder}/{_TRUNK}")
        module.backbone.load_state_dict(trunk["backbone"])
        if optimizer is not None:
            optimizer.load_state_dict(trunk["optimizer"])
        if not any(o.head is not None for o in module.objectives):
            return
        states = self._read(f"{folder}/{_HEAD.format(rank=0, world_size=1)}")
        for objective in module.objectives:
            if objective.head is not None:
                objective.head.load_state_dict(states[objective.name])

    def remove(self) -> None:
        """Delete them all, the name of the newest first."""
        self._store.delete(f"{self._prefix}/{_LATEST}")
        for info in list(self._store.list(f"{self._prefix}/")):
            self._store.delete(info.key)

    def _folder(self, step: int) -> str:
        return f"{self._prefix}/step-{step:08d}"

    def _write(self, key: str, value: Mapping[str, Any]) -> None:
        sink = io.BytesIO()
        torch.save(value, sink)
        self._store.put(key, sink.getvalue())

    def _read(self, key: str) -> dict[str, Any]:
        data = io.BytesIO(self._store.get(key))
        state: dict[str, Any] = torch.load(data, map_location="cpu", weights_only=True)
        return state


def _heads(module: EmbeddingModule) -> dict[str, Any]:
    return {o.name: o.head.state_dict() for o in module.objectives if o.head is not None}
