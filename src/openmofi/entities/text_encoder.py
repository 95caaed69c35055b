"""Texts to unit vectors, by any encoder in sentence-transformers' layout.

Read with transformers alone: what sentence-transformers adds to it is a pooling and a few layers.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from openmofi.entities.text_encoder_files import Dense, Layout, read_layout
from openmofi.errors import InputError
from openmofi.models.device import resolve_device
from openmofi.models.transformers_files import quiet_transformers
from openmofi.progress import bar

if TYPE_CHECKING:
    import torch

Vectors = npt.NDArray[np.float32]

_USUAL_LENGTH = 512  # tokens, of models that tell no limit


class TextEncoder:
    """A text encoder in eval mode and without gradients, always.

    Args:
        name: What the user called it.
        layout: Its parts.
        model: The transformer, on ``device``.
        tokenizer: Of transformers.
        layers: What follows the pooling, on ``device``; ``None`` scales to length 1.
        device: Where it runs.
    """

    def __init__(
        self,
        name: str,
        layout: Layout,
        model: "torch.nn.Module",
        tokenizer: Any,
        layers: Sequence["torch.nn.Module | None"],
        device: str,
    ) -> None:
        self.name = name
        self.digest = layout.digest()
        self._layout, self._model, self._tokenizer = layout, model, tokenizer
        self._layers, self._device = layers, device
        self._max_tokens = _max_tokens(layout, model, tokenizer)
        self.dimension = self._probe()

    def encode(
        self, texts: Sequence[str], *, batch_size: int = 64, label: str = "encode texts"
    ) -> Vectors:
        """Unit vectors ``float32[N, dimension]``; texts of more tokens than it takes are cut.

        What a text is encoded with changes its vector by no more than rounding. A text without
        any token, for a tokenizer that adds none, has the vector 0.

        Args:
            texts: Any, also empty ones.
            batch_size: Texts at a time.
            label: Of the progress bar; empty for none.
        """
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        # Texts of like length together need little padding; the longest first, so that too large
        # a batch fails at once.
        lengths = self._lengths(texts)
        order = np.argsort(-lengths, kind="stable").tolist()[: np.count_nonzero(lengths)]
        begins: Iterable[int] = range(0, len(order), batch_size)
        for begin in bar(begins, label=label, unit="batch") if label else begins:
            rows = order[begin : begin + batch_size]
            vectors[rows] = self._encode([texts[row] for row in rows])
        return vectors

    def _lengths(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        ids = self._tokenize(texts)["input_ids"] if texts else []
        return np.array([len(one) for one in ids], np.int64)

    def _tokenize(self, texts: Sequence[str], **options: Any) -> Any:
        if self._layout.lower_case:
            texts = [text.lower() for text in texts]
        return self._tokenizer(list(texts), truncation=True, max_length=self._max_tokens, **options)

    def _encode(self, texts: Sequence[str]) -> Vectors:
        import torch
        from torch.nn.functional import normalize

        with torch.inference_mode():
            tokens = self._tokenize(texts, padding=True, return_tensors="pt").to(self._device)
            hidden = self._model(**tokens)[0]  # [B, tokens, width]
            pooled = _pool(hidden, tokens["attention_mask"], self._layout.poolings)
            for layer in (*self._layers, None):
                pooled = normalize(pooled, dim=-1) if layer is None else layer(pooled)
            vectors: Vectors = pooled.float().cpu().numpy()
        return vectors

    def _probe(self) -> int:
        """The dimension, from texts that are encoded before anyone's work depends on it."""
        folder = self._layout.folder
        try:
            vectors = self._encode(["", "a text of some words"])
        except Exception as error:  # parts that don't fit fail in torch's many ways
            raise _does_not_load(folder, error) from error
        if not np.isfinite(vectors).all():
            raise InputError(f"encoder folder {folder}: its vectors hold what is no number")
        return int(vectors.shape[1])


