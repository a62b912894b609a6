from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udpstream.core.histogram import Histogram


@given(st.lists(st.floats(1e-5, 1000), min_size=1, max_size=200), st.floats(0, 100))
def test_percentiles_are_nearest_rank_within_half_a_percent(
    durations_s: list[float], percent: float
) -> None:
    histogram = Histogram()
    for duration_s in durations_s:
        histogram.add(duration_s)
    rank = max(1, math.ceil(len(durations_s) * percent / 100))
    exact_s = sorted(durations_s)[rank - 1]
    assert histogram.percentile(percent) == pytest.approx(exact_s, rel=0.0051)


def test_an_empty_one_has_no_percentiles() -> None:
    histogram = Histogram()
    assert len(histogram) == 0
    assert histogram.percentile(50) is None
    assert histogram.summary_ms() == {"p50": None, "p95": None, "p99": None}


def test_durations_out_of_range_count_at_its_ends() -> None:
    histogram = Histogram()
    for duration_s in (-1.0, 0.0, 1e9, 1e300):
        histogram.add(duration_s)
    assert len(histogram) == 4
    assert histogram.percentile(50) == 1e-5
    assert histogram.percentile(100) == pytest.approx(1000, rel=0.02)


def test_summary_in_milliseconds() -> None:
    histogram = Histogram()
    for number in range(1, 101):
        histogram.add(number / 1000)
    summary = histogram.summary_ms()
    assert [summary[name] for name in ("p50", "p95", "p99")] == pytest.approx(
        [50, 95, 99], rel=0.005
    )


def test_a_copy_goes_its_own_way() -> None:
    histogram = Histogram()
    histogram.add(1.0)
    twin = histogram.copy()
    histogram.add(2.0)
    assert (len(histogram), len(twin)) == (2, 1)
    assert twin.percentile(100) == pytest.approx(1.0, rel=0.005)
