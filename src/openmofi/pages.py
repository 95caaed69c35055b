"""What every HTML page of this package shares: one head, one set of colours, one table.

A page stands alone: nothing is loaded from elsewhere, and its content security policy says so to
the browser. It follows the reader's light or dark scheme and fits a narrow screen.
"""

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_SCRIPTS = "; script-src 'unsafe-inline'"


def page(title: str, body: str, *, style: str = "", scripts: bool = False) -> str:
    """The whole page.

    Args:
        title: Plain text, escaped here.
        body: HTML; what it holds of data is escaped by the caller.
        style: CSS of this page alone; it comes after the shared one, and so wins.
        scripts: Whether the body may run scripts of its own. Without it a browser runs none, even
            if an escape was forgotten.
    """
    policy = _POLICY + _SCRIPTS * scripts
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{escape(title)}</title>\n"
        f"<style>\n{read_part('openmofi', 'pages.css')}\n{style}\n</style>\n"
        f"</head>\n<body>\n{body.strip()}\n</body>\n</html>\n"
    )


def read_part(package: str, file: str) -> str:
    """A file that lies beside a page's code: CSS, a script, a body with places to fill."""
    return files(package).joinpath(file).read_text(encoding="utf-8").strip()


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in a box that scrolls where the screen is too narrow for it.

    Args:
        head: Plain text, escaped here.
        rows: Cells are HTML, escaped by the caller.
    """
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table>\n<tr>{top}</tr>\n{body}\n</table></div>'
