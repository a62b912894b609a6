from __future__ import annotations

import pytest

from udpstream.core.rate import RateMeter


def test_thirty_one_stamps_over_a_second_are_thirty_a_second() -> None:
    meter = RateMeter()
    for frame in range(31):
        meter.add(frame / 30)
    assert meter.per_second(1.0) == pytest.approx(30.0)


def test_what_has_stopped_has_no_rate() -> None:
    meter = RateMeter()
    for frame in range(31):
        meter.add(frame / 30)
    assert meter.per_second(2.9) == pytest.approx(30.0)
    assert meter.per_second(3.1) is None


def test_below_two_stamps_or_without_time_between_there_is_no_rate() -> None:
    meter = RateMeter()
    assert meter.per_second(5.0) is None
    meter.add(5.0)
    assert meter.per_second(5.0) is None
    meter.add(5.0)
    assert meter.per_second(5.0) is None


def test_only_the_latest_two_seconds_count() -> None:
    meter = RateMeter()
    for frame in range(100):
        meter.add(frame / 10)
    for frame in range(121):
        meter.add(10 + frame / 60)
    assert meter.per_second(12.0) == pytest.approx(60.0, rel=0.01)


def test_memory_is_bounded_at_any_rate() -> None:
    meter = RateMeter()
    for frame in range(100_000):
        meter.add(frame / 1e6)
    assert meter.per_second(0.1) == pytest.approx(1e6)
    assert len(meter._stamps) == 1024
