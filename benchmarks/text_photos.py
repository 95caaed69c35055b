"""Precision and recall of the text rule on labelled photographs.

Run: python -m benchmarks.text_photos --regions REGIONS.parquet --labels LIST.tsv [--rule FILE]
     [--before BEFORE.parquet] [--plot CURVE.svg] [--errors 20]

REGIONS is what `openmofi textregions detect` writes, LIST a label list (`text_labels`). A
photograph is right if the rule flags it and it holds text, or neither. Intervals are Wilson's.

* before: regions of the same photographs made with second_look false, by the published rule (0.5,
  0.1 % to 20 %); without --before the detector's own confidences of REGIONS, among which are
  places that only the second look's closer view showed;
* after: the recorded confidences, which are those of the second look if there was one, and --rule;
* with each the upper limit of area at 0.2 and at 1, where that is not the rule's.

Halves: a hash of the key puts a photograph into A, on which values may be chosen, or B, on which
they are measured. The sweep of cuts says what A would choose (the best F1) and what B gives for it.
Precision depends on how many photographs of all hold text, which is told.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.text_curve import Line, curve_of, write_curve
from benchmarks.text_labels import (
    PUBLISHED,
    Label,
    Name,
    check_names,
    half,
    read_labels,
    read_rule,
    share,
)
from openmofi.errors import InputError, OpenMofiError
from openmofi.labeling.quality.plot import check_plot
from openmofi.textregions.pairs import file_has_second_look
from openmofi.textregions.rule import TextRule, best_confidences, text_flags

Flags = npt.NDArray[np.bool_]
SETS = {"sure only": ("sure",), "sure and likely": ("sure", "likely")}
CUTS = tuple(round(0.05 * step, 2) for step in range(2, 20))


@dataclass(frozen=True)
class Photos:
    """The labelled photographs that have regions, in the order of the table."""

    table: pa.Table
    before: pa.Table  # the same rows without the second look
    text: Flags
    sureness: npt.NDArray[np.str_]
    halves: npt.NDArray[np.str_]

    def chosen(self, sureness: Sequence[str], halves: str = "AB") -> Flags:
        return np.isin(self.sureness, sureness) & np.isin(self.halves, list(halves))


@dataclass(frozen=True)
class Counts:
    """Of photographs: flagged with text, flagged without, missed."""

    right: int
    wrong: int
    missed: int

    @property
    def f1(self) -> float:
        return 2 * self.right / max(1, 2 * self.right + self.wrong + self.missed)

    def told(self) -> str:
        precision = share(self.right, self.right + self.wrong)
        return f"{precision}  {share(self.right, self.right + self.missed)}"


def counts(flagged: Flags, text: Flags, chosen: Flags) -> Counts:
    right = int((flagged & text & chosen).sum())
    wrong = int((flagged & ~text & chosen).sum())
    return Counts(right, wrong, int((~flagged & text & chosen).sum()))


def read(
    regions: Path, labels: Mapping[Name, Label], before: Path | None = None
) -> tuple[Photos, list[str]]:
    """Photographs with label and regions, and lines about those left out."""
    table = _table(regions)
    names = _names(table)
    check_names(labels, dict.fromkeys(names), str(regions))
    judged = np.array([name in labels for name in names])
    ok = np.array(table["status"].to_pylist()) == "ok"
    kept = np.flatnonzero(judged & ok)
    mine = [labels[names[row]] for row in kept]
    photos = Photos(
        table.take(kept),
        _before(table, before).take(kept),
        np.array([one.text for one in mine], dtype=bool),
        np.array([one.sureness for one in mine]),
        np.array([half(names[row][1]) for row in kept]),
    )
    notes = [f"{len(kept)} photographs, {int(photos.text.sum())} with text"]
    if len(kept) < len(names):
        notes.append(f"left out: {(~judged).sum()} without a label, {(~ok).sum()} not decoded")
    return photos, notes


def _table(regions: Path) -> pa.Table:
    if not regions.is_file():
        raise InputError(f"regions not found: {regions}")
    table = pq.read_table(regions)  # with its metadata: they say how its boxes were made
    wanted = {"shard", "key", "confidences", "detector_confidences", "areas", "status"}
    if missing := sorted(wanted - set(table.column_names)):
        raise InputError(
            f"{regions} lacks the column {missing[0]}; make it with textregions detect"
        )
    return table


def _names(table: pa.Table) -> list[Name]:
    return list(zip(table["shard"].to_pylist(), table["key"].to_pylist(), strict=True))


def _before(table: pa.Table, before: Path | None) -> pa.Table:
    """Rows as of ``table``, with what the detector alone says as confidences."""
    if before is None:
        at = table.column_names.index("confidences")
        return table.set_column(at, "confidences", table["detector_confidences"])
    alone = _table(before)
    if _names(alone) != _names(table):
        raise InputError(f"{before} is not of the same photographs in the same order")
    return alone


def ways(photos: Photos, rule: TextRule) -> dict[str, Flags]:
    """What is flagged before and after the second look, with either upper limit of area."""
    before = photos.before
    made: dict[str, tuple[pa.Table, TextRule]] = {"before": (before, PUBLISHED)}
    for limit in (0.2, 1.0):
        if limit != PUBLISHED.max_area:
            changed = PUBLISHED.model_copy(update={"max_area": limit})
            made[f"before, max_area {limit:g}"] = before, changed
    made["after"] = photos.table, rule
    for limit in (0.2, 1.0):
        if limit != rule.area_limit:
            changed = rule.model_copy(update={"max_area": limit})
            made[f"after, max_area {limit:g}"] = photos.table, changed
    return {name: text_flags(*one)[0] for name, one in made.items()}


def print_shares(photos: Photos, flags: Mapping[str, Flags]) -> None:
    for name, sureness in SETS.items():
        for halves in ("AB", "A", "B"):
            chosen = photos.chosen(sureness, halves)
            of = "all" if halves == "AB" else f"half {halves}"
            print(f"\n{name}, {of}: {chosen.sum()}, {(photos.text & chosen).sum()} with text")
            print(f"{'':24}{'precision':^38}{'recall':^38}")
            for way, flagged in flags.items():
                print(f"{way:24}{counts(flagged, photos.text, chosen).told()}")


def print_sweep(photos: Photos, rule: TextRule) -> None:
    """Precision and recall by cut, on each half; then what A chooses, on B."""
    best, _ = best_confidences(photos.table, rule)
    for name, sureness in SETS.items():
        found = {
            (cut, halves): counts(
                best >= np.float32(cut), photos.text, photos.chosen(sureness, halves)
            )
            for cut in CUTS
            for halves in "AB"
        }
        print(f"\ncuts after the second look, {name}: precision, recall")
        for cut in CUTS:
            cells = (f"{half}  {_pair(found[cut, half])}" for half in "AB")
            print(f"{cut:5.2f}   {'   '.join(cells)}")
        chosen = max(CUTS, key=lambda cut: found[cut, "A"].f1)
        print(f"A chooses {chosen:g} by F1; B gives {found[chosen, 'B'].told()}")


def _pair(one: Counts) -> str:
    flagged, text = one.right + one.wrong, one.right + one.missed
    precision = f"{one.right / flagged:.3f}" if flagged else f"{'-':>5}"
    return f"{precision} {one.right / max(1, text):.3f}"


def print_errors(
    photos: Photos, labels: Mapping[Name, Label], flagged: Flags, rule: TextRule, most: int
) -> None:
    """Photographs that the rule has wrong, the surest labels first."""
    best, above = best_confidences(photos.table, rule)
    for kind, wrong in (
        ("missed", photos.text & ~flagged),
        ("false alarms", flagged & ~photos.text),
    ):
        order = {"sure": 0, "likely": 1, "unsure": 2}
        rows = sorted(np.flatnonzero(wrong), key=lambda row: order[str(photos.sureness[row])])
        print(f"\n{kind}: {len(rows)}")
        for row in rows[:most]:
            name = photos.table["shard"][row].as_py(), photos.table["key"][row].as_py()
            large = f", above the limit of area {above[row]:.2f}" if above[row] >= 0 else ""
            print(
                f"  {'/'.join(name)} {photos.halves[row]} {photos.sureness[row]:7} "
                f"{max(0, best[row]):.2f}{large}  {labels[name].note}"
            )


def plot(photos: Photos, rule: TextRule, out: Path) -> None:
    """Both curves over the photographs whose label is sure or likely."""
    chosen = photos.chosen(SETS["sure and likely"])
    lines = []
    for name, table, used in (
        ("before the second look", photos.before, PUBLISHED),
        ("after it", photos.table, rule),
    ):
        best, _ = best_confidences(table, used)
        curve = curve_of(best[chosen], photos.text[chosen])
        at = counts(best >= np.float32(used.min_confidence), photos.text, chosen)
        lines.append(Line(name, curve, (at.right, at.wrong, at.missed)))
    note = f"{chosen.sum()} photographs (sure and likely), {(photos.text & chosen).sum()} with text"
    write_curve(note, lines, out)


def main() -> None:
    options = _options()
    try:
        if options.plot:
            check_plot(options.plot)
        labels = read_labels(options.labels)
        photos, notes = read(options.regions, labels, options.before)
        looked_again = file_has_second_look(photos.table.schema)
        rule = read_rule(options.rule).for_boxes(second_look=looked_again)
        print("\n".join([*notes, f"rule {rule}"]))
        flags = ways(photos, rule)
        print_shares(photos, flags)
        print_sweep(photos, rule)
        print_errors(photos, labels, flags["after"], rule, options.errors)
        if options.plot:
            plot(photos, rule, options.plot)
    except OpenMofiError as error:
        raise SystemExit(f"text_photos: {error}") from None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--regions", type=Path, required=True, help="of textregions detect")
    parser.add_argument("--labels", type=Path, required=True, help="label list")
    parser.add_argument("--rule", type=Path, help="YAML of TextRule (default: its defaults)")
    parser.add_argument("--before", type=Path, help="regions without the second look")
    parser.add_argument("--plot", type=Path, metavar="CURVE.svg")
    parser.add_argument("--errors", type=int, default=20, help="of each kind to show")
    return parser.parse_args()


if __name__ == "__main__":
    main()
