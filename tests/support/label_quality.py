"""Judged samples and labels, made up; and a browser to try a sheet in."""

import base64
import io
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from openmofi.labeling.quality.judged import Judged

CHROMIUM = shutil.which("chromium")
MADE_WITH = {"model": "m" * 32, "knowledge_base": "k" * 32, "label": {"template": "{name}"}}


def judged_of(
    scores: Sequence[float] | np.ndarray,
    right: Sequence[bool] | np.ndarray,
    *,
    images: Sequence[int] | np.ndarray | None = None,
    weights: Sequence[float] | None = None,
    strata: Sequence[int] | None = None,
) -> Judged:
    """A sample; without ``images`` each pair is of an image of its own."""
    of = np.arange(len(scores)) if images is None else np.asarray(images)
    count = int(of.max()) + 1
    return Judged(
        scores=np.asarray(scores, np.float64),
        right=np.asarray(right, np.bool_),
        weights=np.ones(len(scores)) if weights is None else np.asarray(weights, np.float64),
        images=of.astype(np.int64),
        strata=np.zeros(count, np.int64) if strata is None else np.asarray(strata, np.int64),
        digest="a sample",
        made_with=MADE_WITH,
    )


def label(key: str, entity: str, score: float, *, settled: bool = True) -> dict[str, Any]:
    return {
        "shard": "00000",
        "key": key,
        "entity_id": entity,
        "clip_score": score,
        "rank": 0,
        "posterior": 0.5,
        "settled": settled,
    }


def write_labels(
    path: Path, rows: Sequence[dict[str, Any]], made_with: dict[str, Any] | None = None
) -> Path:
    """A file as ``labeling label`` writes it."""
    types = {
        "key": pa.string(),
        "clip_score": pa.float32(),
        "rank": pa.int32(),
        "posterior": pa.float32(),
    }
    columns = {
        name: pa.array([row[name] for row in rows], types.get(name)) for name in rows[0]
    }  # fmt: skip
    content = {"kind": "labels", **(MADE_WITH if made_with is None else made_with)}
    table = pa.table(columns).replace_schema_metadata({b"openmofi": json.dumps(content)})
    pq.write_table(table, path)
    return path


def write_lines(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def truth(key: str, *entities: str) -> dict[str, Any]:
    return {"shard": "00000", "key": key, "entity_ids": list(entities)}


def answer(key: str, said: str, **changes: Any) -> dict[str, Any]:
    return {
        "shard": "00000",
        "key": key,
        "entity_id": "cat",
        "clip_score": 0.25,
        "stratum": "score 01 of 01, rare entity",
        "weight": 2.0,
        "answer": said,
        **changes,
    }


def write_answers(path: Path, said: Sequence[Any], **changes: Any) -> Path:
    content = {
        "kind": "audit_answers",
        "sheet": "s" * 32,
        "made_with": MADE_WITH,
        "judged_at": "2030-01-01T00:00:00Z",
        "answers": list(said),
        **changes,
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


# What is saved goes into the page instead of the downloads.
_PROBE = """<pre id="told"></pre><script>
URL.createObjectURL = (blob) => {
  blob.text().then((text) => { document.getElementById("told").textContent = text; });
  return "#saved";
};
// A reload, not another browser, which would have to find what this one writes to disk at its end.
const visits = [KEYS, ...REOPENED];
const visit = Number(sessionStorage.getItem("visit") ?? 0);
for (const key of visits[visit]) document.dispatchEvent(new KeyboardEvent("keydown", { key }));
if (visit + 1 < visits.length) {
  sessionStorage.setItem("visit", visit + 1);
  location.reload();
}
SCRIPT
</script></body>"""


class Browser:
    """Chromium without a window; its profile lives as long as ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def press(
        self, sheet: Path, *keys: str, script: str = "", reopened: Sequence[str] | None = None
    ) -> str:
        """The page after these keys, opened again for ``reopened`` ones, and then ``script``."""
        probe = _PROBE.replace("KEYS", json.dumps(keys)).replace("SCRIPT", script)
        probe = probe.replace("REOPENED", json.dumps([] if reopened is None else [reopened]))
        page = sheet.read_text(encoding="utf-8")
        # In its place, since the browser's storage knows pages by their address.
        probed = self.folder / "probed.html"
        probed.write_text(page.replace("</body>", probe), encoding="utf-8")
        command = [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
            f"--user-data-dir={self.folder / 'profile'}", "--virtual-time-budget=20000",
            probed.as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout

    def saved(
        self, sheet: Path, *keys: str, reopened: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """What is saved after these keys, or after those of the page opened again."""
        if reopened is None:
            page = self.press(sheet, *keys, "s")
        else:
            page = self.press(sheet, *keys, reopened=[*reopened, "s"])
        found = re.search(r'<pre id="told">(.*?)</pre>', page, re.DOTALL)
        assert found
        saved: dict[str, Any] = json.loads(unescape(found.group(1)))
        return saved


def text_of(page: str, name: str) -> str:
    """What an element of the page says, by its id."""
    found = re.search(rf'<(\w+)[^>]*\bid="{name}"[^>]*>(.*?)</\1>', page, re.DOTALL)
    assert found
    return unescape(found.group(2))


class FakeBase:
    """A knowledge base of names and descriptions."""

    digest = MADE_WITH["knowledge_base"]

    def __init__(self, **names: str) -> None:
        self.names = names

    def __contains__(self, entity_id: object) -> bool:
        return entity_id in self.names

    def name(self, entity_id: str) -> str:
        return self.names[entity_id]

    def description(self, entity_id: str) -> str:
        return f"what {self.names[entity_id]} is"


def picture_bytes(colour: tuple[int, int, int], side: int = 16, turned: bool = False) -> bytes:
    """A JPEG, twice as wide as high; ``turned`` says in EXIF that it lies on its side."""
    image = Image.new("RGB", (2 * side, side), colour)
    exif = Image.Exif()
    if turned:
        exif[0x0112] = 6
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=95, exif=exif.tobytes())
    return sink.getvalue()


def decoded(data_uri: str) -> Image.Image:
    assert data_uri.startswith("data:image/jpeg;base64,")
    return Image.open(io.BytesIO(base64.b64decode(data_uri.partition(",")[2])))
