from __future__ import annotations

from dataclasses import replace

import pytest

from udpstream.core import reply
from udpstream.core.pose.limbs import LIMBS
from udpstream.protocol import MAX_TEXT_BYTES, VERDICTS, Result

SCORED = Result(1, 7, score=42.5, verdict=VERDICTS[1], grade="off", lag_s=0.28)
HINTED = replace(SCORED, limb="left forearm", degrees=38.0, direction="too low")


@pytest.mark.parametrize(
    ("score", "words"), [(0.0, "0"), (49.99, "49"), (50.0, "50"), (100, "100")]
)
def test_what_is_not_correct_never_shows_50_points(score: float, words: str) -> None:
    assert reply.points(score) == words


@pytest.mark.parametrize(
    ("lag_s", "words"),
    [
        (None, ""),
        (0.04, "in time"),
        (-0.04, "in time"),
        (0.28, "0.3 s behind"),
        (-1, "1.0 s ahead"),
    ],
)
def test_the_lag_in_words(lag_s: float | None, words: str) -> None:
    assert reply.timing(lag_s) == words


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (None, "no score from a receiver"),
        (HINTED, "42  NOT CORRECT STEPS  left forearm: 40 degrees too low"),
        (SCORED, "42  NOT CORRECT STEPS  0.3 s behind"),
        (replace(SCORED, verdict=None, lag_s=None), "42  scored"),
        (Result(1, 7, reason="nobody in view"), "nobody in view"),
        (Result(1, 7), "no score"),
    ],
)
def test_a_result_in_a_line(result: Result | None, line: str) -> None:
    assert reply.in_a_line(result) == line


def test_no_line_of_ours_is_wider_than_a_terminal() -> None:
    for limb in LIMBS:
        longest = replace(
            HINTED, score=100.0, limb=limb, degrees=180.0, direction="too far forward"
        )
        assert len(reply.in_a_line(longest)) <= 80
    assert len(reply.in_a_line(Result(1, 7, reason="x" * MAX_TEXT_BYTES))) <= 80
