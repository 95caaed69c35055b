"""A text encoder's word beside the sparse vectors."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from openmofi.entities.build import build_knowledge_base_folder
from openmofi.entities.config import LinkConfig
from openmofi.entities.knowledge_base import KnowledgeBase, load_knowledge_base_folder
from openmofi.entities.linker import EntityLinker
from openmofi.entities.text_encoder import load_text_encoder
from openmofi.errors import InputError
from support.encoders import write_encoder
from support.entities import LINKING, write_csv

TEXTS = ["a seal and a crane", "Georgia", "nothing", "a lion", "a spring in Georgia"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dense")
    write_encoder(folder / "one")
    write_encoder(folder / "other", seed=2)
    table = str(write_csv(folder / "kb.csv", LINKING))
    config = {"encoder": str(folder / "one")}
    build_knowledge_base_folder(str(folder / "kb"), csv=table, config=config)
    build_knowledge_base_folder(str(folder / "plain"), csv=table)
    return folder


@pytest.fixture(scope="module")
def base(folder: Path) -> KnowledgeBase:
    return load_knowledge_base_folder(folder / "kb")


def settings_of(folder: Path, weight: float, encoder: str = "one") -> LinkConfig:
    return LinkConfig(
        encoder=str(folder / encoder), encoder_weight=weight, context_weight=0, not_shown=(),
        max_candidates=64,
    )  # fmt: skip


def test_the_cosine_is_added_to_the_logits(folder: Path, base: KnowledgeBase) -> None:
    owners = [0, 0, 1, 2, 2]
    plain = EntityLinker(base, LinkConfig(context_weight=0, not_shown=(), max_candidates=64))
    before = plain.link(TEXTS, owners)
    after = EntityLinker(base, settings_of(folder, 5.0)).link(TEXTS, owners)
    encoder, dense = load_text_encoder(str(folder / "one")), base.dense
    assert dense is not None
    wholes = [". ".join(TEXTS[:2]), TEXTS[2], ". ".join(TEXTS[3:])]
    encoded = encoder.encode(wholes, label="")
    seen = 0
    for mention in range(before.found):
        old, new = before.mentions == mention, after.mentions == mention
        entities = before.entities[old]
        owner = owners[int(before.texts[old][0])]
        rows = np.full(len(entities), owner)
        odds = np.log(before.scores[old].astype(float))
        if len(entities) > 1:
            odds += 5.0 * dense.cosines(encoded, rows, entities.astype(np.int64))
            seen += 1
        wanted = np.exp(odds - odds.max())
        order = np.argsort(before.entities[old]), np.argsort(after.entities[new])
        np.testing.assert_allclose(
            after.scores[new][order[1]], (wanted / wanted.sum())[order[0]], atol=1e-4
        )
    assert seen >= 4


def test_weight_zero_changes_nothing(folder: Path, base: KnowledgeBase) -> None:
    with_it = EntityLinker(base, settings_of(folder, 0.0)).link(TEXTS)
    without = EntityLinker(
        base, LinkConfig(context_weight=0, not_shown=(), max_candidates=64)
    ).link(TEXTS)
    for name, column in vars(without).items():
        np.testing.assert_array_equal(getattr(with_it, name), column, err_msg=name)


def test_texts_that_nothing_is_open_in_are_not_encoded(
    folder: Path, base: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    linker = EntityLinker(base, settings_of(folder, 5.0))
    agreement = linker.agreement
    assert agreement is not None
    seen: list[str] = []
    encode = agreement._encoder.encode

    def spy(texts: list[str], **options: str) -> object:
        seen.extend(texts)
        return encode(texts, **options)

    monkeypatch.setattr(agreement._encoder, "encode", spy)
    linker.link(["a lion", "Tbilisi", "Georgia", ""])
    assert seen == ["Georgia"]


def test_texts_without_mentions_or_of_odd_characters(folder: Path, base: KnowledgeBase) -> None:
    linker = EntityLinker(base, settings_of(folder, 5.0))
    assert linker.link([]).found == 0
    assert linker.link(["", "nothing at all", "\U0001f98a"]).found == 0
    assert linker.link(["\ud83d seal \x00", "Georgia \u202e" + "x" * 10_000]).found == 2


def test_a_knowledge_base_without_dense_vectors_is_refused(folder: Path) -> None:
    plain = load_knowledge_base_folder(folder / "plain")
    with pytest.raises(InputError, match=r"plain has no dense vectors; build it with --encoder"):
        EntityLinker(plain, settings_of(folder, 1.0))


def test_another_encoder_is_refused(folder: Path, base: KnowledgeBase) -> None:
    with pytest.raises(InputError, match=r"built with the encoder '.*one', and '.*other' is anoth"):
        EntityLinker(base, settings_of(folder, 1.0, "other"))


@pytest.mark.parametrize("name", ["1_Pooling/config.json", "config.json", "model.safetensors"])
def test_an_encoder_that_lacks_a_file_is_refused(
    folder: Path, base: KnowledgeBase, tmp_path: Path, name: str
) -> None:
    copy = Path(shutil.copytree(folder / "one", tmp_path / "copy"))
    (copy / name).unlink()
    settings = settings_of(folder, 1.0).model_copy(update={"encoder": str(copy)})
    with pytest.raises(InputError, match=str(copy)) as caught:
        EntityLinker(base, settings)
    assert len(str(caught.value).splitlines()) == 1
