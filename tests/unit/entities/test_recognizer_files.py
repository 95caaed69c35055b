import json
from pathlib import Path

import pytest

from openmofi.entities.recognition.recognizer import load_recognizer
from openmofi.errors import InputError
from support.recognizers import write_recognizer

WORDS = {
    "ada": "B-PER",
    "lovelace": "I-PER",
    "paris": "B-LOC",
    "new": "B-LOC",
    "york": "I-LOC",
    "##er": "B-PER",
    "cat": "O",
    ",": "O",
}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", r"recognizer folder .*model lacks config\.json"),
        ("model.safetensors", r"recognizer folder .*model lacks the weights: model\.safetensors"),
        ("tokenizer.json", r"recognizer folder .*model lacks the tokenizer's .* tokenizer\.json"),
    ],
)
def test_a_folder_that_lacks_a_file_is_one_line(tmp_path: Path, name: str, message: str) -> None:
    model = write_recognizer(tmp_path / "model", WORDS)
    (model / name).unlink()
    assert_refused(str(model), message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id2label": None}, r"model: config\.json lacks id2label"),
        ({"id2label": {"0": "A", "1": "B-X"}}, r"its labels \(A, B-X\) must be 'O' and kinds"),
        ({"id2label": {"0": "O"}}, r"its labels \(O\) must be"),
        ({"id2label": {"0": "O", "1": "B-X"}}, r"its weights lack classifier"),
        ({"model_type": "of-no-kind"}, r"model does not load \(ValueError"),
        ({"num_hidden_layers": 2}, r"its weights lack bert\.encoder\.layer\.1"),
        ({"vocab_size": 5}, r"its weights lack bert\.embeddings\.word_embeddings"),
    ],
)
def test_a_config_that_does_not_fit_is_one_line(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    model = write_recognizer(tmp_path / "model", WORDS)
    config = {**json.loads((model / "config.json").read_text()), **changes}
    kept = {key: value for key, value in config.items() if value is not None}
    (model / "config.json").write_text(json.dumps(kept))
    assert_refused(str(model), message)


def test_damaged_files_are_one_line(tmp_path: Path) -> None:
    for name, message in (
        ("config.json", r"config\.json is not readable JSON"),
        ("model.safetensors", r"model does not load \(Safetensor"),
        ("tokenizer.json", r"model does not load \("),
    ):
        model = write_recognizer(tmp_path / name / "model", WORDS)
        (model / name).write_bytes((model / name).read_bytes()[:100])
        assert_refused(str(model), message)


def test_a_shard_that_the_index_names_must_be_there(tmp_path: Path) -> None:
    model = write_recognizer(tmp_path / "model", WORDS)
    (model / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-00001-of-00001.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    assert_refused(str(model), r"lacks model-00001-of-00001\.safetensors of model\.safetensors\.i")


def test_another_models_tokenizer_is_refused(tmp_path: Path) -> None:
    model = write_recognizer(tmp_path / "model", WORDS)
    more = dict.fromkeys((*WORDS, "one", "more"), "O")
    tokenizer = write_recognizer(tmp_path / "other", more) / "tokenizer.json"
    (model / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    assert_refused(str(model), "its tokenizer has 15 tokens, its weights 13")


@pytest.mark.parametrize("where", ["./absent", "/absent/model", "a/b/c", "file:///absent", ""])
def test_an_absent_folder_is_one_line(where: str) -> None:
    assert_refused(where, "recognizer folder not found")


@pytest.mark.parametrize("where", ["hf-hub:nobody/no-such-model", "no-such-model"])
def test_a_hub_id_out_of_reach_is_one_line(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert_refused(where, r"'(nobody/)?no-such-model' is no folder here and cannot be fetched")


def test_a_device_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    assert_refused(
        str(write_recognizer(tmp_path, WORDS)), "device 'abacus' is unknown", device="abacus"
    )


def assert_refused(where: str, message: str, *, device: str = "cpu") -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_recognizer(where, device=device)
    assert "\n" not in str(caught.value)
