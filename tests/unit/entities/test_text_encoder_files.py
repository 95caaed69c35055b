"""Encoder folders that lack something, or hold what is not known: one line, before any work."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openmofi.entities.text_encoder import load_text_encoder
from openmofi.entities.text_encoder_files import read_layout
from openmofi.errors import InputError
from openmofi.models.folder import read_json_object
from support.encoders import WIDTH, write_dense_layer, write_encoder, write_json, write_transformer

MODULES = "sentence_transformers.models"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_encoder(
        tmp_path_factory.mktemp("encoder") / "whole", more=("Dense", "Normalize")
    )
    write_dense_layer(folder / "2_Dense", np.ones((4, WIDTH), np.float32))
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def assert_refused(where: Path | str, message: str, *, device: str = "cpu") -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_text_encoder(str(where), device=device)
    assert "\n" not in str(caught.value)


def test_the_whole_folder_is_not_refused(copy: Path) -> None:
    encoder = load_text_encoder(str(copy), device="cpu")
    assert encoder.name == str(copy)
    assert encoder.dimension == 4


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "1_Pooling/config.json",
        "2_Dense/config.json",
        "2_Dense/model.safetensors",
    ],
)
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    assert_refused(copy, rf"^encoder folder .*copy lacks {name.replace('.', '.')}$")


def test_missing_files_of_an_inner_transformer_are_named(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "model", inner="0_Transformer")
    (folder / "0_Transformer" / "config.json").unlink()
    assert_refused(folder, r"model lacks 0_Transformer/config\.json$")


def test_a_shard_that_the_index_names_must_be_there(tmp_path: Path) -> None:
    folder = write_transformer(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    index = folder / "model.safetensors.index.json"
    write_json(index, {"weight_map": {"a": "model-00001-of-00001.safetensors"}})
    assert_refused(folder, r"model lacks model-00001-of-00001\.safetensors$")
    write_json(index, {"weight_map": ["a"]})
    assert_refused(folder, r"index\.json is damaged: it lacks weight_map")


@pytest.mark.parametrize("name", ["config.json", "1_Pooling/config.json", "2_Dense/config.json"])
def test_damaged_json_is_named(copy: Path, name: str) -> None:
    (copy / name).write_text("{")
    assert_refused(copy, rf"{name} is not readable JSON")


@pytest.mark.parametrize(
    "name", ["model.safetensors", "tokenizer.json", "2_Dense/model.safetensors"]
)
def test_damaged_binary_files_are_one_line(copy: Path, name: str) -> None:
    (copy / name).write_bytes((copy / name).read_bytes()[:100])
    assert_refused(copy, r"^encoder .*copy.* does not load \(")


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (["Transformer", "Pooling", "LayerNorm"], "modules of type 'LayerNorm' are unknown"),
        (["CLIPModel"], "modules of type 'CLIPModel' are unknown"),
        (["Transformer"], "Transformer, Pooling and then .* are needed, it has Transformer$"),
        (["Pooling", "Transformer"], ".* are needed, it has Pooling, Transformer$"),
        (
            ["Transformer", "Pooling", "Pooling"],
            ".* are needed, it has Transformer, Pooling, Pooling",
        ),
        ([], ".* are needed, it has nothing$"),
    ],
)
def test_unknown_modules_are_named(copy: Path, kinds: list[str], message: str) -> None:
    write_json(copy / "modules.json", [{"type": f"{MODULES}.{kind}", "path": ""} for kind in kinds])
    assert_refused(copy, rf"modules\.json: {message}")


@pytest.mark.parametrize("content", [{"a": 1}, [1], [{"type": "Transformer"}]])
def test_a_damaged_list_of_modules_is_refused(copy: Path, content: Any) -> None:
    write_json(copy / "modules.json", content)
    assert_refused(copy, r"modules\.json is damaged")


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("1_Pooling", {"pooling_mode_mean_tokens": False}, "no pooling is chosen"),
        ("1_Pooling", {"pooling_mode_lasttoken": True}, "'pooling_mode_lasttoken' is unknown"),
        ("1_Pooling", {"pooling_mode": ["mean", "median"]}, "pooling 'median' is unknown"),
        ("2_Dense", {"activation_function": "os.system"}, "activation 'system' is unknown"),
        ("2_Dense", {"module_input_name": "token_embeddings"}, "before the pooling is unknown"),
        (".", {"num_hidden_layers": 3}, r"its weights lack encoder\.layer\.2"),
        (".", {"vocab_size": 5}, r"its weights lack embeddings\.word_embeddings"),
        (".", {"model_type": "of-no-kind"}, r"does not load \(ValueError"),
    ],
)
def test_a_config_that_does_not_fit_is_one_line(
    copy: Path, name: str, changes: dict[str, Any], message: str
) -> None:
    path = copy / name / "config.json"
    write_json(path, {**read_json_object(path), **changes})
    assert_refused(copy, message)


@pytest.mark.parametrize("length", [0, -1, 2, "many", 1.5, True])
def test_a_longest_text_must_be_a_number(copy: Path, length: Any) -> None:
    write_json(copy / "sentence_bert_config.json", {"max_seq_length": length})
    assert_refused(copy, r"sentence_bert_config\.json: max_seq_length is .*; a number from 3")


def test_layers_that_do_not_fit_each_other_are_refused(copy: Path) -> None:
    write_dense_layer(copy / "2_Dense", np.ones((4, WIDTH + 1), np.float32))
    assert_refused(copy, r"copy does not load \(RuntimeError")


def test_weights_that_are_no_numbers_are_refused(copy: Path) -> None:
    write_dense_layer(copy / "2_Dense", np.full((4, WIDTH), np.nan, np.float32))
    assert_refused(copy, "its vectors hold what is no number")


def test_another_models_tokenizer_is_refused(copy: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    backend = Tokenizer.from_file(str(copy / "tokenizer.json"))
    backend.add_tokens(["one", "more"])
    backend.save(str(copy / "tokenizer.json"))
    assert_refused(copy, "its tokenizer has 87 tokens, its weights 85")


def test_pickled_code_is_not_run(copy: Path, tmp_path: Path) -> None:
    import torch

    class Trap:
        def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
            return Path.touch, (tmp_path / "run",)

    (copy / "2_Dense" / "model.safetensors").unlink()
    torch.save({"linear.weight": Trap()}, copy / "2_Dense" / "pytorch_model.bin")
    assert_refused(copy, r"pytorch_model\.bin does not load \(UnpicklingError")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("where", ["./absent", "/absent/model", "a/b/c", "file:///absent", ""])
def test_an_absent_folder_is_one_line(where: str) -> None:
    assert_refused(where, "encoder folder not found")


@pytest.mark.parametrize("where", ["hf-hub:nobody/no-such-model", "no-such-model"])
def test_a_hub_id_out_of_reach_is_one_line(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert_refused(where, rf"^encoder '{where}' is no folder here and cannot be fetched")


def test_a_hub_id_is_fetched_without_what_is_not_read(
    monkeypatch: pytest.MonkeyPatch, whole: Path
) -> None:
    asked = []

    def fetch(hub_id: str, *, allow_patterns: list[str]) -> str:
        asked.append((hub_id, "*.bin" in allow_patterns))
        return str(whole)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    ours = load_text_encoder("hf-hub:some/encoder", device="cpu")
    assert ours.name == "hf-hub:some/encoder"
    load_text_encoder("all-of-them", device="cpu")
    assert asked == [("some/encoder", False), ("sentence-transformers/all-of-them", False)]


def test_a_device_that_is_not_there_is_one_line(whole: Path) -> None:
    assert_refused(whole, "device 'abacus' is unknown", device="abacus")


def test_the_digest_is_of_what_makes_the_vectors(whole: Path, copy: Path) -> None:
    digests = [load_text_encoder(str(whole), device="cpu").digest]
    names = sorted(path for path in copy.rglob("*") if path.is_file())
    (copy / "README.md").write_text("some words")
    (copy / "onnx").mkdir()
    (copy / "onnx" / "model.onnx").write_text("another framework's")
    assert read_layout(str(copy)).digest() == digests[0]
    for path in names:
        path.write_bytes(path.read_bytes() + b"\n")
        digests.append(read_layout(str(copy)).digest())
    assert len(set(digests)) == len(names) + 1 >= 9
