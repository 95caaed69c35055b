"""How many words are found that were rendered on photographs without text?

Run: python -m benchmarks.text_rendering --pairs DIR --clean LIST.tsv --out DIR [--each 60]
     [--letters 12] [--filling 200] [--fonts FILE_OR_FOLDER ...] [--rule FILE] [--config FILE]
     [--workers N] [--seed 0]

LIST.tsv is a label list (`text_labels`); the photographs that surely have no text are used, less
those that the rule flags as they are: what it then says is for the word's sake. Each cell of size
and angle gets the same number of words; in it fonts, colours with and without outline, places,
spellings and photographs are dealt out like cards, each as often as the others. A word that has no
room (64 pixels, ten letters, a small photograph) gives way to another; so the largest are shorter.
The picture is stored as JPEG (--quality) and goes the stage's way: decoded, detected, judged.

* flagged: the rule flags the picture;
* found: a box that counts covers half of the word's box or more, and is at most six times as large.

"Before" is the detector without its second look, by the published rule (0.5, 0.1 % to 20 %), over
the photographs that this leaves alone too. Words that no eye can see (contrast below 1.5 by WCAG's
formula and a colour that differs by less than 20, CIE 1976, in the median of the pixels beneath)
are reported apart. So are single letters, words as wide as the picture, and ImageNet-Atr's attack,
both at 50 pixels whatever the photograph's size and as `evaluation.typographic` shrinks it.

Written to --out: words.jsonl (a line each), cells.json, heat.svg (size x angle), faces.svg (font x
colour, over the cells of the first goal).
"""

import argparse
import itertools
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.text_labels import Photo, check_names, read_labels, read_photos, read_rule
from benchmarks.text_rendering_report import faces_map, print_report, sizes_map, tables
from benchmarks.text_trials import Trial, Trials
from benchmarks.text_words import (
    ANGLES,
    COLOURS,
    FACES,
    LETTERS,
    PLACES,
    SIZES,
    TEXTS,
    Style,
    deck,
    faces,
)
from openmofi.config import parse_config, read_yaml
from openmofi.errors import OpenMofiError
from openmofi.evaluation.typographic import choose_targets, load_font, name_vectors
from openmofi.files import write_text
from openmofi.progress import bar
from openmofi.textregions.config import DetectConfig
from openmofi.workers import run_here, run_in_processes, usable_cores

ATTACK_FONT = "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf"  # Arial's metrics


def plan(
    photos: Sequence[Photo], fonts: Sequence[str], options: argparse.Namespace
) -> Iterator[Trial]:
    """Every word to draw. The same seed gives the same plan."""
    draw = random.Random(options.seed)
    fonts_deck, photo_deck = deck(fonts, draw), deck(photos, draw)
    inks = deck(list(itertools.product(COLOURS, (False, True))), draw)
    places = deck(PLACES, draw)
    spellings = deck((str.lower, str.capitalize, str.upper), draw)
    number = 0
    groups = (
        ("words", TEXTS, SIZES, ANGLES, options.each),
        ("letters", LETTERS, SIZES, ANGLES, options.letters),
        ("filling", TEXTS, (0,), (0,), options.filling),  # their size follows from the width
    )
    for group, texts, sizes, angles, each in groups:
        for size, angle, _ in itertools.product(sizes, angles, range(each)):
            turned = angle if angle in (0, 180) else angle * draw.choice((1, -1))
            colour, outline = next(inks)
            style = Style(next(fonts_deck), size, turned, colour, outline, next(places))
            spell = next(spellings)
            spelt = tuple(texts) if group == "letters" else tuple(map(spell, texts))
            yield Trial(number, group, next(photo_deck), style, spelt)
            number += 1


def attacks(photos: Sequence[Photo]) -> Iterator[Trial]:
    """ImageNet-Atr's attack on each photograph, with the name that it would write."""
    names = [photo.caption or photo.key for photo in photos]
    distinct = sorted(set(names))
    targets = choose_targets(distinct, name_vectors(distinct), {})
    written = {name: distinct[target] for name, target in zip(distinct, targets, strict=True)}
    for group in ("attack 50 px", "attack scaled"):
        for number, (photo, name) in enumerate(zip(photos, names, strict=True)):
            yield Trial(number, group, photo, None, (written[name],))


