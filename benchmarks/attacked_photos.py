"""Does text detection flag photographs that the typographic attack has written on?

Run: python -m benchmarks.attacked_photos --pairs ../shared/data/photos
     --out build/attacked-photos [--font FILE.ttf] [--images 200] [--workers N]

`benchmarks.text_rendering` draws the attack on photographs that hold no text. Here evaluation draws
it itself, on every photograph, as it does for a model: the photographs are sorted into class
folders by the ``wordnet_id`` beside them (truth, read here and by no stage), and the suite
typographic chooses whose name is written, and writes it: red, 50 pixels high, at (50, 50), and in
proportion smaller where the shorter side is below 224 pixels. What comes out are pairs as a crawl
would bring them. They go the user's way: `detect_pairs` with its defaults, then assembly's rule.

A photograph may be flagged for text of its own. So two shares stand beside the first: of the
photographs that are not flagged without the attack, and of the pictures in which sure boxes cover
half of the written line, as far as it lies in the picture, none of them more than six times as
large. The second look's weights were fitted on half A of the development photographs, so half B is
told apart. Intervals are Wilson's.

Written to --out: classes (with classes.csv), attacked (tars), clean.parquet and attacked.parquet
(regions), pictures.jsonl (a line each), attacked.html and .png to look at: the missed ones stand
under "kept".
"""

import argparse
import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.text_labels import Name, half, share
from benchmarks.text_rendering import ATTACK_FONT
from benchmarks.text_trials import LEAST_COVER, MOST_TIMES, overlap
from openmofi.errors import InputError, OpenMofiError
from openmofi.evaluation.bench import Bench, attacked_picture, prepare
from openmofi.evaluation.config import EvaluateConfig
from openmofi.evaluation.typographic import EXACT_FROM, FONT_PIXELS, TextFont, attack_jpeg
from openmofi.evaluation_data.layouts import read_evaluation_data
from openmofi.files import write_text
from openmofi.shards import TarReader, index_tar, write_tar
from openmofi.storage import open_store
from openmofi.textregions.boxes import polygon_area
from openmofi.textregions.pairs import detect_pairs, file_has_second_look
from openmofi.textregions.preview.job import write_preview
from openmofi.textregions.preview.region_file import RegionFile
from openmofi.textregions.rule import TextRule, best_confidences, text_flags

GOAL = 0.98
LENGTHS = (1, 7, 13, 19)  # characters of the written name, from
SIDES = (1, EXACT_FROM, 300, 400)  # pixels of the shorter side, from

Points = npt.NDArray[np.floating[Any]]


class Attack(NamedTuple):
    """What was written on a photograph, and where."""

    name: Name
    true: str
    written: str
    size: tuple[int, int]
    line: Points  # [4, 2] box of the writing, as far as it lies in the picture


class Judged(NamedTuple):
    """What detection and rule say of an attacked photograph."""

    attack: Attack
    flagged: bool
    framed: bool  # boxes that count cover the writing
    surest: float  # confidence of the surest box of a fitting area; -1: none
    clean: bool  # the photograph is flagged without the attack


def sort_into_classes(pairs: Path, out: Path) -> dict[Path, Name]:
    """Write class folders with their names; shard and key of each file."""
    if out.exists():
        raise InputError(f"{out} is there already; name another --out, or remove it")
    tars = sorted(pairs.glob("*.tar"))
    if not tars:
        raise InputError(f"{pairs} is no folder with .tar files")
    names: dict[Path, Name] = {}
    classes: dict[str, str] = {}
    for path in tars:
        with TarReader(path) as tar:
            for sample, members in tar.members(index_tar(path)):
                folder = _wordnet_id(members, f"{path}, '{sample.key}'")
                classes.setdefault(folder, members["txt"].decode().strip())
                file = out / folder / f"{path.stem}_{sample.key}.jpg"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(members["jpg"])
                names[file] = path.stem, sample.key
    with (out / "classes.csv").open("w", encoding="utf-8", newline="") as sink:
        csv.writer(sink).writerows([("folder", "name"), *sorted(classes.items())])
    return names


