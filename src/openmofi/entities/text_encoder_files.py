"""Which files make a text encoder: sentence-transformers' layout, read and checked before any work.

``modules.json`` lists the steps: a transformer, a pooling, then dense layers and normalisations,
each with a folder of its own. A plain transformers folder has no such list.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openmofi.entities.sources import local_path
from openmofi.errors import InputError
from openmofi.keys import hash_file, hash_json
from openmofi.models.folder import HUB, TEXT_FILES, read_json_object
from openmofi.models.transformers_files import CONFIG, TOKENIZERS, WEIGHTS

_TOKENIZER_FILES = (*TEXT_FILES, "spm.model")
# Flags of older configs, in the order in which their vectors are put side by side.
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
}
POOLINGS = tuple(_FLAGS.values())
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "SiLU", "Sigmoid")  # of torch.nn
# What of a hub's repository is fetched: no exports to other frameworks.
_FETCHED = ("*.json", "*.txt", "*.model", "*.safetensors", "*_Dense/*")


@dataclass(frozen=True)
class Dense:
    """A linear layer after the pooling, and the function that follows it."""

    weights: Path
    activation: str  # of `ACTIVATIONS`


@dataclass(frozen=True)
class Layout:
    """The parts of an encoder.

    Args:
        folder: The encoder's.
        transformer: Where the transformer's and the tokenizer's files lie.
        max_tokens: Longer texts are cut; ``None`` is as many as the transformer takes.
        lower_case: Texts are put in lower case first.
        poolings: Of `POOLINGS`; their vectors are put side by side.
        steps: What follows the pooling; ``None`` scales to length 1.
        files: All that make the vectors what they are.
    """

    folder: Path
    transformer: Path
    max_tokens: int | None
    lower_case: bool
    poolings: tuple[str, ...]
    steps: tuple[Dense | None, ...]
    files: tuple[Path, ...]

    def digest(self) -> str:
        """32 hex digits over the names and contents of all files."""
        named = sorted((os.path.relpath(path, self.folder), path) for path in self.files)
        return hash_json([[name, hash_file(path)] for name, path in named])


def read_layout(where: str) -> Layout:
    """The layout of an encoder's folder, which is fetched if ``where`` is a hub id.

    Raises:
        InputError: There is no such folder, it lacks a file, or it tells of a step that is not
            known here.
    """
    folder = _find_folder(where)
    modules = _read_modules(folder)
    transformer = folder / (modules[0][1] if modules else "")
    length, lower_case, files = _read_transformer(folder, transformer)
    poolings: tuple[str, ...] = ("mean",)
    steps: list[Dense | None] = [] if modules else [None]
    if modules:
        files.append(folder / "modules.json")
        files.append(_need(folder, folder / modules[1][1] / CONFIG))
        poolings = _read_pooling(files[-1])
    for kind, path in modules[2:]:
        steps.append(_read_dense(folder, folder / path, files) if kind == "Dense" else None)
    return Layout(folder, transformer, length, lower_case, poolings, tuple(steps), tuple(files))


def _find_folder(where: str) -> Path:
    path = local_path(where).expanduser()
    if where and path.is_dir():
        return path
    if "://" in where or where.startswith((".", "/", "~")) or where.count("/") > 1 or not where:
        raise InputError(f"encoder folder not found: '{where}' (a hub id is written org/name)")
    return _fetch(where)


def _fetch(where: str) -> Path:
    from huggingface_hub import snapshot_download

    name = where.removeprefix(HUB)
    hub_id = name if "/" in name else f"sentence-transformers/{name}"
    try:
        folder = Path(snapshot_download(hub_id, allow_patterns=list(_FETCHED)))
        if not any(folder.rglob("*.safetensors")):
            snapshot_download(hub_id, allow_patterns=["*pytorch_model*.bin*"])
    except Exception as error:  # network and hub errors have no common kind
        problem = f"{type(error).__name__}: {' '.join(str(error).split())}"[:240]
        raise InputError(
            f"encoder '{where}' is no folder here and cannot be fetched ({problem}); "
            "give a local folder"
        ) from error
    return folder


def _need(folder: Path, path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"encoder folder {folder} lacks {os.path.relpath(path, folder)}")
    return path


def _read_modules(folder: Path) -> list[tuple[str, str]]:
    """Kind and folder of each step; none of a plain transformers folder."""
    path = folder / "modules.json"
    if not path.is_file():
        return []
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        modules = [(str(one["type"]).rpartition(".")[2], str(one["path"])) for one in listed]
    except (OSError, ValueError, TypeError, KeyError):
        raise InputError(
            f"{path} is damaged: a list of modules with type and path is needed"
        ) from None
    kinds = [kind for kind, _ in modules]
    known = ("Transformer", "Pooling", "Dense", "Normalize")
    for kind in kinds:
        if kind not in known:
            raise InputError(
                f"{path}: modules of type '{kind}' are unknown; {', '.join(known)} are"
            )
    if kinds[:2] != ["Transformer", "Pooling"] or not {"Dense", "Normalize"}.issuperset(kinds[2:]):
        raise InputError(
            f"{path}: Transformer, Pooling and then any Dense and Normalize are needed, it has "
            f"{', '.join(kinds) or 'nothing'}"
        )
    return modules


def _read_transformer(folder: Path, inner: Path) -> tuple[int | None, bool, list[Path]]:
    """Longest text in tokens, whether letters are made small, and the files."""
    read_json_object(_need(folder, inner / CONFIG))
    if not any((inner / name).is_file() for name in TOKENIZERS):
        _need(folder, inner / TOKENIZERS[0])
    files = [inner / name for name in _TOKENIZER_FILES if (inner / name).is_file()]
    files += _weights(folder, inner)
    told = sorted(inner.glob("sentence_*_config.json"))[:1]  # sentence_bert_config.json, usually
    config = read_json_object(told[0]) if told else {}
    length = config.get("max_seq_length")
    if length is not None and (type(length) is not int or length < 3):
        raise InputError(f"{told[0]}: max_seq_length is {length!r:.20}; a number from 3 is needed")
    return length, bool(config.get("do_lower_case")), files + told


def _weights(folder: Path, inner: Path) -> list[Path]:
    """What transformers would load, in its order of preference."""
    for name in WEIGHTS:
        index = inner / f"{name}.index.json"
        if (inner / name).is_file():
            return [inner / name]
        if index.is_file():
            shards = read_json_object(index).get("weight_map")
            if not isinstance(shards, dict):
                raise InputError(f"{index} is damaged: it lacks weight_map")
            return [index, *(_need(folder, inner / str(x)) for x in sorted({*shards.values()}))]
    return [_need(folder, inner / WEIGHTS[0])]


def _read_pooling(path: Path) -> tuple[str, ...]:
    config = read_json_object(path)
    given: Any = config.get("pooling_mode")
    if given is None:
        flags = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
        modes = [mode for flag, mode in _FLAGS.items() if flag in flags]
        modes += [flag for flag in flags if flag not in _FLAGS]
    else:
        modes = list(map(str, given)) if isinstance(given, list) else [str(given)]
    unknown = [mode for mode in modes if mode not in POOLINGS]
    if unknown or not modes:
        told = f"pooling '{unknown[0]}' is unknown" if unknown else "no pooling is chosen"
        raise InputError(f"{path}: {told}; known are {', '.join(POOLINGS)}")
    return tuple(modes)


def _read_dense(folder: Path, inner: Path, files: list[Path]) -> Dense:
    path = _need(folder, inner / CONFIG)
    weights = [inner / name for name in WEIGHTS if (inner / name).is_file()]
    weights = weights or [_need(folder, inner / WEIGHTS[0])]
    files += [path, weights[0]]
    config = read_json_object(path)
    activation = str(config.get("activation_function", "Tanh")).rpartition(".")[2]
    if activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise InputError(f"{path}: activation '{activation}' is unknown; known are {known}")
    if config.get("module_input_name") not in (None, "sentence_embedding"):
        raise InputError(f"{path}: a Dense module before the pooling is unknown")
    return Dense(weights[0], activation)
