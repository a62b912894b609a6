"""The difference between two machines' clocks, as NTP finds it.

A HELLO leaves the sender at t1 and reaches the receiver at t2; the WELCOME leaves at
t3 and is back at t4. Then offset = ((t2 - t1) + (t3 - t4)) / 2, and it is wrong by at
most half the round trip (RFC 5905, section 8). Queues only ever add to a round trip,
so of the latest exchanges the one with the shortest is believed (the clock filter of
section 10).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_EXCHANGES = 16  # a quarter of a minute at one a second: long enough for a quiet moment
_MAX_ROUND_TRIP_US = 10_000_000  # no answer takes longer; a longer one was not meant for us
_MAX_OFFSET_US = 1 << 62  # what the wire's signed field holds, and some


@dataclass(frozen=True, slots=True)
class ClockEstimate:
    """The receiver's clock less the sender's, and how far that may be off."""

    offset_us: int
    error_us: int


class ClockFilter:
    """Keeps the latest exchanges, and tells the best of them."""

    def __init__(self) -> None:
        self._estimates: deque[ClockEstimate] = deque(maxlen=_EXCHANGES)

    def add(self, t1_us: int, t2_us: int, t3_us: int, t4_us: int) -> None:
        """Take one exchange; one that went back in time, or is beyond reason, is not believed."""
        round_trip_us = (t4_us - t1_us) - (t3_us - t2_us)
        offset_us = ((t2_us - t1_us) + (t3_us - t4_us)) // 2
        if t4_us < t1_us or not 0 <= round_trip_us <= _MAX_ROUND_TRIP_US:
            return
        if abs(offset_us) > _MAX_OFFSET_US:
            return
        self._estimates.append(ClockEstimate(offset_us, -(-round_trip_us // 2)))

    def clear(self) -> None:
        """Forget all: the other end is another machine now, or the same one restarted."""
        self._estimates.clear()

    @property
    def best(self) -> ClockEstimate | None:
        """The estimate with the least error; of equals the latest. None before the first."""
        return min(reversed(self._estimates), key=lambda each: each.error_us, default=None)
