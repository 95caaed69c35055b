"""Benches, models and pages for the tests of the evaluation's report."""

import subprocess
import zlib
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from openmofi.config import parse_config
from openmofi.evaluation import metrics
from openmofi.evaluation.bootstrap import Draws
from openmofi.evaluation.config import EvaluateConfig
from openmofi.evaluation.embedders import Embedder
from openmofi.evaluation.report import Measured
from openmofi.evaluation.suites import Bench, prepare, score
from openmofi.evaluation_data.class_folders import read_class_folders
from openmofi.storage import open_store
from support.evaluation import COLOURS
from support.label_quality import CHROMIUM

HOSTILE = '</style></title><script>document.title="hijacked"</script><b>"quoted" & \'more\' \u2028'


def bench_of(store: Path, folder: Path, **config: Any) -> Bench:
    parsed = parse_config(EvaluateConfig, {"batch_size": 5, **config}, where="test")
    return prepare(open_store(str(store)), read_class_folders(folder), parsed)


def colour_model(name: str, *, noise: float = 0.0, texts: bool = True) -> Embedder:
    """An image is its mean colour and some noise of its own, a text the colour that it names."""

    def images(given: Any) -> Any:
        rows = []
        for image in given:
            rng = np.random.default_rng(zlib.crc32(image.tobytes()))
            mean = np.asarray(image, np.float32).mean(axis=(0, 1)) - 90
            rows.append(mean + noise * rng.standard_normal(3))
        return np.array(rows, np.float32)

    def words(given: Any) -> Any:
        named = [next((c for n, c in COLOURS.items() if n in text), (1, 1, 1)) for text in given]
        return np.array(named, np.float32) - 90

    return Embedder(name, f"{name}-{noise}", images, words if texts else None, batch_size=5)


def measured(bench: Bench, role: str, embedder: Embedder) -> Measured:
    scores = score(bench, embedder)
    config = bench.config
    draws = Draws(config.bootstrap_samples, config.confidence, config.seed)
    intervals = metrics.summarise(scores.columns, draws, bench.groups)
    return Measured(role, embedder, scores, intervals)


def write_noise_set(folder: Path, names: list[str], *, images: int = 10, side: int = 160) -> Path:
    """Classes of pictures that hardly compress, with names from ``classes.csv``."""
    rng = np.random.default_rng(0)
    lines = ["folder,name,domain"]
    for number, name in enumerate(names):
        place = folder / f"c{number:03}"
        place.mkdir(parents=True)
        quoted = name.replace('"', '""')
        lines.append(f'c{number:03},"{quoted}",d{number % 2}')
        for i in range(images):
            pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / f"{i}.png")
    (folder / "classes.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def told_by_browser(page: str, folder: Path, script: str, *, width: int) -> str:
    """What ``tell(...)`` was given by a script that runs beside the page in a frame, as text.

    Args:
        page: HTML.
        folder: For files of the browser.
        script: May use ``inner``, the page's document.
        width: Of the frame in pixels; a window would not go below 500.
    """
    probe = (
        f'<!doctype html><iframe id="f" width="{width}" height="800" srcdoc="{escape(page)}">'
        "</iframe><pre id='told'></pre><script>addEventListener('load', () => {"
        "const inner = document.getElementById('f').contentDocument;"
        "const tell = (x) => document.getElementById('told').textContent = String(x);"
        f"{script} }});</script>"
    )
    path = folder / "probe.html"
    path.write_text(probe, encoding="utf-8")
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
        f"--user-data-dir={folder / 'profile'}", "--window-size=1600,1000",
        "--virtual-time-budget=20000", path.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.partition('<pre id="told">')[2].partition("</pre>")[0]
