"""Text encoders against plain loops over the transformer's own output."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openmofi.entities.text_encoder import TextEncoder, load_text_encoder
from support.encoders import (
    LETTERS,
    WIDTH,
    write_dense_layer,
    write_encoder,
    write_json,
    write_transformer,
)

MINILM = os.environ.get("MINILM_FOLDER", "")  # folder of all-MiniLM-L6-v2

_draw = np.random.default_rng(3)
TEXTS = ["", "a", "the quick brown fox", "a" * 60] + [
    "".join(_draw.choice(list(LETTERS + "   "), size)) for size in range(0, 80, 4)
]


def hidden(folder: Path, text: str, max_tokens: int) -> list[list[float]]:
    """The transformer's output for each token of one text alone."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    ids = AutoTokenizer.from_pretrained(folder)(text)["input_ids"]
    if len(ids) > max_tokens:
        ids = [*ids[: max_tokens - 1], ids[-1]]
    with torch.no_grad():
        output = AutoModel.from_pretrained(folder).eval()(input_ids=torch.tensor([ids]))
    states: list[list[float]] = output.last_hidden_state[0].tolist()
    return states


def pooled(mode: str, states: list[list[float]]) -> list[float]:
    columns = list(zip(*states, strict=True))
    match mode:
        case "cls_token":
            return list(states[0])
        case "max_tokens":
            return [max(column) for column in columns]
        case "mean_tokens":
            return [sum(column) / len(states) for column in columns]
        case _:
            return [sum(column) / math.sqrt(len(states)) for column in columns]


def unit(values: list[float]) -> list[float]:
    length = math.sqrt(sum(value**2 for value in values))
    return [value / length for value in values]


def load(folder: Path) -> TextEncoder:
    return load_text_encoder(str(folder), device="cpu")


@pytest.mark.parametrize(
    "poolings",
    [
        ["cls_token"],
        ["max_tokens"],
        ["mean_tokens"],
        ["mean_sqrt_len_tokens"],
        ["cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens"],
    ],
    ids="+".join,
)
def test_poolings_equal_plain_loops(tmp_path: Path, poolings: list[str]) -> None:
    folder = write_encoder(tmp_path, poolings=poolings, more=())
    texts = TEXTS[::3]
    vectors = load(folder).encode(texts, batch_size=4)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(texts), WIDTH * len(poolings))
    for text, vector in zip(texts, vectors, strict=True):
        states = hidden(folder, text, 24)
        wanted = unit([value for mode in poolings for value in pooled(mode, states)])
        np.testing.assert_allclose(vector, wanted, atol=2e-6)


@pytest.mark.parametrize("given", ["max", ["max"], ["mean", "cls"]])
def test_newer_configs_name_their_poolings_in_order(tmp_path: Path, given: Any) -> None:
    folder = write_encoder(tmp_path)
    write_json(folder / "1_Pooling" / "config.json", {"pooling_mode": given})
    states = hidden(folder, "fox", 24)
    names = given if isinstance(given, list) else [given]
    wanted = [
        value
        for name in names
        for value in pooled(f"{name}_tokens".replace("cls_tokens", "cls_token"), states)
    ]
    np.testing.assert_allclose(load(folder).encode(["fox"])[0], unit(wanted), atol=2e-6)


def test_neighbours_and_batch_size_change_nothing(tmp_path: Path) -> None:
    encoder = load(write_encoder(tmp_path, poolings=["cls_token", "max_tokens", "mean_tokens"]))
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    assert len(np.unique(alone.round(4), axis=0)) > len(TEXTS) - 4  # the cut ones may be equal
    for batch_size in (1, 5, 64):
        np.testing.assert_allclose(encoder.encode(TEXTS, batch_size=batch_size), alone, atol=2e-6)
    np.testing.assert_allclose(encoder.encode(TEXTS[::-1])[::-1], alone, atol=2e-6)
    assert encoder.encode([]).shape == (0, encoder.dimension)


@pytest.mark.parametrize(("told", "kept"), [(24, 22), (8, 6), (None, 30), (500, 30)])
def test_texts_are_cut_at_the_longest_that_is_taken(
    tmp_path: Path, told: int | None, kept: int
) -> None:
    # 32 places at most; [CLS] and [SEP] take two.
    encoder = load(write_encoder(tmp_path, max_tokens=told))
    words = LETTERS[:33]
    texts = [" ".join(words[:length]) for length in (kept - 1, kept, kept + 1, 33)]
    vectors = encoder.encode(texts)
    assert abs(vectors[0] - vectors[1]).max() > 1e-3
    np.testing.assert_allclose(vectors[2:], vectors[[1, 1]], atol=2e-6)


