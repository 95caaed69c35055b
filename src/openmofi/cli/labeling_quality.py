"""``openmofi labeling calibrate | audit``: how good labels are, and from which score on."""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

from openmofi.errors import InputError

if TYPE_CHECKING:
    from openmofi.labeling.quality.calibration import Calibration
    from openmofi.labeling.quality.judged import Judged
    from openmofi.labeling.quality.labels import Labels
    from openmofi.labeling.quality.samples import LeftOut


def add_actions(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``calibrate`` and ``audit`` to the actions of ``openmofi labeling``."""
    calibrate = actions.add_parser(
        "calibrate", help="choose the lowest cut of a wished precision, or measure a given one"
    )
    _add_labels(calibrate)
    judged = calibrate.add_mutually_exclusive_group(required=True)
    judged.add_argument("--truth", type=Path, help="JSONL: shard, key, entity_ids of each image")
    judged.add_argument("--answers", type=Path, help="JSON that a sheet of `labeling audit` saved")
    calibrate.add_argument("--precision", type=float, help="wished share of right labels, 0 to 1")
    calibrate.add_argument("--out", type=Path, help="calibration to write (JSON)")
    calibrate.add_argument(
        "--confidence", type=float, help="of reaching that precision, 0 to 1 (0.95)"
    )
    calibrate.add_argument(
        "--cut", metavar="CUT", help="choose nothing: measure this number, or calibration file"
    )
    calibrate.add_argument("--plot", type=Path, metavar="CURVE.svg", help="draw the curves")
    calibrate.add_argument("--json", action="store_true", help="print one JSON object")
    calibrate.set_defaults(run=_calibrate)

    audit = actions.add_parser(
        "audit", help="write a sheet on which a person judges labels, or read its answers"
    )
    _add_labels(audit)
    audit.add_argument("--pairs", type=Path, metavar="DIR", help="tars with the images of --labels")
    audit.add_argument("--kb", help="knowledge base (folder or manifest URI) to name entities from")
    audit.add_argument("--out", type=Path, metavar="SHEET.html", help="sheet to write")
    audit.add_argument("--images", type=int, default=500, help="how many to judge (500)")
    audit.add_argument("--seed", type=int, default=0, help="of the draw (0)")
    audit.add_argument("--answers", type=Path, help="instead: what the sheet saved, to sum up")
    audit.add_argument("--json", action="store_true", help="print one JSON object")
    audit.set_defaults(run=_audit)


def _add_labels(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--labels", type=Path, help="Parquet file of `openmofi labeling label`")
    parser.add_argument(
        "--scores",
        nargs="+",
        metavar="URI",
        help="instead: manifests of entity_scores, one for each group of shards, with --samples",
    )
    parser.add_argument("--samples", nargs="+", metavar="URI", help="manifests of the samples")


def _calibrate(arguments: argparse.Namespace) -> None:
    from openmofi.labeling.quality.plot import check_plot

    if arguments.plot:
        check_plot(arguments.plot)
    if arguments.cut is not None:
        _check_cut(arguments)
    else:
        _choose_cut(arguments)


def _choose_cut(arguments: argparse.Namespace) -> None:
    from openmofi.labeling.quality.calibration import write_calibration
    from openmofi.labeling.quality.measure import calibrate
    from openmofi.labeling.quality.plot import write_plot
    from openmofi.labeling.quality.report import calibration_json, calibration_text

    if arguments.precision is None or arguments.out is None:
        raise InputError("calibrate needs --precision and --out, or --cut to measure a given cut")
    judged, left_out = _judged(arguments)
    confidence = 0.95 if arguments.confidence is None else arguments.confidence
    found = calibrate(judged, arguments.precision, confidence)
    if arguments.plot:
        write_plot(judged, found.curve, found.cut, found.precision_wished, arguments.plot)
    write_calibration(found, arguments.out)
    if arguments.json:
        print(json.dumps(calibration_json(found, left_out), allow_nan=False))
    else:
        print(calibration_text(found, left_out, weighted=judged.is_weighted))


def _check_cut(arguments: argparse.Namespace) -> None:
    from openmofi.labeling.quality.calibration import Calibration
    from openmofi.labeling.quality.measure import check_cut, curve_of
    from openmofi.labeling.quality.plot import write_plot
    from openmofi.labeling.quality.report import check_json, check_text

    for name in ("precision", "out", "confidence"):
        if getattr(arguments, name) is not None:
            raise InputError(f"--cut chooses nothing: leave out --{name}, or leave out --cut")
    cut = _cut(arguments.cut)
    judged, left_out = _judged(arguments)
    found = check_cut(judged, cut)
    if arguments.plot:
        wished = cut.precision_wished if isinstance(cut, Calibration) else None
        write_plot(judged, curve_of(judged, found.cut), found.cut, wished, arguments.plot)
    if arguments.json:
        print(json.dumps(check_json(found, left_out), allow_nan=False))
    else:
        print(check_text(found, left_out, weighted=judged.is_weighted))


def _cut(given: str) -> "float | Calibration":
    from openmofi.labeling.quality.calibration import read_calibration

    try:
        cut = float(given)
    except ValueError:
        return read_calibration(given)
    if not -1 <= cut <= 1:
        raise InputError(f"--cut is a cosine between -1 and 1, or a calibration file; got {given}")
    return cut


def _judged(arguments: argparse.Namespace) -> "tuple[Judged, LeftOut]":
    """The sample that was handed in."""
    from openmofi.labeling.quality.measure import check_made_with
    from openmofi.labeling.quality.samples import LeftOut, judge_by_truth, read_answers, read_truth

    if arguments.truth:
        truth = read_truth(arguments.truth)
        return judge_by_truth(_labels(arguments, {shard for shard, _ in truth}), truth)
    answers = read_answers(arguments.answers)
    if arguments.labels or arguments.scores:
        # The answers bring their scores along: labels only say that they are still the same.
        shards = {one.image[0] for one in answers.answers}
        check_made_with(answers.made_with, _labels(arguments, shards).made_with)
    return answers.judged(), LeftOut(unsure=answers.unsure)


def _labels(arguments: argparse.Namespace, shards: set[str]) -> "Labels":
    from openmofi.labeling.quality.labels import read_label_file, read_label_tables

    _check_labels(arguments)
    if arguments.labels:
        return read_label_file(arguments.labels)
    return read_label_tables(arguments.scores, arguments.samples, shards)[0]


def _check_labels(arguments: argparse.Namespace) -> None:
    if bool(arguments.labels) == bool(arguments.scores):
        raise InputError("give the labels once: --labels FILE, or --scores URI with --samples URI")
    if bool(arguments.scores) != bool(arguments.samples):
        raise InputError(
            "--scores and --samples go together: rows of the one are named by the other"
        )


def _audit(arguments: argparse.Namespace) -> None:
    if not arguments.answers:
        _write_sheet(arguments)
        return
    from openmofi.labeling.quality.audit import audit_json, audit_of, audit_text
    from openmofi.labeling.quality.samples import read_answers

    for name in ("labels", "scores", "samples", "pairs", "kb", "out"):
        if getattr(arguments, name) is not None:
            raise InputError(f"--answers are summed up as they are: leave out --{name}")
    found = audit_of(read_answers(arguments.answers))
    if arguments.json:
        print(json.dumps(audit_json(found), allow_nan=False))
    else:
        print(audit_text(found, str(arguments.answers)))


def _write_sheet(arguments: argparse.Namespace) -> None:
    from openmofi.entities.knowledge_base import open_knowledge_base
    from openmofi.labeling.quality.draw import draw_images
    from openmofi.labeling.quality.labels import read_label_file, read_label_tables
    from openmofi.labeling.quality.pictures import pictures_of_store, pictures_of_tars
    from openmofi.labeling.quality.sheet import check_knowledge_base, write_sheet

    _check_sheet(arguments)
    base = open_knowledge_base(arguments.kb)
    if arguments.labels:
        labels = read_label_file(arguments.labels)
    else:
        labels, store, work = read_label_tables(arguments.scores, arguments.samples)
    drawn = draw_images(labels, arguments.images, arguments.seed)
    check_knowledge_base(base, labels.made_with, drawn)
    images = [one.image for one in drawn]
    if arguments.labels:
        pictures = pictures_of_tars(arguments.pairs, images)
    else:
        pictures = pictures_of_store(store, work, images)
    counts = write_sheet(drawn, pictures, base, labels.made_with, arguments.out)
    if arguments.json:
        print(json.dumps(dataclasses.asdict(counts)))
        return
    print(
        f"{arguments.out}: {counts.labels} labels of {counts.images} images to judge, "
        f"{counts.bytes / 1e6:.1f} MB; images that do not decode, left out: {counts.unreadable}"
    )
    print("open it in a browser; then: openmofi labeling audit --answers ANSWERS.json")


def _check_sheet(arguments: argparse.Namespace) -> None:
    if arguments.kb is None or arguments.out is None:
        raise InputError("a sheet needs --kb and --out; --answers sums up what one saved")
    if arguments.out.suffix.lower() not in {".html", ".htm"}:
        raise InputError(f"--out is a page: name the file *.html, not {arguments.out}")
    _check_labels(arguments)
    if bool(arguments.labels) != bool(arguments.pairs):
        raise InputError("--labels and --pairs go together: the images are in the tars of --pairs")
