"""A run's checkpoint in the store: files of a step first, the index that names them last.

Class rows are stored in pieces of a fixed number of classes, each by the rank that owns them, so a
run goes on with any number of ranks: each rank reads the pieces that its block touches.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, distributed

from openmofi.errors import InputError
from openmofi.losses.ranks import is_distributed
from openmofi.storage import Store
from openmofi.training.module import EmbeddingModule

_LATEST = "latest.json"
_TRUNK = "trunk.pt"
_CLASSES_A_PIECE = 65_536  # 400 MB of rows and moments at a width of 512


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
        return int(self._index()["step"]) if self._store.exists(self._latest) else 0

    def save(self, module: EmbeddingModule, optimizer: torch.optim.Optimizer) -> None:
        """Write the state after ``module.step`` steps, then remove older ones.

        Every rank calls it, and writes its class rows; the first writes the rest, and the index
        when all are done.
        """
        folder, first = self._folder(module.step), _rank() == 0
        if first:
            trunk = {"backbone": module.backbone.state_dict(), "optimizer": optimizer.state_dict()}
            if module.average is not None:
                trunk["average"] = module.average.state_dict()
            self._write(f"{folder}/{_TRUNK}", trunk)
        pieces = _of_all_ranks(self._write_heads(module, folder))
        if not first:
            return
        index = {"step": module.step, "heads": pieces}
        self._store.put(self._latest, json.dumps(index).encode())
        for info in list(self._store.list(f"{self._prefix}/step-")):
            if not info.key.startswith(f"{folder}/"):
                self._store.delete(info.key)

    def load(self, module: EmbeddingModule, optimizer: torch.optim.Optimizer | None) -> None:
        """Bring ``module``, whose ``step`` says which one, to the saved state.

        Without an optimizer the run can't go on, only end.

        Raises:
            InputError: The class rows are of another vocabulary or width.
        """
        trunk = self._read(f"{self._folder(module.step)}/{_TRUNK}")
        module.backbone.load_state_dict(trunk["backbone"])
        if module.average is not None:
            module.average.load_state_dict(trunk["average"])
        if optimizer is not None:
            optimizer.load_state_dict(trunk["optimizer"])
        for objective in module.objectives:
            if objective.head is None:
                continue
            block = objective.head.block
            self._check_classes(objective.name, objective.classes)
            for classes, key in self._pieces(objective.name):
                if classes.start < block.stop and block.start < classes.stop:
                    objective.head.load_part(classes, self._read(key))

    def class_rows(self, objective: str) -> Iterator[tuple[range, Tensor]]:
        """The class rows of an objective in the newest checkpoint, piece by piece."""
        for classes, key in self._pieces(objective):
            yield classes, self._read(key)["rows"]

    def remove(self) -> None:
        """Delete them all, the index first."""
        self._store.delete(self._latest)
        for info in list(self._store.list(f"{self._prefix}/")):
            self._store.delete(info.key)

    @property
    def _latest(self) -> str:
        return f"{self._prefix}/{_LATEST}"

    def _index(self) -> dict[str, Any]:
        index: dict[str, Any] = json.loads(self._store.get(self._latest))
        return index

    def _folder(self, step: int) -> str:
        return f"{self._prefix}/step-{step:08d}"

    def _pieces(self, objective: str) -> list[tuple[range, str]]:
        found = self._index()["heads"].get(objective, [])
        return sorted(((range(start, stop), key) for start, stop, key in found), key=_start)

    def _check_classes(self, objective: str, classes: int) -> None:
        saved = sum(len(piece) for piece, _ in self._pieces(objective))
        if saved != classes:
            raise InputError(
                f"{self._store.uri}/{self._latest} has class rows of {saved} classes, and this "
                f"run's vocabulary {classes}: it belongs to another vocabulary; remove the folder, "
                "or train on the shards that it was made with"
            )

    def _write_heads(self, module: EmbeddingModule, folder: str) -> dict[str, list[Any]]:
        """This rank's pieces: first class, end, key; by objective."""
        pieces: dict[str, list[Any]] = {}
        for objective in module.objectives:
            if objective.head is None:
                continue
            block = objective.head.block
            for start in range(block.start, block.stop, _CLASSES_A_PIECE):
                stop = min(start + _CLASSES_A_PIECE, block.stop)
                key = f"{folder}/{objective.name}-{start:09d}-{stop:09d}.pt"
                self._write(key, objective.head.part(range(start, stop)))
                pieces.setdefault(objective.name, []).append([start, stop, key])
        return pieces

    def _write(self, key: str, value: Mapping[str, Any]) -> None:
        # Not in memory, where it would stand twice; torch refuses names that begin with a dot.
        with self._store.new_file(key) as path, path.open("wb") as file:
            torch.save(value, file)

    def _read(self, key: str) -> dict[str, Any]:
        with self._store.local_file(key) as path:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state


def _start(piece: tuple[range, str]) -> int:
    return piece[0].start


def _rank() -> int:
    return distributed.get_rank() if is_distributed() else 0


def _of_all_ranks(pieces: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The pieces of all ranks together, when all have theirs in the store."""
    if not is_distributed():
        return pieces
    parts: list[dict[str, list[Any]]] = [{} for _ in range(distributed.get_world_size())]
    distributed.all_gather_object(parts, pieces)
    merged: dict[str, list[Any]] = {}
    for part in parts:
        for name, found in part.items():
            merged.setdefault(name, []).extend(found)
    return merged
