"""What seeded dumps in Wikidata's form say, apart from how it is written (``wikidata_dump``).

Names are made up, but for a few well-known entities; nothing is taken from the code that is
measured.
"""

import functools
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

LANGUAGES = ("en", "de", "fr", "zh-hans", "mul")  # facts are exact in these; the others are filler
LONGEST = 250  # characters that Wikidata lets a label have; longer ones are dumped all the same
_MADE_UP = 1_000_000_000  # ids of made-up entities begin here, redirects one billion later

# id: English label, aliases, classes, broader classes, sitelinks
_KNOWN: dict[str, tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...], int]] = {
    "Q35120": ("entity", ("thing",), (), (), 80),
    "Q16889133": ("class", (), (), ("Q35120", "Q5127848"), 5),
    "Q5127848": ("metaclass", (), (), ("Q16889133",), 3),  # a cycle, as there are real ones
    "Q729": ("animal", ("animals", "Animalia"), (), ("Q7239",), 250),
    "Q7239": ("organism", ("living thing",), (), ("Q35120",), 150),
    "Q16521": ("taxon", ("taxa",), ("Q16889133",), (), 100),
    "Q144": ("dog", ("domestic dog", "Canis familiaris"), ("Q55983715",), ("Q39201",), 240),
    "Q39201": ("pet", ("companion animal",), (), ("Q729",), 90),
    "Q55983715": ("organisms known by a particular common name", (), (), ("Q7239",), 1),
    "Q5": ("human", ("person", "people"), ("Q16889133",), ("Q729",), 220),
    "Q42": ("Douglas Adams", ("Douglas Noel Adams", "DNA"), ("Q5",), (), 110),
    "Q486972": ("human settlement", (), (), ("Q35120",), 60),
    "Q515": ("city", ("cities", "town"), (), ("Q486972",), 200),
    "Q64": ("Berlin", ("Berlin, Germany",), ("Q515",), (), 330),
    "Q6256": ("country", ("countries",), (), ("Q35120",), 180),
    "Q35657": ("U.S. state", ("state of the USA",), (), ("Q486972",), 90),
    "Q230": ("Georgia", ("Sakartvelo", "Republic of Georgia"), ("Q6256",), (), 290),
    "Q1428": ("Georgia", ("Georgia, United States", "Peach State"), ("Q35657",), (), 210),
    "Q308": ("Mercury", ("planet Mercury",), ("Q634",), (), 230),
    "Q925": ("mercury", ("Hg", "quicksilver"), ("Q11344",), (), 170),
    "Q634": ("planet", ("planets",), (), ("Q35120",), 200),
    "Q11344": ("chemical element", ("element",), (), ("Q35120",), 190),
    "Q4167410": ("Wikimedia disambiguation page", ("disambiguation page",), (), ("Q17442446",), 9),
    "Q4167836": ("Wikimedia category", ("category",), (), ("Q17442446",), 9),
    "Q17442446": ("Wikimedia internal item", (), (), ("Q35120",), 1),
    "Q13442814": ("scholarly article", ("scientific article", "paper"), (), ("Q191067",), 25),
    "Q191067": ("article", ("articles",), (), ("Q35120",), 70),
    "Q1084": ("noun \U0001f98a", ("fox \U0001f98a face",), ("Q35120",), (), 40),  # non-BMP
}
# Shares of real dumps, about: each made-up item is one of these or of a made-up class.
_COMMON = {"Q13442814": 0.35, "Q5": 0.10, "Q4167836": 0.05, "Q16521": 0.03, "Q4167410": 0.015}


@dataclass(frozen=True)
class Statement:
    """Of P31 or P279. ``kind``: the value has its "id", "numeric" as of old, or "both"; or the
    snak is of the type "novalue" or "somevalue".
    """

    value: str
    rank: str = "normal"
    kind: str = "both"


@dataclass(frozen=True)
class Entity:
    """What one line of the dump says, without filler."""

    id: str
    type: str = "item"
    redirect: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, list[str]] = field(default_factory=dict)
    descriptions: dict[str, str] = field(default_factory=dict)
    instance_of: list[Statement] = field(default_factory=list)
    subclass_of: list[Statement] = field(default_factory=list)
    sitelinks: int = 0


