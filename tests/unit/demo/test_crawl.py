"""The files of a demo crawl, against its truth and against each other."""

import csv
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from openmofi.cli import main
from openmofi.demo.crawl import EVALUATION_IMAGES, write_demo_crawl
from openmofi.demo.flags import FlagDomain
from openmofi.demo.noise import FAULTS, RENDERED_TEXT, TEXT_KINDS
from openmofi.errors import InputError
from openmofi.evaluation_data.class_folders import read_class_folders
from openmofi.images import ImageProblemError, decode_image, perceptual_hash
from openmofi.keys import hash_folder

PAIRS = 400


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "crawl"
    return write_demo_crawl(out, pairs=PAIRS, labeler_pairs=100, seed=5, workers=1)


Sample = tuple[dict[str, Any], bytes, str, dict[str, Any]]


def samples(crawl: Path, part: str = "crawl") -> Iterator[Sample]:
    """Truth, image, text and JSON of every sample."""
    rows = [json.loads(line) for line in (crawl / "truth" / f"{part}.jsonl").open()]
    members: dict[tuple[str, str], bytes] = {}
    for path in sorted((crawl / part).iterdir()):
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                members[path.stem, member.name] = file.read()
    assert len(members) == 3 * len(rows)
    for row in rows:
        image, text, metadata = (
            members[row["shard"], f"{row['key']}.{extension}"]
            for extension in ("jpg", "txt", "json")
        )
        yield row, image, text.decode(), json.loads(metadata)


def test_truth_agrees_with_the_files(crawl: Path) -> None:
    found = list(samples(crawl))
    assert len(found) == PAIRS
    for row, image, text, metadata in found:
        assert row["sha256"] == metadata["sha256"] == hashlib.sha256(image).hexdigest()
        assert (metadata["key"], metadata["caption"]) == (row["key"], text)
        assert metadata["status"] == "success"
        if row["fault"] in ("truncated", "not_an_image"):
            with pytest.raises(ImageProblemError):
                decode_image(image)
        else:
            assert decode_image(image).size == (metadata["width"], metadata["height"])
        if row["fault"] == "tiny":
            assert metadata["width"] == 8
        elif row["fault"] is None:
            assert 64 <= metadata["height"] <= 96
            assert 64 <= metadata["width"] <= 96


def test_shares_are_those_of_the_noise_page(crawl: Path) -> None:
    rows = [row for row, *_ in samples(crawl)]
    faults = Counter(row["fault"] for row in rows)
    kinds = Counter(row["kind"] for row in rows)
    for name, share in FAULTS.items():
        assert faults[name] == pytest.approx(share * PAIRS, abs=1), name
    for name, share in TEXT_KINDS.items():
        assert kinds[name] == pytest.approx(share * PAIRS, abs=1), name
    lettered = sum(row["has_text"] for row in rows)
    assert 0.85 * RENDERED_TEXT * PAIRS < lettered <= RENDERED_TEXT * PAIRS * 1.1
    assert sum(TEXT_KINDS.values()) == pytest.approx(1)


def test_duplicates_repeat_what_they_name(crawl: Path) -> None:
    found = {row["key"]: (row, image) for row, image, *_ in samples(crawl)}
    seen = Counter()
    for key, (row, image) in found.items():
        if row["duplicate_of"] is None:
            continue
        seen[row["fault"]] += 1
        original, first = found[row["duplicate_of"]]
        assert original["key"] < key
        assert original["entity_ids"] == row["entity_ids"]
        assert original["lettering"] == row["lettering"]
        hashes = [perceptual_hash(decode_image(data)) for data in (image, first)]
        if row["fault"] == "exact_duplicate":
            assert image == first
        else:
            assert image != first
            assert (hashes[0] ^ hashes[1]).bit_count() <= 10
    assert set(seen) == {"exact_duplicate", "near_duplicate"}


def test_lettering_repeats_the_caption(crawl: Path) -> None:
    for row, _, text, _ in samples(crawl):
        if row["has_text"] and row["duplicate_of"] is None:
            plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
            assert row["lettering"].lower() in plain.lower()


