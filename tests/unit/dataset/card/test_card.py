"""The card as assembly writes it: well formed, escaped, alone, and it says the numbers."""

from pathlib import Path

import pytest

from openmofi.dataset.assemble import assemble_dataset
from openmofi.entities.build import build_knowledge_base
from openmofi.images import image_id
from openmofi.storage import open_store
from openmofi.versions import Manifest, read_manifest
from support.card_pages import Page, card_of, data_of
from support.reports import HOSTILE
from support.tables import Candidate, Pair, labelled, noise_jpeg, write_pool


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("made")
    (folder / "kb.csv").write_text("entity_id,name,aliases,description\nperu,Peru,,a place\n")
    root = folder / "store"
    knowledge_base = build_knowledge_base(str(root), csv=str(folder / "kb.csv"))
    pairs = [labelled(seed, ("peru", 0.4 + seed / 100)) for seed in range(30)]
    pairs.append(Pair(noise_jpeg(31), "<script>alert(1)</script> & “quotes”", boxes=[(0.9, 0.05)]))
    pairs.append(Pair(b"broken", "gone", status="corrupt_image"))
    pool = write_pool(root, {"a": pairs})
    uri = assemble_dataset(
        **pool.tables(), knowledge_base=knowledge_base, config={"min_score": 0.405}
    )
    return read_manifest(uri, "dataset")


def page_of(made: Manifest) -> str:
    return made.store.get(made.content["card"]).decode()


def test_the_page_stands_alone_and_is_escaped(made: Manifest) -> None:
    text = page_of(made)
    page = Page(text)
    assert "<script>alert" not in text
    assert "<script>alert(1)</script> & “quotes”" in "".join(page.words)
    for _, attributes in page.seen:
        assert not attributes.get("href")
        source = attributes.get("src")
        assert source is None or source.startswith("data:image/jpeg;base64,")
    (policy,) = [a["content"] for a in page.attributes("meta") if "http-equiv" in a]
    assert str(policy).startswith("default-src 'none'; img-src data:;")


def test_a_narrow_screen_gets_the_whole_page(made: Manifest) -> None:
    page = Page(page_of(made))
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in (
        page.attributes("meta")
    )
    for before, (tag, attributes) in zip(page.seen, page.seen[1:], strict=False):
        if tag == "table":
            assert "wide" in str(before[1].get("class")).split()  # which scrolls
        if tag == "svg":
            assert attributes["viewbox"]  # without it, a narrower drawing is cut, not scaled
    assert {"table", "svg"} <= {tag for tag, _ in page.seen}


def test_the_page_says_where_the_samples_went(made: Manifest) -> None:
    words = Page(page_of(made)).words
    assert "29 of 32 image/alt-text pairs" in "".join(words)
    for cause, number, left in (("corrupt_image", 1, 31), ("text_region", 1, 30)):
        at = words.index(cause)
        cells = [word for word in words[at : at + 9] if word.strip()]
        assert cells[2:4] == [f"-{number}", str(left)]
    assert made.digest[:12] in "".join(words)
    assert any("the cut at 0.405" in word for word in words)


def test_the_funnel_is_drawn_to_scale(made: Manifest) -> None:
    page = Page(page_of(made))
    left = [a["style"] for a in page.attributes("i") if a.get("class") == "left"]
    shares = [float(str(one).partition(":")[2].rstrip("%")) for one in left]
    # The crawl, corrupt_image, text_region, no_entity, and what is kept.
    assert shares == pytest.approx([100 * n / 32 for n in (32, 31, 30, 29, 29)], abs=1e-3)
    lost = [a["style"] for a in page.attributes("i") if a.get("class") == "lost"]
    assert lost == [f"width:{100 * n / 32:.3f}%" for n in (0, 1, 1, 1, 0)]


def test_pictures_of_every_cause_are_shown(made: Manifest) -> None:
    page = Page(page_of(made))
    pictures = page.attributes("img")
    assert len(pictures) == 24 + 2  # kept; text_region and no_entity; the broken one has none
    assert any("no picture" in word for word in page.words)
    heads = [attributes for attributes in page.attributes("h3") if attributes["class"] == "cause"]
    assert len(heads) == 3


def test_the_sheet_of_an_entity_holds_twelve_of_its_pictures(made: Manifest) -> None:
    data = data_of(page_of(made))
    assert [len(sheet) for sheet in data["sheets"]] == [12]
    assert len(data["pictures"]) == 12
    for picture in data["pictures"]:
        assert picture["src"].startswith("data:image/jpeg;base64,")
        (name, score), *others = picture["labels"]
        assert (name, others) == ("Peru", [])
        assert 0.405 <= float(score) <= 0.7
        # The mention stands at 0 to 5.
        assert picture["text"][0] == ["pictu", "label"]


def test_nothing_that_was_taken_down_is_shown(root: Path, knowledge_base: str) -> None:
    pairs = [labelled(seed, ("peru", 0.4)) for seed in range(8)]
    pairs[3] = Pair(pairs[3].image, "what nobody may see", mentions=pairs[3].mentions)
    pool = write_pool(root, {"a": pairs})
    open_store(str(root)).put("tombstones/1.txt", image_id(pairs[3].image).encode())
    made = read_manifest(
        assemble_dataset(**pool.tables(), knowledge_base=knowledge_base), "dataset"
    )
    text = page_of(made)
    assert made.content["counts"]["taken_down"] == 1
    assert "taken_down" in text
    assert "what nobody may see" not in text
    assert len(Page(text).attributes("img")) == 7


def test_a_data_set_without_labels_has_a_card_without_a_script(root: Path) -> None:
    page = Page(card_of(root, {"a": [Pair(noise_jpeg(seed), "any") for seed in range(3)]}))
    assert page.attributes("script") == []
    assert "No entity was scored." in page.words
    assert len(page.attributes("img")) == 3


def test_strings_of_the_data_stay_strings_wherever_they_stand(root: Path) -> None:
    pairs = [
        Pair(noise_jpeg(seed), f"{HOSTILE} {seed}", mentions=[[Candidate(HOSTILE, 0.4)]])
        for seed in range(3)
    ]
    harmless = [
        Pair(noise_jpeg(seed), f"plain {seed}", mentions=[[Candidate("peru", 0.4)]])
        for seed in range(3)
    ]
    names = {HOSTILE: (HOSTILE, f"<!--data--> {HOSTILE}")}
    evil = card_of(root / "evil", {"a": pairs}, causes={("a", 2): HOSTILE}, names=names)
    plain = card_of(root / "plain", {"a": harmless}, causes={("a", 2): "no_entity"})
    page = Page(evil)
    assert evil.count("</script>") == plain.count("</script>") == 2
    assert [tag for tag, _ in page.seen].count("script") == 2
    assert "".join(page.words).count('document.title="hijacked"') >= 4
    for picture in data_of(evil)["pictures"]:
        assert "".join(text for text, _ in picture["text"]).startswith(HOSTILE)
