"""Weights to begin with: of an imported model, or of one that an earlier run has trained.

The backbone must be the same one. What differs without a trace in names and shapes (an
activation, the number of heads, the normalisation of pixels) is compared by the configs: a model
that was started with another of those would train, and be worse for no visible reason.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor, nn

from openmofi.errors import InputError, StorageError
from openmofi.keys import hash_file, hash_json
from openmofi.models.folder import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    find_weights,
    load_model,
    read_folder_config,
)
from openmofi.models.stored import model_folder
from openmofi.models.transformers_folder import TRANSFORMERS, find_layout
from openmofi.versions import read_manifest

CLASS_ROWS_FILE = "class_rows.safetensors"
VOCABULARY_FILE = "vocabulary.parquet"

_HEAD_FILES = (CLASS_ROWS_FILE, VOCABULARY_FILE)
_SHOWN = 3
# Where a tower's files lie, what its weights were before, and what only training does: none of
# these makes it another model.
_NOT_COMPARED = (
    "hf_model_name",
    "hf_model_pretrained",
    "patch_dropout",
    "timm_drop",
    "timm_drop_path",
    "timm_model_pretrained",
)


@dataclass(frozen=True)
class StartModel:
    """A model that a run begins with; nothing of it is read yet but small files and digests.

    Args:
        source: What the user called it.
        digest: Of weights, class rows and vocabulary: a part of the run's recipe.
        folder: Where it lies, in open_clip's layout. For a text tower or tokenizer of
            transformers it holds their files too.
    """

    source: str
    digest: str
    folder: Path


@dataclass(frozen=True)
class StartRows:
    """Class rows that a run and its start model have in common.

    Args:
        classes: Class indices of the run, ascending, int64 [n].
        rows: Float32 [n, d].
    """

    classes: Tensor
    rows: Tensor


def find_start(source: str) -> StartModel:
    """Look a start model up.

    Args:
        source: URI of a ``model`` manifest, or a local model folder.

    Raises:
        InputError: It is neither, a file is missing, or it is in transformers' layout.
        StorageError: It is not in the store, or not as it was stored.
    """
    if "/manifests/" in source:
        manifest = read_manifest(source, "model")
        _refuse_transformers(source, manifest.content.get("layout") == TRANSFORMERS)
        folder = model_folder(manifest)
        digest = _folder_digest(folder)
        if digest != _digest(manifest.content["files"]):
            raise StorageError(
                f"initial_model {source}: its files in {folder} are not what was stored; import "
                "the model again"
            )
        return StartModel(source, digest, folder)
    folder = Path(source.removeprefix("file://")).expanduser()
    _refuse_transformers(source, find_layout(folder) == TRANSFORMERS)
    return StartModel(source, _folder_digest(folder), folder)


def check_start(
    start: StartModel, model_config: Mapping[str, Any], preprocess_config: Mapping[str, Any]
) -> None:
    """Compare the configs of the start model and of the run's backbone; reads no weights.

    Args:
        start: See `find_start`.
        model_config: Of the run's backbone, as `read_backbone_config` gives it.
        preprocess_config: The same.

    Raises:
        InputError: They differ; names the first three values.
    """
    from open_clip.transform import PreprocessCfg, merge_preprocess_dict

    config = read_folder_config(start.folder)
    given = merge_preprocess_dict(PreprocessCfg(), config["preprocess_cfg"])
    theirs, ours = _flat(config["model_cfg"], given), _flat(model_config, preprocess_config)
    differing = [
        f"{name} is {theirs.get(name)} there and {ours.get(name)} here"
        for name in sorted(theirs.keys() | ours.keys())
        if theirs.get(name) != ours.get(name)
    ]
    _refuse(start, differing)


def load_start(start: StartModel, backbone: nn.Module) -> None:
    """Overwrite the backbone's weights, the logit scale included.

    Raises:
        InputError: A name or shape differs, of which the first three are named; or a file is
            damaged.
    """
    theirs, ours = load_model(start.folder).state_dict(), backbone.state_dict()
    differing = [f"{name} is missing there" for name in ours if name not in theirs]
    differing += [f"{name} is missing here" for name in theirs if name not in ours]
    differing += [
        f"{name} is {list(theirs[name].shape)} there and {list(value.shape)} here"
        for name, value in ours.items()
        if name in theirs and theirs[name].shape != value.shape
    ]
    _refuse(start, differing)
    backbone.load_state_dict(theirs)


def read_start_rows(start: StartModel, vocabulary: pa.Table) -> StartRows:
    """Rows of the classes that the start model knew, by entity id.

    A vocabulary only grows, so those of a later version are mostly the first ones; classes of
    another vocabulary find their rows as well. Their optimiser's moments begin anew.

    Args:
        start: See `find_start`.
        vocabulary: The run's (`openmofi.records.VOCABULARY`).

    Returns:
        No rows where the start model has no class rows, or shares no class.

    Raises:
        InputError: The start model's rows and vocabulary do not fit each other.
    """
    from safetensors import safe_open

    known = _known_classes(start)
    if known is None:
        return StartRows(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 0))
    with safe_open(start.folder / CLASS_ROWS_FILE, framework="pt") as file:
        rows: Tensor = file.get_tensor("rows")
    if len(rows) != len(known):
        raise InputError(
            f"initial_model {start.source}: {len(rows)} class rows and {len(known)} classes in "
            f"{VOCABULARY_FILE}; take the whole folder that was published"
        )
    places, classes = _shared(known, vocabulary.column("entity_id").to_pylist())
    return StartRows(classes, rows[places].float())


def count_start_rows(start: StartModel, vocabulary: pa.Table) -> int:
    """How many classes of the run get a row of the start model; reads no rows.

    Args:
        start: See `find_start`.
        vocabulary: See `read_start_rows`.

    Raises:
        InputError: The start model has rows without a vocabulary.
    """
    _, classes = _shared(_known_classes(start) or (), vocabulary.column("entity_id").to_pylist())
    return len(classes)


def _known_classes(start: StartModel) -> list[str] | None:
    """Entity ids of the start model's class rows; None without rows."""
    import pyarrow.parquet as pq

    if not (start.folder / CLASS_ROWS_FILE).is_file():
        return None
    if not (start.folder / VOCABULARY_FILE).is_file():
        raise InputError(
            f"initial_model {start.source} has {CLASS_ROWS_FILE} without {VOCABULARY_FILE}: nobody "
            "can say whose rows these are; take the whole folder that was published"
        )
    known: list[str] = pq.read_table(start.folder / VOCABULARY_FILE).column("entity_id").to_pylist()
    return known


