"""Scope: marked secrets through a whole run on real servers, and through what fails in it.

Keys of the store are random and known to this test; MLflow's password stands in its address, and a
session's token goes with each request. None may be found in what a run leaves.
"""

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from openmofi.storage import Store, open_store
from stack import postgres, settings
from support.marks import hits, hits_in_database, hits_in_folder, hits_in_store
from support.servers import Servers, servers
from support.small_day import write_inputs
from support.stacks import port_options, stack_folder

pytestmark = [pytest.mark.s3, pytest.mark.timeout(600)]

# A run in two halves, since to register a model takes half a minute here, for each of its files is
# an object: to the training shards in one process,
FIRST_HALF = """
import sys
from pathlib import Path
from openmofi.errors import OpenMofiError
from support.small_day import Day
if __name__ == "__main__":
    try:
        Day(Path(sys.argv[1]), name="marked").work("training shards")
    except OpenMofiError as error:
        sys.exit(str(error))
"""
# and on to the registry as a person calls it: every step a process, with a log of its own.
SECOND_HALF = """
import json
import sys
from pathlib import Path
from openmofi.storage import open_store
from pipelines.__main__ import main
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    root = open_store("s3://openmofi/marked")
    [shards] = [info.key for info in root.list("manifests/training_shards/")]
    model = {"backbone": f"{folder}/small.json", "objectives": "clip", "batch_size": 8}
    often = {"max_steps": 20, "checkpoint_every": 6, "log_every": 2, "warmup_steps": 2}
    values = {
        "training_shards": f"{root.uri}/{shards}",
        "evaluation_data": f"{folder}/evaluation",
        "model_name": "marked",
        "training": {**model, **often},
        "evaluate": {"suites": ["retrieval"], "bootstrap_samples": 100},
        "registration": {"floor": 0.0, "gallery_images": 0},
    }
    (folder / "train.yaml").write_text(json.dumps(values))
    main(["compile", "--out", str(folder / "compiled")])
    call = ["run", "train", "--config", str(folder / "train.yaml"), "--run-name", "called"]
    sys.exit(main([*call, "--out", str(folder / "called")]))
"""
# What fails on a bad day, each in a process of its own: one line, or a crash with its traceback.
FAILS = {
    "wrong secret": ("open_store(ROOT).check()", {"AWS_SECRET_ACCESS_KEY": "{password}"}),
    "no store": ("open_store(ROOT).check()", {"OPENMOFI_S3_ENDPOINT": "http://127.0.0.1:9"}),
    "denied": ("open_store('s3://mlflow/x').put('a', b'')", {}),
    "no MLflow": ("tracked()", {"MLFLOW_TRACKING_URI": "http://u:{quoted}@127.0.0.1:9"}),
    "a crash in a run": ("tracked(); 1 / 0", {}),
}
FAILING = """
import os
from openmofi.storage import open_store
from openmofi.tracking import tracked_run
ROOT = "s3://openmofi/marked"
def tracked():
    params = {{"address": os.environ["MLFLOW_TRACKING_URI"], "password": "none of yours"}}
    with tracked_run("fails", pipeline_run="marked", tags={{}}, params=params) as run:
        run.log_metrics({{"a": 1.0}})
{line}
"""


@dataclass(frozen=True)
class Marked:
    """A stack, and secrets that only this test knows."""

    both: Servers
    folder: Path
    password: str
    token: str

    @property
    def marks(self) -> list[str]:
        return [self.password, self.token, *self.both.stack.secrets.values()]

    def run(self, name: str, code: str, **changes: str) -> tuple[int, bytes]:
        """Run Python with a log of its own; exit code, and all arguments seen meanwhile."""
        address = self.both.stack.tracking_uri.removeprefix("http://")
        quoted = quote(self.password, safe="")
        given = {
            **os.environ,
            "AWS_SESSION_TOKEN": self.token,
            "MLFLOW_TRACKING_URI": f"http://marked:{quoted}@{address}",
            "OPENMOFI_S3_ATTEMPTS": "1",
            **{k: v.format(password=self.password, quoted=quoted) for k, v in changes.items()},
        }
        (self.folder / f"{name}.py").write_text(code)
        call = [sys.executable, str(self.folder / f"{name}.py"), str(self.folder)]
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(call, cwd=self.folder, env=given, stdout=log, stderr=log)
            seen = b""
            while process.poll() is None:
                seen += arguments_of_all()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.5)
        return process.returncode, seen

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def store(self, who: str, uri: str, patch: pytest.MonkeyPatch) -> Store:
        patch.setenv("AWS_ACCESS_KEY_ID", f"{settings.ACCOUNT}:{who}")
        patch.setenv("AWS_SECRET_ACCESS_KEY", self.both.stack.secrets[who])
        return open_store(uri)


def arguments_of_all() -> bytes:
    """The command lines of all processes, as any user may read them."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            found.append(entry.read_bytes())
    return b"\n".join(found)


@pytest.fixture(scope="module")
def marked() -> Iterator[Marked]:
    with stack_folder() as folder, servers(folder / "stack", *port_options()) as both:
        # Characters that are quoted in an address.
        password, token = (f"{secrets.token_hex(8)}+/={secrets.token_hex(8)}" for _ in "ab")
        yield Marked(both, write_inputs(folder / "run"), password, token)


def test_a_run_as_the_reader_fails_in_one_line_and_writes_nothing(
    marked: Marked, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = {"AWS_ACCESS_KEY_ID": settings.READER}
    secret = marked.both.stack.secrets["reader"]
    code, _ = marked.run("as reader", FIRST_HALF, AWS_SECRET_ACCESS_KEY=secret, **reader)
    assert code == 1
    assert "this identity may not write there" in marked.log("as reader").splitlines()[-1]
    assert "Traceback" not in marked.log("as reader")
    assert list(marked.store("pipeline", "s3://openmofi", monkeypatch).list()) == []


def test_marked_secrets_are_nowhere_after_a_run_and_after_what_fails(
    marked: Marked, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, seen = marked.run("first half", FIRST_HALF)
    assert code == 0, marked.log("first half")
    assert "training shards: write took" in marked.log("first half")
    code, more = marked.run("second half", SECOND_HALF)
    assert code == 0, marked.log("second half")
    assert "register: marked version 1" in marked.log("second half")
    assert list(marked.folder.glob("compiled/*.yaml"))
    assert list(marked.folder.glob("called/called/**/*.log"))
    seen += more
    for name, (line, changes) in FAILS.items():
        code, more = marked.run(name, FAILING.format(line=line), **changes)
        assert code == 1, marked.log(name)
        seen += more
    assert "ZeroDivisionError" in marked.log("a crash in a run")
    assert b"first half.py" in seen

    assert hits(marked.marks, seen) == set()
    assert hits_in_folder(marked.marks, marked.folder) == {}
    for who, bucket in (("pipeline", settings.BUCKET), ("mlflow", settings.MLFLOW_BUCKET)):
        store = marked.store(who, f"s3://{bucket}", monkeypatch)
        assert next(store.list(), None) is not None
        assert hits_in_store(marked.marks, store) == {}
    database = {
        "host": "127.0.0.1",
        "port": marked.both.stack.ports.postgres,
        "user": postgres.ROLE,
        "password": marked.both.stack.secrets["postgres_mlflow"],
        "dbname": postgres.DATABASE,
    }
    assert hits_in_database(["register marked"], database) != {}  # the search sees what is there
    assert hits_in_database(marked.marks, database) == {}
