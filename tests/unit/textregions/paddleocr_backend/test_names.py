"""A model by its official name: the cache, the network, the download."""

import importlib
import importlib.util
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from openmofi.errors import InputError
from openmofi.textregions.paddleocr_backend import paddleocr_digest
from support.paddleocr_models import JSON, config, write_model


def test_a_name_is_looked_up_in_the_cache_the_onnx_form_first(cache: Path) -> None:
    write_model(cache / "official_models/PP-OCRv6_small_det", JSON)
    plain = paddleocr_digest(config("PP-OCRv6_small_det"))
    write_model(cache / "official_models/PP-OCRv6_small_det_onnx")
    assert paddleocr_digest(config("PP-OCRv6_small_det")) != plain


MODELS = """
asked = []
class Source:
    healthcheck_url = ADDRESS
class Models(list):
    hoster_candidates = [Source]
    def get_model_path(self, name, *, model_formats):
        asked.append((name, model_formats))
        return FOLDER
official_models = Models(["PP-OCRv6_small_det"])
"""


@pytest.fixture
def models(library: Any, modules: Path, tmp_path: Path) -> Callable[[str], Any]:
    """A paddlex that would download from an address."""

    def models(address: str) -> Any:
        package = modules / "paddlex/inference/utils"
        package.mkdir(parents=True)
        for folder in (package, package.parent, package.parent.parent):
            (folder / "__init__.py").touch()
        folder = write_model(tmp_path / "downloaded")
        text = MODELS.replace("ADDRESS", repr(address)).replace("FOLDER", repr(str(folder)))
        (package / "official_models.py").write_text(text)
        return importlib.import_module("paddlex.inference.utils.official_models")

    return models


def test_a_name_that_is_not_there_is_told_at_once_without_network(
    models: Callable[[str], Any],
) -> None:
    downloads = models("http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(InputError, match="no network; download it where there is a network"):
        paddleocr_digest(config("PP-OCRv6_small_det"))
    assert time.monotonic() - start < 4
    assert downloads.asked == []


def test_a_name_that_is_not_official_is_told(models: Callable[[str], Any]) -> None:
    models("http://127.0.0.1:9")
    with pytest.raises(InputError, match="neither a folder nor an official model"):
        paddleocr_digest(config("PP-OCRv9_det"))


class Refusing(BaseHTTPRequestHandler):
    """A source that has moved still shows that there is a network."""

    def do_HEAD(self) -> None:
        self.send_error(404)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[str]:
    """The address of a server that answers, if only with 404."""
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_name_that_is_not_there_is_downloaded(
    models: Callable[[str], Any], refusing: str
) -> None:
    downloads = models(refusing)
    assert len(paddleocr_digest(config("PP-OCRv6_small_det"))) == 32
    assert downloads.asked == [("PP-OCRv6_small_det", ("onnx", "paddle"))]
