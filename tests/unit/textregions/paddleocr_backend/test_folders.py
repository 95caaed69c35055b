"""A model folder: what it must hold, which settings are refused, what its digest is of."""

from pathlib import Path
from typing import Any

import pytest

from openmofi.errors import InputError
from openmofi.keys import hash_file
from openmofi.textregions.paddleocr_backend import PaddleOcrBackend, paddleocr_digest
from support.paddleocr_models import JSON, ONNX, PD, config, settings, write_model


@pytest.mark.parametrize(
    ("files", "lacking"),
    [
        ((), r"inference\.onnx"),
        (("inference.json",), r"inference\.pdiparams"),
        (("inference.pdmodel",), r"inference\.pdiparams"),
        (("inference.pdiparams",), r"inference\.json or inference\.pdmodel"),
    ],
)
def test_a_folder_that_lacks_a_file_is_refused_by_its_name(
    tmp_path: Path, files: tuple[str, ...], lacking: str
) -> None:
    folder = write_model(tmp_path / "model", files)
    for use in (paddleocr_digest, PaddleOcrBackend):
        with pytest.raises(InputError, match=f"{folder} lacks {lacking}"):
            use(config(folder))


def test_a_folder_without_settings_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    (folder / "inference.yml").unlink()
    with pytest.raises(InputError, match=r"lacks inference\.yml"):
        paddleocr_digest(config(folder))


@pytest.mark.parametrize(
    ("model", "told"), [("", "needs a 'model'"), ("no/such/folder", "not found: no/such/folder")]
)
def test_no_model_is_told(model: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        PaddleOcrBackend(config(model))


def without(step: str) -> dict[str, Any]:
    steps = settings()["PreProcess"]["transform_ops"]
    return {"transform_ops": [one for one in steps if step not in one]}


def with_step(step: dict[str, Any]) -> dict[str, Any]:
    return {"transform_ops": [step, *settings()["PreProcess"]["transform_ops"]]}


REFUSED = {
    "no model name": ({"Global": {}}, "model_name"),
    "steps in no list": ({"PreProcess": {"transform_ops": 3}}, "not that of a text detector"),
    "channels unsaid": ({"PreProcess": without("DecodeImage")}, "lacks DecodeImage"),
    "no scaling": ({"PreProcess": without("NormalizeImage")}, "lacks NormalizeImage"),
    "a size of its own": (
        {
            "PreProcess": {
                "transform_ops": [
                    *without("DetResizeForTest")["transform_ops"],
                    {"DetResizeForTest": {"image_shape": [736, 1280]}},
                ]
            }
        },
        "image_shape",
    ),
    "polygons": ({"PostProcess": {"name": "DBPostProcess", "box_type": "poly"}}, "quad"),
    "another decoder": ({"PostProcess": {"name": "EASTPostProcess"}}, "DBPostProcess"),
}


@pytest.mark.parametrize(("changed", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_settings_that_would_give_other_boxes_are_refused(
    tmp_path: Path, changed: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        paddleocr_digest(config(write_model(tmp_path / "model", **changed)))


@pytest.mark.parametrize(
    "scale",
    ["__import__('os').system('true')", "9**9**9", "x", "[1][0]", "1 if 1 else 2", "'a'", "1/", ""],
)
def test_a_scale_that_is_no_number_is_refused(tmp_path: Path, scale: str) -> None:
    # paddlex evaluates each one that it meets, so an early one must not hide behind a plain one.
    changed = {"PreProcess": with_step({"NormalizeImage": {"scale": scale}})}
    with pytest.raises(InputError, match="scale must be a number"):
        PaddleOcrBackend(config(write_model(tmp_path / "model", **changed)))


@pytest.mark.parametrize("scale", ["1./255.", "1/255", " (1.0 / 255) ", 0.00392, "3.92e-3", "-1"])
def test_a_scale_that_is_a_number_passes(tmp_path: Path, scale: Any) -> None:
    changed = {"PreProcess": with_step({"NormalizeImage": {"scale": scale}})}
    paddleocr_digest(config(write_model(tmp_path / "model", **changed)))


def test_settings_that_construct_objects_are_not_read(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    with (folder / "inference.yml").open("a") as file:
        file.write("Hpi: !!python/tuple [1]\n")
    with pytest.raises(InputError, match="not valid YAML"):
        paddleocr_digest(config(folder))


@pytest.mark.parametrize("files", [ONNX, PD, JSON])
def test_the_digest_is_of_what_changes_boxes(tmp_path: Path, files: tuple[str, ...]) -> None:
    folder = write_model(tmp_path / "model", files)
    digest = paddleocr_digest(config(folder))
    assert digest == paddleocr_digest(config(write_model(tmp_path / "copy", files), device="cuda"))
    (folder / "README.md").write_text("no weights")
    assert digest == paddleocr_digest(config(folder))
    seen = {digest}
    for name in (*files, "inference.yml"):
        with (folder / name).open("ab") as file:
            file.write(b"\n# changed\n")
        seen.add(paddleocr_digest(config(folder)))
    assert len(seen) == 2 + len(files)


def test_unused_weights_are_no_part_of_the_digest(tmp_path: Path) -> None:
    both = write_model(tmp_path / "both", (*PD, *ONNX))
    alone = write_model(tmp_path / "alone")
    assert hash_file(both / "inference.yml") == hash_file(alone / "inference.yml")
    assert paddleocr_digest(config(both)) == paddleocr_digest(config(alone))
