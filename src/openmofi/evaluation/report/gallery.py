"""HTML of the report's pictures: nearest images, attacked pictures, the map of embeddings."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from openmofi.evaluation.report.sections import says, short

Facts = Mapping[str, Any]
_WIDE, _HIGH, _EDGE = 640, 640, 12
_GOLDEN_ANGLE = 137.508  # degrees: hues of neighbouring classes lie far apart


def nearest_section(queries: Sequence[Facts], images: Mapping[int, str]) -> str:
    """Each query with what the models find and what the candidate misses.

    Args:
        queries: Of `examples.nearest_facts`.
        images: Data URIs by index.
    """
    if not queries:
        return ""
    body = "\n".join(_query(query, images) for query in queries)
    return (
        "<h2>Nearest images</h2>\n<p>From the candidate's worst query to its best; the query "
        "itself is left out. Missed are pictures of the class that the candidate ranks behind "
        'those shown.</p>\n<p><span class="key"><i class="frame right"></i> solid: of the '
        'query\'s class</span> <span class="key"><i class="frame wrong"></i> dashed: of '
        f"another</span></p>\n{body}"
    )


def attack_section(facts: Facts, images: Mapping[int, str]) -> str:
    """What the attack did, in numbers and with pictures.

    Args:
        facts: Of `examples.attack_facts`.
        images: Data URIs of attacked pictures by index.
    """
    if not facts:
        return ""
    outcomes = "".join(_outcome(role, of) for role, of in facts["outcomes"].items())
    cards = "\n".join(_card(card, images) for card in facts["cards"])
    return (
        "<h2>Attacked pictures</h2>\n<p>Another class's name is written on each picture; a model "
        f'should still name what it shows.</p>\n<ul class="outcomes">{outcomes}</ul>\n'
        f'<div class="cards">\n{cards}\n</div>'
    )


def map_section(maps: Sequence[Facts]) -> str:
    """Embeddings on a plane; a class's name shows where one points at it."""
    if not maps or not maps[0]["points"]:
        return ""
    figures = "\n".join(_map(one) for one in maps)
    return (
        "<h2>Map of embeddings</h2>\n<p>Each dot is a picture, its colour the class; point at one "
        "to see the class alone, with its name. Colours repeat where there are many classes.</p>\n"
        f'<div class="groups">{figures}</div>'
    )


def _query(query: Facts, images: Mapping[int, str]) -> str:
    asked = query["query"]
    name = short(asked["class"])
    lines = [
        _line(says(role), "".join(_hit(hit, images) for hit in hits))
        for role, hits in query["found"].items()
    ]
    if query["missed"]:
        missed = "".join(
            f"<figure>{_image(images, one, '')}<figcaption>rank {one['rank']:,}</figcaption>"
            "</figure>"
            for one in query["missed"]
        )
        lines.append(_line("missed", missed))
    return (
        f'<section class="query"><figure>{_image(images, asked, "")}<figcaption><b>{name}</b><br>'
        f"AP {asked['score']:.1f}<br>{query['positives']:,} to find</figcaption></figure>"
        f"<div>{''.join(lines)}</div></section>"
    )


def _line(name: str, pictures: str) -> str:
    return f'<div class="line"><span>{name}</span><div class="strip">{pictures}</div></div>'


def _hit(hit: Facts, images: Mapping[int, str]) -> str:
    return _image(images, hit, "right" if hit["right"] else "wrong")


def _image(images: Mapping[int, str], picture: Facts, kind: str) -> str:
    name = short(picture["class"])
    text = f"{kind}: {name}" if kind else name
    css = f' class="{kind}"' if kind else ""
    return f'<img{css} src="{images[picture["index"]]}" alt="{text}" title="{text}">'


def _outcome(role: str, of: Facts) -> str:
    total = max(of["right"] + of["text"] + of["other"], 1)
    parts = (
        ("named right", of["right"]),
        ("called by the text", of["text"]),
        ("called something else", of["other"]),
    )
    told = ", ".join(f"{number:,} {name} ({number / total:.0%})" for name, number in parts)
    return f"<li><b>{says(role)}</b>: {told}</li>"


def _card(card: Facts, images: Mapping[int, str]) -> str:
    said = "".join(
        f'<br>{says(role)}: <span class="{"right" if one["right"] else "wrong"}">'
        f"{'✓' if one['right'] else '✗'} {short(one['class'])}</span>"
        for role, one in card["said"].items()
    )
    return (
        f"<figure>{_image(images, card, '')}<figcaption><b>{short(card['class'])}</b>, reads "
        f"“{short(card['written'])}”{said}</figcaption></figure>"
    )


def _map(one: Facts) -> str:
    dots: dict[int, list[str]] = {}
    for x, y, place in one["points"]:
        across = _EDGE + x * (_WIDE - 2 * _EDGE)
        down = _EDGE + (1 - y) * (_HIGH - 2 * _EDGE)
        dots.setdefault(place, []).append(f'<circle cx="{across:.0f}" cy="{down:.0f}" r="5"/>')
    # One group a class: its name is there once, and pointing at a dot finds all of them.
    groups = "\n".join(
        f'<g style="--hue:{place * _GOLDEN_ANGLE % 360:.0f}">'
        f"<title>{short(one['classes'][place])}</title>{''.join(circles)}"
        f'<text x="{_EDGE}" y="{_HIGH + 26}">{short(one["classes"][place])}</text></g>'
        for place, circles in sorted(dots.items())
    )
    how = one["method"]
    if one["kept"] is not None:
        how += f", {one['kept']:.0%} of the variance"
    label = f"{says(one['role'])}: {escape(how)}, {len(one['points']):,} pictures"
    return (
        f'<figure class="map"><figcaption>{label}</figcaption>\n<svg viewBox="0 0 {_WIDE} '
        f'{_HIGH + 36}" role="img" aria-label="map of embeddings, {label}">\n{groups}\n</svg>'
        "</figure>"
    )
