"""What a sender learns from a receiver's REPORTs: the link, from one to the next.

A REPORT counts the whole stream so far; two of them give a sample of the time between.
The queue on the way is found in what a datagram took beyond the least that one took of
late. The two clocks' offset is in both and cancels, so no estimate of it is needed, and
clocks that drift apart by 100 parts in a million add 2 ms over the time remembered.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from udpstream.protocol import Report

_MAX_FRAMES = 1024  # 34 s at 30 fps, 2 s at 500 fps: a report is seldom half a second old
_FLOOR_S = 20.0  # long enough for a moment without a queue, short enough for drifting clocks
_MAX_DELAYS = 256  # in those 20 s: reports come five times a second
_PLACES = 25  # reports, five seconds: of so many, some come between two frames
_MIN_SPAN_S = 0.05  # over less, a frame more or less is half of the rate
_MAX_SPAN_S = 60.0  # no receiver that is there is silent for so long
_MAX_BYTES_PER_S = 12.5e9  # 100 Gbit/s: more is nonsense
_MAX_AGE_US = 10_000_000  # an arrival so long before its report says nothing of the queue now
_MAX_IGNORED = 5  # reports in a row, a second's worth: then it is our memory that is wrong
_FRAMES = 1 << 32  # the wire's numbers are modulo this


@dataclass(frozen=True, slots=True)
class LinkSample:
    """What happened on the link between two reports.

    Attributes:
        span_s: between them, by the receiver's clock.
        expected: datagrams that were sent.
        lost: of these. Below 0 where more came late than were lost: sum before dividing.
        runs: of datagrams lost in a row.
        reordered: datagrams that came behind a later one.
        kernel_dropped: datagrams that found the receive buffer full.
        wire_bytes: of all datagrams that came, repairs and repetitions too.
        frames_lost: frames.
        jitter_s: as RFC 3550 has it, by now.
        queue_s: how much longer a datagram took than the least of late; None = not known.
    """

    span_s: float
    expected: int
    lost: int
    runs: int
    reordered: int
    kernel_dropped: int
    wire_bytes: int
    frames_lost: int
    jitter_s: float
    queue_s: float | None

    @property
    def loss(self) -> float:
        """The share of the datagrams that was lost, 0 to 1."""
        return max(self.lost, 0) / self.expected if self.expected else 0.0

    @property
    def mean_burst(self) -> float:
        """How many were lost in a row, on average; 1 where none were."""
        return max(1.0, self.lost / self.runs) if self.runs else 1.0

    @property
    def bytes_per_s(self) -> float:
        """The rate at which bytes came in."""
        return self.wire_bytes / self.span_s


class _Departure(NamedTuple):
    """When a frame's datagrams left, and how many of the stream had left before."""

    before: int
    datagrams: int
    begun_us: int
    left_us: int


class LinkObserver:
    """Remembers when frames left, and turns each report into a `LinkSample`."""

    def __init__(self) -> None:
        self._departures: dict[int, _Departure] = {}  # by number, oldest first
        self._datagrams = 0
        self.clear()

    def clear(self) -> None:
        """Forget the receiver: another one, or the same restarted, counts anew."""
        self._last: Report | None = None
        self._ignored = 0
        self._delays: deque[tuple[float, float]] = deque(maxlen=_MAX_DELAYS)  # rising in both
        self._places: deque[int] = deque(maxlen=_PLACES)

    def frame_left(self, number: int, datagrams: int, begun_us: int, left_us: int) -> None:
        """Note when a frame leaves, or left.

        Told when it begins, and once more when it has left: a report may speak of it in
        between.

        Args:
            number: the frame's, at least that of the call before.
            datagrams: how many it has, parity included and repairs not.
            begun_us: when the first left, on any clock that never falls, in microseconds.
            left_us: when the last left, or is going to.
        """
        known = self._departures.get(number % _FRAMES)
        before = self._datagrams if known is None else known.before
        self._departures[number % _FRAMES] = _Departure(before, datagrams, begun_us, left_us)
        self._datagrams = before + datagrams
        if len(self._departures) > _MAX_FRAMES:
            del self._departures[next(iter(self._departures))]

    def report(self, report: Report, now: float) -> LinkSample | None:
        """Take a report.

        Args:
            report: as it came; old, repeated and nonsensical ones are ignored.
            now: in seconds, never falling.

        Returns:
            What happened since the one before; None where this tells nothing, as the
            first of a receiver does.
        """
        last = self._last
        if last is None or _is_restart(last, report):
            self.clear()
            self._last = report
            self._queue_s(report, now)  # the floor begins here
            return None
        if not _is_sound(last, report):
            self._ignored += 1
            if self._ignored >= _MAX_IGNORED:
                self.clear()
            return None
        self._ignored = 0
        span_s = (report.clock_us - last.clock_us) / 1e6
        if span_s < _MIN_SPAN_S:
            return None  # the next one tells of this time too
        self._last = report
        expected = report.expected - last.expected
        return LinkSample(
            span_s=span_s,
            expected=expected,
            lost=expected - (report.received - last.received),
            runs=report.runs - last.runs,
            reordered=report.reordered - last.reordered,
            kernel_dropped=report.kernel_dropped - last.kernel_dropped,
            wire_bytes=report.wire_bytes - last.wire_bytes,
            frames_lost=report.lost - last.lost,
            jitter_s=report.jitter_us / 1e6,
            queue_s=self._queue_s(report, now),
        )

    def _queue_s(self, report: Report, now: float) -> float | None:
        departure = self._departures.get(report.frame)
        age_us = report.clock_us - report.arrived_us
        if departure is None or not 0 <= age_us <= _MAX_AGE_US:
            return None
        delay_us = report.arrived_us - self._left_us(departure, report.expected)
        while self._delays and self._delays[-1][1] >= delay_us:
            self._delays.pop()
        self._delays.append((now, delay_us))
        while now - self._delays[0][0] > _FLOOR_S:
            self._delays.popleft()
        return (delay_us - self._delays[0][1]) / 1e6

    def _left_us(self, departure: _Departure, expected: int) -> float:
        """When the latest datagram that came had left: a report can come amid a frame.

        The receiver counts from the first datagram that it saw, so its count is less than
        ours by a number that stays the same. No report is further than its frame's end,
        and those that come between two frames are there: so it is the least of late.
        """
        end = departure.before + departure.datagrams
        self._places.append(end - expected)
        place = expected + min(self._places) - departure.before
        gone = (place - 1) / (departure.datagrams - 1) if departure.datagrams > 1 else 1.0
        took_us = departure.left_us - departure.begun_us
        return departure.begun_us + took_us * min(max(gone, 0.0), 1.0)


def _is_restart(last: Report, report: Report) -> bool:
    """Whether a report is of a receiver that began anew: later, and with lower counts."""
    return report.clock_us > last.clock_us and (
        report.number < last.number or report.expected < last.expected
    )


def _is_sound(last: Report, report: Report) -> bool:
    """Whether a report is later than the one before, and its counts can be true."""
    span_us = report.clock_us - last.clock_us
    if report.number <= last.number or not 0 < span_us <= _MAX_SPAN_S * 1e6:
        return False
    rising = all(
        getattr(report, name) >= getattr(last, name)
        for name in (
            "expected", "received", "runs", "reordered", "kernel_dropped", "wire_bytes",
        )
    )  # fmt: skip
    wire_bytes = report.wire_bytes - last.wire_bytes
    return (
        rising
        and report.received <= report.expected
        and wire_bytes * 1e6 <= _MAX_BYTES_PER_S * span_us
    )
