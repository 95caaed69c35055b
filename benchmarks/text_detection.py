"""Pictures a second: from JPEG files to text regions, beside the backend's own loop.

Run: OMP_NUM_THREADS=1 python -m benchmarks.text_detection --pairs DIR [--images 256] [--rounds 5]
     [--config FILE] [--price 0.04] [--skip-command] [--json FILE]

One process, one thread, the same bytes and the same settings; in each round blocks of 16 pictures
go through all ways in turn, and the order of the ways moves on from block to block:

* ours: `images.decode_image` and the detector, second look off;
* public: rapidocr's own call on the bytes, recognition and classification off (it decodes with
  Pillow too, and crops every box for nothing);
* inner: rapidocr's loading and its detection object alone, a harder peer that is not public;
* second: ours with the second look.

Boxes of ours and of the public call are compared first. Out of the clock: imports, loading, the
first 16 pictures. Ratios are of medians, with 95 % intervals over rounds (bootstrap).

Then `openmofi textregions detect` over the same folder in tars of equal size, with 1 and 2 workers
in turn; start-up is the same command over two pictures, and is taken off. On paper: core-hours for
a billion pictures *like these*; larger ones cost more, up to the input limit in proportion to their
pixels, and the second look by how many boxes there are. The loops' CPU seconds count there, and the
command's wall seconds times its workers.
"""

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.text_command import race_command
from benchmarks.text_labels import ratio_interval, read_photos
from openmofi.config import parse_config, read_yaml
from openmofi.errors import OpenMofiError
from openmofi.files import write_text
from openmofi.images import decode_image
from openmofi.textregions.config import DetectConfig
from openmofi.textregions.detector import load_detector

BLOCK = 16
LEAST_SAME = 0.98  # of the pictures; below there is nothing to compare
BILLION = 1e9

Seconds = dict[str, list[float]]


class Race:
    """The pictures' bytes, and the four ways to boxes."""

    def __init__(self, files: list[bytes], config: DetectConfig) -> None:
        from rapidocr import RapidOCR

        self.files, self.config = files, config
        self.alone = load_detector(config.model_copy(update={"second_look": False}))
        self.looking = load_detector(config.model_copy(update={"second_look": True}))
        peer: Any = RapidOCR(params=peer_parameters(config))
        self.peer, self.inside = peer, peer._load_det_model()

    def ours(self, data: bytes) -> Any:
        return self.alone.detect(decode_image(data, max_pixels=self.config.max_pixels))

    def public(self, data: bytes) -> Any:
        return self.peer(data)

    def inner(self, data: bytes) -> Any:
        return self.inside(self.peer.load_img(data))

    def second(self, data: bytes) -> Any:
        return self.looking.detect(decode_image(data, max_pixels=self.config.max_pixels))

    def ways(self) -> dict[str, Callable[[bytes], Any]]:
        return {name: getattr(self, name) for name in ("ours", "public", "inner", "second")}


def peer_parameters(config: DetectConfig) -> dict[str, Any]:
    """rapidocr's settings for the same work: its own defaults enlarge every picture."""
    parameters: dict[str, Any] = {f"Global.use_{part}": False for part in ("cls", "rec")}
    parameters |= {
        "Global.log_level": "critical",
        "Global.use_preprocess_img": False,
        "Global.use_vertical_padding": False,
        "Det.limit_type": "max",
        "Det.limit_side_len": config.input_limit,
        "Det.mean": [0.485, 0.456, 0.406],
        "Det.std": [0.229, 0.224, 0.225],
        "Det.thresh": config.pixel_threshold,
        "Det.box_thresh": config.min_confidence,
        "Det.unclip_ratio": config.unclip_ratio,
        "Det.use_dilation": False,
        "Det.max_candidates": 3000,
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    }
    return parameters


def check(race: Race) -> str:
    """Leave unless ours and the public call have the same boxes; this is their warm-up too."""
    same, apart, scores = 0, 0.0, 0.0
    for data in race.files:
        mine, theirs = race.ours(data), race.public(data)
        corners = np.reshape([box.polygon for box in mine], (-1, 4, 2))
        confidences = [box.detector_confidence for box in mine]
        found = theirs.boxes if theirs.boxes is not None else np.empty((0, 4, 2))
        distance = box_distance(corners, np.asarray(found))
        if distance <= 1.0:
            same += 1
            apart = max(apart, distance)
            # The public call hands scores over in another order than boxes.
            pairs = np.sort(confidences) - np.sort(theirs.scores or [])
            scores = max(scores, float(np.abs(pairs).max(initial=0)))
    total = len(race.files)
    told = (
        f"same boxes on {same} of {total} pictures (at most {apart:.2f} pixels apart, confidences "
        f"at most {scores:.1e})"
    )
    if same < LEAST_SAME * total:
        raise OpenMofiError(f"not the same work: {told}")
    return told


