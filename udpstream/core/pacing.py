"""How fast a frame may leave: what the receiver's buffer and the link hold, and no faster.

Losses between two machines on one switch are seldom on the cable: a frame leaves in
one burst, and overruns the receiver's socket buffer before its process is scheduled.
Where the link is the narrow place, its queue is overrun in the same way.
"""

from __future__ import annotations

from typing import NamedTuple

# net.core.rmem_default of stock Linux, taken where no receiver told its own.
STOCK_RECEIVE_BUFFER_BYTES = 212_992

# What the kernel charges to a receive buffer beside a datagram's own bytes: the sk_buff,
# and the slab or page that the driver put it in. 1,400 bytes were charged 2,304 on a
# veth pair, and drivers that take a page a packet charge more.
_CHARGE_FACTOR = 2
_CHARGE_BYTES = 512

_BURST_BYTES = 64 << 10  # one UDP_SEGMENT call's worth
_BURST_GAP_S = 1.5e-3  # measured: 14 bursts of 64 KB arrive whole in a stock buffer; 0.3 ms: 85 %
_CATCH_UP = 0.8  # of the gap: a late burst is not made good by two at once
_RATE_GAP_S = 1e-3  # what a sleep keeps to; at 1 MB/s each datagram goes alone even so
SPREAD = 0.75  # of the frame interval: the rest is for encoding, and for jitter
_MOST_INTERVAL_S = 2 / SPREAD  # where it is not known: whoever sends is not to hang


class Pace(NamedTuple):
    """Send `burst` datagrams, the next `burst` `gap_s` after the first began, and so on."""

    burst: int
    gap_s: float

    def takes_s(self, datagrams: int) -> float:
        """How long after its first burst the last of a frame leaves, in seconds."""
        return (-(-datagrams // self.burst) - 1) * self.gap_s

    def due(self, begun: float, number: int, last: float) -> float:
        """When a burst may leave, in the seconds of the clock that the others are given in.

        Args:
            begun: when the frame's first burst left.
            number: of this burst, from 0.
            last: when the one before it left, or `begun`.
        """
        if not number:
            return begun
        return max(begun + number * self.gap_s, last + _CATCH_UP * self.gap_s)


def buffer_capacity(datagram_bytes: int, receive_buffer_bytes: int) -> int:
    """How many datagrams of that size a receive buffer holds, at least 1."""
    return max(1, receive_buffer_bytes // buffer_need(1, datagram_bytes))


def buffer_need(datagrams: int, datagram_bytes: int) -> int:
    """How large a receive buffer holds so many datagrams of that size, in bytes."""
    return datagrams * (_CHARGE_FACTOR * datagram_bytes + _CHARGE_BYTES)


def pace_frame(
    datagrams: int,
    datagram_bytes: int,
    receive_buffer_bytes: int,
    interval_s: float | None,
    rate_bytes_per_s: float | None = None,
) -> Pace:
    """How to send a frame of `datagrams` datagrams of `datagram_bytes` each.

    A frame that the receive buffer holds goes at once. A larger one goes in bursts that
    fit, 1.5 ms apart, or closer where it would not be out within three quarters of the
    frame interval; `interval_s` None means that no next frame presses.

    With a rate it goes no faster than that, in bursts of a millisecond, under the same
    rule of three quarters; where no next frame presses, it leaves within two seconds.
    """
    pace = Pace(datagrams, 0.0)
    if datagrams > 1 and buffer_need(datagrams, datagram_bytes) > receive_buffer_bytes:
        capacity = buffer_capacity(datagram_bytes, receive_buffer_bytes)
        burst = max(1, min(capacity, _BURST_BYTES // datagram_bytes))
        gap_s = _within_interval(_BURST_GAP_S, -(-datagrams // burst), interval_s)
        pace = Pace(burst, gap_s)
    if rate_bytes_per_s is None:
        return pace
    per_datagram_s = _within_interval(
        datagram_bytes / rate_bytes_per_s, datagrams, interval_s or _MOST_INTERVAL_S
    )
    if per_datagram_s * pace.burst <= pace.gap_s:  # the buffer wants it slower
        return pace
    burst = max(1, min(pace.burst, int(_RATE_GAP_S / per_datagram_s)))
    return Pace(burst, burst * per_datagram_s)


def _within_interval(gap_s: float, gaps: int, interval_s: float | None) -> float:
    """The gap, or a shorter one, so that all are over within three quarters of the interval."""
    return gap_s if interval_s is None else min(gap_s, SPREAD * interval_s / gaps)