def load_text_encoder(where: str, *, device: str = "auto") -> TextEncoder:
    """Load an encoder.

    Args:
        where: A folder in sentence-transformers' layout, or a plain transformers folder (then
            vectors are the tokens' mean); or a hub id, ``org/name``. A bare name is one of
            sentence-transformers' own.
        device: ``auto``, ``cpu`` or a CUDA device.

    Raises:
        InputError: Something is missing, damaged, unknown or out of reach.
    """
    chosen = resolve_device(device)
    layout = read_layout(where)
    tokenizer = _load("AutoTokenizer", layout)
    # Pads on the right: the first token is the text's own, whatever stands beside it.
    tokenizer.padding_side = "right"
    # What does not fit is then in the report, as what is missing.
    options = {"output_loading_info": True, "ignore_mismatched_sizes": True}
    model, report = _load("AutoModel", layout, **options)
    # T5 and the like; the config of one that was saved without its decoder may not tell.
    has_decoder = hasattr(model, "encoder") and hasattr(model, "decoder")
    _check_weights(layout, model, tokenizer, report, ("decoder.",) if has_decoder else ())
    if has_decoder:
        model = model.get_encoder()
    layers = [None if step is None else _dense(layout, step).to(chosen) for step in layout.steps]
    model = model.float().eval().to(chosen)
    return TextEncoder(where, layout, model, tokenizer, layers, chosen)


def _pool(hidden: "torch.Tensor", mask: "torch.Tensor", poolings: Sequence[str]) -> "torch.Tensor":
    """``[B, tokens, width]`` and its mask to ``[B, poolings * width]``."""
    import torch

    present = mask.unsqueeze(-1).to(hidden.dtype)  # [B, tokens, 1]
    counts = present.sum(1).clamp(min=1)
    sums = (hidden * present).sum(1)
    parts = {
        "cls": lambda: hidden[:, 0],
        "max": lambda: hidden.masked_fill(present == 0, -1e9).amax(1),
        "mean": lambda: sums / counts,
        "mean_sqrt_len_tokens": lambda: sums / counts.sqrt(),
    }
    return torch.cat([parts[name]() for name in poolings], dim=-1)


def _dense(layout: Layout, step: Dense) -> "torch.nn.Module":
    """The layer from its file; no pickled code is run."""
    import torch
    from safetensors.torch import load_file

    try:
        if step.weights.suffix == ".safetensors":
            state = load_file(step.weights)
        else:
            state = torch.load(step.weights, map_location="cpu", weights_only=True)
        outputs, inputs = state["linear.weight"].shape
        has_bias = "linear.bias" in state
        linear = torch.nn.Linear(inputs, outputs, bias=has_bias)
        linear.load_state_dict({key.removeprefix("linear."): x for key, x in state.items()})
    except Exception as error:  # pickle, safetensors and torch have their own kinds
        raise _does_not_load(step.weights, error) from error
    return torch.nn.Sequential(linear, getattr(torch.nn, step.activation)()).float().eval()


def _load(kind: str, layout: Layout, **options: Any) -> Any:
    """``from_pretrained`` of one of transformers' Auto classes; code in the folder is never run."""
    import transformers

    with quiet_transformers():
        try:
            return getattr(transformers, kind).from_pretrained(
                str(layout.transformer), trust_remote_code=False, local_files_only=True, **options
            )
        except Exception as error:  # of json, pickle, safetensors, tokenizers: no common kind
            raise _does_not_load(layout.folder, error) from error


def _check_weights(
    layout: Layout,
    model: Any,
    tokenizer: Any,
    report: Mapping[str, Any],
    unused: tuple[str, ...],
) -> None:
    # transformers fills what is missing with random numbers and goes on.
    faults = {*report["missing_keys"], *(one[0] for one in report["mismatched_keys"])}
    # A pooler is asked for by default but not by us.
    needed = [name for name in faults if not name.startswith(("pooler.", *unused))]
    if needed:
        raise InputError(
            f"encoder folder {layout.folder}: its weights lack {min(needed)} of the size that its "
            "config tells"
        )
    known = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > known:
        raise InputError(
            f"encoder folder {layout.folder}: its tokenizer has {len(tokenizer)} tokens, its "
            f"weights {known}; they must be of one model"
        )


def _max_tokens(layout: Layout, model: "torch.nn.Module", tokenizer: Any) -> int:
    """Tokens that a text is cut to, special ones included."""
    limits = [layout.max_tokens or int(tokenizer.model_max_length)]
    for name, module in model.named_modules():
        places: Any = getattr(module, "num_embeddings", None)
        if name.endswith("position_embeddings") and places:
            # RoBERTa's places begin after that of the padding.
            padding: Any = getattr(module, "padding_idx", None)
            limits.append(places - (0 if padding is None else padding + 1))
    limit = min(limits)
    if limit > 1 << 20:  # a tokenizer without a limit has 10^30
        config: Any = model.config
        limit = getattr(config, "max_position_embeddings", None) or _USUAL_LENGTH
    return int(limit)


def _does_not_load(path: Path, error: Exception) -> InputError:
    problem = f"{type(error).__name__}: {' '.join(str(error).split())}"[:240]
    return InputError(f"encoder {path} does not load ({problem})")
