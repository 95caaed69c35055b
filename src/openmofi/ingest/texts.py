"""The texts of a pair: decoded once, and what may be read of a sample's JSON."""

import json
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# In any case, "-" for "_": LAION's column is LICENSE. img2dataset writes `save_additional_columns`
# under the names that they had, and no field of its own: see `reading.count_refused`.
_LICENCE = ("license", "licence", "license_url", "licence_url", "rights")
# The words of robots' tags, and TDMRep (https://www.w3.org/community/tdmrep/).
_NO_AI = ("noai", "no_ai", "x_robots_tag", "robots", "tdm_reservation")
_DIRECTIVES = {"noai", "noimageai"}
_TRUE = {"true", "yes", "1", "1.0"}
_UNKNOWN = {"", "nan", "none", "null"}


@dataclass(frozen=True)
class Texts:
    """What came with an image."""

    alt_text: str = ""
    title: str | None = None
    url: str | None = None
    licence: str | None = None
    no_ai: bool | None = None  # whether its owner refuses training on it; None: nothing is said


def clean(text: str) -> str:
    """One line: each control character is a blank, blanks at the ends go.

    Inner blanks are not merged, so offsets that others counted in a stripped caption hold.
    """
    blanked = (" " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text)
    return "".join(blanked).strip()


def read_texts(text: bytes | None, metadata: bytes | None) -> Texts:
    """The alt text of a ``.txt`` and the few things that may be read of a ``.json``.

    All else in the JSON may be a label, which no stage may see. Bytes that are no UTF-8 become
    replacement characters; a JSON that is broken says nothing.
    """
    fields = _parse(metadata)
    return Texts(
        alt_text=clean((text or b"").decode("utf-8-sig", "replace")),
        title=_first(fields, "title", "page_title"),
        url=_first(fields, "url"),
        licence=licence_of(fields),
        no_ai=refuses_ai(fields),
    )


def licence_of(fields: Mapping[str, object]) -> str | None:
    """The first field that tells a licence: a name, or the address of one."""
    found = dict(_named(fields, *_LICENCE))
    return _first(found, *found)


def refuses_ai(fields: Mapping[str, object]) -> bool | None:
    """Whether any field refuses training on the sample; None where none says anything.

    A field of a refusal's name says so if it is true, 1 or "yes", or if ``noai`` or ``noimageai``
    is among its words, as in a robots' tag.
    """
    said = [_refusal(value) for _, value in _named(fields, *_NO_AI)]
    known = [one for one in said if one is not None]
    return any(known) if known else None


def _named(fields: Mapping[str, object], *names: str) -> Iterator[tuple[str, object]]:
    """Fields of these names, in the order of the names."""
    spelt = {field: str(field).lower().replace("-", "_") for field in fields}
    for name in names:
        yield from ((field, fields[field]) for field, own in spelt.items() if own == name)


def _refusal(value: object) -> bool | None:
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, (bool, int, float)):
        return bool(value)
    if isinstance(value, list):  # the tags of several headers
        value = ",".join(str(one) for one in value)
    text = value.strip().lower() if isinstance(value, str) else ""
    if text in _UNKNOWN:
        return None
    return text in _TRUE or bool(_DIRECTIVES.intersection(re.findall("[a-z]+", text)))


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
