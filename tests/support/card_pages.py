"""Cards of small pools; their pages as a parser reads them, and as a person uses them."""

import base64
import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa

from openmofi.dataset.assembly.inputs import read_pool_tables
from openmofi.dataset.assembly.score_bins import SCORE_BINS, Histograms
from openmofi.dataset.card import write_card
from openmofi.dataset.config import AssembleConfig
from openmofi.keys import hash_bytes
from openmofi.records import VOCABULARY, from_rows
from support.label_quality import CHROMIUM
from support.tables import Pair, write_pool

# What the card reads of assembly's tables.
_SAMPLES = pa.schema(
    [("id", "int64"), ("shard", "int32"), ("row", "int32"), ("mark", "uint64"), ("cause", "string")]
)
_LABELS = pa.schema([("id", "int64"), ("entity_id", "string"), ("score", "float32")])
_VOID = {"meta", "img", "br", "input"}


class Page(HTMLParser):
    """Checks that elements close in order, and gathers attributes and what a person reads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif not self.open or self.open[-1] != "style":
            self.words.append(data)

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        """Of every element of a kind."""
        return [attributes for name, attributes in self.seen if name == tag]


def data_of(page: str) -> dict[str, Any]:
    """The pictures and sheets that a page's script reads."""
    found = re.search(r'id="card-data">(.*?)</script>', page, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found.group(1))
    return data


def card_of(
    root: Path,
    shards: Mapping[str, Sequence[Pair]],
    *,
    causes: Mapping[tuple[str, int], str] | None = None,
    names: Mapping[str, tuple[str, str]] | None = None,
) -> str:
    """The page of a pool whose samples are kept with all their labels.

    Args:
        root: Of the store.
        shards: By name.
        causes: Of the samples that are dropped, by shard and row.
        names: Name and description by entity id; else the id and nothing.
    """
    tables = read_pool_tables(write_pool(root, shards).tables(), AssembleConfig())
    causes, names = causes or {}, names or {}
    samples: list[tuple[Any, ...]] = []
    labels: list[tuple[int, str, float]] = []
    for number, shard in enumerate(sorted(shards)):
        for row, pair in enumerate(shards[shard]):
            cause = causes.get((shard, row))
            if cause is None:
                found = {c.entity_id: c.score for some in pair.mentions for c in some}
                labels += [(len(samples), entity, score) for entity, score in found.items()]
            mark = int(hash_bytes(f"{len(samples)}".encode())[:16], 16)
            samples.append((len(samples), number, row, mark, cause))
    with duckdb.connect() as database:
        for name, rows, schema in (
            ("samples", samples, _SAMPLES),
            ("labels", labels, _LABELS),
        ):
            columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
            arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
            database.register("given", pa.Table.from_arrays(arrays, schema=schema))
            database.execute(f"CREATE TABLE {name} AS FROM given")
        images = Counter(entity for _, entity, _ in labels)
        classes = [
            {"class_index": place, "entity_id": entity, "images": images[entity],
             **dict(zip(("name", "description"), names.get(entity, (entity, "")), strict=True))}
            for place, entity in enumerate(sorted(images))
        ]  # fmt: skip
        counts = Counter(cause or "kept" for *_, cause in samples)
        entities = np.histogram([score for *_, score in labels], SCORE_BINS)[0]
        content = _content(dict(counts), len(labels), len(images))
        histograms = Histograms(entities, np.zeros_like(entities))
        write_card(database, tables, content, from_rows(classes, VOCABULARY), histograms)
    return tables.store.get(content["card"]).decode()


def _content(counts: dict[str, int], labels: int, entities: int) -> dict[str, Any]:
    return {
        "card": "datasets/0123456789abcdef/card.html",
        "counts": counts,
        "splits": {"train": counts["kept"], "validation": 0},
        "totals": {"labels": labels, "entities": entities, "large_text": 0},
        "config": AssembleConfig().model_dump(mode="json"),
        "min_score": 0.25,
        "calibration": None,
    }


_KEYS = {"Escape": 27, "Enter": 13, "Tab": 9}


class Chromium:
    """One page in one browser; clicks and keys are real input, not events made up by a script.

    Args:
        folder: For files of the browser.
    """

    def __init__(self, folder: Path) -> None:
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        command = [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            f"--user-data-dir={folder / 'profile'}", "--remote-debugging-pipe", "about:blank",
        ]  # fmt: skip
        # The browser reads commands at descriptor 3 and answers at 4; no port is opened.
        shell = f'exec 3<&{commands} 4>&{answers}; exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *command],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._buffer, self._number, self._session = b"", 0, ""
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self.call("Page.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._commands)  # at whose end the browser ends
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
        os.close(self._answers)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What the browser answers to one command of its DevTools protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                found: dict[str, Any] = answer["result"]
                return found

    def open(self, page: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Load a file in a window of this many pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=page.as_uri())
        while self._read().get("method") != "Page.loadEventFired":
            pass

    def tell(self, expression: str) -> Any:
        """The value of an expression of the page."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def click(self, selector: str) -> None:
        """Press the left button over the middle of an element."""
        self.tell(
            f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block:'center'}})"
        )
        x, y = self.tell(
            f"(() => {{ const b = document.querySelector({json.dumps(selector)})"
            ".getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def write(self, text: str) -> None:
        """Type a text where the focus is."""
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press a key by its name."""
        code = _KEYS[key]
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key,
                windowsVirtualKeyCode=code, **(text if kind == "keyDown" else {}),
            )  # fmt: skip

    def picture(self, out: Path) -> None:
        """Save what the window shows as a PNG."""
        out.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            block = os.read(self._answers, 1 << 16)
            assert block, "the browser ended"
            self._buffer += block
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found
