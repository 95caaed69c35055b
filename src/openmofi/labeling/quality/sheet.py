"""An audit sheet: one HTML file on which a person says of each label whether the picture shows it.

It needs no network and no server, and it shows neither score nor stratum, which would sway.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openmofi import pages
from openmofi.entities.knowledge_base import KnowledgeBase
from openmofi.errors import InputError
from openmofi.files import write_text
from openmofi.keys import hash_json
from openmofi.labeling.quality.draw import Drawn
from openmofi.labeling.quality.pictures import Picture
from openmofi.labeling.quality.samples import Image

# In a script element these end it, begin a comment, or are no JavaScript.
_ESCAPED = {ord(one): f"\\u{ord(one):04x}" for one in "<>&\u2028\u2029"}


@dataclass(frozen=True)
class SheetCounts:
    """What is on a sheet."""

    images: int
    labels: int
    unreadable: int  # images drawn that do not decode, left out
    bytes: int


def check_knowledge_base(
    base: KnowledgeBase, made_with: Mapping[str, Any], drawn: Sequence[Drawn]
) -> None:
    """Refuse a knowledge base that cannot name what is drawn.

    Raises:
        InputError: It is not the one that the labels were made with, or lacks an entity.
    """
    used = made_with.get("knowledge_base", base.digest)
    if used != base.digest:
        raise InputError(
            f"the labels were made with knowledge base {used}, and --kb is {base.digest}"
        )
    for one in drawn:
        for entity, _ in one.labels:
            if entity not in base:
                raise InputError(f"entity '{entity}' of the labels is not in the knowledge base")


def write_sheet(
    drawn: Sequence[Drawn],
    pictures: Mapping[Image, Picture],
    base: KnowledgeBase,
    made_with: Mapping[str, Any],
    out: Path,
) -> SheetCounts:
    """Write the sheet, whole or not at all; the same input gives the same bytes.

    Args:
        drawn: What to judge, in this order.
        pictures: Of the images drawn; those without one are left out.
        base: Names and descriptions.
        made_with: What the scores were made with, see `Calibration`.
        out: HTML file to write.

    Raises:
        InputError: No picture is left, or the file cannot be written.
    """
    shown = [_entry(one, pictures[one.image], base) for one in drawn if one.image in pictures]
    if not shown:
        raise InputError("none of the images drawn decodes; there is nothing to judge")
    content = {"kind": "audit_sheet", "made_with": dict(made_with), "images": shown}
    page = page_of({**content, "digest": hash_json(content)})
    write_text(page, out)
    labels = sum(len(one["labels"]) for one in shown)
    return SheetCounts(len(shown), labels, len(drawn) - len(shown), len(page.encode()))


def _entry(one: Drawn, picture: Picture, base: KnowledgeBase) -> dict[str, Any]:
    shard, key = one.image
    return {
        "shard": shard,
        "key": key,
        "picture": picture.data_uri,
        "alt_text": picture.alt_text,
        "stratum": one.stratum,
        "weight": one.weight,
        "labels": [
            {
                "entity_id": entity,
                "name": base.name(entity),
                "description": base.description(entity),
                "clip_score": score,
            }
            for entity, score in one.labels
        ],
    }


def page_of(content: Mapping[str, Any]) -> str:
    """The page of a sheet; nothing in ``content`` can end the element that it stands in."""
    package = "openmofi.labeling.quality"
    data = json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False)
    body = pages.read_part(package, "sheet.html")
    # The data last: a name that reads like a place to fill stays a name.
    script = pages.read_part(package, "sheet.js")
    for name, part in (("script", script), ("sheet", data.translate(_ESCAPED))):
        body = body.replace(f"<!--{name}-->", part)
    style = pages.read_part(package, "sheet.css")
    return pages.page("Audit of labels", body, style=style, scripts=True)
