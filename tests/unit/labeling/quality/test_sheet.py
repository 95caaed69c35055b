"""The sheet: self-contained, safe whatever names hold, and working in a real browser."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from openmofi.errors import InputError
from openmofi.labeling.quality.draw import Drawn
from openmofi.labeling.quality.pictures import Picture
from openmofi.labeling.quality.samples import read_answers
from openmofi.labeling.quality.sheet import check_knowledge_base, page_of, write_sheet
from support.label_quality import CHROMIUM, MADE_WITH, Browser, FakeBase, text_of

HOSTILE = '</script><script>document.title="hijacked"</script><!--script--><b>&amp; "quoted" \u2028'
IMAGES = [("00000", "a"), ("00000", "b")]
DRAWN = [
    Drawn(IMAGES[0], "score 01 of 02, rare entity", 2.5, (("cat", 0.25), ("evil", 0.125))),
    Drawn(IMAGES[1], "score 02 of 02, rare entity", 1.0, (("dog", 0.5),)),
]
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
PICTURES = {image: Picture(PIXEL, f"text of {image[1]} {HOSTILE}") for image in IMAGES}
BASE: Any = FakeBase(cat="Cat", evil=HOSTILE, dog="Dog")

in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    write_sheet(DRAWN, PICTURES, BASE, MADE_WITH, tmp_path / "sheet.html")
    return tmp_path / "sheet.html"


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    return Browser(tmp_path)


def data_of(sheet: Path) -> dict[str, Any]:
    found = re.search(r'id="sheet">(.*?)</script>', sheet.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    content: dict[str, Any] = json.loads(found.group(1))
    return content


def test_it_holds_what_is_to_be_judged(sheet: Path) -> None:
    content = data_of(sheet)
    assert content["made_with"] == MADE_WITH
    first = content["images"][0]
    assert (first["key"], first["weight"]) == ("a", 2.5)
    assert first["labels"][1]["name"] == HOSTILE
    assert first["labels"][0]["clip_score"] == 0.25


def test_data_cannot_leave_its_element(sheet: Path) -> None:
    page = sheet.read_text(encoding="utf-8")
    assert page.count("</script>") == 2
    assert page.count("hijacked") == len(re.findall(r"u003cscript\\u003edocument.title", page)) > 0
    assert "\u2028" not in page


def test_it_asks_nothing_of_the_network(sheet: Path) -> None:
    page = sheet.read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert not re.search(r"""(src|href)\s*=\s*["']?(http|//)|@import|url\(""", page)
    assert "<!--style-->" not in page


