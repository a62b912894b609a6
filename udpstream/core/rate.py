"""Frames per second, by intervals."""

from __future__ import annotations

from collections import deque

_WINDOW_S = 2.0
_MOST_STAMPS = 1024  # 2 s at 500 fps; beyond that the window is shorter


class RateMeter:
    """Tells how often something happened over about the last two seconds."""

    def __init__(self) -> None:
        self._stamps: deque[float] = deque(maxlen=_MOST_STAMPS)

    def add(self, now: float) -> None:
        """Note one happening; `now` in seconds, never falling."""
        self._stamps.append(now)
        while now - self._stamps[0] > _WINDOW_S:
            self._stamps.popleft()

    @property
    def latest(self) -> float:
        """When it happened last; 0 before."""
        return self._stamps[-1] if self._stamps else 0.0

    def per_second(self, now: float) -> float | None:
        """(n - 1) intervals by the time between first and last.

        None below two stamps, and where nothing has happened for two seconds up to `now`,
        nor for twice the usual interval.
        """
        if len(self._stamps) < 2 or self._stamps[-1] <= self._stamps[0]:
            return None
        interval_s = (self._stamps[-1] - self._stamps[0]) / (len(self._stamps) - 1)
        if now - self._stamps[-1] > max(_WINDOW_S, 2 * interval_s):
            return None
        return (len(self._stamps) - 1) / (self._stamps[-1] - self._stamps[0])
