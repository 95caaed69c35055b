"""The real WordNet, where it is at hand beside the repository."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from openmofi.entities.build import build_knowledge_base_folder
from openmofi.entities.kernels_candidates import IS_VARIANT, NAMES_OWN
from openmofi.entities.knowledge_base import KnowledgeBase, load_knowledge_base_folder
from openmofi.entities.text import surface_keys

WORDNET = Path(__file__).resolve().parents[4] / "shared" / "data" / "wordnet"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not WORDNET.is_dir(), reason="WordNet is not beside the repository"),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeBase:
    out = str(tmp_path_factory.mktemp("wordnet") / "kb")
    return load_knowledge_base_folder(build_knowledge_base_folder(out, wordnet=str(WORDNET)))


def test_every_lemma_is_found_again_with_its_senses_in_order(base: KnowledgeBase) -> None:
    assert len(base) == 82_115
    ids = base.entities.column("entity_id").to_pylist()
    senses = {}
    with (WORDNET / "index.noun").open(encoding="utf-8") as file:
        for line in file:
            if not line.startswith(" "):
                fields = line.split()
                senses[fields[0].replace("_", " ")] = fields[-int(fields[2]) :]
    assert len(senses) == 117_798
    keys = [key for key, _ in surface_keys(list(senses))]
    sharing = Counter(form for key in keys for form in {key, key.replace(". ", " ")})
    disordered, missing = [], []
    for lemma, key in zip(senses, keys, strict=True):
        alias = base.matcher.look_up(key)
        rows, _ = base.matcher.candidates(alias) if alias is not None else ([], [])
        got = [ids[row][1:] for row in rows]
        if not set(senses[lemma]) <= set(got):
            missing.append((lemma, got))
        # "broad-bean" and "broad bean" are one key, so are "st. joseph" without its point and
        # "st joseph"; WordNet orders the senses of each on its own.
        elif sharing[key] == 1 and got[: len(senses[lemma])] != senses[lemma]:
            disordered.append((lemma, got))
    assert missing == []
    assert disordered == []
    assert sum(count > 1 for count in sharing.values()) < 300


@pytest.mark.parametrize(
    ("text", "name", "kind"),
    [
        ("kiwifruit", "kiwi", "food"),
        ("a post box", "postbox", "artifact"),
        ("watch tower", "watchtower", "artifact"),
        ("dew drops", "dewdrop", "shape"),
    ],
)
def test_other_spellings_are_found(base: KnowledgeBase, text: str, name: str, kind: str) -> None:
    found = base.matcher.match([text])
    [alias] = found.aliases.tolist()
    rows, _ = base.matcher.candidates(alias)
    ids = base.entity_ids(rows.astype(np.int64)).to_pylist()
    assert [(base.name(one), base.kind(one)) for one in ids] == [(name, kind)]
    assert flags_of(base, alias) & IS_VARIANT
    assert found.ends.tolist() == [len(text)]


def test_a_hot_dog_is_no_kind_of_dog(base: KnowledgeBase) -> None:
    own = {
        surface: bool(flags_of(base, base.matcher.look_up(surface)) & NAMES_OWN)
        for surface in ("hot dog", "guinea pig", "teddy bear", "polar bear", "sports car")
    }
    assert own == {
        "hot dog": True,
        "guinea pig": True,
        "teddy bear": True,
        "polar bear": False,
        "sports car": False,
    }


def flags_of(base: KnowledgeBase, alias: int | None) -> int:
    """All bits of an alias's candidates."""
    assert alias is not None
    begin, end = base.matcher.index.posting_starts[alias : alias + 2].tolist()
    return int(np.bitwise_or.reduce(base.matcher.index.posting_flags[begin:end]))
