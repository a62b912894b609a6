from __future__ import annotations

import random
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udpstream.core.timeline import (
    DEFAULT_RATE,
    HIGHEST_RATE,
    HOLD_S,
    MAX_HELD_BYTES,
    MAX_HELD_FRAMES,
    FrameTimes,
    Timeline,
    estimate_rate,
)


def steady(rate: float, seconds: float, start_s: float = 0.0) -> list[float]:
    return [start_s + at / rate for at in range(round(rate * seconds))]


def lay_out(times_s: list[float]) -> tuple[list[tuple[Fraction, list[int]]], int]:
    """Return each file's rate and slots, and how many frames found no slot."""
    timeline: Timeline[int] = Timeline()
    files: list[tuple[Fraction, list[int]]] = []
    slots: list[int] = []
    no_slot = 0

    def end_file() -> None:
        nonlocal slots, no_slot
        slots += [slot for slot, _ in timeline.release(float("inf"))]
        assert timeline.rate is not None
        files.append((timeline.rate, slots))
        no_slot += timeline.no_slot
        slots = []

    for number, time_s in enumerate(times_s):
        faster = timeline.add(number, time_s=time_s, number=number, n_bytes=1, now_s=time_s)
        if faster is not None:
            end_file()
            timeline = faster
        slots += [slot for slot, _ in timeline.release(time_s)]
    end_file()
    return files, no_slot


def duration_s(files: list[tuple[Fraction, list[int]]]) -> float:
    return sum(float((slots[-1] + 1) / rate) for rate, slots in files)


@pytest.mark.parametrize("rate", [5, 15, 24, 25, 30, 60, 120, 200])
def test_a_usual_rate_is_met_exactly(rate: int) -> None:
    files, _ = lay_out(steady(rate, 10))
    assert files == [(Fraction(rate), list(range(rate * 10)))]


def test_ntsc_keeps_time_in_a_file_of_30() -> None:
    files, _ = lay_out(steady(30_000 / 1001, 60))
    assert [rate for rate, _ in files] == [30]
    assert duration_s(files) == pytest.approx(60, abs=1 / 30)


@pytest.mark.parametrize("seed", range(5))
def test_loss_is_not_taken_for_a_slower_rate(seed: int) -> None:
    generator = random.Random(seed)
    kept = [at for at in range(12) if at in (0, 11) or generator.random() > 0.5]
    assert estimate_rate([at / 30 for at in kept], kept) == 30


def test_loss_is_seen_without_numbers() -> None:
    kept = [0, 1, 2, 5, 6, 7, 9, 10, 11]
    assert estimate_rate([at / 30 for at in kept], list(range(len(kept)))) == 30


@pytest.mark.parametrize("seed", range(5))
def test_jitter_of_arrival_is_smoothed(seed: int) -> None:
    generator = random.Random(seed)
    times_s = [at / 30 + generator.uniform(0, 0.01) for at in range(12)]
    assert estimate_rate(times_s, list(range(12))) == 30


def test_an_unusual_rate_is_rounded_up() -> None:
    assert estimate_rate(steady(27.3, 0.5), list(range(14))) == 28


@pytest.mark.parametrize("times_s", [[0.0], [3.0, 3.0, 3.0]])
def test_no_interval_gives_the_default_rate(times_s: list[float]) -> None:
    assert estimate_rate(times_s, list(range(len(times_s)))) == DEFAULT_RATE


def test_hostile_numbers_stay_within_the_bounds() -> None:
    assert estimate_rate([0.0, 1e-9, 0.4], [0, 2**63, 2**64]) == HIGHEST_RATE


def test_a_gap_keeps_its_length() -> None:
    files, _ = lay_out(steady(30, 2) + steady(30, 2, start_s=7))
    assert files == [(Fraction(30), [*range(60), *range(210, 270)])]


