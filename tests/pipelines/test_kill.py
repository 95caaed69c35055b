"""`curate` under SIGKILL: whatever moment it hits, the next run ends where no kill would have."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from openmofi.keys import content_digest, hash_bytes
from openmofi.records import from_parquet
from openmofi.storage import open_store
from support.toy_crawl import write_workplace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

REPOSITORY = Path(__file__).parents[2]

# Where each stage writes first. Their order is the orchestrator's, where they do not wait for
# each other.
PLACES = {
    "ingest_pairs": "pool",
    "embed_images": "tables/image_embeddings",
    "link_entities": "tables/mentions",
    "label_images": "tables/entity_scores",
    "detect_text": "tables/text_regions",
    "assemble_dataset, facts": "tables/dataset_facts",
    "assemble_dataset": "datasets",
    "build_shards": "training_shards",
}


def start(folder: Path, root: str, name: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pipelines", "run", "curate", "--config", "mine.yaml"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    environment.pop("OPENMOFI_ROOT", None)
    with open(folder / f"{name}.log", "wb") as log:
        return subprocess.Popen(
            [*command, "--set", f"root={root}", "--set", "groups=1", "--run-name", name],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
        )


def made(folder: Path, name: str) -> list[tuple[str, str, str]]:
    """Step, group and digest of everything that a run handed on."""
    outputs = json.loads((folder / f"build/runs/{name}/outputs.json").read_text())
    return sorted((o["step"], o["group"], Path(o["uri"]).stem) for o in outputs)


def contents(root: Path) -> dict[str, str]:
    """What every object of a root holds: tables by their rows, all else by its bytes.

    The name of a data set or of training shards tells their recipe, not what is in them.
    """
    store = open_store(root.as_uri())
    found = {}
    for key in [info.key for info in store.list()]:
        if key.startswith("tables/") and key.endswith(".json"):
            found[key] = "an entry, which holds how long its shard took"
        elif key.endswith(".parquet"):
            found[key] = content_digest(from_parquet(store.get(key)))
        else:
            found[key] = hash_bytes(store.get(key).replace(store.uri.encode(), b""))
    return found


def family(process: int) -> list[int]:
    """A process and all that descend from it."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
    found = [process]
    for member in found:
        found += [child for child, parent in parents.items() if parent == member]
    return found


def kill_in_one_of(stages: set[str], run: subprocess.Popen[bytes], root: Path) -> str:
    """SIGKILL to the whole run as soon as one of the stages has written something; which one."""
    while True:
        for stage in sorted(stages):
            if any(path.is_file() for path in (root / PLACES[stage]).rglob("*")):
                for member in family(run.pid):
                    with contextlib.suppress(ProcessLookupError):  # it has just ended
                        os.kill(member, signal.SIGKILL)
                run.wait()
                return stage
        assert run.poll() is None, f"the run ended before it wrote to one of {stages}"
        time.sleep(0.002)


def test_runs_that_are_killed_in_each_stage_end_like_an_undisturbed_one(tmp_path):
    write_workplace(tmp_path, shards=4, samples=12)
    undisturbed = start(tmp_path, "undisturbed", "undisturbed")  # beside the others
    untouched = set(PLACES)
    while untouched:
        name = f"killed-{len(untouched)}"
        run = start(tmp_path, "killed", name)
        untouched.remove(kill_in_one_of(untouched, run, tmp_path / "killed"))
        assert not (tmp_path / f"build/runs/{name}/outputs.json").exists()
    assert start(tmp_path, "killed", "final").wait() == 0
    assert undisturbed.wait() == 0
    assert made(tmp_path, "final") == made(tmp_path, "undisturbed")
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")
    log = (tmp_path / "final.log").read_text()
    assert log.count(": 4 shards, 4 reused, 0 to do") == 5
