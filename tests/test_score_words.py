"""Words that are to be read from some steps away; those of the window: test_pose_overlay."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.score_tools import result_of
from udpstream.adapters.overlay import line_px
from udpstream.adapters.score_words import Words, draw_words, words_of

GREY = 128
GOOD = Words("87", "CORRECT STEPS", "great   0.3 s behind")
BAD = Words("31", "NOT CORRECT STEPS", "off", "right upper arm: 120 degrees too far forward")
REASON = Words(reason="no score: nobody in the reference at this moment")
LONGEST = Words("100", "NOT CORRECT STEPS", "W" * 40, f"{'W' * 48}: {'W' * 48}")


def rows_drawn(
    words: Words, size_wh: tuple[int, int] = (640, 480), *, afar: bool = True
) -> NDArray[np.bool_]:
    canvas_bgr = np.full((size_wh[1], size_wh[0], 3), GREY, np.uint8)
    draw_words(canvas_bgr, words, afar=afar)
    rows: NDArray[np.bool_] = (canvas_bgr != GREY).any(axis=(1, 2))
    return rows


def height_of(rows: NDArray[np.bool_]) -> int:
    return int(np.flatnonzero(rows)[-1] - np.flatnonzero(rows)[0])


@pytest.mark.parametrize("words", [GOOD, Words(reason="no score: nobody in view")])
def test_from_afar_they_are_twice_as_large(words: Words) -> None:
    large, small = (height_of(rows_drawn(words, afar=afar)) for afar in (True, False))
    assert large == pytest.approx(2 * small, rel=0.1)


def test_from_afar_the_hint_leaves_the_face_and_the_line_free() -> None:
    rows = rows_drawn(BAD)
    assert rows[:100].any()
    assert not rows[120:320].any()
    assert rows[340:440].any()
    assert not rows[480 - line_px(640, 480) :].any()


@pytest.mark.parametrize("size_wh", [(640, 480), (320, 240), (480, 640), (1280, 720), (300, 900)])
@pytest.mark.parametrize("words", [GOOD, BAD, REASON, LONGEST])
def test_from_afar_the_middle_stays_free_on_any_canvas(
    words: Words, size_wh: tuple[int, int]
) -> None:
    rows = rows_drawn(words, size_wh)
    assert rows.any() or words == LONGEST
    height = size_wh[1]
    assert not rows[round(0.3 * height) : round(0.65 * height)].any()


@pytest.mark.parametrize("size_wh", [(1, 1), (16, 16), (2000, 20), (20, 2000)])
def test_what_does_not_fit_is_left_out(size_wh: tuple[int, int]) -> None:
    assert not rows_drawn(LONGEST, size_wh).any()


@pytest.mark.parametrize(
    ("score", "words"), [(0.0, "0"), (49.99, "49"), (50.0, "50"), (100, "100")]
)
def test_what_is_not_correct_never_shows_50_points(score: float, words: str) -> None:
    assert words_of(result_of(score=score)).score == words
