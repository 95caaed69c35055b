"""Several domains in one crawl, and one alone as it always was."""

import csv
import io
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from openmofi.cli import main
from openmofi.demo import crawl as crawling
from openmofi.demo.captions import write_caption
from openmofi.demo.crawl import write_demo_crawl
from openmofi.demo.domain import Domain
from openmofi.demo.mixture import DOMAINS, Mixture, settle_domains
from openmofi.demo.noise import FAULTS, TEXT_KINDS
from openmofi.demo.samples import make_sample, plan_samples, sample_files
from openmofi.errors import InputError
from openmofi.evaluation_data.class_folders import read_class_folders
from openmofi.images import decode_image

PAIRS = 240
MIXTURE = Mixture(list(DOMAINS))


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mixed") / "crawl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crawling, "EVALUATION_IMAGES", 1)
        names = ("vases", "flags", "butterflies")
        write_demo_crawl(out, pairs=PAIRS, labeler_pairs=5, seed=5, domains=names, workers=1)
    return out


def truth(crawl: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (crawl / "truth" / "crawl.jsonl").open()]


def domain_of(entity: str) -> str:
    return next(d.name for d, e in MIXTURE.classes if e.entity_id == entity)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_there_are_enough_classes_to_sample_from() -> None:
    assert 300 <= len(MIXTURE.classes) <= 500


def test_domains_share_the_crawl_by_their_classes(crawl: Path) -> None:
    found = truth(crawl)
    assert len(found) == PAIRS
    counts = Counter(domain_of(row["entity_ids"][0]) for row in found if row["entity_ids"])
    for domain in MIXTURE.domains:
        share = len(domain.drawn) / len(MIXTURE.classes)
        assert counts[domain.name] == pytest.approx(share * PAIRS, abs=3)
    first = [domain_of(row["entity_ids"][0]) for row in found[:40] if row["entity_ids"]]
    assert set(first) == set(DOMAINS)  # mixed, not one after the other


def test_noise_has_its_shares_in_the_whole(crawl: Path) -> None:
    found = truth(crawl)
    for key, shares in (("kind", TEXT_KINDS), ("fault", FAULTS)):
        counts = Counter(row[key] for row in found)
        for name, share in shares.items():
            assert counts[name] == pytest.approx(share * PAIRS, abs=len(DOMAINS)), name


def test_a_duplicate_repeats_an_earlier_sample(crawl: Path) -> None:
    by_key = {row["key"]: row for row in truth(crawl)}
    repeated = [row for row in by_key.values() if row["duplicate_of"]]
    assert len(repeated) > 5
    for row in repeated:
        original = by_key[row["duplicate_of"]]
        assert original["key"] < row["key"]
        assert original["entity_ids"] == row["entity_ids"]
        if row["fault"] == "exact_duplicate":
            assert original["sha256"] == row["sha256"]


def test_ids_are_unique_and_parents_are_there(crawl: Path) -> None:
    found = rows(crawl / "knowledge_base.csv")
    ids = Counter(row["entity_id"] for row in found)
    assert max(ids.values()) == 1
    assert {parent for row in found for parent in row["parents"].split("|") if parent} <= set(ids)
    assert all(float(row["prior"]) > 0 and row["description"] and row["name"] for row in found)
    for row in truth(crawl):
        assert set(row["named"]) | set(row["entity_ids"]) <= set(ids)


def test_each_domain_has_an_evaluation_set_of_its_own(crawl: Path) -> None:
    for domain in MIXTURE.domains:
        images = read_class_folders(crawl / "evaluation" / domain.name)
        assert len(images.paths) == len(domain.drawn)
        assert set(images.domains) == {domain.name}
        wanted = {domain.wording.class_name.format(name=e.name) for e in domain.drawn}
        assert set(images.class_names) == wanted
        assert min(decode_image(path.read_bytes()).size[0] for path in images.paths[::9]) >= 64


def test_the_whole_evaluation_set_names_every_folder(crawl: Path) -> None:
    found = rows(crawl / "evaluation" / "classes.csv")
    folders = {
        path.parent.relative_to(crawl / "evaluation").as_posix()
        for path in (crawl / "evaluation").rglob("*.jpg")
    }
    assert {row["folder"] for row in found} == folders
    assert all(row["folder"].startswith(f"{row['domain']}/") for row in found)


def test_another_process_would_draw_the_same(crawl: Path) -> None:
    """From domains that are new and named in the usual order."""
    plan = Mixture(list(DOMAINS)).plan(PAIRS, (5, 1))
    with tarfile.open(crawl / "crawl" / "00000.tar") as tar:
        members = {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]
    for place in range(0, 60, 6):
        key = f"00000{place:04d}"
        for extension, data in sample_files(key, plan.make(place)).items():
            assert members[f"{key}.{extension}"] == data
    other = Mixture(list(DOMAINS)).plan(PAIRS, (6, 1))
    assert other.make(0).image != plan.make(0).image


