"""What paddleocr is handed, what comes back, and what stops it before that."""

import importlib
import importlib.util
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openmofi.errors import InputError
from openmofi.textregions.paddleocr_backend import PaddleOcrBackend
from support.paddleocr_models import JSON, ONNX, PD, STAND_IN, config, write_model


def test_importing_the_module_imports_no_library() -> None:
    probe = (
        "import sys, openmofi.textregions.paddleocr_backend\n"
        "print(sorted({'paddleocr', 'paddlex', 'paddle', 'cv2', 'onnxruntime'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


ENGINES = {
    "onnx": (ONNX, "onnxruntime", {"intra_op_num_threads": 1, "inter_op_num_threads": 1}),
    "old paddle": (
        PD,
        "paddle_static",
        {"run_mode": "mkldnn", "cpu_threads": 1, "enable_new_ir": False},
    ),
    "new paddle": (JSON, "paddle_static", {"run_mode": "paddle", "cpu_threads": 1}),
    # paddlex takes them in this order.
    "both forms": (
        (*PD, "inference.json"),
        "paddle_static",
        {"run_mode": "paddle", "cpu_threads": 1},
    ),
}


@pytest.mark.parametrize(("files", "engine", "options"), ENGINES.values(), ids=ENGINES.keys())
def test_every_value_is_handed_over(
    library: Any, tmp_path: Path, files: tuple[str, ...], engine: str, options: dict[str, Any]
) -> None:
    folder = write_model(tmp_path / "model", files)
    PaddleOcrBackend(
        config(folder, input_limit=640, pixel_threshold=0.31, min_confidence=0.32, unclip_ratio=1.7)
    )
    assert library.made == [
        {
            "model_name": "PP-OCRv6_small_det",
            "model_dir": str(folder),
            "device": "cpu",
            "engine": engine,
            "engine_config": options,
            "limit_type": "max",
            "limit_side_len": 640,
            "thresh": 0.31,
            "box_thresh": 0.32,
            "unclip_ratio": 1.7,
        }
    ]


def test_cuda_is_the_first_gpu_and_is_refused_without_one(library: Any, tmp_path: Path) -> None:
    wanted = config(write_model(tmp_path / "model", PD), device="cuda")
    with pytest.raises(InputError, match="device cuda: paddle sees no GPU"):
        PaddleOcrBackend(wanted)
    importlib.import_module("paddle").device.gpus = 1
    PaddleOcrBackend(wanted)
    assert library.made[0]["device"] == "gpu:0"
    assert library.made[0]["engine_config"] == {"run_mode": "paddle"}


def test_regions_keep_their_own_confidence_and_empty_pictures_have_none(
    library: Any, tmp_path: Path
) -> None:
    corners = np.array([[[1, 2], [9, 2], [9, 5], [1, 5]], [[3, 30], [4, 30], [4, 32], [3, 32]]])
    library.results.insert(0, {"dt_polys": corners.astype(np.int16), "dt_scores": [0.25, 0.75]})
    backend = PaddleOcrBackend(config(write_model(tmp_path / "model"), input_limit=5000))
    pictures = (np.zeros((32, 64, 3), np.uint8), np.ones((32, 64, 3), np.uint8))
    written, empty = backend.regions(pictures)
    assert [region.confidence for region in written] == [0.25, 0.75]
    assert [region.corners.tolist() for region in written] == corners.tolist()
    assert {region.corners.dtype for region in written} == {np.dtype(np.float32)}
    assert empty == []
    ((given, arguments),) = library.asked
    assert isinstance(given, list)  # a tuple would be one picture to it
    assert [picture.mean() for picture in given] == [0, 1]
    assert arguments == {"batch_size": 2, "max_side_limit": 5000}


def test_loading_leaves_one_thread_and_no_chatter(library: Any, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    cv2.setNumThreads(2)
    logging.getLogger("paddlex").setLevel(logging.INFO)  # as its import does
    PaddleOcrBackend(config(write_model(tmp_path / "model")))
    assert cv2.getNumThreads() == 1
    assert logging.getLogger("paddlex").level == logging.ERROR


def test_no_picture_needs_no_pass(library: Any, tmp_path: Path) -> None:
    assert PaddleOcrBackend(config(write_model(tmp_path / "model"))).regions([]) == []
    assert library.asked == []


def test_a_missing_result_is_an_error_and_shifts_no_other(library: Any, tmp_path: Path) -> None:
    backend = PaddleOcrBackend(config(write_model(tmp_path / "model")))
    with pytest.raises(RuntimeError, match="1 results for 2"):
        backend.regions([np.zeros((32, 64, 3), np.uint8)] * 2)


@pytest.mark.parametrize(
    "picture",
    [np.zeros((32, 32, 3), np.float32), np.zeros((32, 32), np.uint8), np.zeros((32, 32, 4), "u1")],
)
def test_other_arrays_are_refused(library: Any, tmp_path: Path, picture: Any) -> None:
    backend = PaddleOcrBackend(config(write_model(tmp_path / "model")))
    with pytest.raises(ValueError, match="not uint8"):
        backend.regions([picture])


def test_an_error_of_the_library_becomes_one_line(library: Any, tmp_path: Path) -> None:
    wanted = config(write_model(tmp_path / "model"))
    trace = "\n".join(
        ["C++ Traceback", "0 frame", "Error Message Summary:", "-" * 22, "no such op"]
    )
    library.results = RuntimeError(trace)
    with pytest.raises(InputError, match=r"paddleocr cannot load .*model: no such op$"):
        PaddleOcrBackend(wanted)


@pytest.mark.skipif(importlib.util.find_spec("paddle") is not None, reason="paddle is installed")
def test_a_missing_package_is_told_with_the_extra(modules: Path, tmp_path: Path) -> None:
    (modules / "paddleocr.py").write_text(STAND_IN)
    (modules / "paddle").mkdir()  # a folder that only looks like it
    with pytest.raises(InputError, match=r"needs the package paddle; .*extra 'paddleocr'"):
        PaddleOcrBackend(config(write_model(tmp_path / "model", PD)))


def test_two_opencvs_are_refused_before_any_import(library: Any, modules: Path) -> None:
    for name in ("opencv_python", "opencv_contrib_python"):
        facts = modules / f"{name}-1.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text(f"Name: {name}\nVersion: 1")
        (facts / "RECORD").write_text("cv2/__init__.py,,\n")
    importlib.invalidate_caches()
    with pytest.raises(InputError, match="overwrite each other's cv2"):
        PaddleOcrBackend(config(write_model(modules / "model")))


def test_a_home_without_room_does_not_stop_it(
    library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.delenv("PADDLE_PDX_CACHE_HOME")
    PaddleOcrBackend(config(write_model(tmp_path / "model")))
    assert Path(os.environ["PADDLE_PDX_CACHE_HOME"]).is_dir()
