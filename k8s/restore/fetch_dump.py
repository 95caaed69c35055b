"""Fetch a dump of MLflow's database from S3; run in the curation image."""

import os
import shutil
import sys
from pathlib import Path

from openmofi.errors import InputError
from openmofi.storage import open_store


def fetch(root: str, wanted: str, target: Path) -> str:
    """Copy the dump called ``wanted``, or the ``newest``, to ``target``; its name comes back."""
    store = open_store(root)
    found = sorted(one.key for one in store.list("mlflow-"))
    name = found[-1] if wanted == "newest" and found else wanted
    if name not in found:
        there = f"the newest is {found[-1]}" if found else "there is none at all"
        raise InputError(f"no dump {wanted!r} under {store.uri}: {there}")
    with store.local_file(name) as copy:
        shutil.copyfile(copy, target)
    return name


if __name__ == "__main__":
    source = os.environ["OPENMOFI_BACKUP_ROOT"]
    print("fetched", fetch(source, os.environ["OPENMOFI_DUMP"], Path(sys.argv[1])))
