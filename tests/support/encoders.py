"""Tiny text encoders with random weights, in sentence-transformers' layout."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.recognizers import SPECIAL, save_tokenizer

WIDTH = 16
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,'-"
MODES = ("cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens")


def write_transformer(folder: Path, *, seed: int = 1, max_length: int = 32) -> Path:
    """A two-layer BERT over letters that looks at neighbours and places."""
    import torch
    from transformers import BertConfig, BertModel

    vocabulary = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    save_tokenizer(folder, vocabulary, max_length)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=max_length,
        initializer_range=0.8,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        BertModel(config).save_pretrained(folder)
    return folder


def write_encoder(
    folder: Path,
    *,
    poolings: Sequence[str] = ("mean_tokens",),
    more: Sequence[str] = ("Normalize",),
    inner: str = "",
    max_tokens: int | None = 24,
    seed: int = 1,
) -> Path:
    """A transformer with its list of modules.

    Args:
        folder: Where it goes.
        poolings: Of `MODES`, as the flags of the pooling's config.
        more: Kinds of the modules after the pooling.
        inner: Folder of the transformer in it.
        max_tokens: ``max_seq_length``; ``None`` writes no such file.
        seed: Of the weights.
    """
    write_transformer(folder / inner, seed=seed)
    kinds = ("Transformer", "Pooling", *more)
    paths = [inner, *(f"{place}_{kind}" for place, kind in enumerate(kinds[1:], 1))]
    prefix = "sentence_transformers.models"
    listed = [
        {"idx": place, "name": str(place), "path": path, "type": f"{prefix}.{kind}"}
        for place, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    write_json(folder / "modules.json", listed)
    flags = {f"pooling_mode_{mode}": mode in poolings for mode in MODES}
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": WIDTH, **flags})
    if max_tokens:
        lengths = {"max_seq_length": max_tokens, "do_lower_case": False}
        write_json(folder / inner / "sentence_bert_config.json", lengths)
    return folder


def write_dense_layer(
    folder: Path, weight: Any, bias: Any = None, *, activation: str = "Tanh", pickled: bool = False
) -> None:
    """Files of a Dense module: ``weight`` [outputs, inputs]."""
    import torch
    from safetensors.torch import save_file

    name = f"torch.nn.modules.activation.{activation}"
    outputs, inputs = weight.shape
    config = {"in_features": inputs, "out_features": outputs, "bias": bias is not None}
    write_json(folder / "config.json", {**config, "activation_function": name})
    tensors = {"linear.weight": torch.tensor(weight)}
    if bias is not None:
        tensors["linear.bias"] = torch.tensor(bias)
    if pickled:
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        save_file(tensors, folder / "model.safetensors")


def write_json(path: Path, value: Sequence[Any] | Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