def test_entities_are_those_of_the_knowledge_base(crawl: Path) -> None:
    with (crawl / "knowledge_base.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    known = {row["entity_id"] for row in rows}
    assert len(known) == len(rows)
    assert {parent for row in rows for parent in row["parents"].split("|") if parent} <= known
    georgias = {row["entity_id"] for row in rows if row["name"] == "Georgia"}
    assert georgias == {"georgia", "georgia-us-state"}
    assert all(float(row["prior"]) > 0 and row["description"] for row in rows)
    drawn = {entity.entity_id for entity in FlagDomain().drawn}
    for row, *_ in samples(crawl):
        assert set(row["named"]) <= known
        assert set(row["entity_ids"]) <= drawn
        if row["kind"] in ("specific", "chatter", "several", "placed") and row["entity_ids"]:
            assert set(row["entity_ids"]) <= set(row["named"])
        if row["kind"] in ("namesake", "wrong"):
            assert not set(row["entity_ids"]) & set(row["named"])


def test_evaluation_images_are_held_out_and_sound(crawl: Path) -> None:
    images = read_class_folders(crawl / "evaluation")
    classes = [entity.entity_id for entity in FlagDomain().drawn]
    assert Counter(images.labels.tolist()) == dict.fromkeys(range(len(classes)), EVALUATION_IMAGES)
    assert "flag of Georgia" in images.class_names
    assert set(images.domains) == {"flags"}
    for path in images.paths[::7]:
        assert min(decode_image(path.read_bytes()).size) >= 64
    parts = [{row["sha256"] for row, *_ in samples(crawl, part)} for part in ("crawl", "labeler")]
    held_out = {hashlib.sha256(path.read_bytes()).hexdigest() for path in images.paths}
    assert len(held_out) == len(images.paths)
    assert not parts[0] & held_out
    page = {row["sha256"] for row, *_ in samples(crawl) if row["fault"] == "not_an_image"}
    assert parts[0] & parts[1] <= page


def test_the_same_seed_gives_the_same_bytes_for_any_number_of_processes(
    crawl: Path, tmp_path: Path
) -> None:
    again = write_demo_crawl(tmp_path / "again", pairs=PAIRS, labeler_pairs=100, seed=5, workers=2)
    assert hash_folder(again) == hash_folder(crawl)


def test_another_seed_gives_other_pictures(crawl: Path, tmp_path: Path) -> None:
    other = write_demo_crawl(tmp_path / "o", pairs=20, labeler_pairs=1, seed=6, workers=1)
    ours = {row["sha256"] for row, *_ in samples(crawl)}
    theirs = {row["sha256"] for row, *_ in samples(other) if row["fault"] != "not_an_image"}
    assert not ours & theirs


def test_no_label_stands_in_what_the_stages_may_read(crawl: Path) -> None:
    for _, _, _, metadata in samples(crawl):
        assert not {"entity_ids", "kind", "entity", "class"} & set(metadata)


def test_an_identical_crawl_is_reused_and_another_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    command = ["demo-crawl", "--out", str(out), "--pairs", "3", "--workers", "1"]
    assert main(command) == 0
    before = (out / "crawl.json").stat().st_mtime_ns
    capsys.readouterr()
    assert main(command) == 0
    assert "is there already, reused" in capsys.readouterr().err
    assert (out / "crawl.json").stat().st_mtime_ns == before
    assert main([*command, "--seed", "2"]) == 2
    assert "seed is 1, wanted 2" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is no demo crawl"):
        write_demo_crawl(tmp_path, pairs=3)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pairs": 0}, "at least 1"),
        ({"seed": -1}, "at least 0"),
        ({"domains": ("owls",)}, "no domain 'owls'"),
    ],
)
def test_senseless_options_are_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        write_demo_crawl(tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())


def test_a_killed_run_leaves_nothing_and_its_rest_is_removed(tmp_path: Path) -> None:
    code = "from openmofi.cli import main; main()"
    command = ["demo-crawl", "--out", str(tmp_path / "demo"), "--pairs", "2000", "--workers", "1"]
    process = subprocess.Popen([sys.executable, "-c", code, *command], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".demo.*/crawl/*.tar")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert [path.name for path in tmp_path.iterdir()] == [f".demo.writing-{process.pid}"]
    write_demo_crawl(tmp_path / "demo", pairs=2, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_pictures_are_rgb_jpegs(crawl: Path) -> None:
    for row, image, *_ in samples(crawl, "labeler"):
        if row["fault"] not in ("truncated", "not_an_image"):
            found = Image.open(io.BytesIO(image))
            assert (found.format, found.mode) == ("JPEG", "RGB")
