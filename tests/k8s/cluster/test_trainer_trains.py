"""Scope: a training on two nodes, from the step's call to the model, by the real controllers.

The pods that they make are run as processes of this machine, over gloo.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openmofi.launch.config import NodesConfig
from openmofi.launch.job import Launch
from openmofi.launch.train import train_on_nodes
from openmofi.storage import open_store
from openmofi.training.run import train_model as train_here
from openmofi.versions import read_manifest
from support.control_plane import ControlPlane
from support.running_pods import running_pods
from support.stacks import ports_in_a_row
from support.trainer_controllers import lacking
from support.training import make_samples, short_training, write_training_shards
from support.training_team import Team, training_team
from support.waiting import wait_for

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(lacking()), reason=lacking()),
]
NODES = NodesConfig(count=2, accelerators=0, cpus="2", memory="4Gi")


@pytest.fixture(scope="module")
def team(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with training_team(plane, tmp_path_factory.mktemp("team")) as found:
        yield found


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    return short_training(tmp_path, monkeypatch)


def test_two_nodes_train_the_run_that_one_process_would(
    team: Team,
    settings: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shards = write_training_shards(tmp_path / "root", make_samples(48, seed=1))
    launch = Launch("", shards, settings, "mine", "train-2026")
    # Names of a cluster's services are not known here, and the port may be somebody's.
    here = {"PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": str(ports_in_a_row(1)[0])}
    with running_pods(team, HOME=str(tmp_path), **here) as pods:
        model = train_on_nodes(launch, NODES, team.api, poll_s=0.5)
    told = capsys.readouterr().err
    assert told.count("step 4/4") == 1, told
    assert "2 of 2 nodes have started" in told
    ranks = [one["PET_NODE_RANK"] for one in pods.environments]
    assert sorted(ranks) == ["0", "1"]
    assert {one["PET_NPROC_PER_NODE"] for one in pods.environments} == {"1"}
    origin = read_manifest(model, "model").content["origin"]
    (record,) = [info.key for info in open_store(str(tmp_path / "root")).list("trained/")]
    assert record == f"trained/{origin['recipe']}.json"
    assert train_here(shards, config=settings, name="alone") == model
    wait_for(lambda: not team.jobs())
