"""What is read for the page, and how often."""

from collections import Counter
from pathlib import Path

import pytest

from openmofi.dataset.assembly.inputs import PoolTables, read_pool_tables
from openmofi.dataset.card.choose import Place
from openmofi.dataset.card.pictures import read_shown
from openmofi.dataset.config import AssembleConfig
from openmofi.work import Work
from support.tables import Candidate, Pair, labelled, noise_jpeg, write_pool


def pool(root: Path, shards: dict[str, list[Pair]]) -> PoolTables:
    return read_pool_tables(write_pool(root, shards).tables(), AssembleConfig())


def test_each_shard_is_read_once_however_many_pictures_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = {name: [labelled(10 * i + n) for n in range(5)] for i, name in enumerate("abc")}
    tables = pool(tmp_path, shards)
    seen: Counter[tuple[str, str]] = Counter()
    read = PoolTables.read

    def counted(self: PoolTables, kind: str, work: Work) -> object:
        seen[kind, work.shard] += 1
        return read(self, kind, work)

    monkeypatch.setattr(PoolTables, "read", counted)
    places = [Place(10 * shard + row, shard, row) for row in (4, 0, 2) for shard in (2, 0)]
    shown = read_shown(tables, places * 2, {})
    assert seen == {(kind, one): 1 for kind in ("samples", "mentions") for one in "ac"}
    assert {key: one.name for key, one in shown.items()} == {
        10 * shard + row: f"{'abc'[shard]}/{row:05d}" for shard in (0, 2) for row in (0, 2, 4)
    }
    assert all(one.jpeg for one in shown.values())


def test_labels_are_marked_before_what_is_likelier_by_the_text_alone(tmp_path: Path) -> None:
    candidates = [
        [Candidate("georgia_us", 0.3), Candidate("georgia_country", 0.4)],
        [Candidate("chad", 0.1), Candidate("peru", 0.1)],
    ]
    tables = pool(tmp_path, {"a": [Pair(noise_jpeg(1), "0123456789" * 2, mentions=candidates)]})
    shown = read_shown(tables, [Place(7, 0, 0)], {7: [("georgia_country", 0.4)]})[7]
    assert shown.pieces == [
        ("01234", "georgia_country"), ("56789", ""), ("01234", "chad"), ("56789", ""),
    ]  # fmt: skip


def test_what_does_not_decode_is_shown_without_a_picture(tmp_path: Path) -> None:
    tables = pool(tmp_path, {"a": [Pair(b"broken", "the text", status="corrupt_image")]})
    shown = read_shown(tables, [Place(0, 0, 0)], {})[0]
    assert (shown.jpeg, shown.pieces) == (b"", [("the text", "")])
