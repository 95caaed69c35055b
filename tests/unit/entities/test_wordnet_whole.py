"""The real WordNet, where it is at hand beside the repository."""

from collections import defaultdict
from pathlib import Path

import pytest

from openmofi.entities.build import build_knowledge_base_folder
from openmofi.entities.knowledge_base import load_knowledge_base_folder
from openmofi.entities.text import surface_key

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
    senses = defaultdict(list)
    with (WORDNET / "index.noun").open(encoding="utf-8") as file:
        for line in file:
            if not line.startswith(" "):
                (
                    lemma,
                    *_,
                ) = fields = line.split()
                senses[lemma.replace("_", " ")] = fields[-int(fields[2]) :]
    assert len(senses) == 117_798
    index = base.matcher.index
    wrong = []
    for lemma in list(senses)[::31]:
        alias = base.matcher.look_up(surface_key(lemma))
        begin, end = index.posting_starts[alias : alias + 2] if alias is not None else (0, 0)
        got = [ids[row][1:] for row in index.posting_entities[begin:end]]
        # Lemmas that fold to one key ("rock'n'roll", "x-ray" and "x ray") share their candidates.
        if [offset for offset in got if offset in senses[lemma]] != senses[lemma]:
            wrong.append((lemma, got))
    assert wrong == []
