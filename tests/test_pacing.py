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
