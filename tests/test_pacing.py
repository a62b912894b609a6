from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udpstream.core.pacing import (
    STOCK_RECEIVE_BUFFER_BYTES,
    Pace,
    buffer_capacity,
    pace_frame,
)

RAW_VGA = 670  # datagrams of 1,400 bytes


def test_a_frame_that_the_buffer_holds_goes_at_once() -> None:
    assert pace_frame(RAW_VGA, 1400, 8 << 20, 1 / 30) == Pace(RAW_VGA, 0.0)
    assert pace_frame(30, 1400, STOCK_RECEIVE_BUFFER_BYTES, 1 / 30) == Pace(30, 0.0)


def test_a_frame_that_a_stock_buffer_does_not_hold_goes_in_bursts() -> None:
    pace = pace_frame(RAW_VGA, 1400, STOCK_RECEIVE_BUFFER_BYTES, None)
    assert pace == Pace(46, 1.5e-3)
    assert pace.burst <= buffer_capacity(1400, STOCK_RECEIVE_BUFFER_BYTES)


def test_the_frame_is_out_within_three_quarters_of_its_interval() -> None:
    pace = pace_frame(RAW_VGA, 1400, STOCK_RECEIVE_BUFFER_BYTES, 1 / 60)
    bursts = -(-RAW_VGA // pace.burst)
    assert pace.gap_s < 1.5e-3
    assert bursts * pace.gap_s == pytest.approx(0.75 / 60)


@given(
    st.integers(1, 65_280),
    st.integers(25, 65_507),
    st.integers(0, 1 << 33),
    st.none() | st.floats(0, 1e6),
)
def test_any_pace_makes_progress_and_no_burst_overruns_the_buffer(
    datagrams: int, datagram_bytes: int, receive_buffer_bytes: int, interval_s: float | None
) -> None:
    pace = pace_frame(datagrams, datagram_bytes, receive_buffer_bytes, interval_s)
    assert 1 <= pace.burst <= max(datagrams, 1)
    assert pace.burst <= buffer_capacity(datagram_bytes, receive_buffer_bytes)
    assert 0 <= pace.gap_s <= 1.5e-3


def test_bursts_keep_to_a_schedule_and_a_late_one_is_not_followed_by_two_at_once() -> None:
    pace = Pace(46, 1.5e-3)
    assert pace.due(10.0, 0, 10.0) == 10.0
    assert pace.due(10.0, 2, 10.0015) == pytest.approx(10.003)
    assert pace.due(10.0, 3, 10.009) == pytest.approx(10.0102)  # 4.5 ms late


def test_a_rate_spreads_a_frame_that_the_buffer_holds() -> None:
    pace = pace_frame(30, 1400, 8 << 20, None, 1.4e6)
    assert pace.burst == 1
    assert pace.gap_s == pytest.approx(1e-3)
    assert pace.takes_s(30) == pytest.approx(0.029)
    fast = pace_frame(300, 1400, 8 << 20, None, 14e6)
    assert fast.burst == 10
    assert fast.gap_s == pytest.approx(1e-3)


def test_a_rate_leaves_a_quarter_of_the_interval_to_the_encoder() -> None:
    slow = pace_frame(30, 1400, 8 << 20, 1 / 30, 1.0)
    assert slow.burst == 1
    assert slow.gap_s == pytest.approx(0.75 / 30 / 30)
    assert slow.takes_s(30) < 0.75 / 30
    fast = pace_frame(RAW_VGA, 1400, 8 << 20, 1 / 30, 1.0)
    assert fast.burst == 26  # a millisecond's worth of 670 in 25
    assert fast.takes_s(RAW_VGA) < 0.75 / 30


def test_whoever_sends_slowly_does_not_hang() -> None:
    pace = pace_frame(RAW_VGA, 1400, 8 << 20, None, 1.0)
    assert pace.takes_s(RAW_VGA) == pytest.approx(2.0, rel=0.01)


def test_where_the_buffer_wants_it_slower_the_rate_does_not_matter() -> None:
    by_buffer = pace_frame(RAW_VGA, 1400, STOCK_RECEIVE_BUFFER_BYTES, None)
    assert pace_frame(RAW_VGA, 1400, STOCK_RECEIVE_BUFFER_BYTES, None, 1e9) == by_buffer
    slower = pace_frame(RAW_VGA, 1400, STOCK_RECEIVE_BUFFER_BYTES, None, 1e7)
    assert slower.gap_s / slower.burst == pytest.approx(1400 / 1e7)


@given(
    st.integers(1, 5_000),
    st.integers(25, 65_507),
    st.integers(0, 1 << 26),
    st.floats(1e-3, 10),
    st.floats(1, 1e11),
)
def test_any_rate_is_kept_but_for_the_interval(
    datagrams: int, datagram_bytes: int, buffer_bytes: int, interval_s: float, rate: float
) -> None:
    pace = pace_frame(datagrams, datagram_bytes, buffer_bytes, interval_s, rate)
    unlimited = pace_frame(datagrams, datagram_bytes, buffer_bytes, interval_s)
    assert 1 <= pace.burst <= unlimited.burst
    assert pace.takes_s(datagrams) <= 0.75 * interval_s * (1 + 1e-9)
    gap_s = datagram_bytes / rate  # of one datagram
    assert pace.gap_s >= min(pace.burst * gap_s, 0.75 * interval_s * pace.burst / datagrams) * 0.99
