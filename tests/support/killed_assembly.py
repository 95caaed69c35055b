"""Assembly in a process of its own, which may be killed as it writes.

``python -m support.killed_assembly OPTIONS`` with the JSON of `Options` prints the manifest's URI.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from openmofi.dataset.assemble import assemble_dataset


@dataclass(frozen=True)
class Options:
    """How it goes.

    Args:
        tables: Keyword arguments of `assemble_dataset`.
        prefix: Of the objects that count.
        puts: Of them; SIGKILL comes as the next one is written. Negative: it never comes.
        workers: Processes.
        resources: Of the database.
        config: Of `AssembleConfig`.
    """

    tables: Mapping[str, Any]
    prefix: str = ""
    puts: int = -1
    workers: int = 1
    resources: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)


def command(options: Options) -> list[str]:
    """What runs it."""
    return [sys.executable, "-m", "support.killed_assembly", json.dumps(asdict(options))]


def kill_at(prefix: str, puts: int) -> None:
    """Have this process killed in the midst of a folder store's write: bytes, and no object."""
    left, lock = [puts], threading.Lock()
    write = Path.write_bytes

    def write_bytes(path: Path, data: bytes) -> int:
        with lock:
            if f"/{prefix}" in path.as_posix():
                left[0] -= 1
                if left[0] < 0:
                    write(path, data[: len(data) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
        return write(path, data)

    Path.write_bytes = write_bytes  # type: ignore[assignment, method-assign]


def main() -> None:
    """Assemble as the command line says."""
    options = Options(**json.loads(sys.argv[1]))
    if options.puts >= 0:
        kill_at(options.prefix, options.puts)
    made = assemble_dataset(
        **options.tables,
        config=options.config,
        workers=options.workers,
        resources=options.resources,
    )
    print(made)


if __name__ == "__main__":
    main()
