"""The page: self-contained, safe whatever keys hold, of a bounded size."""

import io
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from openmofi.errors import InputError
from openmofi.textregions.preview.contact_sheet import WIDTH
from openmofi.textregions.preview.job import write_preview
from openmofi.textregions.preview.page import MOST_BYTES
from openmofi.textregions.preview.pictures import thumbnail_of
from openmofi.textregions.rule import TextRule
from support.text_pages import HOSTILE, ROWS, RULE, page_of
from support.text_previews import Found, InMemory, picture_of, random_rows, row, square


def part(page: str, side: str) -> str:
    return page.partition(f'<section class="side" id="{side}"')[2].partition("</section>")[0]


def names(html: str) -> list[str]:
    return [unescape(one) for one in re.findall(r'<span class="where">(.*?)</span>', html, re.S)]


def test_dropped_and_kept_stand_apart_the_closest_first(page: str) -> None:
    assert names(part(page, "dropped")) == ["s0/close", f"s0/{HOSTILE}", "s0/far"]
    assert names(part(page, "kept")) == ["s0/nearly", "s0/frame", "s0/empty"]
    assert names(part(page, "failed")) == ["s0/broken"]


def test_counts_on_the_page_add_up(page: str) -> None:
    counts = {name: int(number) for name, number in re.findall(r"<dt>(.*?)</dt><dd>(\d+)", page)}
    assert counts == {
        "seen": 7, "dropped": 3, "kept": 3, "failed": 1, "with a box too large": 1,
    }  # fmt: skip
    assert "Closest calls: 2 of 3" in page
    assert "50.0 %</small>" in page  # of those judged


def test_more_than_is_shown_is_said(tmp_path: Path) -> None:
    page = page_of(tmp_path, InMemory(random_rows(300)), images=40)
    assert len(names(page)) == 40
    assert re.search(r"Closest calls: 10 of \d\d", page)
    assert re.search(r"All others: \d of \d\d+, drawn at random", page)


def test_confidences_and_areas_are_told(page: str) -> None:
    dropped = part(page, "dropped")
    assert "0.520, area 10.0\u00a0%" in dropped
    assert "detector 0.750" in dropped
    assert "too large: 0.875, area 50.0\u00a0%" in part(page, "kept")
    assert dropped.count("detector") == dropped.count("detector 0.750")  # of this box alone


def test_every_picture_has_an_alternative_text(page: str) -> None:
    found = re.findall(r'<img src="data:image/jpeg;base64,[^"]+" alt="([^"]+)">', page)
    assert len(found) == len(ROWS)
    assert unescape(found[0]) == "s0/close, dropped: 0.520, area 10.0\u00a0%; detector 0.750; 1 box"


def test_data_cannot_leave_its_element(page: str) -> None:
    assert page.count("<script") == page.count("</script>") == 1
    assert "hijacked" in page
    assert '<script>document.title="hijacked"' not in page
    assert "<!--" not in page
    assert "<b>&amp; " not in page


def test_statuses_are_escaped_too(tmp_path: Path) -> None:
    page = page_of(tmp_path, InMemory([row("a", status="<i>"), row("b")]))
    assert "<i>" not in page
    assert page.count("&lt;i&gt;") == 4


def test_it_asks_nothing_of_the_network(page: str) -> None:
    assert "default-src 'none'" in page
    assert not re.search(r"""(src|href)\s*=\s*["']?(http|//)|@import|url\(""", page)


def test_the_same_input_gives_the_same_bytes(page: str, tmp_path: Path) -> None:
    assert page_of(tmp_path) == page


def test_only_pictures_that_are_shown_are_read(tmp_path: Path) -> None:
    source = InMemory(random_rows(300))
    page = page_of(tmp_path, source, images=20)
    assert sorted(source.read) == sorted(one.removeprefix("s0/") for one in names(page))


def test_boxes_lie_over_the_picture_in_its_own_pixels(tmp_path: Path) -> None:
    rows = [row("a", [Found(0.9, (20, 10, 60, 40))], size=(400, 300))]
    page = page_of(tmp_path, InMemory(rows, {"a": picture_of(size=(400, 300))}))
    assert '<svg viewBox="0 0 400 300" preserveAspectRatio="none"' in page
    assert '<path class="box decides compared" d="M20 10L60 10L60 40L20 40Z">' in page


