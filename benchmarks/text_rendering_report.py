"""Tables and heat maps of what `text_rendering` measured."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.text_heat import Panel, heat_map
from benchmarks.text_labels import share, wilson
from benchmarks.text_words import ANGLES, COLOURS, SIZES

Row = Mapping[str, Any]
Rows = Sequence[Row]

READABLE = 12  # pixels, from which on there are goals
UPRIGHT, SLOPED = (0, 10, 20), (45,)  # degrees
GOALS = {"upright": 0.95, "sloped": 0.8, "attack 50 px": 0.99, "attack scaled": 0.99}


def of_group(rows: Rows, group: str) -> list[Row]:
    """Rows of words that an eye can see and that had room."""
    return [
        row
        for row in rows
        if row["group"] == group and row["room"] and row.get("seen", "clear") != "faint"
    ]


def upright(rows: Rows) -> list[Row]:
    return _within(rows, UPRIGHT)


def sloped(rows: Rows) -> list[Row]:
    return _within(rows, SLOPED)


def _within(rows: Rows, angles: Sequence[int]) -> list[Row]:
    words = of_group(rows, "words")
    return [row for row in words if row["size"] >= READABLE and row["angle"] in angles]


def counts(rows: Iterable[Row], what: str) -> tuple[int, int]:
    """Hits and total. ``…_before`` counts only photographs that it leaves alone without a word."""
    taken = [row for row in rows if not _unfair(row, what)]
    return sum(row[what] for row in taken), len(taken)


def _unfair(row: Row, what: str) -> bool:
    if what == "large":
        return bool(row["plain_large"])
    return what.endswith("_before") and bool(row["plain_flagged_before"])


def by(rows: Rows, *names: str) -> dict[tuple[Any, ...], list[Row]]:
    """Rows by their values, sorted by them."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return dict(sorted(groups.items()))


def tables(rows: Rows) -> dict[str, Any]:
    """Every cell with its numbers, as plain values."""
    words, faint = of_group(rows, "words"), [row for row in rows if row.get("seen") == "faint"]
    made: dict[str, Any] = {
        "no_room": {
            group: sum(not row["room"] for row in rows if row["group"] == group)
            for group in sorted({row["group"] for row in rows})
        },
        "goals": [{"goal": name, **_cell(part)} for name, part in parts(rows).items()],
        "size_angle": _cells(words, "size", "angle"),
        "letters": _cells(of_group(rows, "letters"), "size", "angle"),
        "faint": _cells(faint, "group", "size", "angle"),
    }
    for names in (("font",), ("kind", "colour"), ("colour", "outline"), ("place",), ("seen",)):
        made["upright by " + " and ".join(names)] = _cells(upright(rows), *names)
    return made


def parts(rows: Rows) -> dict[str, list[Row]]:
    """The groups that have a line of their own in the report."""
    words, good = of_group(rows, "words"), upright(rows)
    large_enough = [row for row in words if row["size"] >= READABLE]
    letters = of_group(rows, "letters")
    return {
        "upright": good,
        "upright, contrast 1.5 or more": [row for row in good if row["seen"] == "clear"],
        "upright, by its colour alone": [row for row in good if row["seen"] == "colour"],
        "sloped": sloped(rows),
        **{
            f"{angle}°": [row for row in large_enough if row["angle"] == angle]
            for angle in ANGLES
            if angle not in (*UPRIGHT, *SLOPED)
        },
        **{
            f"{size} px, 0 to 20°": [
                row for row in words if row["size"] == size and row["angle"] in UPRIGHT
            ]
            for size in SIZES
            if size < READABLE
        },
        "one letter, 0 to 20°": [
            row for row in letters if row["size"] >= READABLE and row["angle"] in UPRIGHT
        ],
        "one letter, 32 px or more": [row for row in letters if row["size"] >= 32],
        "as wide as the picture": of_group(rows, "filling"),
        "too faint to see": [
            row for row in rows if row.get("seen") == "faint" and row["group"] == "words"
        ],
        "attack 50 px": of_group(rows, "attack 50 px"),
        "attack scaled": of_group(rows, "attack scaled"),
    }


def _cells(rows: Rows, *names: str) -> list[dict[str, Any]]:
    return [
        {**dict(zip(names, values, strict=True)), **_cell(part)}
        for values, part in by(rows, *names).items()
    ]


