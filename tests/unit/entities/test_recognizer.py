from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openmofi.entities.knowledge_base import load_knowledge_base_folder
from openmofi.entities.recognition.recognizer import RecognizedSpans, Recognizer, load_recognizer
from openmofi.entities.recognition.surfaces import whole_aliases
from support.matchers import texts as odd_texts
from support.recognizers import (
    BIO,
    SPECIAL,
    save_backend,
    write_random_recognizer,
    write_recognizer,
)

WORDS = {
    "ada": "B-PER",
    "lovelace": "I-PER",
    "paris": "B-LOC",
    "new": "B-LOC",
    "york": "I-LOC",
    "##er": "B-PER",  # never a word's first token: must not count
    "cat": "O",
    ",": "O",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recognizer(tmp_path_factory.mktemp("models") / "known", WORDS)


@pytest.fixture(scope="module")
def known(folder: Path) -> Recognizer:
    return load_recognizer(str(folder), device="cpu")


@pytest.fixture(scope="module")
def random_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    letters = [*"abcdefgxyz0.'", *(f"##{letter}" for letter in "abcdefgxyz0")]
    return write_random_recognizer(tmp_path_factory.mktemp("models") / "random", letters)


def surfaces(spans: RecognizedSpans, texts: list[str]) -> list[tuple[str, str]]:
    places = zip(spans.texts.tolist(), spans.starts.tolist(), spans.ends.tolist(), strict=True)
    return [
        (texts[text][start:end], label)
        for (text, start, end), label in zip(places, spans.labels, strict=True)
    ]


def test_spans_are_places_in_the_original_text(known: Recognizer) -> None:
    texts = ["Ada Lovelace in New\u00a0York, a cat", "", "   ", "  \U0001f98a PARIS\n", "cat"]
    spans = known.find(texts)
    assert spans.texts.tolist() == [0, 0, 3]
    assert spans.starts.tolist() == [0, 16, 4]
    assert spans.ends.tolist() == [12, 24, 9]
    assert spans.labels == ["PER", "LOC", "LOC"]
    assert surfaces(spans, texts) == [
        ("Ada Lovelace", "PER"),
        ("New\u00a0York", "LOC"),
        ("PARIS", "LOC"),
    ]
    assert ((spans.scores > 0.2) & (spans.scores < 1)).all()


def test_a_word_has_the_label_of_its_first_token(known: Recognizer) -> None:
    texts = ["newer cater adaer"]
    assert surfaces(known.find(texts), texts) == [("newer", "LOC"), ("adaer", "PER")]


def test_no_text_is_a_fine_column(known: Recognizer) -> None:
    spans = known.find([])
    assert len(spans) == 0
    assert spans.starts.dtype == np.int64
    assert spans.scores.dtype == np.float64


@pytest.mark.parametrize(
    ("labels", "words", "expected"),
    [
        # BIO and IOB1: "I" after "O" begins, "B" divides neighbours of one kind.
        (BIO, ["I-PER", "I-PER", "B-PER", "O", "I-LOC", "I-PER"], ["01", "2", "4", "5"]),
        (["O", "B-X", "I-X", "E-X", "S-X"], ["B-X", "I-X", "E-X", "I-X", "S-X", "E-X"],
         ["012", "3", "4", "5"]),
        (["B-X", "I-X", "L-X", "U-X", "O"], ["B-X", "L-X", "B-X", "O", "U-X", "U-X"],
         ["01", "2", "4", "5"]),
        (["O", "PER", "LOC"], ["PER", "PER", "LOC", "O", "LOC", "O"], ["01", "2", "4"]),
        (["O", "B", "I"], ["B", "I", "B", "O", "I", "O"], ["01", "2", "4"]),
        (["[PAD]", "O", "B-X", "I-X"], ["B-X", "[PAD]", "I-X", "O", "O", "O"], ["0", "2"]),
        # One label has no prefix: the letters mean nothing.
        (["O", "B-X", "OTHER"], ["B-X", "B-X", "OTHER", "O", "O", "O"], ["01", "2"]),
    ],
)  # fmt: skip
def test_the_scheme_is_read_off_the_labels(
    tmp_path: Path, labels: list[str], words: list[str], expected: list[str]
) -> None:
    table = dict(zip("uvwxyz", words, strict=True))
    rest = {"other": next(label for label in labels if label == "O")}
    recognizer = load_recognizer(
        str(write_recognizer(tmp_path / "model", {**table, **rest}, labels=labels)), device="cpu"
    )
    text = "u v w x y z"
    found = [surface for surface, _ in surfaces(recognizer.find([text]), [text])]
    names = [" ".join("uvwxyz"[int(place)] for place in span) for span in expected]
    assert found == names


def test_long_texts_are_read_whole(known: Recognizer) -> None:
    # Windows of 14 tokens; a name in every place of them.
    for before in range(40):
        text = "cat " * before + "Ada Lovelace" + " cat" * 30
        spans = known.find([text])
        assert spans.starts.tolist() == [4 * before]
        assert spans.ends.tolist() == [4 * before + 12]


def test_a_megabyte_is_read_whole_and_its_neighbours_too(tmp_path: Path) -> None:
    known = load_recognizer(str(write_recognizer(tmp_path, WORDS, max_length=256)), device="cpu")
    unit = "\u00e9 cat, Ada Lovelace\n"
    long = unit * (1_000_000 // len(unit))
    spans = known.find(["Paris", long, "Paris"])
    places = np.arange(1_000_000 // len(unit)) * len(unit) + 7
    np.testing.assert_array_equal(spans.starts[1:-1], places)
    np.testing.assert_array_equal(spans.ends[1:-1], places + 12)
    assert spans.texts[[0, -1]].tolist() == [0, 2]


def test_a_long_text_without_white_space_is_read_whole(known: Recognizer) -> None:
    text = "ada," * 4_000
    assert len(known.find([text])) == 4_000


def test_neighbours_and_batch_size_change_nothing(random_folder: Path) -> None:
    draw = np.random.default_rng(0)
    texts = ["".join(draw.choice(list("abcdefgxyz0.  '"), size)) for size in range(0, 150, 2)]
    recognizer = load_recognizer(str(random_folder), device="cpu")
    alone = [recognizer.find([text]) for text in texts]
    counts = [len(one) for one in alone]
    assert min(counts) == 0
    assert max(counts) > 3
    for batch_size in (1, 7, 64):
        found = load_recognizer(str(random_folder), device="cpu", batch_size=batch_size).find(texts)
        assert np.bincount(found.texts, minlength=len(texts)).tolist() == counts
        for name in ("starts", "ends", "scores"):
            expected = np.concatenate([getattr(one, name) for one in alone])
            np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-4)
        assert found.labels == [label for one in alone for label in one.labels]


@given(st.lists(odd_texts, max_size=4))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_span_is_a_stripped_piece_of_its_text(random_folder: Path, texts: list[str]) -> None:
    spans = _loaded(random_folder).find(texts)
    last = (-1, 0)
    places = zip(spans.texts.tolist(), spans.starts.tolist(), spans.ends.tolist(), strict=True)
    for text, start, end in places:
        assert 0 <= start < end <= len(texts[text])
        assert texts[text][start:end].strip() == texts[text][start:end]
        assert (text, start) >= last
        last = (text, end)


_LOADED: dict[Path, Recognizer] = {}


def _loaded(folder: Path) -> Recognizer:
    """Once for all examples."""
    if folder not in _LOADED:
        _LOADED[folder] = load_recognizer(str(folder), device="cpu", batch_size=3)
    return _LOADED[folder]


def test_byte_pairs_that_hold_white_space_are_trimmed(folder: Path, tmp_path: Path) -> None:
    from tokenizers import pre_tokenizers
    from tokenizers.models import BPE

    model = tmp_path / "model"
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    write_recognizer(model, {letter: "B-LOC" if letter == "\u0120" else "O" for letter in letters})
    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *letters])}
    backend = BPE(vocabulary, [], unk_token="[UNK]")
    pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    save_backend(model, backend, 64, pre_tokenizer=pre_tokenizer)
    texts = ["fox \u5317\u4eac\U0001f98a  x"]
    assert surfaces(load_recognizer(str(model), device="cpu").find(texts), texts) == [
        ("fox", "LOC"),
        ("\u5317\u4eac", "LOC"),
        ("x", "LOC"),
    ]


