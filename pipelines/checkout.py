"""What the checkout is that a run is started from."""

import subprocess
from pathlib import Path


def git_commit() -> str:
    """The checkout's commit, with ``-dirty`` after it where files differ; empty outside of one."""
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--abbrev=40", "--dirty"]
    command += ["--exclude", "*"]  # a tag would stand in the commit's place
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # no git
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""
