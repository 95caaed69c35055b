"""Alias matching side by side with other matchers: speed, start-up and memory.

Run: python benchmarks/matching.py --aliases small|full [--rounds 6] [--texts 20000] [--only a,b]
                                   [--json FILE]

Every matcher lives in a process of its own (`matching_worker`); one works at a time, A B C A B C,
each round on texts not seen before. Matches are compared before any time is taken: text, first
token, alias; the plain dict is the reference. Outside the clock: reading texts, and for the others
lower-casing and spacing them, cutting into tokens (spaCy) and joining (``joined``). Inside it for
ours: folding, cutting, checking each hit against its string. The common form of matches is made
outside for all. Peers hand over Python lists of tuples; ours is timed as arrays and as such tuples.

Start: ``build s`` has no reading of files and no compilation in it; saved files are in the page
cache. ``load once more`` is a second load in the same process: what mapping alone takes.

Memory: resident size of a fresh process, after malloc_trim; ``before`` holds interpreter, libraries
and the texts. ``peak of build`` has the list of strings in it. CPU seconds are those of the whole
process.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matching_report as report
from matching_channel import Channel, WorkerError
from matching_data import write_data
from matching_own import PEERS
from matching_report import label

SIZES: dict[str, tuple[int, int, int | None]] = {
    "trial": (23_000, 57_500, 50_000),  # to try the benchmark itself
    "small": (230_000, 575_000, 500_000),
    "full": (2_000_000, 5_000_000, None),
}
OURS = "openmofi"
# spaCy takes by far the longest to build and much memory; name it in --only to try.
NOT_TRIED = {"full": ("spaCy",)}
SHARING = 4


def saved_folder(name: str, data: Path) -> Path | None:
    return data / f"saved-{name}" if PEERS[name].saved else None


def start(name: str, data: Path, arguments: argparse.Namespace) -> tuple[Channel, dict[str, Any]]:
    """A worker that is ready, and what that took."""
    figures: dict[str, Any] = {}
    saved = saved_folder(name, data)
    if saved is not None:
        saved.mkdir()
        # A cache of its own, or the first match would find half of its code compiled.
        builder = Channel(name, data, saved, arguments, compiled="compiled-for-building")
        figures = {**builder.ask("build_and_save")}
        builder.close()
    if name == OURS:
        first = Channel(name, data, saved, arguments)
        figures["cold"] = first.ask("start")
        first.close()
    channel = Channel(name, data, saved, arguments)
    return channel, figures | channel.ask("start")


def read_spans(file: Path) -> set[tuple[str, ...]]:
    return {tuple(line.split("\t")) for line in file.read_text().split("\n") if line}


def check(channels: dict[str, Channel], data: Path, failures: dict[str, str]) -> dict[str, str]:
    """What each peer found in the first slice, next to what the first peer found.

    A peer that cannot answer moves from ``channels`` to ``failures``.
    """
    reference: set[tuple[str, ...]] | None = None
    verdicts = {}
    for name, mode in report.all_modes(list(channels)):
        if name not in channels:
            continue
        file = data / "spans.txt"
        try:
            channels[name].ask("run", part=0, mode=mode, threads=1)
            count = channels[name].ask("spans", part=0, mode=mode, file=str(file))["matches"]
        except WorkerError as error:
            failures[name] = str(error)
            channels.pop(name).close()
            continue
        found = read_spans(file)
        reference = found if reference is None else reference
        missing, added = sorted(reference - found), sorted(found - reference)
        verdict = f"{count:,} equal"
        if missing or added or count != len(found):
            example = (missing or added or [()])[0]
            verdict = f"{count:,}: {len(missing)} missing, {len(added)} added, e.g. {example}"
        verdicts[label(name, mode)] = verdict
    return verdicts


def race(
    channels: dict[str, Channel], entries: list[tuple[str, str, int]], rounds: int
) -> dict[tuple[str, int], list[dict[str, float]]]:
    """Rounds of all entries (peer, mode, threads) in turn, each round on its own slice."""
    times: dict[tuple[str, int], list[dict[str, float]]] = {
        (label(name, mode), threads): [] for name, mode, threads in entries
    }
    for part in range(1, rounds + 1):
        for name, mode, threads in entries:
            figures = channels[name].ask("run", part=part, mode=mode, threads=threads)
            times[label(name, mode), threads].append(figures)
    return times


def share(name: str, data: Path, arguments: argparse.Namespace) -> str:
    """Sum of the proportional sizes of four processes that have all run the texts."""
    saved = saved_folder(name, data)
    channels = [Channel(name, data, saved, arguments) for _ in range(SHARING)]
    try:
        for channel in channels:
            channel.ask("start")
        parts = [channel.ask("share") for channel in channels]
    except WorkerError as error:
        return str(error)
    finally:
        for channel in channels:
            channel.close()
    pss, index = (sum(part[key] for part in parts) for key in ("pss", "index_pss"))
    return f"{pss:,.0f} ({index:,.0f})"


@contextlib.contextmanager
def timed(phases: dict[str, float], phase: str) -> Iterator[None]:
    clock = time.perf_counter()
    yield
    phases[phase] = time.perf_counter() - clock


def measure(
    data: Path, names: list[str], arguments: argparse.Namespace, phases: dict[str, float]
) -> dict[str, Any]:
    """Everything, in the order start, equality, one thread, two threads, sharing."""
    channels: dict[str, Channel] = {}
    starts: dict[str, dict[str, Any]] = {}
    failures: dict[str, str] = {}
    try:
        for name in names:
            with timed(phases, f"start {name}"):
                try:
                    channels[name], starts[name] = start(name, data, arguments)
                except WorkerError as error:
                    failures[name] = str(error)
            print(f"{name}: {failures.get(name, 'ready')}", file=sys.stderr)
        with timed(phases, "equality"):
            equality = check(channels, data, failures)
        modes = report.all_modes(list(channels))
        with timed(phases, "one thread"):
            single = race(channels, [(*mode, 1) for mode in modes], arguments.rounds)
        with timed(phases, "two threads"):
            threaded = [(n, m, t) for n, m in modes if m in PEERS[n].threaded for t in (1, 2)]
            double = race(channels, threaded, arguments.rounds)
    finally:
        for channel in channels.values():
            channel.close()
    with timed(phases, "sharing"):
        for name in channels:
            if PEERS[name].mapped:
                starts[name]["share"] = share(name, data, arguments)
    single_rounds = {key: rounds for (key, _), rounds in single.items()}
    found = {"starts": starts, "failures": failures, "equality": equality}
    return {**found, "single": single_rounds, "double": double}


def print_report(measured: dict[str, Any], arguments: argparse.Namespace) -> None:
    single, double = measured["single"], measured["double"]
    print(report.start_and_memory(measured["starts"], measured["failures"]))
    if cold := measured["starts"].get(OURS, {}).get("cold"):
        print(
            f"\n{OURS}, compiled anew: for matching, in a process without compiled code on disk, "
            f"{cold['first_s']:.1f} s (the first match); for building "
            f"{measured['starts'][OURS]['compile_s']:.1f} s, not in 'build s'"
        )
    print("\n" + report.speed(single, measured["equality"], arguments.texts))
    print("\n" + "\n".join(report.ratios(single, OURS, "cpu")))
    print("\n" + report.arrangement(double, arguments.texts))
    pairs = {name: rounds for (name, threads), rounds in double.items() if threads == 2}
    print("\nTwo threads: " + "\n".join(report.ratios(pairs, OURS, "wall")))


def save_json(file: Path, measured: dict[str, Any], context: dict[str, Any]) -> None:
    double = [
        {"matcher": name, "threads": threads, "rounds": rounds}
        for (name, threads), rounds in measured["double"].items()
    ]
    file.write_text(json.dumps({**context, **measured, "double": double}, indent=1))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--aliases", choices=SIZES, default="small")
    parser.add_argument("--rounds", type=int, default=6, help="5 at least for a figure to count")
    parser.add_argument("--texts", type=int, default=20_000, help="in each round")
    parser.add_argument("--only", type=lambda text: text.split(","), help="matchers, by comma")
    parser.add_argument("--json", type=Path, help="all figures of all rounds")
    parser.add_argument("--limit-gib", type=float, default=10, help="address space of a matcher")
    parser.add_argument("--limit-minutes", type=float, default=10, help="for one step of a matcher")
    arguments = parser.parse_args()
    for name in arguments.only or ():
        if name not in PEERS:
            parser.error(f"--only: no matcher '{name}'; there are: {', '.join(PEERS)}")
    if arguments.rounds < 1 or arguments.texts < 1:
        parser.error("--rounds and --texts must be 1 or more")
    return arguments


def main() -> None:
    arguments = parse()
    for name in report.THREAD_LIMITS:
        os.environ.setdefault(name, "1")
    left_out = NOT_TRIED.get(arguments.aliases, ())
    names = [name for name in PEERS if name in (arguments.only or PEERS)]
    if not arguments.only:
        names = [name for name in names if name not in left_out]
    print(report.machine())
    phases: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="matching-") as folder:
        data = Path(folder)
        with timed(phases, "data"):
            size = SIZES[arguments.aliases]
            facts = write_data(data, size, arguments.texts, arguments.rounds + 1)
        print(", ".join(f"{name} {value:,.10g}" for name, value in facts.items()) + "\n")
        measured = measure(data, names, arguments, phases)
    for name in () if arguments.only else left_out:
        measured["failures"][name] = "not tried at this size"
    print_report(measured, arguments)
    spent = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in phases.items())
    print(f"\nThe benchmark's parts took: {spent}; load average now {report.load()}")
    if arguments.json:
        options = {key: str(value) for key, value in vars(arguments).items()}
        context = {"machine": report.machine(), "options": options, "data": facts, "phases": phases}
        save_json(arguments.json, measured, context)


if __name__ == "__main__":
    main()
