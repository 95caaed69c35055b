"""The card in a real browser: search, sheets, narrow screens, the dark scheme, hostile strings."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.card_pages import Chromium, card_of, data_of
from support.label_quality import CHROMIUM
from support.reports import HOSTILE
from support.tables import Candidate, Pair, noise_jpeg

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")

NAMES = {
    "Q1": ("Peru", "a country"),
    "Q2": ("Pear", "a fruit"),
    "Q3": ("Carpenter bee", "an insect"),
    "Q4": ("Chad", "a country of Central Africa, once of the Hyperboreans"),
    "Q5": ("Lagos", "a city"),
    "evil": (HOSTILE, f"javascript:document.title='hijacked' {HOSTILE}"),
    "rtl": ("\u202eevil", "\u202eturned round"),
}
EMOJI = "\U0001f600\U0001f44d\U0001f3fdPeru and more"
_SHOWN = (
    "[...document.querySelectorAll('#entities tr:not([hidden]) .name')].map(n => n.textContent)"
)
_CONTRAST = """(() => {
  const light = (c) => c.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (!/, 0\\)$/.test(colour)) return colour;
    }
  };
  return [...document.querySelectorAll('p, td, th, dd, dt, b, span, bdi, mark, h3, li, summary')]
    .filter(e => e.textContent.trim() && e.offsetParent)
    .map(e => [light(getComputedStyle(e).color), light(behind(e))].sort((a, b) => b - a))
    .map(([a, b]) => (a + .05) / (b + .05)).reduce((x, y) => Math.min(x, y));
})()"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("card")
    ids = list(NAMES)
    pairs = [
        Pair(
            noise_jpeg(seed, side=64),
            EMOJI if seed % 2 else f"{HOSTILE} {seed}",
            mentions=[[Candidate(ids[seed % len(ids)], 0.3 + seed / 1000)]],
        )
        for seed in range(35)
    ]
    pairs += [Pair(noise_jpeg(99), HOSTILE), Pair(b"", "gone", status="corrupt_image")]
    causes = {("a", 35): HOSTILE, ("a", 36): "corrupt_image"}
    text = card_of(folder, {"a": pairs}, causes=causes, names=NAMES)
    (folder / "card.html").write_text(text, encoding="utf-8")
    return folder / "card.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("browser")) as made:
        yield made


@pytest.mark.parametrize("wanted", ["pe", "PE", "country", "q3", "hijacked", "nothing of it"])
def test_a_search_leaves_the_rows_that_hold_it(page: Path, browser: Chromium, wanted: str) -> None:
    browser.open(page)
    assert len(browser.tell(_SHOWN)) == len(NAMES)
    browser.click("#search")
    browser.write(wanted)
    expected = [
        name
        for entity, (name, about) in NAMES.items()
        if wanted.lower() in "\n".join((name, entity, about)).lower()
    ]
    assert sorted(browser.tell(_SHOWN)) == sorted(
        name[:79] + "…" if len(name) > 80 else name for name in expected
    )
    said = browser.tell("document.getElementById('found').textContent")
    assert said == f"{len(expected)} of {len(NAMES)}"


def test_a_click_opens_the_sheet_and_escape_closes_it(page: Path, browser: Chromium) -> None:
    data = data_of(page.read_text(encoding="utf-8"))
    browser.open(page)
    names = browser.tell(_SHOWN)
    place = names.index("Chad")
    browser.click(f"#entities tr:nth-child({place + 1})")
    assert browser.tell("document.getElementById('sheet').open")
    assert browser.tell("document.getElementById('sheet-name').textContent") == "Chad"
    sources = browser.tell("[...document.querySelectorAll('#sheet img')].map(i => i.src)")
    assert sources == [data["pictures"][one]["src"] for one in data["sheets"][place]]
    assert len(sources) == 5
    assert browser.tell(
        "[...document.querySelectorAll('#sheet img')].every(i => i.complete && i.naturalWidth)"
    )
    browser.press("Escape")
    assert not browser.tell("document.getElementById('sheet').open")


def test_the_keyboard_alone_opens_and_closes_a_sheet(page: Path, browser: Chromium) -> None:
    browser.open(page)
    browser.tell("document.querySelector('#entities button').focus()")
    browser.press("Enter")
    assert browser.tell("document.getElementById('sheet').open")
    assert browser.tell("document.activeElement.textContent") == "Close"
    browser.press("Enter")
    assert not browser.tell("document.getElementById('sheet').open")
    browser.press("Tab")  # back in the table, at the next entity
    browser.press("Enter")
    assert browser.tell("document.getElementById('sheet').open")


def test_mentions_are_marked_where_python_counts_them(page: Path, browser: Chromium) -> None:
    browser.open(page)
    place = browser.tell(_SHOWN).index("Peru")
    browser.click(f"#entities tr:nth-child({place + 1}) button")
    texts = browser.tell("[...document.querySelectorAll('#sheet .text')].map(t => t.textContent)")
    marks = browser.tell(
        "[...document.querySelectorAll('#sheet mark.label')].map(m => m.textContent)"
    )
    assert len(texts) == len(marks) == 5
    assert EMOJI in texts
    assert marks == [text[:5] for text in texts]


def test_strings_of_the_data_do_nothing(page: Path, browser: Chromium) -> None:
    browser.open(page)
    rows = browser.tell("document.querySelectorAll('#entities tr').length")
    for number in range(rows):
        browser.click(f"#entities tr:nth-child({number + 1}) .who")
        browser.press("Escape")
    assert browser.tell("document.title") == "Data set 0123456789ab"
    assert browser.tell("document.scripts.length") == 2
    assert browser.tell("document.querySelectorAll('[onerror], [onload], a').length") == 0
    assert HOSTILE in browser.tell("document.body.innerText.replaceAll('\\n', ' ')") or (
        HOSTILE[:60] in browser.tell("document.body.textContent")
    )


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_its_screen_and_can_be_read(
    page: Path, browser: Chromium, width: int, dark: bool
) -> None:
    browser.open(page, width=width, dark=dark)
    assert browser.tell("document.documentElement.scrollWidth") <= width
    back = browser.tell("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, back[4:-1].split(","))) < 380) == dark
    assert browser.tell(_CONTRAST) >= 4.5
    browser.click("#entities button")
    assert browser.tell(
        "(() => { const d = document.getElementById('sheet'); return d.scrollWidth <= "
        "d.clientWidth && d.getBoundingClientRect().right <= innerWidth; })()"
    )
