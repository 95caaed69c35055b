"""A dual encoder's folder in transformers' layout: which files make it, and whether they are there.

``config.json``, ``preprocessor_config.json``, a tokenizer's files and weights, as
``save_pretrained`` writes them.
"""

from pathlib import Path

from openmofi.errors import InputError
from openmofi.models.folder import CONFIG_FILE, TEXT_FILES, read_json_object
from openmofi.models.transformers_files import CONFIG, TOKENIZERS, WEIGHTS

OPEN_CLIP = "open_clip"
TRANSFORMERS = "transformers"

PREPROCESSOR = "preprocessor_config.json"
_PROCESSOR = "processor_config.json"  # where newer versions put the same and more
TOKENIZER_FILES = tuple(sorted({*TEXT_FILES, *TOKENIZERS} - {CONFIG}))
# All but the weights, as they are asked of a hub.
SMALL_FILES = (CONFIG, PREPROCESSOR, _PROCESSOR, *TOKENIZER_FILES)
SAFETENSORS = ("model.safetensors", "model.safetensors.index.json", "model-*.safetensors")
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*.bin")


def find_layout(folder: Path) -> str:
    """`OPEN_CLIP` or `TRANSFORMERS`, by the config that a folder holds; both is the first.

    Raises:
        InputError: There is no such folder, or it holds neither.
    """
    if not folder.is_dir():
        raise InputError(f"model folder not found: {folder}")
    if (folder / CONFIG_FILE).is_file():
        return OPEN_CLIP
    if (folder / CONFIG).is_file():
        return TRANSFORMERS
    raise InputError(
        f"model folder {folder} lacks {CONFIG_FILE}, and {CONFIG} of a dual encoder of "
        "transformers (CLIP, SigLIP) as well; one of them is needed"
    )


def check_files(folder: Path) -> None:
    """Name the first part that a folder lacks; transformers' own words about that are many.

    Raises:
        InputError: The image processor, the tokenizer or weights are missing.
    """
    if not any((folder / name).is_file() for name in (PREPROCESSOR, _PROCESSOR)):
        raise InputError(f"model folder {folder} lacks {PREPROCESSOR}, its image processor")
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise InputError(f"model folder {folder} lacks its tokenizer's files: {TOKENIZERS[0]}")
    find_weights(folder)


def find_weights(folder: Path) -> list[Path]:
    """What transformers would load, in its order of preference: a file, or an index and parts.

    Raises:
        InputError: There is none, or a part is missing.
    """
    for name in WEIGHTS:
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            return [folder / name]
        if index.is_file():
            parts = read_json_object(index).get("weight_map")
            if not isinstance(parts, dict):
                raise InputError(f"{index} is damaged: it lacks weight_map")
            paths = [folder / name for name in sorted(set(map(str, parts.values())))]
            for path in paths:
                if not path.is_file():
                    raise InputError(f"model folder {folder} lacks {path.name} of {index.name}")
            return [index, *paths]
    raise InputError(f"model folder {folder} lacks weights: {WEIGHTS[0]} is needed")


def used_files(folder: Path) -> list[Path]:
    """All files that make the model what it is.

    Raises:
        InputError: See `find_weights`.
    """
    small = [folder / name for name in SMALL_FILES if (folder / name).is_file()]
    return small + find_weights(folder)
