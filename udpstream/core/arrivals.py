"""When a stream's next frame will begin to arrive, where it keeps time.

A thread that sleeps in the kernel sees a frame 0.05 ms after one that is awake, as measured on
loopback at 30 fps: its processor sleeps too. So who waits for one frame only may stay awake for
a little while about the moment when that is due.
"""

from __future__ import annotations

# Expected from so many times the mean error before a frame is due until as long after it: so it
# is as good as always in time. As it comes in the middle, that costs 1.5 % of a processor at 30 fps
# where a stream keeps its time well; where it does not, 5 %, and twice that if it is late. Who is
# awake a little before, to be warm by then, pays for that as well.
_ERRORS = 4
_LEAST_S = 0.5e-3
_MOST_S = 2e-3
_SHARE = 0.05  # of the interval, at most; above 100 fps that is less than the least
_LEAST_PERIOD_S = 5e-3  # of more frames than 200 a second, being awake for each is too dear
_LEAST_HITS = 0.5  # of the latest frames, as a share: else it is seldom worth it
_SMOOTHING = 1 / 8  # of that share, and of the mean error
_PHASE_SHARE, _PERIOD_SHARE = 1 / 4, 1 / 32  # of an error, by which clock and period are mended
_MOST_MISSES = 4  # in a row: the rate or its phase is another


class Arrivals:
    """Follows the frames of one stream as a clock; times in seconds of any one clock."""

    def __init__(self) -> None:
        self._latest: float | None = None
        self._due = 0.0
        self._period_s = 0.0
        self._error_s = 0.0  # the mean of late
        self._hits = 0.0
        self._misses = _MOST_MISSES  # in a row

    def add(self, at: float) -> None:
        """Note when a frame's first datagram came."""
        latest, self._latest = self._latest, at
        error_s = at - self._due
        half_s = self._half_s
        hit = abs(error_s) <= half_s
        # That frames before it were lost is no error of its own; and of one that was far off no
        # more counts than would make the next window a little wider.
        periods = round(error_s / self._period_s) if self._period_s else 0
        odd_s = min(abs(error_s - periods * self._period_s), 2 * half_s)
        self._error_s += _SMOOTHING * (odd_s - self._error_s)
        self._hits += _SMOOTHING * (hit - self._hits)
        if hit:
            self._misses = 0
            self._period_s += _PERIOD_SHARE * error_s
            self._due += _PHASE_SHARE * error_s + self._period_s
            return
        self._misses += 1
        # Where frames meet it by chance only, as of another rate, misses are not in a row.
        lost = self._misses >= _MOST_MISSES or self._hits < _LEAST_HITS
        if lost and latest is not None:
            self._period_s = at - latest
            self._due = at + self._period_s
        elif self._period_s:  # it was early or late, or some were lost: the next is due as before
            self._due += self._period_s * max(0, periods + 1)

    def window(self) -> tuple[float, float] | None:
        """From when to when the next is expected; None where that cannot be told so well."""
        if self._hits < _LEAST_HITS or self._period_s < _LEAST_PERIOD_S:
            return None
        return self._due - self._half_s, self._due + self._half_s

    @property
    def _half_s(self) -> float:
        """Half of the time that is spent awake."""
        return min(max(_ERRORS * self._error_s, _LEAST_S), _SHARE * self._period_s, _MOST_S)
