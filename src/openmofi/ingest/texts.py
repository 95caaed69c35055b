"""The texts of a pair: decoded once, and what may be read of a sample's JSON."""

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Texts:
    """What came with an image."""

    alt_text: str = ""
    title: str | None = None
    url: str | None = None
    licence: str | None = None


def clean(text: str) -> str:
    """One line: each control character is a blank, blanks at the ends go.

    Inner blanks are not merged, so offsets that others counted in a stripped caption hold.
    """
    blanked = (" " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text)
    return "".join(blanked).strip()


def read_texts(text: bytes | None, metadata: bytes | None) -> Texts:
    """The alt text of a ``.txt`` and the three things that may be read of a ``.json``.

    All else in the JSON may be a label, which no stage may see. Bytes that are no UTF-8 become
    replacement characters; a JSON that is broken says nothing.
    """
    fields = _parse(metadata)
    return Texts(
        alt_text=clean((text or b"").decode("utf-8-sig", "replace")),
        title=_first(fields, "title", "page_title"),
        url=_first(fields, "url"),
        licence=_first(fields, "license", "licence"),
    )


def _parse(metadata: bytes | None) -> Mapping[str, object]:
    try:
        value = json.loads(metadata or b"{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _first(fields: Mapping[str, object], *names: str) -> str | None:
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and clean(value):
            return clean(value)
    return None
