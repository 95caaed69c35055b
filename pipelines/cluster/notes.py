"""What a command says beside its result."""

import sys


def tell(line: str) -> None:
    """A note on stderr: what a script reads is on stdout."""
    print(f"pipelines: {line}", file=sys.stderr, flush=True)
