"""`openmofi textregions detect`: a folder of tars to one Parquet file."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from openmofi.cli import main
from openmofi.shards import write_tar
from openmofi.textregions.config import DetectConfig
from openmofi.textregions.detector import detector_digests
from openmofi.textregions.pairs import detect_pairs
from support.tables import noise_jpeg


def write_pairs(folder: Path) -> None:
    folder.mkdir()
    write_tar(
        folder / "00000.tar",
        [
            ("k0", {"jpg": noise_jpeg(0), "txt": b"a"}),
            ("k1", {"jpg": b"broken", "txt": b"b"}),
            ("k2", {"txt": b"c"}),
        ],
    )
    write_tar(folder / "00001.tar", [("k0", {"jpeg": noise_jpeg(1), "json": b"{}"})])


def test_rows_in_the_order_of_the_tars(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pairs(tmp_path / "pairs")
    out = tmp_path / "out" / "regions.parquet"
    command = ["textregions", "detect", "--pairs", str(tmp_path / "pairs"), "--out", str(out)]
    assert main(command) == 0
    table = pq.read_table(out)
    assert table.column_names == [
        "shard", "key", "boxes", "confidences", "detector_confidences", "areas", "status",
    ]  # fmt: skip
    made_with = json.loads(table.schema.metadata[b"openmofi"])
    assert made_with["config"] == dict(DetectConfig().semantic())
    assert made_with["digests"] == detector_digests(DetectConfig())
    found = [(row["shard"], row["key"], row["status"]) for row in table.to_pylist()]
    assert found == [
        ("00000", "k0", "ok"),
        ("00000", "k1", "corrupt_image"),
        ("00000", "k2", "missing_image"),
        ("00001", "k0", "ok"),
    ]
    assert "seen 4 = corrupt_image 1 + missing_image 1 + ok 2" in capsys.readouterr().out


def test_two_processes_write_what_one_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pairs"
    folder.mkdir()
    for tar in range(2):
        samples = [(f"k{n}", {"jpg": noise_jpeg(10 * tar + n)}) for n in range(5)]
        write_tar(folder / f"{tar}.tar", samples)
    monkeypatch.setattr("openmofi.textregions.pairs._PART", 2)
    for workers in (1, 2):
        detect_pairs(folder, tmp_path / f"{workers}.parquet", workers=workers)
    one, two = (pq.read_table(tmp_path / f"{workers}.parquet") for workers in (1, 2))
    assert one.equals(two, check_metadata=True)
    assert one.num_rows == 10


def test_a_cut_tar_is_named_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pairs(tmp_path / "pairs")
    cut = tmp_path / "pairs" / "00001.tar"
    cut.write_bytes(cut.read_bytes()[:700])
    out = tmp_path / "regions.parquet"
    command = ["textregions", "detect", "--pairs", str(tmp_path / "pairs"), "--out", str(out)]
    assert main(command) == 2
    assert "00001.tar is cut short" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["pairs"]


@pytest.mark.parametrize("make", [False, True])
def test_no_tar_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], make: bool) -> None:
    folder = tmp_path / "nothing"
    if make:
        folder.mkdir()
    out = tmp_path / "regions.parquet"
    assert main(["textregions", "detect", "--pairs", str(folder), "--out", str(out)]) == 2
    assert str(folder) in capsys.readouterr().err
    assert not out.exists()
