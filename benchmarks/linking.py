"""The whole linking beside the bare alias matcher, in one run on the same texts.

Run: python -m benchmarks.linking --kb KB --pairs DIR [--texts 20000] [--rounds 7]

``--pairs`` is a folder of tar shards, whose captions are repeated up to ``--texts``. Both take an
Arrow column and one thread; the matcher gives spans, the linking scored candidates. Linking with
parts of it switched off shows where the time goes. Rounds alternate; minimum and median of CPU
seconds. First calls (loading compiled code, mapping) are left out of the clock.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from openmofi.entities.config import LinkConfig
from openmofi.entities.knowledge_base import open_knowledge_base
from openmofi.entities.linker import EntityLinker
from openmofi.entities.pairs import read_captions
from openmofi.entities.text import text_array

_VARIANTS = {
    "linking": LinkConfig(),
    "linking, one round": LinkConfig(rounds=1),
    "linking, other mentions say nothing": LinkConfig(mention_weight=0),
    "linking, no context": LinkConfig(context_weight=0),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kb", required=True, help="folder or manifest URI")
    parser.add_argument("--pairs", required=True, type=Path, help="folder of tar shards")
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    base = open_knowledge_base(arguments.kb)
    captions = [one.caption for one in read_captions(arguments.pairs, titles=False)]
    times = 1 + arguments.texts // len(captions)
    column = text_array((captions * times)[: arguments.texts])
    ways: dict[str, Callable[[pa.Array], object]] = {"bare matcher": base.matcher.match_column}
    for name, settings in _VARIANTS.items():
        ways[name] = EntityLinker(base, settings).link
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way(column.slice(0, 1_000))
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            begin = time.process_time()
            way(column)
            seconds[name].append(time.process_time() - begin)
    print(f"{len(column)} texts of {len(captions)} captions, {len(base)} entities, one thread")
    bare = seconds["bare matcher"]
    print(f"{'CPU seconds':<40}   min  median  texts/s  share of the matcher's rate, min; median")
    for name, one in seconds.items():
        least, middle = min(one), statistics.median(one)
        print(
            f"{name:<40} {least:.4f}  {middle:.4f}  {len(column) / least:>7.0f}  "
            f"{min(bare) / least:.2f}; {statistics.median(bare) / middle:.2f}"
        )


if __name__ == "__main__":
    main()