def _wordnet_id(members: Mapping[str, bytes], where: str) -> str:
    if missing := sorted({"jpg", "txt", "json"} - set(members)):
        raise InputError(f"{where} has no {missing[0]}")
    found = json.loads(members["json"]).get("wordnet_id")
    if not found:
        raise InputError(f"{where} has no wordnet_id, which says its class")
    return str(found)


def write_attacked(bench: Bench, names: Mapping[Path, Name], out: Path) -> list[Attack]:
    """Write the attacked pictures as pairs: their shards, keys and captions stay."""
    shards: dict[str, list[tuple[str, dict[str, bytes]]]] = defaultdict(list)
    attacks = []
    called, targets = bench.images.class_names, bench.targets
    assert targets is not None, "the suite is typographic"
    for index, path in enumerate(bench.images.paths):
        shard, key = names[path]
        label = bench.images.labels[index]
        data = attacked_picture(bench, index)
        shards[shard].append((key, {"jpg": data, "txt": called[label].encode()}))
        size, written = Image.open(io.BytesIO(data)).size, called[targets[label]]
        line = written_line(size, written, bench.font)
        attacks.append(Attack((shard, key), called[label], written, size, line))
    out.mkdir(parents=True, exist_ok=True)
    for shard, samples in shards.items():
        write_tar(out / f"{shard}.tar", sorted(samples, key=itemgetter(0)))
    return sorted(attacks, key=lambda one: one.name)


def written_line(size: tuple[int, int], text: str, font: TextFont) -> Points:
    """Corners [4, 2] of the ink that lies in the picture, by drawing it on a black one."""
    data = attack_jpeg(Image.new("RGB", size), text, font)
    ink = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))[..., 0] > 127
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not len(rows):
        raise InputError(f"the attack writes nothing of '{text}' on a picture of {size}")
    left, right, top, bottom = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], dtype=float)


def is_framed(row: Mapping[str, Any], line: Points, rule: TextRule) -> bool:
    """Whether boxes that count cover half of the line; a name of two words may have two boxes."""
    area, covered = polygon_area(line.ravel().tolist()), 0.0
    low, high = np.float32(rule.min_area), np.float32(rule.area_limit)
    for box, confidence, part in zip(row["boxes"], row["confidences"], row["areas"], strict=True):
        fits = low <= np.float32(part) <= high and polygon_area(box) <= MOST_TIMES * area
        if fits and np.float32(confidence) >= np.float32(rule.min_confidence):
            covered += overlap(np.reshape(box, (4, 2)), line)
    return covered >= LEAST_COVER * area


def judged(attacks: Sequence[Attack], clean: Path, attacked: Path) -> list[Judged]:
    """What the rule says of each, from the regions of both."""
    before, after = pq.read_table(clean), pq.read_table(attacked)
    rule = default_rule(after)
    was_flagged = dict(zip(_names(before), text_flags(before, rule)[0].tolist(), strict=True))
    flags, surest = text_flags(after, rule)[0], best_confidences(after, rule)[0]
    rows = {name: number for number, name in enumerate(_names(after))}
    found = []
    for attack in attacks:
        at = rows[attack.name]
        (row,) = after.slice(at, 1).to_pylist()
        framed = is_framed(row, attack.line, rule)
        found.append(
            Judged(attack, bool(flags[at]), framed, float(surest[at]), was_flagged[attack.name])
        )
    return found


def default_rule(regions: pa.Table) -> TextRule:
    return TextRule().for_boxes(second_look=file_has_second_look(regions.schema))


def _names(table: pa.Table) -> list[Name]:
    return list(zip(table["shard"].to_pylist(), table["key"].to_pylist(), strict=True))


