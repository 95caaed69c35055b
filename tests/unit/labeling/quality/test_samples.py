"""What people hand in becomes a judged sample, or one line that says what is wrong where."""

from pathlib import Path
from typing import Any

import pytest

from openmofi.errors import InputError
from openmofi.labeling.quality.judged import Judged
from openmofi.labeling.quality.labels import Labels, read_label_file
from openmofi.labeling.quality.samples import (
    LeftOut,
    judge_by_truth,
    read_answers,
    read_truth,
)
from support.label_quality import (
    MADE_WITH,
    answer,
    label,
    truth,
    write_answers,
    write_labels,
    write_lines,
)


def labels_of(folder: Path, *rows: dict[str, Any]) -> Labels:
    return read_label_file(write_labels(folder / "labels.parquet", rows))


def by_truth(folder: Path, rows: list[Any], lines: list[Any]) -> tuple[Judged, LeftOut]:
    shown = read_truth(write_lines(folder / "truth.jsonl", lines))
    return judge_by_truth(labels_of(folder, *rows), shown)


def test_a_pair_is_right_if_its_image_shows_it(tmp_path: Path) -> None:
    rows = [label("a", "cat", 0.3), label("a", "dog", 0.2), label("b", "cat", 0.1)]
    judged, _ = by_truth(tmp_path, rows, [truth("a", "cat", "elk"), truth("b")])
    assert judged.right.tolist() == [True, False, False]
    assert judged.scores == pytest.approx([0.3, 0.2, 0.1])
    assert judged.images.tolist() == [0, 0, 1]
    assert judged.made_with == MADE_WITH


def test_images_that_the_truth_does_not_name_are_not_judged(tmp_path: Path) -> None:
    elsewhere = {**label("a", "cat", 0.3), "shard": "00001"}
    rows = [label("a", "cat", 0.3), label("c", "cat", 0.2), elsewhere]
    other = {**truth("c", "cat"), "shard": "00001"}  # its shard and its key both occur, apart
    judged, left_out = by_truth(tmp_path, rows, [truth("a", "cat"), truth("z", "cat"), other])
    assert len(judged) == 1
    assert left_out == LeftOut(without_label=2)


def test_the_digest_is_of_pairs_and_verdicts_whatever_their_order(tmp_path: Path) -> None:
    rows = [label("a", "cat", 0.3), label("b", "cat", 0.1)]
    one, _ = by_truth(tmp_path, rows, [truth("a", "cat"), truth("b")])
    same, _ = by_truth(tmp_path, rows[::-1], [truth("b", "elk"), truth("a", "cat")])
    other, _ = by_truth(tmp_path, rows, [truth("a"), truth("b")])
    assert one.digest == same.digest != other.digest


def test_no_image_in_common_is_told_with_one_of_each(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"share no image .*: '00000/a' is the first .*'00000/z'"):
        by_truth(tmp_path, [label("a", "cat", 0.3)], [truth("z", "cat")])


def test_a_pair_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sample '00000/a' has 'cat' twice"):
        by_truth(tmp_path, [label("a", "cat", 0.3)] * 2, [truth("a")])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"shard": "0", "key": "b"}, "line 2 lacks the field 'entity_ids'"),
        ({**truth("b"), "entity_ids": "cat"}, "line 2: 'entity_ids' must be a list, got 'cat'"),
        ({**truth("b"), "entity_ids": [3]}, r"line 2: 'entity_ids' must be a list of strings"),
        ({**truth("b"), "key": 7}, "line 2: 'key' must be a string, got 7"),
        ({**truth("b"), "shard": ""}, "line 2: 'shard' is empty"),
        (truth("\ud800"), "line 2: 'key' holds half of a surrogate pair"),
        (truth("first"), "line 2: image '00000/first' is also in line 1"),
        ([truth("b")], "line 2 is not a JSON object"),
    ],
)
def test_a_bad_line_of_truth_is_named(tmp_path: Path, line: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_truth(write_lines(tmp_path / "truth.jsonl", [truth("first"), line]))


@pytest.mark.parametrize(
    ("data", "message"), [(b"", "holds no image"), (b'{"shard": "\xff"}', "is not UTF-8 text")]
)
def test_a_truth_that_says_nothing_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "truth.jsonl").write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_truth(tmp_path / "truth.jsonl")


def test_a_truth_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"truth file not found: .*truth.jsonl"):
        read_truth(tmp_path / "truth.jsonl")


def test_answers_bring_scores_weights_and_strata_along(tmp_path: Path) -> None:
    said = [
        answer("a", "right"),
        answer("a", "wrong", entity_id="dog", clip_score=0.1),
        answer("b", "right", stratum="other", weight=3),
    ]
    judged = read_answers(write_answers(tmp_path / "a.json", said)).judged()
    assert judged.right.tolist() == [True, False, True]
    assert judged.scores.tolist() == [0.25, 0.1, 0.25]
    assert judged.weights.tolist() == [2, 2, 3]
    assert judged.images.tolist() == [0, 0, 1]
    assert judged.strata.tolist() == [0, 1]
    assert judged.made_with == MADE_WITH


def test_unsure_is_left_out_or_taken_for_either(tmp_path: Path) -> None:
    said = [answer("a", "right"), answer("b", "unsure")]
    answers = read_answers(write_answers(tmp_path / "a.json", said))
    assert answers.unsure == 1
    assert answers.judged().right.tolist() == [True]
    assert answers.judged(unsure=True).right.tolist() == [True, True]
    assert answers.judged(unsure=False).right.tolist() == [True, False]


def test_nothing_but_unsure_is_no_sample(tmp_path: Path) -> None:
    path = write_answers(tmp_path / "a.json", [answer("a", "unsure")])
    with pytest.raises(InputError, match="holds no answer but 'unsure'"):
        read_answers(path).judged()


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (answer("b", "yes"), "answer 2: 'answer' must be right, wrong, unsure; got 'yes'"),
        (answer("b", "right", weight=0), "answer 2: 'weight' must be above 0, got 0"),
        (answer("b", "right", weight="1"), "answer 2: 'weight' must be a number, got '1'"),
        (answer("b", "right", clip_score=3), "'clip_score' must lie between -1 and 1, got 3"),
        (answer("a", "wrong"), "answer 2: image '00000/a' has 'cat' twice"),
        (
            answer("a", "right", entity_id="dog", weight=9),
            "answer 2: image '00000/a' has another 'stratum' or 'weight' than before",
        ),
        ({}, "answer 2 lacks the field 'answer'"),
        ([], r"answer 2 must be a JSON object, got \[\]"),
    ],
)
def test_a_bad_answer_is_named(tmp_path: Path, second: Any, message: str) -> None:
    path = write_answers(tmp_path / "a.json", [answer("a", "right"), second])
    with pytest.raises(InputError, match=message):
        read_answers(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "labels"}, "holds no answers: save one from a sheet of `labeling audit`"),
        ({"answers": []}, "holds no answer; judge some labels and save again"),
        ({"answers": 3}, "'answers' must be a list, got 3"),
        ({"made_with": None}, "'made_with' must be an object, got None"),
    ],
)
def test_bad_answers_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = write_answers(tmp_path / "a.json", [answer("a", "right")], **change)
    with pytest.raises(InputError, match=message):
        read_answers(path)


def test_answers_that_are_no_json_or_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"answers file not found: .*a.json"):
        read_answers(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(InputError, match="holds no answers: it is not JSON"):
        read_answers(tmp_path / "a.json")