def test_the_compared_box_is_drawn_last_and_so_on_top(page: str) -> None:
    nearly = part(page, "kept").partition("s0/nearly")[2].partition("s0/frame")[0]
    kinds = re.findall(r'<path class="box (.*?)"', nearly)
    assert kinds == ["small", "below compared"]


def test_pictures_with_a_sure_large_box_are_marked(page: str) -> None:
    marked = [names(one) for one in page.split("<figure ") if one.startswith('class="card large"')]
    assert marked == [["s0/frame"]]


def test_a_picture_that_does_not_decode_keeps_its_place(tmp_path: Path) -> None:
    pictures = {"far": b"no picture", "empty": None}
    page = page_of(tmp_path, InMemory(ROWS, pictures))
    assert "does not decode" in part(page, "dropped")
    assert len(names(page)) == len(ROWS)


@pytest.mark.parametrize("boxes", [0, 100])
def test_a_page_of_pictures_that_hardly_compress_is_below_its_bound(
    tmp_path: Path, boxes: int
) -> None:
    rng = np.random.default_rng(0)
    sink = io.BytesIO()
    noise = rng.integers(0, 256, (160, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(sink, "JPEG", quality=95)
    found = [Found(0.9, (0.123, 10.123, 100.123, 70.123)) for _ in range(boxes)]
    rows = [row(f"{40 * '&'}{n}", found, size=(200, 160)) for n in range(200)]
    source = InMemory(rows)
    source._usual = sink.getvalue()
    page = page_of(tmp_path, source, images=200)
    assert 2_000_000 < len(page.encode()) < MOST_BYTES
    assert ("70 of 100 boxes not drawn" in page) == bool(boxes)


def test_a_copy_is_small_and_without_metadata() -> None:
    thumbnail = thumbnail_of(picture_of(size=(2000, 1000), turned=True))
    assert thumbnail is not None
    assert (thumbnail.width, thumbnail.height) == (1000, 2000)
    copy = Image.open(io.BytesIO(thumbnail.jpeg))
    assert copy.size == (160, 320)
    assert not copy.getexif()


def test_the_sheet_has_the_pages_order(tmp_path: Path) -> None:
    colours = {"close": (200, 0, 0), "far": (0, 200, 0), "nearly": (0, 0, 200)}
    pictures = {key: picture_of(colour) for key, colour in colours.items()}
    write_preview(InMemory(ROWS, pictures), RULE, tmp_path / "p.html", png=tmp_path / "p.png")
    sheet = Image.open(tmp_path / "p.png")
    assert sheet.width == WIDTH
    places = {}
    for key, colour in colours.items():
        # Boxes cover the upper left of a picture; their colours are others.
        near = (np.abs(np.asarray(sheet).astype(int) - colour) < 12).all(2)
        down, across = np.nonzero(near)
        places[key] = (float(np.median(across)), float(np.median(down)))
    assert places["close"][0] < WIDTH / 2 < places["nearly"][0]
    assert places["far"][0] < WIDTH / 2
    assert places["close"][1] == pytest.approx(places["nearly"][1], abs=30)
    assert places["close"][1] < places["far"][1]


def test_nothing_is_left_where_pictures_are_others(tmp_path: Path) -> None:
    rows = [row("a", [square(0.9, 0.1)], size=(300, 100))]
    with pytest.raises(InputError, match="other pairs"):
        write_preview(InMemory(rows), RULE, tmp_path / "p.html", png=tmp_path / "p.png")
    assert not list(tmp_path.iterdir())


def test_a_number_that_no_page_can_show_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--images must be 10 to 600, got 3"):
        page_of(tmp_path, images=3)


def test_a_policy_that_keeps_some_of_the_dropped_is_said(page: str, tmp_path: Path) -> None:
    assert "The policy is" not in page
    rule = TextRule(policy="text_dependent", min_masked_score=0.1)
    write_preview(InMemory(ROWS), rule, tmp_path / "p.html")
    assert "The policy is text_dependent" in (tmp_path / "p.html").read_text(encoding="utf-8")


def test_a_rule_that_is_off_is_said(tmp_path: Path) -> None:
    write_preview(InMemory(ROWS), TextRule(drop_text=False), tmp_path / "p.html")
    assert "drop_text is false" in (tmp_path / "p.html").read_text(encoding="utf-8")