def run(job: Trials, trials: Iterable[Trial], workers: int, label: str) -> list[dict[str, Any]]:
    """The rows of trials, in their order. One that fails ends the run: a share must be of all."""
    trials = list(trials)
    running = run_here(job, trials) if workers == 1 else run_in_processes(job, trials, workers)
    rows = []
    for trial, row in bar(running, label=label, total=len(trials), unit="picture"):
        if isinstance(row, str):
            raise OpenMofiError(f"{trial.group} {trial.number} on {trial.photo.key}: {row}")
        rows.append(row)
    return sorted(rows, key=lambda row: (row["group"], row["number"]))


def measure(job: Trials, options: argparse.Namespace) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of all words, and lines about what they were drawn on."""
    photos = read_photos(options.pairs)
    labels = read_labels(options.clean)
    check_names(labels, photos, str(options.pairs))
    clean = [
        photos[name] for name, one in labels.items() if not one.text and one.sureness == "sure"
    ]
    plain = run(job, [Trial(i, "plain", one) for i, one in enumerate(clean)], options.workers,
                "plain")  # fmt: skip
    silent = [one for one, row in zip(clean, plain, strict=True) if not row["flagged"]]
    if len(silent) < 2:
        raise OpenMofiError(
            f"{options.clean}: {len(silent)} clean photographs that are not flagged"
        )
    # What a photograph says without a word cannot be held for or against one.
    alone = {(row["shard"], row["key"]): row for row in plain}
    fonts = faces(options.fonts)
    trials = [*plan(silent, fonts, options), *attacks(silent)]
    rows = run(job, trials, options.workers, "words")
    for row in rows:
        before = alone[row["shard"], row["key"]]
        row |= {f"plain_{name}": before[name] for name in ("large", "flagged_before")}
    flagged = len(clean) - len(silent)
    return rows, [
        f"{len(clean)} photographs surely without text, {flagged} left out as flagged without a "
        f"word; {sum(row['flagged_before'] for row in plain)} flagged before the second look",
        f"{len(fonts)} fonts, seed {options.seed}, JPEG quality {options.quality}, rule {job.rule}",
    ]


def main() -> None:
    options = _options()
    try:
        config = read_yaml(options.config) if options.config else None
        parsed = parse_config(DetectConfig, config, where=str(options.config))
        load_font(options.attack_font)
        rule = read_rule(options.rule).for_boxes(second_look=parsed.second_look)
        job = Trials(parsed, rule, options.seed, options.quality, options.attack_font)
        rows, notes = measure(job, options)
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        write_text(lines, options.out / "words.jsonl")
        measured = {"notes": notes, "config": parsed.model_dump(), **tables(rows)}
        write_text(json.dumps(measured, indent=1) + "\n", options.out / "cells.json")
        write_text(sizes_map(rows), options.out / "heat.svg")
        write_text(faces_map(rows), options.out / "faces.svg")
    except OpenMofiError as error:
        raise SystemExit(f"text_rendering: {error}") from None
    print("\n".join(notes))
    print_report(rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, required=True, help="folder of tars with images")
    parser.add_argument("--clean", type=Path, required=True, help="label list of them")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--each", type=int, default=60, help="words a size and angle")
    parser.add_argument("--letters", type=int, default=12, help="single letters a size and angle")
    parser.add_argument("--filling", type=int, default=200, help="words as wide as the picture")
    parser.add_argument("--fonts", nargs="+", default=FACES, help="files, folders or patterns")
    parser.add_argument("--attack-font", default=ATTACK_FONT, help="default: Liberation Sans")
    parser.add_argument("--rule", type=Path, help="YAML of TextRule (default: its defaults)")
    parser.add_argument("--config", type=Path, help="YAML of DetectConfig (default: its defaults)")
    parser.add_argument("--quality", type=int, default=90, help="of the JPEG (default 90)")
    parser.add_argument("--workers", type=int, default=usable_cores())
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
