"""Scope: the head that all HTML pages share."""

import re

from openmofi import pages


def test_a_page_stands_alone_and_runs_no_script_unless_it_has_some():
    plain, scripted = pages.page("t", "b"), pages.page("t", "b", scripts=True)
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]+)"', plain)
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy
    assert "script-src 'unsafe-inline'" in scripted
    assert not re.search(r"""(src|href)\s*=|@import|url\(""", plain)


def test_the_title_is_data():
    page = pages.page("</title><script>", "")
    assert "<title>&lt;/title&gt;&lt;script&gt;</title>" in page


def test_the_pages_own_style_comes_last_and_wins():
    page = pages.page("t", "", style="body { color: teal; }")
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert style.strip().endswith("body { color: teal; }")
    assert "prefers-color-scheme: dark" in style


def test_a_narrow_screen_and_a_dark_one_are_told_apart():
    page = pages.page("t", "")
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert '<meta name="color-scheme" content="light dark">' in page


def test_tables_scroll_by_themselves_and_escape_their_head():
    assert pages.table(["<a>"], [["<b>1</b>"]]) == (
        '<div class="wide"><table>\n<tr><th>&lt;a&gt;</th></tr>\n<tr><td><b>1</b></td></tr>\n'
        "</table></div>"
    )
