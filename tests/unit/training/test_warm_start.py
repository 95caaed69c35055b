"""Start weights from a folder and from the store; what does not fit is told before a step."""

import json
import shutil
from copy import deepcopy
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from openmofi.errors import InputError, StorageError
from openmofi.models.backbones import create_backbone, read_backbone_config
from openmofi.models.importing import import_model
from openmofi.records import VOCABULARY, from_rows
from openmofi.training.warm_start import (
    CLASS_ROWS_FILE,
    VOCABULARY_FILE,
    check_start,
    count_start_rows,
    find_start,
    load_start,
    read_start_rows,
)
from support.models import SMALL, write_clip, write_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of three classes."""
    folder = write_model(tmp_path_factory.mktemp("model"), seed=7)
    write_head(folder, ["Q1", "Q2", "Q3"])
    return folder


def write_head(folder: Path, entities: list[str], rows: int | None = None) -> None:
    count = len(entities) if rows is None else rows
    save_file({"rows": torch.arange(count * 8.0).reshape(count, 8)}, folder / CLASS_ROWS_FILE)
    pq.write_table(vocabulary(entities), folder / VOCABULARY_FILE)


def vocabulary(entities: list[str]):
    rows = [
        {"class_index": i, "entity_id": e, "name": e, "description": "", "images": 1}
        for i, e in enumerate(entities)
    ]
    return from_rows(rows, VOCABULARY)


def changed(part: str, **values):
    config = deepcopy(SMALL)
    config[part] |= values
    return config


def refusal(call) -> str:
    with pytest.raises(InputError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_backbone_has_the_start_models_weights(folder):
    backbone = create_backbone(SMALL, seed=1)
    start = find_start(str(folder))
    check_start(start, *read_backbone_config(SMALL))
    load_start(start, backbone)
    weights = load_file(folder / "open_clip_model.safetensors")
    assert backbone.training
    assert backbone.state_dict().keys() == weights.keys()
    assert all(torch.equal(value, weights[name]) for name, value in backbone.state_dict().items())


def test_folder_and_its_import_are_the_same_start(folder, tmp_path):
    bare = shutil.copytree(folder, tmp_path / "bare")  # an import brings no class rows
    for name in (CLASS_ROWS_FILE, VOCABULARY_FILE):
        (bare / name).unlink()
    uri = import_model(f"file://{tmp_path}/store", source=str(bare))
    assert find_start(uri).digest == find_start(str(bare)).digest
    assert find_start(f"file://{bare}").digest == find_start(str(bare)).digest
    backbone, other = create_backbone(SMALL, seed=1), create_backbone(SMALL, seed=2)
    load_start(find_start(uri), backbone)
    load_start(find_start(str(bare)), other)
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])


def test_digest_covers_what_is_loaded_and_nothing_else(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    before = find_start(str(folder)).digest
    (copy / "training.json").write_text("{}")
    assert find_start(str(copy)).digest == before
    write_head(copy, ["Q1", "Q2", "Q4"])
    assert find_start(str(copy)).digest != before
    write_head(copy, ["Q1", "Q2", "Q3"])
    assert find_start(str(copy)).digest == before
    write_model(copy, seed=8)
    assert find_start(str(copy)).digest != before


def test_stored_files_that_changed_are_refused(tmp_path):
    source = write_model(tmp_path / "source", seed=7)
    uri = import_model(f"file://{tmp_path}/store", source=str(source))
    stored = find_start(uri).folder
    write_model(stored, seed=8)
    with pytest.raises(StorageError, match="not what was stored"):
        find_start(uri)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({**SMALL, "quick_gelu": True}, "quick_gelu is False there and True here"),
        (changed("vision_cfg", head_width=16), "vision_cfg.head_width is 8 there and 16 here"),
        (changed("text_cfg", heads=4), "text_cfg.heads is 2 there and 4 here"),
        (
            {"model_cfg": SMALL, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}},
            r"preprocess_cfg.mean is [0.48145466, 0.4578275, 0.40821073] there and [0.5, 0.5, 0.5]",
        ),
    ],
)
def test_differences_without_a_trace_in_shapes_are_told(folder, config, told):
    start = find_start(str(folder))
    load_start(start, create_backbone(config, seed=0))  # nothing to see in the weights
    message = refusal(lambda: check_start(start, *read_backbone_config(config)))
    assert told in message
    assert message.endswith(f"set backbone to {folder}/open_clip_config.json")


def test_the_fix_that_is_named_mends_it(folder):
    start = find_start(str(folder))
    check_start(start, *read_backbone_config(str(folder / "open_clip_config.json")))


def test_regularisation_is_no_other_model(folder):
    config = changed("vision_cfg", patch_dropout=0.5)
    check_start(find_start(str(folder)), *read_backbone_config(config))


def test_first_three_of_many_differences_are_named(folder):
    config = changed("vision_cfg", layers=2, width=24)
    start = find_start(str(folder))
    message = refusal(lambda: load_start(start, create_backbone(config, seed=0)))
    named = message.partition("backbone: ")[2].split("; ")
    assert len(named) == 4  # and the fix
    assert named[0] == "visual.transformer.resblocks.1.ln_1.weight is missing there"
    assert "more); set backbone to" in message or "more)" in named[2]
    smaller = create_backbone(changed("text_cfg", context_length=10), seed=0)
    message = refusal(lambda: load_start(start, smaller))
    assert "positional_embedding is [12, 16] there and [10, 16] here; set backbone" in message


def test_refused_weights_leave_the_backbone_as_it_was(folder):
    backbone = create_backbone(changed("text_cfg", context_length=10), seed=0)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    refusal(lambda: load_start(find_start(str(folder)), backbone))
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def test_what_is_no_model_is_told(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "config-only").mkdir()
    config = {"model_cfg": SMALL}
    (tmp_path / "config-only" / "open_clip_config.json").write_text(json.dumps(config))
    assert "model folder not found" in refusal(lambda: find_start(str(tmp_path / "none")))
    assert "lacks open_clip_config.json" in refusal(lambda: find_start(str(tmp_path / "empty")))
    assert "lacks weights" in refusal(lambda: find_start(str(tmp_path / "config-only")))
    clip = write_clip(tmp_path / "clip")
    assert "transformers' layout" in refusal(lambda: find_start(str(clip)))
    manifest = f"file://{tmp_path}/manifests/dataset/x.json"
    assert "'model' is needed" in refusal(lambda: find_start(manifest))


def test_rows_of_a_grown_vocabulary_are_its_first(folder):
    rows = read_start_rows(find_start(str(folder)), vocabulary(["Q1", "Q2", "Q3", "Q4", "Q5"]))
    assert rows.classes.tolist() == [0, 1, 2]
    assert torch.equal(rows.rows, torch.arange(24.0).reshape(3, 8))


def test_rows_of_another_vocabulary_are_found_by_entity(folder):
    rows = read_start_rows(find_start(str(folder)), vocabulary(["Q9", "Q3", "Q7", "Q1"]))
    assert rows.classes.tolist() == [1, 3]
    assert rows.rows[:, 0].tolist() == [16.0, 0.0]
    assert count_start_rows(find_start(str(folder)), vocabulary(["Q9", "Q3", "Q7", "Q1"])) == 2


def test_no_rows_are_no_rows(folder, tmp_path):
    other = vocabulary(["Q8"])
    assert read_start_rows(find_start(str(folder)), other).rows.shape == (0, 8)
    bare = write_model(tmp_path / "bare")
    assert len(read_start_rows(find_start(str(bare)), other).classes) == 0
    assert count_start_rows(find_start(str(bare)), other) == 0


def test_rows_that_nobody_can_name_are_refused(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    write_head(copy, ["Q1", "Q2"], rows=3)
    start = find_start(str(copy))
    assert "3 class rows and 2 classes" in refusal(lambda: read_start_rows(start, vocabulary([])))
    (copy / VOCABULARY_FILE).unlink()
    assert "without vocabulary" in refusal(lambda: read_start_rows(start, vocabulary([])))
