import pytest

from openmofi.evaluation import metrics, wording
from openmofi.evaluation.metrics import Difference


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        ("retrieval/map", "Retrieval: mAP"),
        ("retrieval/map/sea_side", "Retrieval: mAP, sea side"),
        ("typographic/retention", "Typographic attack: retention (attacked / clean)"),
        ("image_text/text_to_image_r5", "Images and texts: text to image R@5"),
        ("query_index/r1", "Queries against an index: R@1"),
        ("a_new_suite/top1", "A new suite: top-1"),
    ],
)
def test_metrics_have_names_for_people(metric, says):
    assert wording.title(metric) == says


def test_suites_stand_in_order_and_unknown_ones_last():
    names = ["zz/a", "typographic/clean", "aa/a", "zero_shot/top1", "retrieval/map", "zz/a"]
    assert wording.ordered(names) == [
        "retrieval/map", "zero_shot/top1", "typographic/clean", "aa/a", "zz/a",
    ]  # fmt: skip


def test_parts_stand_with_their_metric_and_orphans_for_themselves():
    names = ["retrieval/map/land", "retrieval/map", "retrieval/map/sea", "knn/top1/x"]
    assert wording.breakdowns(names) == {
        "retrieval/map": ["retrieval/map/land", "retrieval/map/sea"],
        "knn/top1/x": [],
    }


@pytest.mark.parametrize(
    ("metric", "value", "low", "high", "word"),
    [
        (metrics.RETRIEVAL, 2.0, 0.5, 3.5, "better"),
        (metrics.RETRIEVAL, -2.0, -3.5, -0.5, "worse"),
        (metrics.RETRIEVAL, 2.0, -0.5, 4.5, "noise"),
        (metrics.RETRIEVAL, 2.0, 0.0, 4.5, "noise"),
        (metrics.RETRIEVAL, 0.0, 0.0, 0.0, "no difference"),
        (metrics.RETRIEVAL, 2.0, float("nan"), float("nan"), "not known"),
        (metrics.FOOLED, 2.0, 0.5, 3.5, "worse"),
        (metrics.FOOLED, -2.0, -3.5, -0.5, "better"),
    ],
)
def test_a_difference_has_a_plain_word(metric, value, low, high, word):
    assert wording.verdict(metric, Difference(value, low, high, 9)) == word


def test_no_difference_at_all_is_not_known():
    assert wording.verdict(metrics.RETRIEVAL, None) == "not known"
