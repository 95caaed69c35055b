"""Tables of what `matching` measured, in Markdown."""

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from matching_own import PEERS

_DISTRIBUTIONS = (
    "numpy",
    "pyarrow",
    "numba",
    "ahocorasick_rs",
    "flashtext2",
    "pyahocorasick",
    "marisa-trie",
    "spacy",
)
THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def machine() -> str:
    """Processor, versions and thread limits, in two lines."""
    models = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    versions = ", ".join(f"{name} {version(name)}" for name in _DISTRIBUTIONS)
    limits = ", ".join(f"{name}={os.environ.get(name, 'unset')}" for name in THREAD_LIMITS)
    return (
        f"{len(os.sched_getaffinity(0))} cores ({models[0] if models else 'unknown'}), "
        f"Python {platform.python_version()}, {versions}\n{limits}; load average {load()}"
    )


def load() -> str:
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def low_and_middle(values: Sequence[float]) -> str:
    return f"{min(values):.4f}; {statistics.median(values):.4f}"


def speed(
    times: Mapping[str, Sequence[Mapping[str, float]]],
    equality: Mapping[str, str],
    texts: int,
) -> str:
    """One thread: seconds for a slice, minimum and median, and whether the matches are right."""
    rows = []
    for label, rounds in times.items():
        cpu = [figures["cpu"] for figures in rounds]
        wall = [figures["wall"] for figures in rounds]
        rate = f"{texts / min(cpu):,.0f}; {texts / statistics.median(cpu):,.0f}"
        rows.append([label, low_and_middle(cpu), rate, low_and_middle(wall), equality[label]])
    head = ["one thread", f"CPU s per {texts:,} texts, min; median", "texts/s, best; median"]
    return table([*head, "wall s, min; median", "matches"], rows)


def arrangement(times: Mapping[tuple[str, int], Sequence[Mapping[str, float]]], texts: int) -> str:
    """Wall seconds by threads."""
    rows = []
    for (label, threads), rounds in times.items():
        wall = [figures["wall"] for figures in rounds]
        rate = f"{texts / min(wall):,.0f}; {texts / statistics.median(wall):,.0f}"
        rows.append([label, str(threads), low_and_middle(wall), rate])
    head = ["threads", f"wall s per {texts:,} texts, min; median", "texts/s, best; median"]
    return table(["", *head], rows)


def ratios(times: Mapping[str, Sequence[Mapping[str, float]]], own: str, clock: str) -> list[str]:
    """How many times faster each of our modes is than the fastest other one."""
    lines = []
    ours = [label for label in times if label.startswith(own)]
    others = [label for label in times if not label.startswith(own)]
    for name, pick in (("min", min), ("median", statistics.median)):
        taken = {k: pick([figures[clock] for figures in v]) for k, v in times.items()}
        if ours and others:
            best = min(others, key=taken.__getitem__)
            found = ", ".join(f"{label} {taken[best] / taken[label]:.2f} x" for label in ours)
            lines.append(f"against the fastest other, {best}, by {name} of {clock}: {found}")
    return lines


def start_and_memory(starts: Mapping[str, Mapping[str, Any]], failures: Mapping[str, str]) -> str:
    """Building, loading and memory, each peer in a fresh process."""
    columns = {
        "build_s": "build s",
        "peak": "peak of build, + MiB",
        "disk": "on disk MiB",
        "import_s": "import s",
        "load_s": "load s",
        "again_s": "load once more s",
        "first_s": "first match s",
        "before": "before, MiB",
        "held": "held, + MiB",
        "after_texts": "after the texts, + MiB",
        "private": "of all private, MiB",
        "share": "four processes, Pss MiB (of it saved files)",
    }
    rows = []
    for name, figures in starts.items():
        rows.append([name, *(_cell(figures.get(key)) for key in columns)])
    rows += [[name, reason, *[""] * (len(columns) - 1)] for name, reason in failures.items()]
    return table(["fresh process", *columns.values()], rows)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return "-" if value is None else str(value)


def all_modes(names: Sequence[str]) -> list[tuple[str, str]]:
    return [(name, mode) for name in names for mode in PEERS[name].modes]


def label(name: str, mode: str) -> str:
    return name if len(PEERS[name].modes) == 1 else f"{name}, {mode}"