def test_a_burst_goes_back_into_the_gap_before_it() -> None:
    times_s = steady(30, 4)
    late = [1.5 if 1.2 < time_s < 1.5 else time_s for time_s in times_s]  # a stall of 0.3 s
    files, _ = lay_out(late)
    assert files == [(Fraction(30), list(range(120)))]


def test_a_slower_stream_keeps_time_in_the_same_file() -> None:
    files, _ = lay_out(steady(30, 5) + steady(10, 5, start_s=5))
    assert len(files) == 1
    assert duration_s(files) == pytest.approx(10, abs=0.1)


def test_a_faster_stream_goes_on_in_a_faster_file() -> None:
    files, no_slot = lay_out(steady(10, 5) + steady(30, 5, start_s=5))
    assert [rate for rate, _ in files] == [10, 30]
    assert sum(len(slots) for _, slots in files) == 200
    assert no_slot == 0
    assert duration_s(files) == pytest.approx(10, abs=0.25)


def test_a_slightly_faster_stream_loses_nothing_and_does_not_drift() -> None:
    files, no_slot = lay_out(steady(30.1, 120))
    assert len(files) == 2
    assert sum(len(slots) for _, slots in files) == 3612
    assert no_slot == 0
    assert duration_s(files) == pytest.approx(120, abs=0.15)


def test_changing_pace_does_not_open_a_file_each_time() -> None:
    times_s: list[float] = []
    for at in range(20):
        times_s += steady(10, 1, start_s=2 * at) + steady(60, 1, start_s=2 * at + 1)
    assert len(lay_out(times_s)[0]) == 2


def test_what_is_faster_than_any_file_is_counted() -> None:
    files, no_slot = lay_out(steady(4000, 1))
    assert [rate for rate, _ in files] == [HIGHEST_RATE]
    assert len(files[0][1]) + no_slot == 4000
    assert duration_s(files) == pytest.approx(1, abs=0.01)


def test_frames_are_held_for_a_moment_and_no_longer() -> None:
    assert Timeline[str]().due_s is None
    timeline: Timeline[str] = Timeline()
    timeline.add("a", time_s=0, number=0, n_bytes=1, now_s=5.0)
    assert timeline.due_s == 5.0 + HOLD_S
    assert timeline.release(5.0 + HOLD_S / 2) == []
    assert timeline.release(5.0 + HOLD_S) == [(0, "a")]
    assert timeline.release(float("inf")) == []


def test_what_is_held_is_bounded() -> None:
    timeline: Timeline[int] = Timeline()
    for number in range(3):
        timeline.add(
            number, time_s=number / 30, number=number, n_bytes=MAX_HELD_BYTES // 2, now_s=0
        )
    assert timeline.release(0) == [(0, 0)]
    small: Timeline[int] = Timeline()
    for number in range(MAX_HELD_FRAMES + 5):
        small.add(number, time_s=number / 1000, number=number, n_bytes=1, now_s=0)
    assert len(small.release(0)) == 5


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 3), min_size=1, max_size=200).map(sorted))
def test_slots_rise_and_no_frame_vanishes_whatever_the_times(times_s: list[float]) -> None:
    files, no_slot = lay_out(times_s)
    assert sum(len(slots) for _, slots in files) + no_slot == len(times_s)
    assert len(files) <= 15
    for _, slots in files:
        assert slots[0] >= 0
        assert all(after > before for before, after in pairwise(slots))


def test_the_capture_time_counts_near_the_arrival() -> None:
    times = FrameTimes()
    assert times.time_s(1000.0, 50.0) == 0
    assert times.time_s(1000.1, 50.15) == pytest.approx(0.1)
    assert times.time_s(9e9, 50.2) == pytest.approx(0.7)
    assert times.time_s(0.0, 51.5) == pytest.approx(1.0)


def test_times_never_fall_and_classic_has_only_arrivals() -> None:
    times = FrameTimes()
    assert [times.time_s(None, at) for at in (7.0, 7.5, 7.25)] == [0, 0.5, 0.5]
