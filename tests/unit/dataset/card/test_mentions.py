"""Alt texts cut at their mentions."""

import numpy as np

from openmofi.dataset.card.mentions import Span, segments, shortened


def test_the_pieces_are_the_text_and_the_mentions_are_where_they_say() -> None:
    text = "\U0001f600 Peru, not Chad"
    spans = [Span(2, 6, "peru"), Span(12, 16, "chad")]
    assert segments(text, spans) == [
        ("\U0001f600 ", ""),
        ("Peru", "peru"),
        (", not ", ""),
        ("Chad", "chad"),
    ]


def test_of_overlapping_mentions_the_first_given_is_marked() -> None:
    spans = [Span(4, 9, "long"), Span(0, 5, "crossing"), Span(5, 6, "inside"), Span(0, 4, "before")]
    assert segments("one two x", spans) == [("one ", "before"), ("two x", "long")]


def test_a_mention_outside_of_the_text_is_none() -> None:
    for span in (Span(-1, 2, "e"), Span(2, 2, "e"), Span(3, 2, "e"), Span(2, 5, "e")):
        assert segments("four", [span]) == [("four", "")]
    assert segments("", [Span(0, 1, "e")]) == []


def test_a_long_text_is_cut_around_its_first_mention() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        text = "".join(chr(97 + one) for one in rng.integers(0, 26, rng.integers(250, 900)))
        starts = rng.integers(0, len(text) - 9, 4)
        spans = [Span(int(one), int(one) + 9, f"e{one}") for one in starts]
        short, moved = shortened(text, spans)
        assert len(short) <= 300
        assert short.strip("…") in text
        assert moved[0].entity == spans[0].entity  # the most important stays in view
        words = {span.entity: text[span.start : span.end] for span in spans}
        for span in moved:
            assert short[span.start : span.end] == words[span.entity]


def test_a_short_text_stays_as_it_is() -> None:
    assert shortened("x" * 300, [Span(0, 1, "e")]) == ("x" * 300, [Span(0, 1, "e")])
