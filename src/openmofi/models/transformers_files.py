"""What every model in transformers' layout has, and transformers itself kept quiet."""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # or an index of several such files
# Any of these is enough for transformers to make a tokenizer.
TOKENIZERS = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "spm.model",
)


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """No warning for each retry, no report of weights that are not needed, no bar a tensor."""
    import transformers

    own: Any = transformers.utils.logging
    was_shown = own.is_progress_bar_enabled()
    own.disable_progress_bar()
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        if was_shown:
            own.enable_progress_bar()
