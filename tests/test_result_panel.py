from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from udpstream.adapters.result_panel import draw_result
from udpstream.protocol import VERDICTS, Result

GREY = 128
GOOD = Result(1, 7, score=87.0, verdict=VERDICTS[0], grade="great", lag_s=0.3)
BAD = replace(
    GOOD, score=31.0, verdict=VERDICTS[1], grade="off", limb="left forearm", degrees=40.0,
    direction="too low",
)  # fmt: skip
LONGEST = replace(
    BAD, score=100.0, limb="W" * 48, degrees=180.0, direction="W" * 48, mirrored=True,
)  # fmt: skip


def drawn(
    result: Result, size_wh: tuple[int, int] = (640, 480), foot_px: int = 0
) -> NDArray[np.uint8]:
    canvas_bgr = np.full((size_wh[1], size_wh[0], 3), GREY, np.uint8)
    draw_result(canvas_bgr, result, foot_px)
    return canvas_bgr


def rows_drawn(canvas_bgr: NDArray[np.uint8]) -> NDArray[np.bool_]:
    rows: NDArray[np.bool_] = (canvas_bgr != GREY).any(axis=(1, 2))
    return rows


def letters(canvas_bgr: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where something is brighter than the picture: text, not the ground under it."""
    bright: NDArray[np.bool_] = canvas_bgr.max(axis=2) > GREY + 60
    return bright


def test_score_and_verdict_stand_above_and_the_hint_below() -> None:
    without, with_hint = rows_drawn(drawn(GOOD)), rows_drawn(drawn(BAD))
    assert without[:110].any()
    assert not without[120:].any()
    assert with_hint[300:].any()
    assert not with_hint[130:300].any()  # the performer is there


def test_the_foot_stays_free() -> None:
    assert rows_drawn(drawn(BAD, foot_px=0))[440:].any()
    assert not rows_drawn(drawn(BAD, foot_px=40))[440:].any()


def test_correct_and_not_correct_have_colours_of_their_own() -> None:
    good, bad = drawn(GOOD), drawn(replace(GOOD, verdict=VERDICTS[1]))
    for canvas_bgr, strongest in ((good, 1), (bad, 2)):  # green, red
        score = canvas_bgr[:110, :160]
        bgr = score[letters(score)].astype(float).mean(axis=0)
        assert np.argmax(bgr) == strongest


def test_the_verdict_stays_in_place_however_many_digits_the_score_has() -> None:
    def first_column(score: float) -> int:
        return int(np.flatnonzero(letters(drawn(replace(GOOD, score=score)))[:, 170:].any(0))[0])

    assert first_column(7.0) == first_column(42.0) == first_column(100.0)


def test_without_a_score_the_reason_takes_its_place() -> None:
    reason = drawn(Result(1, 7, reason="nobody in view"))
    assert letters(reason)[:110, :160].any()
    assert not np.array_equal(reason, drawn(Result(1, 7, reason="waiting for the start")))
    assert not rows_drawn(reason)[120:].any()


@pytest.mark.parametrize("size_wh", [(640, 480), (320, 240), (480, 640), (1280, 720), (300, 900)])
@pytest.mark.parametrize("result", [GOOD, LONGEST, Result(1, 7, reason="W" * 48), Result(1, 7)])
def test_it_fits_any_canvas_and_leaves_the_middle_free(
    result: Result, size_wh: tuple[int, int]
) -> None:
    canvas_bgr = drawn(result, size_wh, foot_px=20)
    height, width = canvas_bgr.shape[:2]
    assert rows_drawn(canvas_bgr).any()
    assert not rows_drawn(canvas_bgr)[round(0.3 * height) : round(0.65 * height)].any()
    edge = max(1, width // 200)
    assert (canvas_bgr[:, :edge] == GREY).all()
    assert (canvas_bgr[:, -edge:] == GREY).all()


@pytest.mark.parametrize("size_wh", [(1, 1), (16, 16), (160, 120), (2000, 100), (100, 2000)])
def test_nothing_is_drawn_where_it_could_not_be_read(size_wh: tuple[int, int]) -> None:
    assert not rows_drawn(drawn(LONGEST, size_wh)).any()


def test_what_cannot_be_drawn_is_replaced() -> None:
    foreign = drawn(replace(BAD, limb="l\N{LATIN SMALL LETTER U WITH DIAERESIS}ft"))
    assert np.array_equal(foreign, drawn(replace(BAD, limb="l?ft")))