@pytest.mark.parametrize("name", list(DOMAINS))
def test_a_domain_alone_is_planned_from_the_seed_itself(name: str) -> None:
    """So the crawl of flags is what it was when there was nothing else."""
    domain = DOMAINS[name]()
    plans, mixed = plan_samples(domain, 30, (3, 1)), Mixture([name]).plan(30, (3, 1))
    for index in range(30):
        assert mixed.original(index) == plans[index].original
        if index % 5 == 0:
            assert mixed.make(index) == make_sample(domain, plans, index, (3, 1))


def test_held_out_pictures_are_others_than_those_of_the_crawl(crawl: Path) -> None:
    seen = {row["sha256"] for row in truth(crawl) if row["fault"] != "not_an_image"}
    images = [p for d in MIXTURE.domains for p in (crawl / "evaluation" / d.name).rglob("*.jpg")]
    data = {path.read_bytes() for path in images}
    assert len(data) == len(images)
    held_out = read_class_folders(crawl / "evaluation" / "vases").image_ids
    assert not seen & set(held_out)


@pytest.mark.parametrize("name", ["butterflies", "vases"])
@pytest.mark.parametrize("kind", list(TEXT_KINDS))
def test_every_kind_of_text_names_what_it_should(name: str, kind: str) -> None:
    domain: Domain = DOMAINS[name]()
    entities = {e.entity_id: e for e in (*domain.drawn, *domain.known)}
    assert len(entities) == len(domain.drawn) + len(domain.known)
    shown = next(e for e in domain.drawn if e.entity_id in domain.wording.namesakes)
    own = [shown.name, *shown.aliases]
    for seed in range(60):
        caption = write_caption(domain, kind, shown, np.random.default_rng(seed))
        text = caption.text.lower()
        for key in caption.named:
            surfaces = [entities[key].name, *entities[key].aliases]
            assert any(surface.lower() in text for surface in surfaces), (caption, key)
        if kind == "placed":
            assert shown.place.lower() in text
        if kind == "coarse":
            assert not caption.named
            assert not any(surface.lower() in text for surface in own)
        assert caption.lettering in caption.text


@pytest.mark.parametrize("name", ["butterflies", "vases"])
def test_namesakes_share_the_name_of_something_drawn(name: str) -> None:
    domain = DOMAINS[name]()
    known = {e.entity_id: e for e in domain.known}
    drawn = {e.entity_id: e for e in domain.drawn}
    assert len(domain.wording.namesakes) > 20
    for key, texts in domain.wording.namesakes.items():
        assert drawn[key].place
        for text, namesake in texts:
            assert known[namesake].name == drawn[key].name
            assert drawn[key].name in text
            assert drawn[key].place not in text


@pytest.mark.parametrize("part", ["crawl", "labeler"])
def test_pictures_are_as_small_as_those_of_flags(crawl: Path, part: str) -> None:
    with tarfile.open(crawl / part / "00000.tar") as tar:
        for member in tar:
            if member.name.endswith("json"):
                metadata = json.loads(tar.extractfile(member).read())  # type: ignore[union-attr]
                assert max(metadata["width"], metadata["height"]) <= 96
    image = Image.open(io.BytesIO(MIXTURE.plan(3, (1, 1)).make(1).image))
    assert image.mode == "RGB"


def test_the_order_of_names_does_not_matter() -> None:
    assert settle_domains(["vases", "flags"]) == settle_domains(["flags", "vases"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("flags,owls", "no domain 'owls'; there are: flags, butterflies, vases"),
        ("flags,vases,flags", "a domain is named twice in flags,vases,flags"),
        ("", "no domain ''"),
    ],
)
def test_wrong_domains_are_refused_in_one_line(
    tmp_path: Path, names: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo-crawl", "--out", str(tmp_path / "o"), "--domains", names]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_no_domain_at_all_is_refused() -> None:
    with pytest.raises(InputError, match="no domain named"):
        settle_domains([])


def test_a_crawl_of_other_domains_is_another_crawl(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crawling, "EVALUATION_IMAGES", 1)
        write_demo_crawl(tmp_path / "o", pairs=2, seed=1, workers=1)
    with pytest.raises(InputError, match="domain is flags, wanted flags,vases"):
        write_demo_crawl(tmp_path / "o", pairs=2, seed=1, domains=["flags", "vases"])