def _cell(rows: Rows) -> dict[str, Any]:
    cell: dict[str, Any] = {"n": len(rows)}
    for what in _figures(rows):
        hits, total = counts(rows, what)
        low, high = wilson(hits, total)
        cell[what] = {"hits": hits, "n": total, "low": round(low, 4), "high": round(high, 4)}
    return cell


def _figures(rows: Rows) -> list[str]:
    figures = ["flagged", "flagged_before", "large"]
    # Where the attack's line ends is the picture's matter: no box is asked to cover it.
    if any("polygon" in row for row in rows):
        figures[1:1] = ["found", "found_before"]
    return figures


def print_report(rows: Rows) -> None:
    """The shares that have goals, then what lies beside them."""
    print(f"\nwords of {READABLE} px and more unless said; 95 % intervals (Wilson)")
    print(f"{'':32}{'flagged':^38}{'found':^38}  before: flagged, found   large")
    for name, part in parts(rows).items():
        goal = f"  goal {GOALS[name]}" if name in GOALS else ""
        asked = _figures(part)
        found = share(*counts(part, "found")) if "found" in asked else f"{'':37}"
        before = "  ".join(
            _short(part, what) if what in asked else f"{'':5}"
            for what in ("flagged_before", "found_before")
        )
        print(
            f"{name:32}{share(*counts(part, 'flagged'))} {found}   {before}   "
            f"{_short(part, 'large')}{goal}"
        )
    for name, part in (("upright", upright(rows)), ("sloped", sloped(rows))):
        _print_worst(name, part)
    no_room = sum(not row["room"] for row in rows)
    print(f"no room for any word: {no_room} of {len(rows)}")


def _short(rows: Rows, what: str) -> str:
    hits, total = counts(rows, what)
    return f"{hits / total:.3f}" if total else f"{'-':>5}"


def _print_worst(name: str, rows: Rows) -> None:
    """The levels of each factor that fare worst, so that a mean hides no hole."""
    told = []
    for names in (("size", "angle"), ("kind",), ("colour", "outline"), ("place",)):
        groups = {values: counts(part, "flagged") for values, part in by(rows, *names).items()}
        if groups:
            worst = min(groups, key=lambda values: groups[values][0] / groups[values][1])
            hits, total = groups[worst]
            level = ", ".join(f"{n} {v}" for n, v in zip(names, worst, strict=True))
            told.append(f"{level} {hits} of {total}")
    print(f"worst of {name}, flagged: {'; '.join(told)}")


def sizes_map(rows: Rows) -> str:
    """Size x angle: flagged, and the word itself found."""
    words = of_group(rows, "words")
    goal = frozenset(
        (size, angle) for size in SIZES if size >= READABLE for angle in (*UPRIGHT, *SLOPED)
    )

    def panel(name: str, what: str) -> Panel:
        cells = {values: counts(part, what) for values, part in by(words, "size", "angle").items()}
        return Panel(name, SIZES, ANGLES, cells, "pixels", "degrees", goal)

    note = _told(words, "framed: cells with a goal, 95 % to 20 degrees and 80 % at 45")
    panels = [panel("picture flagged", "flagged"), panel("word itself found", "found")]
    return heat_map("Words rendered on photographs, by size and angle", [note], panels)


def faces_map(rows: Rows) -> str:
    """Kind of font x colour, over the cells of the first goal."""
    good = upright(rows)

    def ink(row: Row) -> str:
        return f"{row['colour']}+" if row["outline"] else row["colour"]

    def grouped(row_of: Callable[[Row], str], what: str) -> dict[tuple[object, object], Any]:
        found: dict[tuple[object, object], list[Row]] = {}
        for row in good:
            found.setdefault((row_of(row), ink(row)), []).append(row)
        return {values: counts(part, what) for values, part in found.items()}

    kinds = sorted({row["kind"] for row in good})
    inks = [name + mark for name in COLOURS for mark in ("", "+")]
    note = _told(good, f"{READABLE} px and more, up to 20 degrees; + with an outline")
    cells = grouped(lambda row: row["kind"], "flagged")
    panel = Panel("picture flagged", kinds, inks, cells, "font", "colour")
    return heat_map("Words rendered on photographs, by font and colour", [note], [panel])


def _told(rows: Rows, more: str) -> str:
    return f"{len(rows):,} words that an eye can see; {more}"