def entities(items: int, seed: int) -> Iterator[Entity]:
    """``items`` items, and redirects, properties and lexemes in between."""
    draw = random.Random(f"facts {seed}")
    words = _vocabulary(seed)
    classes = max(1, min(3000, items // 50))
    step = max(1, items // len(_KNOWN))
    known = iter(_KNOWN)
    for place in range(items):
        # Known ones are spread, so that instances come before their classes too.
        name = next(known, None) if place % step == step - 1 or items < len(_KNOWN) else None
        yield _known(name) if name else _made_up(place, classes, words, draw)
        if draw.random() < 0.01:
            other = f"Q{2 * _MADE_UP + place}"
            yield Entity(other, "redirect", redirect=f"Q{_MADE_UP + draw.randrange(items)}")
        if draw.random() < 0.004:
            kind = draw.choice(("property", "lexeme"))
            yield Entity(f"{'P' if kind == 'property' else 'L'}{place + 1}", kind)


def truth(items: int, seed: int) -> dict[str, Any]:
    """Counts of a whole dump, and the facts of its known entities."""
    counts: Counter[str] = Counter()
    found = {}
    for entity in entities(items, seed):
        kind = {"item": "items", "redirect": "redirects"}.get(entity.type, "not_item")
        counts[kind] += 1
        if kind == "items":
            texts = [entity.labels.get("en", ""), entity.labels.get("mul", "")]
            counts["without_name"] += not any(0 < len(text) <= LONGEST for text in texts)
        if entity.id in _KNOWN:
            label, aliases, instance_of, subclass_of, sitelinks = _KNOWN[entity.id]
            found[entity.id] = {
                "label": label,
                "aliases": list(aliases),
                "instance_of": list(instance_of),
                "subclass_of": list(subclass_of),
                "sitelinks": sitelinks,
            }
    return {"counts": dict(counts), "known": found}


def _known(name: str) -> Entity:
    label, aliases, instance_of, subclass_of, sitelinks = _KNOWN[name]
    return Entity(
        id=name,
        labels={"en": label},
        aliases={"en": list(aliases)} if aliases else {},
        descriptions={"en": f"what people call {label}"},
        instance_of=[Statement(value) for value in instance_of],
        subclass_of=[Statement(value) for value in subclass_of],
        sitelinks=sitelinks,
    )


def _made_up(place: int, classes: int, words: list[str], draw: random.Random) -> Entity:
    chance = draw.random
    label = make_phrase(words, draw)
    labels = _labels(label, words, draw)
    aliases = {}
    if chance() < 0.35:
        aliases["en"] = [make_phrase(words, draw) for _ in range(1 + int(4 * chance() ** 3))]
    if chance() < 0.1:
        aliases["de"] = [make_phrase(words, draw), label]
    descriptions = {}
    if chance() < 0.7:
        descriptions["en"] = " ".join(
            make_phrase(words, draw) for _ in range(1 + int(4 * chance()))
        )
    if chance() < 0.4:
        descriptions["de"] = make_phrase(words, draw) + " (ä)"
    # The first ``classes`` items are classes: each below one that comes before it, so chains are
    # long; the first is below the last, which closes a cycle.
    instance_of, subclass_of = [], []
    if place < classes:
        above = int(place * chance() ** 0.5) if place else classes - 1
        subclass_of = _statements([f"Q{_MADE_UP + above}"], draw)
    if chance() < (0.98 if place >= classes else 0.2):
        instance_of = _statements(_classes(classes, draw), draw)
    return Entity(
        id=f"Q{_MADE_UP + place}",
        labels=labels,
        aliases=aliases,
        descriptions=descriptions,
        instance_of=instance_of,
        subclass_of=subclass_of,
        sitelinks=int(0.2 / (chance() + 0.001)) if chance() < 0.4 else 0,
    )


def _labels(label: str, words: list[str], draw: random.Random) -> dict[str, str]:
    chance = draw.random()
    if chance < 0.001:
        return {"en": label + " overlong" * 1200, "de": label}  # 10 kB
    if chance < 0.03:
        return {}
    if chance < 0.06:
        return {"mul": label}
    if chance < 0.10:
        return {"de": label, "fr": label}
    labels = {"en": label}
    if chance < 0.5:
        labels["de"] = label if chance < 0.3 else make_phrase(words, draw)
    if chance < 0.13:
        labels["zh-hans"] = "".join(draw.choices("人之初性本善相近习远𠮷", k=4))
    elif chance < 0.14:
        labels["mul"] = label + " \U0001f40a"
    elif chance < 0.15:
        labels["en"] = f"  {label} \t two  spaces\n"
    return labels


def _classes(classes: int, draw: random.Random) -> list[str]:
    chance = draw.random()
    for name, share in _COMMON.items():
        chance -= share
        if chance < 0:
            return [name]
    some = [f"Q{_MADE_UP + int(classes * draw.random() ** 3)}"]
    if chance < 0.1:
        some.append(f"Q{_MADE_UP + int(classes * draw.random())}")
    return some


def _statements(values: list[str], draw: random.Random) -> list[Statement]:
    statements = []
    for value in values:
        chance = draw.random()
        if chance < 0.01:
            statements.append(Statement("", kind="novalue" if chance < 0.005 else "somevalue"))
        elif chance < 0.02:
            statements.append(Statement("Q35120", rank="deprecated"))
        elif chance < 0.03:
            statements.append(Statement("Q16889133", rank="preferred"))
        elif chance < 0.04:
            statements.append(Statement(value))  # the same class twice
        kind = "both" if chance > 0.1 else "numeric" if chance > 0.05 else "id"
        statements.append(Statement(value, kind=kind))
    return statements


@functools.cache
def _vocabulary(seed: int) -> list[str]:
    return make_words(random.Random(f"words {seed}"), 30_000)


def make_words(draw: random.Random, count: int) -> list[str]:
    """Made-up words, shorter ones first; a few with letters that JSON escapes."""
    starts = (
        "b",
        "br",
        "ch",
        "d",
        "f",
        "fl",
        "gr",
        "h",
        "k",
        "l",
        "m",
        "n",
        "p",
        "qu",
        "s",
        "st",
        "tr",
        "v",
    )
    middles, ends = ("aeiou" + "éøł", "nrstlmx")
    weights = [9] * 5 + [1] * 3
    words: dict[str, None] = {}
    while len(words) < count:
        syllables = 1 + (len(words) > 1000) + (len(words) > 15_000)
        parts = [draw.choice(starts) + draw.choices(middles, weights)[0] for _ in range(syllables)]
        words["".join(parts) + draw.choice(ends)] = None
    return list(words)


def make_phrase(words: list[str], draw: random.Random) -> str:
    """One to four words; the fewer, the more often another entity has it too."""
    chance = draw.random
    some = [words[int(len(words) * chance() ** 2)] for _ in range(1 + int(4 * chance() ** 1.3))]
    return " ".join(some).title() if chance() < 0.5 else " ".join(some)
