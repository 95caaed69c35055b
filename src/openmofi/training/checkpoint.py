"""A run's checkpoint in the store: files of a step first, the index that names them last.

Class rows are stored in pieces of a fixed number of classes, each by the rank that owns them, so a
run goes on with any number of ranks: each rank reads the pieces that its block touches.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, distributed

from openmofi.errors import InputError
from openmofi.losses.ranks import is_distributed
from openmofi.storage import Store
from openmofi.training.module import EmbeddingModule

_LATEST = "latest.json"
_METRICS = "metrics.json"
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
        own = self._write_state(module, optimizer, None)
        pieces = _of_all_ranks(own)
        if _rank() == 0:
            self._finish(module.step, pieces)

    def prepare(
        self, module: EmbeddingModule, optimizer: torch.optim.Optimizer
    ) -> Callable[[], None]:
        """The state as it is now, in temporary files of this machine: a whole checkpoint at once.

        What is returned brings it to the store, as `save` does, and may run in a thread while
        training goes on. Not for several ranks, which would have to wait for each other there.
        """
        step = module.step
        with ExitStack() as files:
            pieces = self._write_state(module, optimizer, files)
            written = files.pop_all()

        def store() -> None:
            written.close()
            self._finish(step, pieces)

        return store

    def _write_state(
        self, module: EmbeddingModule, optimizer: torch.optim.Optimizer, files: ExitStack | None
    ) -> dict[str, list[Any]]:
        """This rank's part; returns its pieces of class rows."""
        folder = self._folder(module.step)
        if _rank() == 0:
            self._write(f"{folder}/{_TRUNK}", _trunk(module, optimizer), files)
        return self._write_heads(module, folder, files)

    def _finish(self, step: int, pieces: dict[str, list[Any]]) -> None:
        """Name the step in the index, then remove what is of others."""
        index = {"step": step, "heads": pieces}
        self._store.put(self._latest, json.dumps(index).encode())
        for info in list(self._store.list(f"{self._prefix}/step-")):
            if not info.key.startswith(f"{self._folder(step)}/"):
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

    def keep_metrics(self, rows: Sequence[tuple[dict[str, float], int]]) -> None:
        """Metrics and steps that no tracking server has taken yet."""
        if rows:
            self._store.put(f"{self._prefix}/{_METRICS}", json.dumps(rows).encode())
        else:
            self._store.delete(f"{self._prefix}/{_METRICS}")

    def kept_metrics(self) -> list[tuple[dict[str, float], int]]:
        """What `keep_metrics` has kept."""
        key = f"{self._prefix}/{_METRICS}"
        rows = json.loads(self._store.get(key)) if self._store.exists(key) else []
        return [(values, step) for values, step in rows]

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

    def _write_heads(
        self, module: EmbeddingModule, folder: str, files: ExitStack | None
    ) -> dict[str, list[Any]]:
        """This rank's pieces: first class, end, key; by objective."""
        pieces: dict[str, list[Any]] = {}
        for objective in module.objectives:
            if objective.head is None:
                continue
            block = objective.head.block
            for start in range(block.start, block.stop, _CLASSES_A_PIECE):
                stop = min(start + _CLASSES_A_PIECE, block.stop)
                key = f"{folder}/{objective.name}-{start:09d}-{stop:09d}.pt"
                self._write(key, objective.head.part(range(start, stop)), files)
                pieces.setdefault(objective.name, []).append([start, stop, key])
        return pieces

    def _write(self, key: str, value: Mapping[str, Any], files: ExitStack | None) -> None:
        """A file that becomes the object ``key``, now or, if there are ``files``, with them."""
        with ExitStack() as now:
            # Not in memory, where it would stand twice; torch refuses names that begin with a dot.
            path = (now if files is None else files).enter_context(self._store.new_file(key))
            with path.open("wb") as file:
                torch.save(value, file)

    def _read(self, key: str) -> dict[str, Any]:
        with self._store.local_file(key) as path:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state


def _trunk(module: EmbeddingModule, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """All but the class rows."""
    trunk = {"backbone": module.backbone.state_dict(), "optimizer": optimizer.state_dict()}
    if module.average is not None:
        trunk["average"] = module.average.state_dict()
    return trunk


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
