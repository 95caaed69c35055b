"""The real WordNet, where it is at hand beside the repository."""

from collections import Counter
from pathlib import Path

import pytest

from openmofi.entities.build import build_knowledge_base_folder
from openmofi.entities.knowledge_base import load_knowledge_base_folder
from openmofi.entities.text import surface_keys

WORDNET = Path(__file__).resolve().parents[4] / "shared" / "data" / "wordnet"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not WORDNET.is_dir(), reason="WordNet is not beside the repository"),
]


def test_every_lemma_is_found_again_with_its_senses_in_order(tmp_path: Path) -> None:
    base = load_knowledge_base_folder(
        build_knowledge_base_folder(str(tmp_path / "kb"), wordnet=str(WORDNET))
    )
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
