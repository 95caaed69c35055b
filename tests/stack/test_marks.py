"""Scope: the search for secrets itself, which must find what it looks for."""

import base64
import gzip
import io
import tarfile
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import report
from support.marks import hits, hits_in_folder, hits_in_image

MARK = "mark+3f/9a==c01d"


def _parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": [MARK] * 50}), sink, compression="zstd")
    return sink.getvalue()


def _tar(data: bytes) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as opened:
        member = tarfile.TarInfo("etc/environment")
        member.size = len(data)
        opened.addfile(member, io.BytesIO(data))
    return sink.getvalue()


@pytest.mark.parametrize(
    "planted",
    [
        f"key={MARK}\n".encode(),
        f"http://u:{quote(MARK, safe='')}@h".encode(),
        *(base64.b64encode(b"u:"[:before] + MARK.encode() + b"x") for before in range(3)),
        MARK.encode().hex().encode(),
        _parquet(),
        gzip.compress(MARK.encode(), mtime=0),
        _tar(gzip.compress(_tar(MARK.encode()))),
    ],
)
def test_a_mark_is_found_in_each_form(planted: bytes) -> None:
    assert hits([MARK, "another one"], planted) == {MARK}


def test_what_holds_no_mark_has_no_hit() -> None:
    assert hits([MARK], _tar(gzip.compress(b"mark+3f", mtime=0)) + b"mark") == set()


def test_a_mark_that_is_planted_in_a_log_is_found(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/step.log").write_text(f"started\nsecret {MARK}\n")
    (tmp_path / "run/other.log").write_text("started\n")
    assert hits_in_folder([MARK], tmp_path) == {str(tmp_path / "run/step.log"): {MARK}}


def test_a_mark_in_a_layer_of_an_image_is_found(tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(_tar(gzip.compress(_tar(MARK.encode()))))
    assert hits_in_image([MARK], tmp_path / "image.tar") == {"etc/environment": {MARK}}


def test_the_report_of_a_run_tells_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://u:{quote(MARK, safe='')}@127.0.0.1:5500")
    told = report._how_to_open_mlflow()
    assert "127.0.0.1:5500" in told
    assert hits([MARK], told.encode()) == set()
