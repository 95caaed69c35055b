"""The page in a browser: what its buttons do, where boxes lie, and that data never run."""

import json
import re
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from support.label_quality import CHROMIUM
from support.text_pages import HOSTILE, ROWS, page_of
from support.text_previews import Found, InMemory, picture_of, row

in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


# What a script finds out goes into the title, which the browser hands back with the page.
def told(folder: Path, script: str, width: int = 1280) -> Any:
    page = (folder / "p.html").read_text(encoding="utf-8")
    probe = "<pre id='told'></pre><script>const tell = (x) => document.getElementById('told')"
    probe += f".textContent = JSON.stringify(x);\n{script}</script></body>"
    (folder / "probed.html").write_text(page.replace("</body>", probe), encoding="utf-8")
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
        f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900",
        "--virtual-time-budget=20000", (folder / "probed.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found
    return json.loads(unescape(found.group(1)))


VISIBLE = """const seen = () => [...document.querySelectorAll(".card")]
  .filter((card) => card.offsetParent).map((card) => card.querySelector(".where").textContent);"""


@in_a_browser
def test_the_filter_shows_what_it_says(page: str, tmp_path: Path) -> None:
    script = """const found = [seen()];
    for (const id of ["show-large", "show-failed", "show-all"]) {
      document.getElementById(id).click(); found.push(seen());
    }
    tell(found);"""
    every, large, failed, again = told(tmp_path, VISIBLE + script)
    assert len(every) == len(again) == len(ROWS)
    assert large == ["s0/frame"]
    assert failed == ["s0/broken"]


@in_a_browser
def test_boxes_can_be_hidden(page: str, tmp_path: Path) -> None:
    script = """const shown = () => [...document.querySelectorAll(".frame svg")]
      .filter((one) => one.getBoundingClientRect().width > 0).length;
    const before = shown(); document.getElementById("boxes").click(); tell([before, shown()]);"""
    assert told(tmp_path, script) == [len(ROWS), 0]


@in_a_browser
def test_a_picture_opens_by_its_button_with_all_its_boxes(page: str, tmp_path: Path) -> None:
    script = """const buttons = [...document.querySelectorAll(".card .open")];
    buttons[3].focus(); const focused = document.activeElement === buttons[3];
    buttons[3].click();
    tell([focused, buttons.every((one) => one.tabIndex === 0),
      document.getElementById("large").open,
      document.getElementById("large-name").textContent,
      [...document.querySelectorAll("#large-boxes li")].map((one) => one.textContent)]);"""
    focused, reachable, is_open, name, boxes = told(tmp_path, script)
    assert (focused, reachable, is_open) == (True, True, True)
    assert name == "s0/nearly"
    assert [one.split(",")[0] for one in boxes] == ["0.480", "0.300"]


@in_a_browser
@pytest.mark.parametrize("width", [1280, 500])
def test_boxes_lie_where_the_picture_lies(tmp_path: Path, width: int) -> None:
    sizes = {"a": (400, 300), "b": (300, 900), "c": (3000, 60)}
    rows = [
        row(key, [Found(0.9, (0, 0, wide / 2, high / 4))], size=(wide, high))
        for key, (wide, high) in sizes.items()
    ]
    pictures: dict[str, bytes | None] = {key: picture_of(size=size) for key, size in sizes.items()}
    page_of(tmp_path, InMemory(rows, pictures))
    script = """const gaps = () => [...document.querySelectorAll(".frame")]
      .filter((one) => one.offsetParent).map((one) => {
      const [a, b, c] = [one.querySelector("img"), one.querySelector("svg"),
        one.querySelector(".box")].map((each) => each.getBoundingClientRect());
      return [a.left - b.left, a.top - b.top, a.right - b.right, a.bottom - b.bottom,
        a.width / 2 - c.width, a.height / 4 - c.height, document.body.scrollWidth > innerWidth,
        // A picture that is not stretched; what is thinner than 8 pixels is.
        Math.min(a.width, a.height) > 8.5 ? a.width - a.height * one.firstChild.naturalWidth
          / one.firstChild.naturalHeight : 0];
    }).flat().map((one) => Math.abs(one));
    const found = gaps();
    for (const card of document.querySelectorAll(".card .open")) {
      card.click(); found.push(...gaps()); document.getElementById("large").close();
    }
    tell([found.length, Math.max(...found)]);"""
    number, most = told(tmp_path, script, width)
    assert number == (3 + 3 * 4) * 8
    assert most < 2


@in_a_browser
def test_what_data_hold_is_shown_as_it_is_and_never_run(page: str, tmp_path: Path) -> None:
    script = VISIBLE + "tell([document.title, seen()]);"
    title, seen = told(tmp_path, script)
    assert title == "Text rule: dropped and kept"
    assert f"s0/{HOSTILE}" in seen
