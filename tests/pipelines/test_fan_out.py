"""How many groups a crawl is shared out into, and that so many can be run and handed on."""

import json
import subprocess
import time

import pytest

from openmofi.errors import InputError
from openmofi.ingest.groups import MOST_GROUPS, SHARDS_A_GROUP, count_groups, most_groups
from pipelines.compile import PIPELINES
from pipelines.local import run_locally
from pipelines.preflight import check_inputs
from support.recording_runner import RecordingRunner
from support.toy_crawl import write_workplace

ROOT = "s3://openmofi/data"


@pytest.mark.parametrize(
    ("wanted", "shards", "groups"),
    [
        (0, 1, 1),
        (0, SHARDS_A_GROUP, 1),
        (0, SHARDS_A_GROUP + 1, 2),
        (0, 1_050, 11),
        (0, 100_000, MOST_GROUPS),
        (0, 10_000_000, MOST_GROUPS),
        (7, 100_000, 7),
        (7, 3, 3),
        (1_000, 100_000, 1_000),
    ],
)
def test_the_number_of_groups_follows_from_the_shards_and_is_bounded(wanted, shards, groups):
    assert count_groups(wanted, shards, ROOT) == groups


@pytest.mark.parametrize(
    "root", [ROOT, "s3://" + "b" * 63 + "/team/project", "s3://b/" + "p" * 900]
)
def test_the_tables_of_all_groups_fit_into_one_argument_of_a_command_line(root):
    tables = (
        "samples", "mentions", "image_embeddings", "entity_scores", "text_regions", "masked_scores",
    )  # fmt: skip

    def argument(groups):
        return json.dumps({t: [f"{root}/manifests/{t}/{'0' * 32}.json"] * groups for t in tables})

    options = 16 * 1024
    most = most_groups(root)
    assert most >= 1
    assert len(argument(most)) + options <= 128 * 1024
    subprocess.run(["true", argument(most)], check=True)
    if most < MOST_GROUPS:  # and not for nothing
        assert len(argument(int(most * 1.2) + 1)) + options > 128 * 1024


def test_groups_that_no_step_could_be_handed_are_refused_before_anything_runs(
    tmp_path, monkeypatch
):
    write_workplace(tmp_path, shards=3, samples=1)
    arguments = {"root": f"{tmp_path}/root", "source": f"{tmp_path}/crawl", "groups": 3}
    assert len(check_inputs(arguments)) == 3
    monkeypatch.setattr("pipelines.preflight.most_groups", lambda root: 2)
    with pytest.raises(InputError, match=r"^'groups': 3 are too many .* at most 2"):
        check_inputs(arguments)
    assert len(check_inputs({**arguments, "groups": 0})) == 1


def test_of_many_groups_a_few_are_described(tmp_path, monkeypatch):
    write_workplace(tmp_path, shards=4, samples=1)
    monkeypatch.setattr("pipelines.preflight._GROUPS_SHOWN", 2)
    arguments = {"root": f"{tmp_path}/root", "source": f"{tmp_path}/crawl", "groups": 4}
    assert check_inputs(arguments)[2:] == ["and 2 more groups like these"]


def test_two_hundred_groups_run_through_the_graph(tmp_path, capsys):
    runner = RecordingRunner(groups=MOST_GROUPS)
    values = {"root": ROOT, "source": "s3://b/crawl", "labeler": "x"}
    started = time.monotonic()
    outputs = run_locally(
        PIPELINES["curate"], values, folder=tmp_path, groups=MOST_GROUPS, runner=runner
    )
    print(f"{len(outputs)} steps in {time.monotonic() - started:.1f} s")
    assert len(outputs) == 5 * MOST_GROUPS + 6
    assembled = runner.calls["assemble-dataset"]["inputs"]
    for table in ("samples", "mentions", "image_embeddings", "entity_scores", "text_regions"):
        assert len(set(assembled[table])) == MOST_GROUPS
    assert len(runner.arguments["assemble-dataset"]) < 128 * 1024