def _shared(theirs: Iterable[str], ours: Iterable[str]) -> tuple[Tensor, Tensor]:
    """Places of the same ids in both, in our order."""
    place = {entity: index for index, entity in enumerate(theirs)}
    pairs = [(place[entity], index) for index, entity in enumerate(ours) if entity in place]
    both = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _refuse_transformers(source: str, is_transformers: bool) -> None:
    if is_transformers:
        raise InputError(
            f"initial_model {source} is in transformers' layout, and training builds open_clip's "
            "models; import the same weights in open_clip's layout"
        )


def _refuse(start: StartModel, differing: list[str]) -> None:
    if not differing:
        return
    more = len(differing) - _SHOWN
    raise InputError(
        f"initial_model {start.source} is not the run's backbone: {'; '.join(differing[:_SHOWN])}"
        + (f" (and {more} more)" if more > 0 else "")
        + f"; set backbone to {start.folder / CONFIG_FILE}"
    )


def _digest(files: Mapping[str, str]) -> str:
    """Of what can be loaded: equal for a folder and for its copy in the store."""
    return hash_json({name: files[name] for name in (WEIGHTS_FILE, *_HEAD_FILES) if name in files})


def _folder_digest(folder: Path) -> str:
    files = {name: hash_file(folder / name) for name in _HEAD_FILES if (folder / name).is_file()}
    return _digest({**files, WEIGHTS_FILE: hash_file(find_weights(folder))})


def _flat(model: Mapping[str, Any], preprocess: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a model what it is, by dotted name; defaults filled in."""
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg

    flat: dict[str, Any] = {"quick_gelu": bool(model.get("quick_gelu", False))}
    for part, defaults in (("vision_cfg", CLIPVisionCfg()), ("text_cfg", CLIPTextCfg())):
        for name, value in {**asdict(defaults), **model[part]}.items():
            if name not in _NOT_COMPARED:
                flat[f"{part}.{name}"] = _plain(value)
    # Its name is an address: a copy in a folder is the same tokenizer.
    flat["text_cfg.hf_tokenizer_name"] = flat["text_cfg.hf_tokenizer_name"] is not None
    for name in ("mean", "std"):
        flat[f"preprocess_cfg.{name}"] = _plain(preprocess[name])
    return flat


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