def report(found: Sequence[Judged]) -> Iterator[str]:
    """Lines: shares, groups, the missed ones."""

    def line(says: str, hits: Callable[[Judged], bool], chosen: Sequence[Judged]) -> str:
        return f"{says:40}{share(sum(map(hits, chosen)), len(chosen))}"

    def flagged(one: Judged) -> bool:
        return one.flagged

    alone = [one for one in found if not one.clean]
    exact = [one for one in found if min(one.attack.size) >= EXACT_FROM]
    yield f"{line('attacked, flagged', flagged, found)}  goal {GOAL}"
    yield line(f"  written {FONT_PIXELS} pixels high, not less", flagged, exact)
    yield line("  and not flagged without it", flagged, alone)
    yield line("  half B", flagged, [one for one in found if half(one.attack.name[1]) == "B"])
    yield line("  the writing itself framed", lambda one: one.framed, found)
    yield line("without the attack, flagged", lambda one: one.clean, found)
    for what, starts, measure in (
        ("characters written", LENGTHS, lambda one: len(one.attack.written)),
        ("pixels of the shorter side", SIDES, lambda one: min(one.attack.size)),
    ):
        yield f"attacked, flagged, by {what}:"
        for low, end in zip(starts, [*starts[1:], None], strict=True):
            part = [one for one in found if low <= measure(one) and (not end or measure(one) < end)]
            yield line(f"  {low} to {end - 1}" if end else f"  {low} and more", flagged, part)
    yield from _listed("missed", [one for one in found if not one.flagged])
    elsewhere = [one for one in found if one.flagged and not one.framed]
    yield from _listed("flagged, but not for half of the writing", elsewhere)


def _listed(kind: str, chosen: Sequence[Judged]) -> Iterator[str]:
    yield f"{kind}: {len(chosen)}"
    for one in chosen:
        name, size = "/".join(one.attack.name), "{} x {}".format(*one.attack.size)
        sure = f"{one.surest:.2f}" if one.surest >= 0 else "no box"
        yield f"  {name} {size:11} {sure:>6}  '{one.attack.written}' on {one.attack.true}"


def plain(one: Judged) -> dict[str, Any]:
    attack = one.attack._asdict() | {"line": one.attack.line.ravel().tolist()}
    return attack | {name: value for name, value in one._asdict().items() if name != "attack"}


def main() -> None:
    options = _options()
    out: Path = options.out
    try:
        names = sort_into_classes(options.pairs, out / "classes")
        config = EvaluateConfig(suites=("typographic",), font=options.font)
        data = read_evaluation_data(out / "classes")
        bench = prepare(open_store(str(out / "store")), data, config)
        attacks = write_attacked(bench, names, out / "attacked")
        detect_pairs(options.pairs, out / "clean.parquet", workers=options.workers)
        regions = out / "attacked.parquet"
        detect_pairs(out / "attacked", regions, workers=options.workers)
        found = judged(attacks, out / "clean.parquet", regions)
        lines = "".join(json.dumps(plain(one)) + "\n" for one in found)
        write_text(lines, out / "pictures.jsonl")
        source, png = RegionFile(regions, out / "attacked"), out / "attacked.png"
        write_preview(source, TextRule(), out / "attacked.html", png=png, images=options.images)
    except OpenMofiError as error:
        raise SystemExit(f"attacked_photos: {error}") from None
    font = Path(options.font).name or "Pillow's own"
    print(f"{len(found)} photographs of {len(set(bench.images.class_names))} names, font {font}")
    print("\n".join(report(found)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, required=True, help="tars with jpg, txt and json")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    says = "default: Liberation Sans, which has Arial's metrics; '': Pillow's own"
    parser.add_argument("--font", default=ATTACK_FONT, help=says)
    parser.add_argument("--images", type=int, default=200, help="on the page, at most 600")
    parser.add_argument("--workers", type=int, default=1, help="processes of detection")
    return parser.parse_args()


if __name__ == "__main__":
    main()
