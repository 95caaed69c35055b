"""Arms as processes: each once, found again, ended with their parent."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.claims.arms import ARMS
from benchmarks.claims.config import ClaimsConfig
from benchmarks.claims.runs import ArmError, Task, plan, read_result, run_all
from openmofi.config import parse_config, read_yaml
from openmofi.errors import InputError
from openmofi.training.config import TrainConfig
from support.ingest import jpeg

CONFIG = Path(__file__).parents[4] / "benchmarks" / "claims" / "claims.yaml"
SHARDS = {name: f"file:///r/manifests/training_shards/{name}.json" for name in
          ("labelled", "permuted", "all", "half", "text_free")}  # fmt: skip


@pytest.fixture
def config() -> ClaimsConfig:
    return parse_config(ClaimsConfig, read_yaml(CONFIG), where="claims")


@pytest.fixture
def held_out(tmp_path: Path) -> str:
    for seed, name in enumerate(("cat", "dog")):
        folder = tmp_path / "evaluation" / name
        folder.mkdir(parents=True)
        (folder / "0.jpg").write_bytes(jpeg(seed))
    return str(tmp_path / "evaluation")


def test_all_arms_are_valid_and_differ_in_objectives_seed_and_data_alone(
    config: ClaimsConfig, held_out: str
) -> None:
    tasks = plan(config, SHARDS, held_out)
    assert len({task.key for task in tasks}) == len(tasks) == len(ARMS) * len(config.seeds)
    shared = [
        parse_config(TrainConfig, task.training, where="arm").model_dump(
            exclude={"objectives", "seed"}
        )
        for task in tasks
    ]
    assert all(one == shared[0] for one in shared)


def test_a_seed_is_whole_before_the_next(config: ClaimsConfig, held_out: str) -> None:
    seeds = [task.seed for task in plan(config, SHARDS, held_out)]
    assert seeds == sorted(seeds)


@pytest.mark.parametrize("field", ["seed", "objectives"])
def test_what_is_each_arms_own_is_refused_in_what_they_share(field: str) -> None:
    given = read_yaml(CONFIG)
    given["training"][field] = 1 if field == "seed" else "clip"
    with pytest.raises(InputError, match=f"'training': .*{field} is each arm's own"):
        parse_config(ClaimsConfig, given, where="claims")


def test_a_result_counts_only_for_what_it_was_made_from(tmp_path: Path) -> None:
    one, other = task("a"), task("a", key="else")
    (tmp_path / "a-0.json").write_text(json.dumps({"key": one.key}))
    assert read_result(tmp_path, one) == {"key": one.key}
    assert read_result(tmp_path, other) is None
    assert read_result(tmp_path, task("b")) is None


def task(arm: str, key: str = "key") -> Task:
    return Task(arm, 0, "", {}, "", {}, key)


def writing(folder: Path) -> Callable[[Task], list[str]]:
    """A command that notes that it ran, and writes the result."""

    def command(one: Task) -> list[str]:
        result, note = folder / f"{one.name}.json", folder / "ran"
        body = json.dumps({"key": one.key})
        write = f"open({str(result)!r}, 'w').write({body!r})"
        return ["-c", f"open({str(note)!r}, 'a').write('{one.name} '); {write}"]

    return command


def test_each_arm_runs_once_and_is_found_again(tmp_path: Path) -> None:
    run_all([task("a"), task("b")], tmp_path, 2, writing(tmp_path))
    run_all([task("a"), task("b"), task("c")], tmp_path, 2, writing(tmp_path))
    assert sorted((tmp_path / "ran").read_text().split()) == ["a-0", "b-0", "c-0"]


def test_a_failed_arm_names_its_log_and_ends_the_others(tmp_path: Path) -> None:
    def command(one: Task) -> list[str]:
        if one.arm == "bad":
            return ["-c", "import sys; sys.exit('no such thing')"]
        return ["-c", f"import time; time.sleep(60) or {one.name}"]

    started = time.monotonic()
    with pytest.raises(ArmError, match=r"arm bad-0 failed; see .*bad-0\.log"):
        run_all([task("slow"), task("bad")], tmp_path, 2, command)
    assert time.monotonic() - started < 30
    assert "no such thing" in (tmp_path / "bad-0.log").read_text()


def test_processes_end_when_the_experiment_is_told_to_stop(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path; from benchmarks.claims.runs import Task, run_all\n"
        f"run_all([Task('slow', 0, '', {{}}, '', {{}}, 'k')], Path({str(tmp_path)!r}), 1,\n"
        "        lambda one: ['-c', 'import os, time; print(os.getpid(), flush=True); "
        "time.sleep(60)'])"
    )
    log = tmp_path / "slow-0.log"
    with subprocess.Popen([sys.executable, "-c", script], cwd=CONFIG.parents[2]) as process:
        while not (log.is_file() and log.read_text().strip()):
            time.sleep(0.1)
        process.terminate()
        assert process.wait(30) != 0
    assert not Path("/proc", log.read_text().strip()).exists()
