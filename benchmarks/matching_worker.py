"""One matcher in a process of its own, told by lines of JSON what to do and when.

Nothing but the matcher's own library is imported, so its memory is its own. Questions are objects
with ``do`` (`_COMMANDS`) and arguments; each is answered by one object. A wrong result never hides
in a number: an exception ends the process.
"""

import argparse
import contextlib
import ctypes
import gc
import json
import re
import resource
import sys
import time
from pathlib import Path
from typing import Any, cast

from matching_own import PEERS
from matching_peers import SavedPeer, read_names

_MIB = 1024.0  # KiB


class Worker:
    """Holds one matcher.

    Args:
        name: Of `PEERS`.
        data: Folder of `matching_data.write_data`, texts in ``texts-<slice>.txt``.
        saved: Folder of what the matcher has saved; it builds anew if None.
    """

    def __init__(self, name: str, data: Path, saved: Path | None) -> None:
        self.peer = PEERS[name]()
        self.data, self.saved = data, saved
        self.result: Any = None

    def start(self) -> dict[str, float]:
        """Import, then load or build, then match one text, then a slice. Memory in MiB."""
        figures = {"bare": resident()}
        figures["import_s"] = seconds(self.peer.imports)
        texts = self.texts(0)
        prepared = self.peer.prepare(texts, self.peer.modes[0])
        one = self.peer.prepare(texts[:1], self.peer.modes[0])
        figures["before"] = resident()
        if self.saved is None:
            figures |= self.build(figures["before"])
        else:
            saved, peer = self.saved, cast(SavedPeer, self.peer)
            figures["load_s"] = seconds(lambda: peer.load(saved))
            if peer.mapped:  # of others two copies would be held at once
                figures["again_s"] = seconds(lambda: peer.load(saved))
        figures["held"] = resident() - figures["before"]
        figures["first_s"] = seconds(lambda: self.peer.match(one, self.peer.modes[0], 1))
        self.peer.match(prepared, self.peer.modes[0], 1)
        figures["after_texts"] = resident() - figures["before"]
        figures["private"] = rollup("Anonymous")
        gc.freeze()  # millions of strings that a collector would walk in the midst of a round
        return figures

    def build(self, before: float) -> dict[str, float]:
        source = self.peer.read(self.data)
        build_s = seconds(lambda: self.peer.build(source))
        return {"build_s": build_s, "peak": status("VmHWM") - before}

    def build_and_save(self) -> dict[str, float]:
        """Build in a process that ends afterwards."""
        assert self.saved is not None
        saved, peer = self.saved, cast(SavedPeer, self.peer)
        peer.imports()
        compile_s = seconds(self.peer.warm_up)
        figures = {"compile_s": compile_s, **self.build(resident())}
        figures["save_s"] = seconds(lambda: peer.save(saved))
        files = [path for path in saved.rglob("*") if path.is_file()]
        figures["disk"] = sum(path.stat().st_size for path in files) / 2**20
        return figures

    def run(self, part: int, mode: str, threads: int) -> dict[str, float]:
        """Match one slice of the texts; only matching is timed."""
        prepared = self.peer.prepare(self.texts(part), mode)
        self.result = None
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        self.result = self.peer.match(prepared, mode, threads)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        return {"cpu": cpu, "wall": wall}

    def spans(self, part: int, mode: str, file: str) -> dict[str, int]:
        """Write the matches of the last run in the common form."""
        names = read_names(self.data)
        found = self.peer.spans(self.result, mode, self.texts(part), names)
        lines = [f"{text}\t{token}\t{alias}" for text, token, alias in found]
        Path(file).write_text("\n".join(lines))
        return {"matches": len(lines)}

    def share(self) -> dict[str, float]:
        """Proportional set size in MiB: pages that n processes map count 1/n in each."""
        assert self.saved is not None
        return {"pss": rollup("Pss"), "index_pss": mapped_pss(self.saved)}

    def texts(self, part: int) -> list[str]:
        return (self.data / f"texts-{part}.txt").read_text().split("\n")


def seconds(action: Any) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def resident() -> float:
    """Resident MiB after garbage was given back."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    return status("VmRSS")


def status(field: str) -> float:
    return _field(Path("/proc/self/status").read_text(), field) / _MIB


def rollup(field: str) -> float:
    return _field(Path("/proc/self/smaps_rollup").read_text(), field) / _MIB


def mapped_pss(folder: Path) -> float:
    """MiB of the files in ``folder``, as this process's share."""
    parts = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text(), flags=re.M)
    return sum(_field(part, "Pss") for part in parts if str(folder) in part) / _MIB


def _field(text: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.M)
    if not found:
        raise RuntimeError(f"the kernel does not report {name}")
    return int(found[1])


_COMMANDS = ("start", "build_and_save", "run", "spans", "share")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("data", type=Path)
    parser.add_argument("--saved", type=Path)
    parser.add_argument("--limit-gib", type=float, required=True, help="of address space")
    arguments = parser.parse_args()
    limit = int(arguments.limit_gib * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    worker = Worker(arguments.peer, arguments.data, arguments.saved)
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        for line in sys.stdin:
            question = json.loads(line)
            command = question.pop("do")
            if command not in _COMMANDS:
                raise ValueError(f"unknown command {command}")
            print(json.dumps(getattr(worker, command)(**question)), file=answers, flush=True)


if __name__ == "__main__":
    main()
