from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from udpstream.core.clock import ClockEstimate, ClockFilter


def exchange(
    clock: ClockFilter, offset_us: int, there_us: int, back_us: int, at_us: int = 10**15
) -> None:
    """One HELLO and WELCOME between clocks that differ by `offset_us`."""
    received_us = at_us + there_us + offset_us
    sent_us = received_us + 30
    clock.add(at_us, received_us, sent_us, sent_us - offset_us + back_us)


def test_an_even_way_gives_the_offset_exactly() -> None:
    clock = ClockFilter()
    assert clock.best is None
    exchange(clock, offset_us=-5_000_000, there_us=100, back_us=100)
    assert clock.best == ClockEstimate(-5_000_000, 100)


@given(
    st.integers(-(10**12), 10**12),
    st.lists(st.tuples(st.integers(0, 10**5), st.integers(0, 10**5)), min_size=1, max_size=30),
)
def test_the_offset_is_never_further_off_than_the_error_says(
    offset_us: int, ways_us: list[tuple[int, int]]
) -> None:
    clock = ClockFilter()
    for there_us, back_us in ways_us:
        exchange(clock, offset_us, there_us, back_us)
    best = clock.best
    assert best is not None
    assert abs(best.offset_us - offset_us) <= best.error_us + 1
    shortest_us = min(there_us + back_us for there_us, back_us in ways_us[-16:])
    assert best.error_us == -(-shortest_us // 2)


def test_old_exchanges_are_forgotten() -> None:
    clock = ClockFilter()
    exchange(clock, 1000, 1, 1)
    for _ in range(16):
        exchange(clock, 2000, 50, 50)
    assert clock.best == ClockEstimate(2000, 50)
    clock.clear()
    assert clock.best is None


def test_exchanges_beyond_reason_are_not_believed() -> None:
    clock = ClockFilter()
    now_us = 1_700_000_000_000_000
    huge = 2**64 - 1
    clock.add(now_us + 1, now_us, now_us, now_us)  # echo of a later time
    clock.add(0, now_us, now_us, now_us)  # an echo that is decades old
    clock.add(now_us - 100, 5_000, 1_000_000, now_us)  # it held it longer than it was away
    clock.add(now_us - 100, huge, huge, now_us)  # an offset that the wire cannot carry
    clock.add(huge, huge, huge, now_us)
    assert clock.best is None
