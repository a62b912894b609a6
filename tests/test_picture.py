from __future__ import annotations

import pytest

from udpstream.core.picture import Limits, PictureFit
from udpstream.errors import FrameError

BEST = 40_000


def jpeg(limits: Limits | None = None, *, resizable: bool = True) -> PictureFit:
    """A 640x480 JPEG of quality 80 whose size is known."""
    fit = PictureFit(80, limits or Limits(), resizable=resizable)
    for _ in range(20):
        fit.encoded(BEST, 80, 1.0)
    return fit


def choice(fit: PictureFit) -> tuple[int | None, float, int]:
    return fit.quality, fit.scale, fit.fps_divisor


def test_before_the_first_frame_nothing_is_known_and_nothing_changes() -> None:
    fit = PictureFit(80, Limits(), resizable=True)
    assert (fit.full_bytes, fit.frame_bytes) == (None, None)
    fit.fit(1.0, 30)
    assert choice(fit) == (80, 1.0, 1)


def test_quality_goes_first_then_size_then_frames() -> None:
    fit = jpeg()
    seen = []
    for share in (1.2, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.03, 0.01):
        fit.fit(share * BEST * 30, 30)
        seen.append(choice(fit))
    assert seen[0] == (80, 1.0, 1)
    assert [each[1] for each in seen[:4]] == [1.0] * 4
    assert seen[4][1:] == (0.75, 1)
    assert [each[1] for each in seen] == sorted((each[1] for each in seen), reverse=True)
    divisors = [each[2] for each in seen]
    assert divisors == sorted(divisors)
    assert all(scale == 0.25 for _, scale, divisor in seen if divisor > 1)
    assert seen[-1] == (40, 0.25, 4)  # 7.5 frames a second: the next would be below five
    assert all(40 <= (quality or 0) <= 80 for quality, _, _ in seen)


@pytest.mark.parametrize("share", [0.9, 0.7, 0.5, 0.35, 0.2, 0.1])
def test_what_is_chosen_fits_and_uses_most_of_it(share: float) -> None:
    fit = jpeg()
    fit.fit(share * BEST * 30, 30)
    assert fit.frame_bytes is not None
    sent = fit.frame_bytes / fit.fps_divisor
    assert 0.6 * share * BEST < sent <= share * BEST


def test_the_law_is_within_a_tenth_of_opencv() -> None:
    measured = {95: 2.33, 90: 1.50, 70: 0.80, 60: 0.66, 50: 0.57, 40: 0.49, 30: 0.39, 20: 0.29}
    for quality, share in measured.items():
        fit = PictureFit(80, Limits(), resizable=True)
        fit.encoded(round(share * BEST), quality, 1.0)
        assert fit.full_bytes == pytest.approx(BEST, rel=0.11)


def test_frames_that_come_out_larger_are_answered() -> None:
    fit = jpeg()
    fit.fit(0.6 * BEST * 30, 30)
    before = fit.quality
    for _ in range(10):
        fit.encoded(30_000, fit.quality, fit.scale)  # a quarter more than was asked for
        fit.fit(0.6 * BEST * 30, 30)
    assert before is not None
    assert fit.quality is not None
    assert fit.quality < before - 3


def test_a_better_picture_needs_room_and_a_step_worth_it() -> None:
    fit = jpeg()
    fit.fit(0.7 * BEST * 30, 30)
    at = choice(fit)
    fit.fit(0.75 * BEST * 30, 30)
    assert choice(fit) == at
    fit.fit(0.95 * BEST * 30, 30)
    assert (fit.quality or 0) > (at[0] or 0)
    fit.fit(1.12 * BEST * 30, 30)
    assert choice(fit) == (80, 1.0, 1)


def test_sizes_do_not_come_and_go() -> None:
    fit = jpeg()
    fit.fit(0.45 * BEST * 30, 30)
    assert fit.scale == 0.75
    for step in range(20):
        fit.fit((0.45 + 0.01 * (step % 2) * 4) * BEST * 30, 30)
        assert fit.scale == 0.75


def test_raw_frames_have_sizes_in_between() -> None:
    fit = PictureFit(None, Limits(), resizable=True)
    fit.encoded(921_600, None, 1.0)
    scales = []
    for share in (0.8, 0.6, 0.45, 0.3, 0.2, 0.1):
        fit.fit(share * 921_600 * 30, 30)
        scales.append(fit.scale)
        assert fit.quality is None
        assert fit.frame_bytes == pytest.approx(921_600 * fit.scale**2)
    assert scales == [0.875, 0.75, 0.625, 0.5, 0.375, 0.25]


def test_frames_that_come_encoded_are_left_as_they_are() -> None:
    fit = PictureFit(None, Limits(), resizable=False)
    fit.encoded(BEST, None, 1.0)
    fit.fit(0.6 * BEST * 30, 30)
    assert choice(fit) == (None, 1.0, 2)


def test_a_quality_below_the_floor_is_the_users_own() -> None:
    fit = PictureFit(20, Limits(), resizable=True)
    fit.encoded(BEST, 20, 1.0)
    fit.fit(0.9 * BEST * 30, 30)
    assert choice(fit) == (20, 0.75, 1)


def test_reset_takes_the_best_again() -> None:
    fit = jpeg()
    fit.fit(0.01 * BEST * 30, 30)
    assert choice(fit) != (80, 1.0, 1)
    fit.reset()
    assert choice(fit) == (80, 1.0, 1)


@pytest.mark.parametrize(
    "limits",
    [
        {"min_quality": 0},
        {"min_quality": 101},
        {"min_scale": 0.1},
        {"min_scale": 1.5},
        {"min_fps": 0},
        {"min_fps": float("nan")},
        {"max_rate_bytes_per_s": 0},
    ],
)
def test_limits_beyond_reason_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(FrameError, match="give"):
        Limits(**limits)  # type: ignore[arg-type]
