"""A token-classification model from a folder or a hub, checked before any work."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openmofi.entities.recognition.tagging import Tag, read_tags
from openmofi.entities.sources import local_path
from openmofi.errors import InputError
from openmofi.keys import hash_json
from openmofi.models.device import resolve_device
from openmofi.models.folder import HUB, read_json_object
from openmofi.models.transformers_files import (
    CONFIG,
    TOKENIZERS,
    WEIGHTS,
    quiet_transformers,
)

if TYPE_CHECKING:
    import torch

_USUAL_LENGTH = 512  # of models that tell no limit


@dataclass(frozen=True)
class RecognizerFiles:
    """What a recognizer is made of."""

    name: str  # what the user called it
    model: "torch.nn.Module"  # float32, in eval mode, on its device
    tokenizer: Any
    tags: tuple[Tag, ...]  # by number of the label
    prefix: tuple[int, ...]  # token ids before each window
    suffix: tuple[int, ...]  # and after it
    room: int  # tokens of text in a window
    device: str


def load_files(where: str, device: str) -> RecognizerFiles:
    """Load model and tokenizer.

    Args:
        where: A folder in the hub's layout, or a hub id, with or without ``hf-hub:``.
        device: ``auto``, ``cpu`` or a CUDA device.

    Raises:
        InputError: Something is missing, damaged, out of reach, or no token-classification model.
    """
    chosen = resolve_device(device)
    source = _source(where)
    config = _load("AutoConfig", source)
    name = f"recognizer {source}"
    tags = read_tags(_labels(config), name)
    tokenizer = _load("AutoTokenizer", source, use_fast=True)
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(
            f"{name}: its tokenizer gives no offsets; a fast one (tokenizer.json) is needed"
        )
    # What does not fit is then in the report, as what is missing.
    options = {"output_loading_info": True, "ignore_mismatched_sizes": True}
    model, report = _load("AutoModelForTokenClassification", source, **options)
    _check_weights(name, model, tokenizer, report)
    prefix, suffix = _specials(tokenizer)
    room = _max_length(model, tokenizer) - len(prefix) - len(suffix)
    if room < 2:
        raise InputError(f"{name} takes {room} tokens at a time; a text needs 2 or more")
    model = model.float().eval().to(chosen)
    return RecognizerFiles(name, model, tokenizer, tags, prefix, suffix, room, chosen)


def digest_of(files: RecognizerFiles) -> str:
    """32 hex digits over labels, tokenizer and weights, wherever they were loaded from."""
    import torch

    tensors = []
    for name, tensor in sorted(files.model.state_dict().items()):
        plain = tensor.detach().cpu().contiguous()
        data = plain.reshape(-1).view(torch.uint8).numpy()
        value = hashlib.blake2b(data, digest_size=16).hexdigest()
        tensors.append([name, str(plain.dtype), list(plain.shape), value])
    # What the backend was last asked to pad or cut to is no property of the model.
    files.tokenizer(["a"], add_special_tokens=False)
    tokenizer = files.tokenizer.backend_tokenizer.to_str()
    labels = [[tag.prefix, tag.label] for tag in files.tags]
    behaviour = {
        name: value
        for name, value in files.model.config.to_dict().items()  # type: ignore[operator,union-attr]
        if not name.startswith("_") and name not in ("transformers_version", "dtype", "torch_dtype")
    }
    parts = [labels, tokenizer, files.prefix, files.suffix, files.room, behaviour, tensors]
    return hash_json(parts)


def _source(where: str) -> str:
    """A folder whose files are there, or a hub id."""
    path = local_path(where).expanduser()
    if where and path.is_dir():
        _check_folder(path)
        return str(path)
    if "://" in where or where.startswith((".", "/", "~")) or where.count("/") > 1 or not where:
        raise InputError(f"recognizer folder not found: '{where}' (a hub id is written org/name)")
    return where.removeprefix(HUB)


def _check_folder(folder: Path) -> None:
    """Refuse a folder that lacks a file; transformers' own words about that are many."""
    config = folder / CONFIG
    if not config.is_file():
        raise InputError(f"recognizer folder {folder} lacks {CONFIG}")
    labels = read_json_object(config).get("id2label")
    if not isinstance(labels, dict) or not labels:
        raise InputError(f"recognizer folder {folder}: {CONFIG} lacks id2label, the labels' names")
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise InputError(f"recognizer folder {folder} lacks the tokenizer's files: tokenizer.json")
    if any((folder / name).is_file() for name in WEIGHTS):
        return
    for name in WEIGHTS:
        index = folder / f"{name}.index.json"
        if index.is_file():
            files = read_json_object(index).get("weight_map", {})
            absent = sorted({str(x) for x in files.values() if not (folder / str(x)).is_file()})
            if absent:
                raise InputError(f"recognizer folder {folder} lacks {absent[0]} of {index.name}")
            return
    raise InputError(f"recognizer folder {folder} lacks the weights: {' or '.join(WEIGHTS)}")


def _load(kind: str, source: str, **options: Any) -> Any:
    """``from_pretrained`` of one of transformers' Auto classes; code from a hub is never run."""
    import transformers

    with quiet_transformers():
        try:
            return getattr(transformers, kind).from_pretrained(
                source, trust_remote_code=False, **options
            )
        except Exception as error:  # network, hub, pickle and safetensors errors: no common kind
            problem = f"{type(error).__name__}: {' '.join(str(error).split())}"[:240]
            if Path(source).is_dir():
                raise InputError(f"recognizer folder {source} does not load ({problem})") from error
            raise InputError(
                f"recognizer {source!r} is no folder here and cannot be fetched ({problem}); "
                "give a local folder"
            ) from error


def _labels(config: Any) -> list[str]:
    labels: Mapping[int, str] = config.id2label
    return [str(labels.get(number, "O")) for number in range(max(labels, default=-1) + 1)]


def _check_weights(name: str, model: Any, tokenizer: Any, report: Mapping[str, Any]) -> None:
    # transformers fills what is missing with random numbers and goes on.
    faults = {*report["missing_keys"], *(one[0] for one in report["mismatched_keys"])}
    if faults:
        raise InputError(
            f"{name} is no trained token-classification model: its weights lack {min(faults)} "
            "of the size that its config tells"
        )
    known = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > known:
        raise InputError(
            f"{name}: its tokenizer has {len(tokenizer)} tokens, its weights {known}; they must "
            "be of one model"
        )


def _specials(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ids that the model expects before and after a text."""
    one = tokenizer("a", return_special_tokens_mask=True)
    ids, special = one["input_ids"], one["special_tokens_mask"]
    places = [place for place, is_special in enumerate(special) if not is_special]
    if not places:
        return tuple(ids), ()
    return tuple(ids[: places[0]]), tuple(ids[places[-1] + 1 :])


def _max_length(model: Any, tokenizer: Any) -> int:
    """Tokens that the model takes, special ones included."""
    limits = [tokenizer.model_max_length]
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and hasattr(module, "num_embeddings"):
            # RoBERTa's places begin after that of the padding.
            unused = 0 if module.padding_idx is None else module.padding_idx + 1
            limits.append(module.num_embeddings - unused)
    limit = min(limits)
    if limit > 1 << 20:  # a tokenizer without a limit has 10^30
        limit = getattr(model.config, "max_position_embeddings", None) or _USUAL_LENGTH
    return int(limit)