def test_the_same_input_gives_the_same_bytes(sheet: Path, tmp_path: Path) -> None:
    write_sheet(DRAWN, PICTURES, BASE, MADE_WITH, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == sheet.read_bytes()


def test_the_digest_tells_sheets_apart(sheet: Path, tmp_path: Path) -> None:
    write_sheet(DRAWN[:1], PICTURES, BASE, MADE_WITH, tmp_path / "other.html")
    assert data_of(sheet)["digest"] != data_of(tmp_path / "other.html")["digest"]


def test_images_without_a_picture_are_counted_and_left_out(tmp_path: Path) -> None:
    some = {IMAGES[1]: PICTURES[IMAGES[1]]}
    counts = write_sheet(DRAWN, some, BASE, MADE_WITH, tmp_path / "s.html")
    assert (counts.images, counts.labels, counts.unreadable) == (1, 1, 1)
    assert counts.bytes == (tmp_path / "s.html").stat().st_size
    assert [one["key"] for one in data_of(tmp_path / "s.html")["images"]] == ["b"]


def test_no_picture_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of the images drawn decodes"):
        write_sheet(DRAWN, {}, BASE, MADE_WITH, tmp_path / "s.html")
    assert not list(tmp_path.iterdir())


def test_another_knowledge_base_is_refused() -> None:
    with pytest.raises(InputError, match="made with knowledge base x, and --kb is kkk"):
        check_knowledge_base(BASE, {"knowledge_base": "x"}, DRAWN)


def test_a_knowledge_base_that_lacks_an_entity_is_refused() -> None:
    less: Any = FakeBase(cat="Cat", evil="?")
    check_knowledge_base(less, {}, DRAWN[:1])
    with pytest.raises(InputError, match="entity 'dog' of the labels is not in the knowledge base"):
        check_knowledge_base(less, {}, DRAWN)


def test_numbers_that_json_does_not_know_are_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        page_of({"weight": float("nan")})


@in_a_browser
def test_keys_judge_and_the_saved_file_is_what_calibrate_reads(
    sheet: Path, browser: Browser, tmp_path: Path
) -> None:
    saved = browser.saved(sheet, "y", "ArrowLeft", "?")
    content = data_of(sheet)
    assert saved["sheet"] == content["digest"]
    assert saved["made_with"] == MADE_WITH
    assert saved["answers"][0] == {
        "shard": "00000", "key": "a", "entity_id": "cat", "clip_score": 0.25,
        "stratum": "score 01 of 02, rare entity", "weight": 2.5, "answer": "right",
    }  # fmt: skip
    assert [one["answer"] for one in saved["answers"]] == ["right", "wrong", "unsure"]
    (tmp_path / "answers.json").write_text(json.dumps(saved))
    answers = read_answers(tmp_path / "answers.json")
    assert answers.judged().right.tolist() == [True, False]


@in_a_browser
def test_back_judges_again_and_the_unanswered_are_left_out(sheet: Path, browser: Browser) -> None:
    saved = browser.saved(sheet, "n", "u", "b", "Backspace", "ArrowRight")
    assert [one["answer"] for one in saved["answers"]] == ["right", "unsure"]


@in_a_browser
def test_closing_the_page_loses_nothing(sheet: Path, browser: Browser) -> None:
    page = browser.press(sheet, "y", "n", reopened=[])
    assert text_of(page, "counts").startswith("2 of 3 judged: 1 right, 1 wrong, 0 unsure")
    assert text_of(page, "name") == "Dog"


@in_a_browser
def test_judging_goes_on_where_it_was_left(sheet: Path, browser: Browser) -> None:
    saved = browser.saved(sheet, "y", "n", reopened=["u"])
    assert [one["answer"] for one in saved["answers"]] == ["right", "wrong", "unsure"]


@in_a_browser
def test_another_sheet_at_the_same_place_starts_anew(sheet: Path, browser: Browser) -> None:
    browser.press(sheet, "y", "n")
    write_sheet(DRAWN[::-1], PICTURES, BASE, MADE_WITH, sheet)
    assert text_of(browser.press(sheet), "counts").startswith("0 of 3 judged")


@in_a_browser
def test_the_text_is_hidden_until_asked_for_and_again_at_the_next(
    sheet: Path, browser: Browser
) -> None:
    assert not re.search(r'id="text"[^>]* hidden', browser.press(sheet, "t"))
    assert re.search(r'id="text"[^>]* hidden', browser.press(sheet, "t", "y"))


@in_a_browser
def test_what_data_hold_is_shown_as_it_is_and_never_run(sheet: Path, browser: Browser) -> None:
    page = browser.press(sheet, "y")
    assert text_of(page, "name").split() == HOSTILE.split()
    assert "<title>Audit of labels</title>" in page


@in_a_browser
def test_neither_score_nor_stratum_is_shown(sheet: Path, browser: Browser) -> None:
    page = browser.press(sheet, "t", script='document.getElementById("sheet").remove();')
    body = page.partition("<body>")[2].partition("<script>")[0]
    assert "Cat" in body
    assert not re.search(r"0\.25|2\.5|rare|score", body)


@in_a_browser
def test_the_end_says_so_and_buttons_work_too(sheet: Path, browser: Browser) -> None:
    click = 'for (const id of ["right", "wrong", "unsure"]) document.getElementById(id).click();'
    page = browser.press(sheet, script=click)
    assert re.search(r'id="judging"[^>]* hidden', page)
    assert not re.search(r'id="done"[^>]* hidden', page)
    assert text_of(page, "counts") == "3 of 3 judged: 1 right, 1 wrong, 1 unsure"
    assert "All labels are judged." in text_of(page, "live")


@in_a_browser
def test_a_key_held_down_or_with_control_judges_nothing(sheet: Path, browser: Browser) -> None:
    events = "".join(
        f'document.dispatchEvent(new KeyboardEvent("keydown", {{ key: "y", {how}: true }}));'
        for how in ("repeat", "ctrlKey", "metaKey")
    )
    assert text_of(browser.press(sheet, script=events), "counts").startswith("0 of 3 judged")


@in_a_browser
def test_a_browser_that_keeps_nothing_is_told(sheet: Path, browser: Browser) -> None:
    refuse = 'Storage.prototype.setItem = () => { throw new Error("full"); };'
    script = f'{refuse} document.getElementById("right").click();'
    assert "keeps nothing" in text_of(browser.press(sheet, script=script), "notice")
