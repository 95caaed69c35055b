"""Take a dump of MLflow's database to S3 and drop the oldest ones; run in the curation image."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from openmofi.errors import StorageError
from openmofi.storage import open_store

KEPT = 14


def upload(dump: Path, root: str, now: datetime) -> str:
    """Store ``dump`` under a name that sorts by time, then keep the newest ones only.

    Nothing is dropped unless the new one lies there whole.
    """
    store = open_store(root)
    key = f"mlflow-{now:%Y%m%dT%H%M%SZ}.dump"
    store.put_file(key, dump)
    stored = {one.key: one.size for one in store.list("mlflow-")}
    if stored.get(key) != dump.stat().st_size:
        raise StorageError(f"{store.uri}/{key} did not arrive whole; older dumps are kept")
    for old in sorted(stored)[:-KEPT]:
        store.delete(old)
    return f"{store.uri}/{key}"


if __name__ == "__main__":
    print(upload(Path(sys.argv[1]), os.environ["OPENMOFI_BACKUP_ROOT"], datetime.now(UTC)))
