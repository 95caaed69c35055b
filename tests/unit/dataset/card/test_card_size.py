"""A page has a bound whatever the data are: smaller pictures first, then fewer entities."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from openmofi.dataset.card import build, write_card
from openmofi.dataset.card.pictures import data_uri
from support.card_pages import Page, card_of, data_of
from support.label_quality import decoded
from support.tables import Candidate, Pair, noise_jpeg

assert write_card  # the name that assembly imports


def incompressible(seed: int, side: int = 128) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "JPEG", quality=70)
    return sink.getvalue()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """3,000 entities with long names; 600 pictures of noise, each of five of them."""
    ids = [f"entity {number:04} " + "<&>" * 100 for number in range(3000)]
    pairs = [
        Pair(
            incompressible(seed, 96),
            "<script>" * 60,
            mentions=[[Candidate(one, 0.3)] for one in ids[seed::600]],
        )
        for seed in range(600)
    ]
    names = {one: (f"{one} \U0001f600", "&" * 400) for one in ids}
    return card_of(tmp_path_factory.mktemp("large"), {"a": pairs}, names=names)


def test_3000_entities_of_noise_fit_into_5_megabytes(page: str) -> None:
    assert len(page.encode()) < 5_000_000
    shown = data_of(page)
    assert len(shown["pictures"]) >= 250
    assert all(one["src"] for one in shown["pictures"])


def test_the_page_says_what_it_leaves_out(page: str) -> None:
    words = " ".join(Page(page).words)
    rows = len(data_of(page)["sheets"])
    assert 200 <= rows <= 2000
    assert f"{rows:,} of 3,000 entities shown" in words
    without = sum(not sheet for sheet in data_of(page)["sheets"])
    assert without
    assert f"{without:,} of them have no picture here" in words


def test_a_smaller_bound_makes_pictures_smaller_before_there_are_fewer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [
        Pair(incompressible(seed), mentions=[[Candidate(f"e{seed % 10}", 0.3)]])
        for seed in range(60)
    ]
    whole = card_of(tmp_path / "1", {"a": pairs})
    monkeypatch.setattr(build, "MOST_BYTES", 400_000)
    small = card_of(tmp_path / "2", {"a": pairs})
    assert len(small.encode()) <= 400_000 < len(whole.encode())
    before, after = data_of(whole), data_of(small)
    assert after["sheets"] == before["sheets"]
    sides = [max(decoded(p["src"]).size) for d in (before, after) for p in d["pictures"]]
    assert set(sides[:60]) == {128}
    assert max(sides[60:]) < 128
    monkeypatch.setattr(build, "MOST_BYTES", 100_000)
    fewer = card_of(tmp_path / "3", {"a": pairs})
    assert len(fewer.encode()) <= 100_000
    assert "of 10 entities shown: those with the most training images." in fewer


def test_a_copy_is_the_largest_that_fits_or_none() -> None:
    jpeg = noise_jpeg(1, side=128)
    assert decoded(data_uri(jpeg, 10**6)).size == (128, 128)
    assert data_uri(jpeg, 100) == data_uri(b"", 10**6) == ""
    for most in (1200, 2000, 3000):
        uri = data_uri(jpeg, most)
        assert 0 < len(uri) <= most