def test_closing_marks_are_no_part_of_words_cut_at_white_space(tmp_path: Path) -> None:
    from tokenizers import pre_tokenizers
    from tokenizers.models import Unigram

    write_recognizer(tmp_path, {"\u2581": "O", "\u2581york": "B-LOC", ",": "O", "s": "O"})
    pieces = [*SPECIAL, "\u2581", "\u2581york", ",", "s"]
    model = Unigram([(piece, -1.0) for piece in pieces], unk_id=1)
    save_backend(tmp_path, model, 16, pre_tokenizer=pre_tokenizers.Metaspace())
    texts = ["york, yorks, s,"]
    found = load_recognizer(str(tmp_path), device="cpu").find(texts)
    assert [surface for surface, _ in surfaces(found, texts)] == ["york", "yorks"]


def test_the_digest_is_of_what_the_model_is(folder: Path, tmp_path: Path) -> None:
    def digest(where: Path) -> str:
        return load_recognizer(str(where), device="cpu").digest

    first = digest(folder)
    assert digest(write_recognizer(tmp_path / "same", WORDS)) == first
    assert digest(write_recognizer(tmp_path / "word", {**WORDS, "cat": "B-PER"})) != first
    labels = [*BIO[:-1], "I-LOCATION"]
    changed = write_recognizer(tmp_path / "label", {**WORDS, "york": "I-LOCATION"}, labels=labels)
    assert digest(changed) != first


def test_spans_are_looked_up_as_a_whole(tmp_path: Path) -> None:
    from openmofi.entities.build import build_knowledge_base_folder
    from support.entities import write_wordnet

    build_knowledge_base_folder(
        str(tmp_path / "kb"), wordnet=str(write_wordnet(tmp_path / "wordnet"))
    )
    base = load_knowledge_base_folder(tmp_path / "kb")
    surfaces = ["Human-Being", "crane", "crane driver", "can", "men", "Cranes", "Cranes?"]
    aliases = whole_aliases(surfaces, base.matcher)
    keys = [base.matcher.index.key(alias) if alias >= 0 else "" for alias in aliases.tolist()]
    assert keys == ["human being", "crane", "", "", "man", "crane", "crane"]