@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize("activation", ["Tanh", "Identity", "ReLU"])
def test_dense_layers_follow_the_pooling(tmp_path: Path, activation: str, pickled: bool) -> None:
    folder = write_encoder(tmp_path, more=("Normalize", "Dense"))
    draw = np.random.default_rng(0)
    weight, bias = (draw.normal(size=size).astype(np.float32) for size in ((5, WIDTH), 5))
    options: dict[str, Any] = {"activation": activation, "pickled": pickled}
    write_dense_layer(folder / "3_Dense", weight, bias, **options)
    encoder = load(folder)
    assert encoder.dimension == 5
    function = {"Tanh": math.tanh, "Identity": float, "ReLU": lambda x: max(x, 0.0)}[activation]
    mean = unit(pooled("mean_tokens", hidden(folder, "a fox", 24)))
    wanted = [function(weight[row] @ mean + bias[row]) for row in range(5)]
    np.testing.assert_allclose(encoder.encode(["a fox"])[0], unit(wanted), atol=2e-6)
    write_dense_layer(folder / "3_Dense", weight, **options)
    wanted = [function(weight[row] @ mean) for row in range(5)]
    np.testing.assert_allclose(load(folder).encode(["a fox"])[0], unit(wanted), atol=2e-6)


def test_a_plain_transformers_folder_is_the_mean(tmp_path: Path) -> None:
    plain = load(write_transformer(tmp_path / "plain"))
    listed = load(write_encoder(tmp_path / "listed", max_tokens=None))
    inner = load(write_encoder(tmp_path / "inner", max_tokens=None, inner="0_Transformer"))
    assert plain.encode(TEXTS).tolist() == listed.encode(TEXTS).tolist()
    assert plain.encode(TEXTS).tolist() == inner.encode(TEXTS).tolist()


def test_lower_case_is_made_where_it_is_told(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, normalizers

    folder = write_encoder(tmp_path)
    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=False)
    backend.save(str(folder / "tokenizer.json"))
    vectors = load(folder).encode(["FOX", "fox"])
    assert abs(vectors[0] - vectors[1]).max() > 1e-3
    write_json(folder / "sentence_bert_config.json", {"do_lower_case": True})
    vectors = load(folder).encode(["FOX", "fox"])
    assert vectors[0].tolist() == pytest.approx(vectors[1].tolist(), abs=2e-6)


def test_the_encoder_half_of_a_model_with_a_decoder_is_enough(tmp_path: Path) -> None:
    import torch
    from transformers import T5Config, T5EncoderModel

    folder = write_encoder(tmp_path)
    config = T5Config(
        vocab_size=100, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, architectures=[]
    )
    torch.manual_seed(0)
    model = T5EncoderModel(config).eval()
    model.save_pretrained(folder)
    ids = model_ids(folder, "a fox")
    with torch.no_grad():
        states = model(input_ids=torch.tensor([ids])).last_hidden_state[0].tolist()
    wanted = unit(pooled("mean_tokens", states))
    np.testing.assert_allclose(load(folder).encode(["a fox", "ox"])[0], wanted, atol=2e-6)


def model_ids(folder: Path, text: str) -> list[int]:
    from transformers import AutoTokenizer

    ids: list[int] = AutoTokenizer.from_pretrained(folder)(text)["input_ids"]
    return ids


@pytest.mark.skipif(not MINILM, reason="MINILM_FOLDER names no folder of all-MiniLM-L6-v2")
def test_a_known_encoder_gives_what_its_makers_print() -> None:
    # The example in sentence-transformers' documentation, to its four digits.
    texts = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    vectors = load_text_encoder(MINILM, device="cpu").encode(texts)
    wanted = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
    np.testing.assert_allclose(vectors @ vectors.T, wanted, atol=6e-5)


def test_texts_without_any_token_have_no_direction(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = write_transformer(tmp_path)
    bare = AutoTokenizer.from_pretrained(folder)
    bare.backend_tokenizer.post_processor = None  # no token before or after a text
    bare.save_pretrained(folder)
    encoder = load(folder)
    assert not encoder.encode([""]).any()
    mixed = encoder.encode(["", "a fox"], batch_size=1)
    assert np.linalg.norm(mixed, axis=1).round(5).tolist() == [0, 1]
