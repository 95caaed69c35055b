from pathlib import Path

import pytest

from openmofi.config import parse_config, read_yaml
from openmofi.evaluation.config import EvaluateConfig

FOLDER = Path(__file__).parents[3] / "configs" / "evaluation"


def read(name):
    path = FOLDER / f"{name}.yaml"
    return parse_config(EvaluateConfig, read_yaml(path), where=str(path))


def test_every_shipped_config_parses():
    found = sorted(FOLDER.glob("*.yaml"))
    assert {path.stem for path in found} >= {"demo", "photographs", "gpr1200", "imagenet", "coco"}
    for path in found:
        read(path.stem)


def test_imagenets_templates_are_openais_eighty_in_their_order():
    open_clip = pytest.importorskip("open_clip")
    expected = [template("{}") for template in open_clip.OPENAI_IMAGENET_TEMPLATES]
    assert list(read("imagenet").templates) == expected
    assert len(expected) == 80


def test_a_kfp_parameter_s_floats_are_numbers_all_the_same():
    given = {"knn_neighbours": 20.0, "train_per_class": 5.0, "grid": {"sizes": [25.0]}}
    parsed = parse_config(EvaluateConfig, given, where="test")
    assert (parsed.knn_neighbours, parsed.train_per_class, parsed.grid.sizes) == (20, 5, (25,))


def test_folders_enter_by_what_is_in_them():
    config = EvaluateConfig(train_data="/a", index_data="/b", device="cuda")
    assert config.semantic() == EvaluateConfig().semantic()
