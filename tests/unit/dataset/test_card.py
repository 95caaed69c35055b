"""The card: well formed, escaped, alone, and it says the numbers."""

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from openmofi.cli import main
from openmofi.dataset import card_page
from openmofi.dataset.assemble import assemble_dataset
from openmofi.versions import Manifest, read_manifest
from support.tables import Pair, labelled, noise_jpeg, write_pool

_VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Checks that elements close in order, and gathers text and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture
def made(root: Path, knowledge_base: str) -> Manifest:
    pairs = [labelled(seed, ("peru", 0.4 + seed / 100)) for seed in range(30)]
    pairs.append(Pair(noise_jpeg(31), "<script>alert(1)</script> & “quotes”", boxes=[(0.9, 0.05)]))
    pairs.append(Pair(b"broken", "gone", status="corrupt_image"))
    pool = write_pool(root, {"a": pairs})
    uri = assemble_dataset(
        **pool.tables(), knowledge_base=knowledge_base, config={"min_score": 0.405}
    )
    return read_manifest(uri, "dataset")


def test_the_page_stands_alone_and_is_escaped(made: Manifest) -> None:
    text = made.store.get(made.content["card"]).decode()
    page = Page(text)
    assert "<script>" not in text
    assert "<script>alert(1)</script> & “quotes”" in "".join(page.words)
    for _, attributes in page.seen:
        assert not attributes.get("href")
        source = attributes.get("src")
        assert source is None or source.startswith("data:image/jpeg;base64,")


def test_a_narrow_screen_gets_the_whole_page(made: Manifest) -> None:
    page = Page(made.store.get(made.content["card"]).decode())
    assert (
        "meta",
        {"name": "viewport", "content": "width=device-width, initial-scale=1"},
    ) in page.seen
    for before, (tag, attributes) in zip(page.seen, page.seen[1:], strict=False):
        if tag == "table":
            assert before == ("div", {"class": "wide"})  # which scrolls
        if tag == "svg":
            assert attributes["viewbox"]  # without it, a narrower drawing is cut, not scaled
    assert {"table", "svg"} <= {tag for tag, _ in page.seen}


def test_the_page_says_where_the_samples_went(made: Manifest) -> None:
    words = Page(made.store.get(made.content["card"]).decode()).words
    assert "29 of 32 image/alt-text pairs" in "".join(words)
    for cause, number, left in (("corrupt_image", 1, 31), ("text_region", 1, 30)):
        at = words.index(cause)
        cells = [word for word in words[at : at + 6] if word.strip()]
        assert cells[1:3] == [str(number), str(left)]
    assert made.digest[:12] in "".join(words)
    assert any("the cut at 0.405" in word for word in words)


def test_pictures_of_every_cause_are_shown(made: Manifest) -> None:
    page = Page(made.store.get(made.content["card"]).decode())
    pictures = [attributes for tag, attributes in page.seen if tag == "img"]
    assert len(pictures) == 24 + 2  # kept; text_region and no_entity; the broken one has none
    assert any("no picture" in word for word in page.words)
    assert any(word == "Dropped: text_region" for word in page.words)


def test_the_histogram_draws_every_bin_and_the_cut() -> None:
    counts = np.array([0, 0, 4, 2, 0, 1, 0, 0, 0, 0])
    page = Page(card_page.histogram(counts, np.linspace(-1, 1, 11), -0.5))
    drawn = page.seen
    assert "cut -0.5" in page.words
    heights = [float(a["height"] or 0) for tag, a in drawn if tag == "rect"]
    assert heights == [0, 140, 70, 0, 35, 0]  # bins 1 to 6, the filled ones and their neighbours
    (line,) = [a for tag, a in drawn if tag == "line"]
    # Bin 1 starts at -0.8 and bin 6 ends at 0.4: 1.2 units on 640 pixels.
    assert float(line["x1"] or 0) == pytest.approx(640 * 0.3 / 1.2, abs=0.1)


def test_show_prints_the_funnel(made: Manifest, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dataset", "show", made.uri]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["seen", "32"]
    assert lines[1].split() == ["ingest", "corrupt_image", "-1", "31"]
    assert any(line.startswith("kept 29 = train") for line in lines)


def test_assemble_and_build_by_hand(
    root: Path, tmp_path: Path, knowledge_base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = write_pool(root, {"a": [labelled(seed, ("peru", 0.4)) for seed in range(6)]})
    config = tmp_path / "assemble.yaml"
    config.write_text("min_score: 0.3\nvalidation_share: 0.0\n")
    arguments = ["dataset", "assemble", "--config", str(config)]
    for kind, uris in pool.tables().items():
        arguments += [f"--{kind.replace('_', '-')}", *uris]
    assert main([*arguments, "--knowledge-base", knowledge_base]) == 0
    uri = capsys.readouterr().out.strip()
    assert read_manifest(uri, "dataset").content["counts"] == {"kept": 6}
    assert main(["dataset", "build-shards", "--dataset", uri]) == 0
    shards = read_manifest(capsys.readouterr().out.strip(), "training_shards")
    assert [shard["rows"] for shard in shards.content["splits"]["train"]] == [6]
    assert main(["dataset", "show", "nonsense"]) == 2
    assert "'nonsense' is not a manifest" in capsys.readouterr().err
