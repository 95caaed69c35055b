"""paddleocr as a library: imported late and quietly, and its official models."""

import atexit
import importlib
import importlib.util
import logging
import os
import re
import shutil
import ssl
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from openmofi.errors import InputError
from openmofi.textregions.opencv import check_opencv

_ANSWER_S = 2.0  # seconds for a source of models to answer at all


def import_paddleocr(*packages: str) -> Any:
    """paddleocr, quiet and on one thread, once ``packages`` are seen to be there."""
    check_opencv()
    for name in packages:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:  # a folder of that name is no package
            raise InputError(
                f"text detection by paddleocr needs the package {name}; install openmofi with the "
                "extra 'paddleocr', in an environment without 'curate'"
            )
    _ensure_cache()
    try:
        library = importlib.import_module("paddleocr")
        importlib.import_module("cv2").setNumThreads(1)
    except ImportError as error:  # libGL.so.1, say, which slim images lack
        raise InputError(f"paddleocr does not import: {one_line(error)}") from error
    logging.getLogger("paddlex").setLevel(logging.ERROR)
    return library


def official_folder(name: str) -> Path:
    """The folder of an official model; the ONNX form of it if there is one.

    Paddle 3.3 cannot run its own new form through oneDNN, and is three times slower without.
    """
    cached = [_cache() / "official_models" / folder for folder in (f"{name}_onnx", name)]
    for folder in cached:
        if folder.is_dir():
            return folder
    import_paddleocr("paddleocr")
    official_models: Any = importlib.import_module(
        "paddlex.inference.utils.official_models"
    ).official_models
    if name not in official_models:
        raise InputError(f"model {name} is neither a folder nor an official model of paddleocr")
    sources = [hoster.healthcheck_url for hoster in official_models.hoster_candidates]
    advice = f"download it where there is a network and give its folder, or put it at {cached[1]}"
    if not _any_answers(sources):  # paddlex would try each of them for half a minute
        raise InputError(f"model {name} is not in paddleocr's cache and no network; {advice}")
    try:
        return Path(official_models.get_model_path(name, model_formats=("onnx", "paddle")))
    except Exception as error:
        raise InputError(f"model {name}: {one_line(error)}; {advice}") from error


def check_gpu(engine: str) -> None:
    """Paddle and onnxruntime, asked for a GPU that is not there, take the CPU or a long trace."""
    module: Any = importlib.import_module(engine)
    if engine == "onnxruntime":
        there = "CUDAExecutionProvider" in module.get_available_providers()
    else:
        there = module.device.is_compiled_with_cuda() and module.device.cuda.device_count() > 0
    if not there:
        raise InputError(
            f"device cuda: {engine} sees no GPU; install its build for CUDA in place of the one "
            "for the CPU, or set device: cpu"
        )


def _any_answers(addresses: Sequence[str]) -> bool:
    """Whether one of some web servers says anything at all, all asked at once."""
    with ThreadPoolExecutor(len(addresses)) as pool:
        return any(pool.map(_answers, addresses))


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(
            urllib.request.Request(address, method="HEAD"), timeout=_ANSWER_S
        ).close()
    except urllib.error.HTTPError:
        return True
    except urllib.error.URLError as error:  # the download knows other certificates, and may pass
        return isinstance(error.reason, ssl.SSLError)
    except OSError:
        return False
    return True


def _cache() -> Path:
    """Where paddlex keeps models and small files."""
    return Path(os.environ.get("PADDLE_PDX_CACHE_HOME") or os.path.expanduser("~/.paddlex"))


def _ensure_cache() -> None:
    """Give paddlex a folder to write to: its import fails where the home has no room for one."""
    if os.environ.get("PADDLE_PDX_CACHE_HOME"):
        return
    try:
        _cache().mkdir(parents=True, exist_ok=True)
        if os.access(_cache(), os.W_OK):
            return
    except OSError:
        pass
    # Not a fixed name: paddlex unpickles what lies there.
    scratch = tempfile.mkdtemp(prefix="paddlex-")
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    os.environ["PADDLE_PDX_CACHE_HOME"] = scratch


def one_line(error: BaseException) -> str:
    """What an error says, without the trace that Paddle puts before it."""
    text = str(error).rsplit("Error Message Summary:", maxsplit=1)[-1]
    return " ".join(re.sub("-{5,}", "", text).split())[:300] or type(error).__name__
