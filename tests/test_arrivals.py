from __future__ import annotations

import numpy as np
import pytest

from udpstream.core.arrivals import Arrivals

PERIOD_S = 1 / 30


def fed(times_s: list[float]) -> Arrivals:
    arrivals = Arrivals()
    for at_s in times_s:
        arrivals.add(at_s)
    return arrivals


def on_time(frames: int, *, begun_s: float = 100.0, period_s: float = PERIOD_S) -> list[float]:
    return [begun_s + number * period_s for number in range(frames)]


def middle_s(arrivals: Arrivals) -> float:
    window = arrivals.window()
    assert window is not None
    return sum(window) / 2


def test_nothing_is_expected_of_what_is_not_known() -> None:
    for frames in range(6):
        assert fed(on_time(frames)).window() is None


def test_of_too_many_frames_a_second_none_is_expected() -> None:
    assert fed(on_time(100, period_s=1 / 180)).window() is not None
    assert fed(on_time(100, period_s=1 / 240)).window() is None


@pytest.mark.parametrize(("fps", "awake_s"), [(1, 0.001), (30, 0.001), (120, 0.1 / 120)])
def test_a_clock_is_expected_when_it_is_due_for_a_short_while(fps: int, awake_s: float) -> None:
    arrivals = fed(on_time(30, period_s=1 / fps))
    window = arrivals.window()
    assert window is not None
    assert middle_s(arrivals) == pytest.approx(100 + 30 / fps)
    assert window[1] - window[0] == pytest.approx(awake_s)


def test_jitter_moves_it_little() -> None:
    jitter_s = np.random.default_rng(1).normal(0, 2e-4, 300)
    arrivals = fed((np.array(on_time(300)) + jitter_s).tolist())
    assert middle_s(arrivals) == pytest.approx(100 + 300 * PERIOD_S, abs=3e-4)


@pytest.mark.parametrize(
    ("deviation_s", "least_s", "most_s"),
    [(1e-5, 1e-3, 1e-3), (2e-4, 1e-3, 2.2e-3), (5e-4, 1.5e-3, PERIOD_S / 10)],
)
def test_the_more_jitter_there_is_the_wider_it_is_up_to_a_share(
    deviation_s: float, least_s: float, most_s: float
) -> None:
    jitter_s = np.random.default_rng(3).normal(0, deviation_s, 400)
    times_s = (np.array(on_time(400)) + jitter_s).tolist()
    arrivals = fed(times_s[:100])
    hits = 0
    for at_s in times_s[100:]:
        window = arrivals.window()
        assert window is not None
        assert least_s - 1e-5 <= window[1] - window[0] <= most_s + 1e-5
        hits += window[0] <= at_s <= window[1]
        arrivals.add(at_s)
    assert hits / 300 > 0.95


def test_however_much_jitter_a_slow_stream_has_there_is_a_bound() -> None:
    jitter_s = np.random.default_rng(4).normal(0, 1e-3, 100)
    window = fed((np.array(on_time(100, period_s=1.0)) + jitter_s).tolist()).window()
    assert window is not None
    assert window[1] - window[0] == pytest.approx(0.004)


def test_frames_that_are_lost_do_not_widen_it() -> None:
    kept = np.random.default_rng(5).uniform(size=600) > 0.1
    arrivals, widths_s = Arrivals(), []
    for at_s, here in zip(on_time(600), kept, strict=True):
        if here:
            arrivals.add(at_s)
            window = arrivals.window()
            widths_s.append(window[1] - window[0] if window else 0.0)
    assert widths_s[50:] == pytest.approx([0.001] * len(widths_s[50:]))


def test_one_odd_frame_widens_it_for_a_while_only() -> None:
    times_s = on_time(80)
    times_s[40] += 0.012
    arrivals, widths_s = Arrivals(), []
    for at_s in times_s:
        arrivals.add(at_s)
        window = arrivals.window()
        widths_s.append(window[1] - window[0] if window else 0.0)
    assert max(widths_s[40:]) <= 0.0015
    assert widths_s[-1] == pytest.approx(0.001)


def test_a_stream_that_keeps_no_time_is_not_expected() -> None:
    jitter_s = np.random.default_rng(2).uniform(0, PERIOD_S / 2, 300)
    arrivals = Arrivals()
    windows = 0
    for at_s in np.array(on_time(300)) + jitter_s:
        arrivals.add(at_s)
        windows += arrivals.window() is not None
    assert windows < 10


@pytest.mark.parametrize("odd", [0.004, 0.015, -0.01])
def test_one_that_was_early_or_late_leaves_the_next_where_it_was(odd: float) -> None:
    times_s = on_time(40)
    times_s[-1] += odd
    assert middle_s(fed(times_s)) == pytest.approx(100 + 40 * PERIOD_S)


@pytest.mark.parametrize("lost", [1, 2, 30])
def test_frames_that_are_lost_do_not_put_it_out_of_step(lost: int) -> None:
    times_s = on_time(100)
    del times_s[30 : 30 + lost]
    assert middle_s(fed(times_s[:31])) == pytest.approx(times_s[30] + PERIOD_S)


@pytest.mark.parametrize(
    ("before_fps", "fps"),
    [(30, 25), (30, 24), (30, 45), (20, 30), (60, 120), (30, 60), (60, 30), (30, 15), (15, 25)],
)
def test_another_rate_is_followed_whatever_its_phase(before_fps: int, fps: int) -> None:
    """Of rates in a small ratio, some frames are where the old rate had them, by chance."""
    for phase in np.linspace(0.0, 1.0, 41):
        times_s = on_time(60, period_s=1 / before_fps)
        begun_s = times_s[-1] + 1 / before_fps + phase / fps
        times_s += on_time(60, begun_s=begun_s, period_s=1 / fps)
        assert middle_s(fed(times_s)) == pytest.approx(times_s[-1] + 1 / fps)
