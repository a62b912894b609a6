"""Percentiles of durations in bounded memory."""

from __future__ import annotations

import math
from collections import deque

# Logarithmic bins, each 1 % wide: a percentile is off by at most half of that.
# 10 us to 1,000 s in 1,852 bins, so a day of frames takes as much room as a second.
_LOWEST_S = 1e-5
_GROWTH = math.log(1.01)
_RECENT = 128  # four seconds at 30 fps
_BINS = math.ceil(math.log(1e8) / _GROWTH)


class Histogram:
    """Counts durations in logarithmic bins, and tells their percentiles."""

    def __init__(self) -> None:
        self._counts = [0] * (_BINS + 1)
        self._total = 0

    def __len__(self) -> int:
        return self._total

    def copy(self) -> Histogram:
        """A histogram with the same counts, that goes its own way."""
        twin = Histogram()
        twin._counts = self._counts.copy()
        twin._total = self._total
        return twin

    def add(self, seconds: float) -> None:
        """Count one duration; what is below 10 us, even negative, counts as 10 us."""
        bin_ = math.ceil(math.log(seconds / _LOWEST_S) / _GROWTH) if seconds > _LOWEST_S else 0
        self._counts[min(bin_, _BINS)] += 1
        self._total += 1

    def percentile(self, percent: float) -> float | None:
        """The duration that `percent` of those counted do not exceed, in seconds.

        None where nothing was counted. Nearest rank, within 0.5 %.
        """
        if not self._total:
            return None
        rank = max(1, math.ceil(self._total * percent / 100))
        seen = 0
        for bin_, count in enumerate(self._counts):
            seen += count
            if seen >= rank:
                return _LOWEST_S * math.exp((bin_ - 0.5) * _GROWTH) if bin_ else _LOWEST_S
        raise AssertionError("counts and total disagree")  # unreachable

    def summary_ms(self) -> dict[str, float | None]:
        """p50, p95 and p99 in milliseconds, None each where nothing was counted."""
        values = {f"p{percent}": self.percentile(percent) for percent in (50, 95, 99)}
        return {
            name: None if value is None else round(value * 1e3, 3) for name, value in values.items()
        }


class RecentTimes:
    """The latest durations of something, for percentiles that follow it."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_RECENT)

    def add(self, seconds: float) -> None:
        """Note one duration."""
        self._seconds.append(seconds)

    def percentiles(self, *percents: float) -> tuple[float, ...]:
        """The durations that so many percent did not exceed, in seconds; zeros before any."""
        ordered = sorted(self._seconds)
        return tuple(
            ordered[max(1, math.ceil(len(ordered) * percent / 100)) - 1] if ordered else 0.0
            for percent in percents
        )
