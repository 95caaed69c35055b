import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openmofi.cli import main
from openmofi.entities.knowledge_base import KnowledgeBase, load_knowledge_base_folder
from openmofi.entities.recognition import templates
from openmofi.entities.recognition.evaluation import score_spans
from openmofi.entities.recognition.fit import fit_tokenizer, weak_labels
from openmofi.entities.recognition.recognizer import load_recognizer
from openmofi.entities.recognition.surfaces import split_surfaces
from openmofi.entities.recognition.texts import Writer, fillers, free_of, write_without
from openmofi.entities.recognition.training import train_recognizer
from openmofi.errors import InputError
from support.entities import write_csv

_ANIMALS = (
    "fox", "cat", "dog", "owl", "hen", "elk", "bee", "ant", "cow", "pig", "rat", "bat", "eel",
    "yak", "ape", "emu", "gnu", "cod", "jay", "asp",
)  # fmt: skip
_KINDS = ["red", "grey", "desert", "mountain", "river", "garden", "night", "forest"]
_TINY: dict[str, Any] = {
    "sentences": 300,
    "steps": 60,
    "hidden_size": 32,
    "layers": 1,
    "heads": 2,
    "vocabulary_size": 400,
    "batch_size": 16,
    "learning_rate": 0.01,
    "held_out": 0.2,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A knowledge base of animals, one by a name with capitals."""
    names = [*_ANIMALS, *(f"{kind} {one}" for kind in _KINDS for one in _ANIMALS), "Mount Elgon"]
    rows = [
        {"entity_id": f"E{number}", "name": name, "aliases": "", "description": "", "prior": "1"}
        for number, name in enumerate(names)
    ]
    target = tmp_path_factory.mktemp("bases")
    table = str(write_csv(target / "kb.csv", rows))
    assert main(["kb", "build", "--csv", table, "--out", str(target / "kb")]) == 0
    return target / "kb"


@pytest.fixture(scope="module")
def base(folder: Path) -> KnowledgeBase:
    return load_knowledge_base_folder(folder)


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "new" / "recognizer"
    train_recognizer(str(folder), str(out), config=_TINY)
    return out


def test_the_split_is_by_surface_form_and_whole(base: KnowledgeBase) -> None:
    split = split_surfaces(base, 0.3, 4)
    train, held_out = ({one.key for one in part} for part in (split.train, split.held_out))
    assert not train & held_out
    assert len(train | held_out) == base.head["aliases"]
    assert 0.2 < len(held_out) / base.head["aliases"] < 0.4
    assert {one.key for one in split_surfaces(base, 0.3, 4).held_out} == held_out
    assert {one.key for one in split_surfaces(base, 0.3, 5).held_out} != held_out
    for part, found_by, other in (
        (train, split.train_matcher, split.held_out_matcher),
        (held_out, split.held_out_matcher, split.train_matcher),
    ):
        assert all(found_by.look_up(key) is not None for key in part)
        assert all(other.look_up(key) is None for key in part)


def test_surfaces_are_shown_as_names_with_plurals(base: KnowledgeBase) -> None:
    split = split_surfaces(base, 0.2, 0)
    known = {one.key: one for one in (*split.train, *split.held_out)}
    assert known["mount elgon"].shown == "Mount Elgon"
    assert known["mount elgon"].plural == ""
    assert known["red fox"].plural == "red foxes"
    assert known["cat"].plural == "cats"


def test_no_training_text_has_a_held_out_surface_form(base: KnowledgeBase) -> None:
    split = split_surfaces(base, 0.3, 4)
    filled = fillers(split.train, templates.TRAINING_SYLLABLES, base.matcher)
    writer = Writer(templates.TRAINING, filled, "1")
    barred = {f" {one.key} " for one in split.held_out}
    barred |= {f" {one.plural} " for one in split.held_out if one.plural}
    sentences = write_without(writer, 2_000, split.held_out_matcher)
    assert len(sentences) == 2_000
    assert len({key for one in sentences for key in one.keys}) > 0.5 * len(split.train)
    border = str.maketrans(string.punctuation, " " * len(string.punctuation))
    for one in sentences:
        plain = f" {' '.join(one.text.lower().translate(border).split())} "
        assert not [key for key in barred if key in plain], one.text


def test_a_text_knows_where_its_entities_are(base: KnowledgeBase) -> None:
    split = split_surfaces(base, 0.2, 0)
    filled = fillers(split.train, templates.TRAINING_SYLLABLES, base.matcher)
    sentences = [Writer(templates.TRAINING, filled, str(seed)).write() for seed in range(500)]
    known = {one.key: (one.shown.lower(), one.plural.lower()) for one in split.train}
    for one in sentences:
        for (start, end), key in zip(one.spans, one.keys, strict=True):
            assert one.text[start:end].lower() in known[key]
    assert {len(one.spans) for one in sentences} >= {0, 1, 2, 3}
    assert any(one.text.isupper() for one in sentences)
    assert any(one.text.istitle() for one in sentences)
    again = [Writer(templates.TRAINING, filled, str(seed)).write() for seed in range(500)]
    assert again == sentences


def test_frames_of_the_two_kinds_of_text_differ() -> None:
    assert not set(templates.TRAINING) & set(templates.EVALUATION)
    assert not set(templates.TRAINING_SYLLABLES) & set(templates.EVALUATION_SYLLABLES)
    slots = {"e", "es", "adj", "n", "w", "x", "file", None}
    for frame in (*templates.TRAINING, *templates.EVALUATION, *templates.BEFORE, *templates.AFTER):
        assert {slot for _, slot, _, _ in string.Formatter().parse(frame)} <= slots


def test_frames_with_an_alias_in_them_are_left_out(base: KnowledgeBase) -> None:
    assert free_of(["the {e} and a cat", "the {e}", "cat"], base.matcher) == ["the {e}"]
    assert free_of(["cats"], base.matcher) == ["cats"]


def test_weak_labels_are_what_the_matcher_marks(base: KnowledgeBase) -> None:
    texts = ["Red foxes, cats", "no animal", "cat cat mount elgon's"]
    tokenizer = fit_tokenizer(texts * 5, 300)
    labelled = weak_labels(texts, base.matcher, tokenizer)
    words = [[number for number in one.labels.tolist() if number >= 0] for one in labelled]
    assert words == [[1, 2, 0, 1], [0, 0], [1, 1, 1, 2, 0, 0]]
    assert [len(one.ids) for one in labelled] == [len(one.labels) for one in labelled]


def test_the_tokenizer_is_the_same_each_time() -> None:
    draw = np.random.default_rng(0)
    texts = ["".join(draw.choice(list("abcdefgh  "), 30)) for _ in range(300)]
    first, *others = [fit_tokenizer(texts, 400).get_vocab() for _ in range(3)]
    assert all(other == first for other in others)
    assert len(first) == 400


def test_spans_are_scored_exactly() -> None:
    found = {(0, 0, 3), (0, 4, 6), (1, 0, 3)}
    gold = {(0, 0, 3), (0, 4, 7)}
    assert score_spans(found, gold) == {
        "spans": 3,
        "precision": 1 / 3,
        "recall": 1 / 2,
        "f1": pytest.approx(0.4),
    }
    assert score_spans(set(), gold)["f1"] == 0


def test_a_trained_folder_is_a_recognizer(trained: Path, base: KnowledgeBase) -> None:
    recognizer = load_recognizer(str(trained), device="cpu")
    evaluation = json.loads((trained / "evaluation.json").read_text())
    assert evaluation["recognizer"] == recognizer.digest
    assert evaluation["knowledge_base"] == base.digest
    assert evaluation["config"]["steps"] == _TINY["steps"]
    seen, held_out = (evaluation[kind]["systems"] for kind in ("seen", "held_out"))
    # Enough steps to learn words by heart.
    assert seen["recognizer"]["recall"] > 0.6
    assert seen["matcher"]["recall"] > 0.99
    assert held_out["matcher"]["recall"] > 0.99
    assert held_out["matcher_without_held_out"]["recall"] < 0.1
    assert set(recognizer.find(["an owl and a hen"]).labels) == {"ENTITY"}
    card = (trained / "README.md").read_text()
    assert f"{seen['recognizer']['f1']:.3f}" in card
    assert base.digest in card
    assert [path.name for path in trained.parent.iterdir()] == ["recognizer"]


def test_one_seed_gives_one_recognizer(folder: Path, tmp_path: Path) -> None:
    config = {**_TINY, "steps": 3}
    first, second = (
        train_recognizer(str(folder), str(tmp_path / name), config=config) for name in "ab"
    )
    assert first == second


def test_the_command_prints_the_figures(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "train.yaml"
    settings.write_text(json.dumps({**_TINY, "steps": 1}))
    out = tmp_path / "out"
    command = ["entities", "train-recognizer", "--kb", str(folder), "--out", str(out)]
    assert main([*command, "--config", str(settings)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7
    assert lines[0].split() == ["surface", "forms", "found", "by", "precision", "recall", "F1"]
    assert main([*command, "--config", str(settings)]) == 2
    error = capsys.readouterr().err
    assert f"{out} exists and is not empty" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"heads": 3}, "hidden_size must be a multiple of heads, got 160 and 3"),
        ({"held_out": 0}, "'held_out'"),
        ({"held_out": 1e-9}, "has 181 surface forms, too few to hold out"),
        ({"epochs": 3}, "unknown key 'epochs'"),
    ],
)
def test_bad_settings_leave_nothing(
    tmp_path: Path, folder: Path, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train_recognizer(str(folder), str(tmp_path / "new" / "out"), config=config)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        train_recognizer(str(folder), str(tmp_path / "file" / "out"), config=_TINY)
    with pytest.raises(InputError, match="file exists and is not empty"):
        train_recognizer(str(folder), str(tmp_path / "file"), config=_TINY)