def box_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Greatest distance [pixels] of a corner from its partner's, each box with its nearest."""
    if len(one) != len(other):
        return float("inf")
    if not len(one):
        return 0.0
    apart = np.abs(one[:, None] - other[None]).max(axis=(2, 3))
    partners = apart.argmin(axis=1)
    if len(set(partners.tolist())) < len(one):
        return float("inf")
    return float(apart.min(axis=1).max())


def time_ways(race: Race, rounds: int) -> tuple[Seconds, Seconds]:
    """Wall and CPU seconds of each way in each round."""
    ways = race.ways()
    names = list(ways)
    blocks = [race.files[start : start + BLOCK] for start in range(0, len(race.files), BLOCK)]
    for way in ways.values():
        for data in blocks[0]:
            way(data)
    wall: Seconds = {name: [0.0] * rounds for name in names}
    cpu: Seconds = {name: [0.0] * rounds for name in names}
    for number, (turn, block) in itertools.product(range(rounds), enumerate(blocks)):
        first = (number + turn) % len(names)
        for name in names[first:] + names[:first]:
            way, begin, busy = ways[name], time.perf_counter(), time.process_time()
            for data in block:
                way(data)
            wall[name][number] += time.perf_counter() - begin
            cpu[name][number] += time.process_time() - busy
    return wall, cpu


def report(wall: Seconds, cpu: Seconds, count: int) -> None:
    print(f"{'way':8}{'ms a picture: min':>19}{'median':>8}{'CPU median':>12}{'pictures/s':>12}")
    for name in wall:
        low, middle, busy = min(wall[name]), np.median(wall[name]), np.median(cpu[name])
        print(
            f"{name:8}{1000 * low / count:19.2f}{1000 * middle / count:8.2f}"
            f"{1000 * busy / count:12.2f}{count / middle:12.1f}"
        )
    for peer in ("public", "inner", "second"):
        told = []
        for kind, seconds in (("wall", wall), ("CPU", cpu)):
            low, ratio, high = ratio_interval(seconds[peer], seconds["ours"])
            told.append(f"{kind} {ratio:.3f} ({low:.3f} to {high:.3f})")
        print(f"{peer} takes, in times of ours: {', '.join(told)}")


def print_paper(core_seconds: Mapping[str, float], price: float) -> None:
    """Core-hours and cost of a billion pictures. ``core_seconds`` are of one picture."""
    print(f"\n1,000,000,000 pictures like these, extrapolated, {price:g} a core-hour (assumed)")
    for name, seconds in core_seconds.items():
        hours = core_hours(seconds)
        print(f"{name:28}{1 / seconds:8.1f} a core and second{hours:10,.0f} core-hours"
              f"{price * hours:10,.0f}")  # fmt: skip


def core_hours(seconds: float) -> float:
    """Core-hours of a billion pictures that take one core so long each."""
    return BILLION * seconds / 3600


def main() -> None:
    options = _options()
    try:
        config = read_yaml(options.config) if options.config else None
        parsed = parse_config(DetectConfig, config, where=str(options.config))
        photos = list(read_photos(options.pairs).values())
        wanted = itertools.islice(itertools.cycle(photos), options.images)
        race = Race([photo.read() for photo in wanted], parsed)
        print(f"one thread; {check(race)}")
        wall, cpu = time_ways(race, options.rounds)
        report(wall, cpu, options.images)
        paper = {
            told: float(np.median(cpu[name])) / options.images
            for name, told in (("ours", "ours"), ("second", "with the second look"))
        }
        command: Seconds = {}
        if not options.skip_command:
            del race  # its memory and threads are no matter of the command's
            with tempfile.TemporaryDirectory() as folder:
                command, seconds = race_command(photos, Path(folder), options)
            paper |= seconds
        print_paper(paper, options.price)
    except OpenMofiError as error:
        raise SystemExit(f"text_detection: {error}") from None
    if options.json:
        measured = {"images": options.images, "wall": wall, "cpu": cpu, "command": command}
        write_text(json.dumps(measured, indent=1) + "\n", options.json)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, required=True, help="folder of tars with JPEG files")
    parser.add_argument("--images", type=int, default=256, help="in the loops; the command has all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--config", type=Path, help="YAML of DetectConfig (default: its defaults)")
    parser.add_argument("--price", type=float, default=0.04, help="of a core-hour")
    parser.add_argument("--tars", type=int, default=24, help="that the command's pictures lie in")
    parser.add_argument("--skip-command", action="store_true")
    parser.add_argument("--json", type=Path, help="write the seconds of every round")
    return parser.parse_args()


if __name__ == "__main__":
    main()
