"""Which slot of a file of constant rate each frame of a stream belongs in.

An AVI file has one rate, and an entry for each of its slots: a frame, or "the last
one again". The rate is not known when the first frame comes, frames get lost, and
arrival times jitter. So frames are held back for a moment: that is long enough to
estimate the rate from, and lets a burst go back into the gap that it left.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Generic, TypeVar

T = TypeVar("T")

HOLD_S = 0.4  # 12 intervals at 30 fps; well within the second that a crash may cost
MAX_HELD_FRAMES = 512  # HOLD_S at 1,000 fps, and some
MAX_HELD_BYTES = 64 << 20  # HOLD_S of raw 1080p at 30 fps is 75 MB, which is released sooner

CAPTURE_SLACK_S = 0.5  # a frame is not older than that when it comes on a local network

DEFAULT_RATE = Fraction(30)  # of a single frame; a slot without a frame costs only 24 bytes
LOWEST_RATE = Fraction(1)
HIGHEST_RATE = Fraction(1000)  # libavformat's AVI muxer writes 600 in place of any more

# The usual rates of cameras: an estimate that is near to one of them means it.
USUAL_RATES = tuple(
    Fraction(rate)
    for rate in (
        "1", "2", "3", "4", "5", "6", "7.5", "8", "10", "12", "12.5", "15", "20", "24", "25",
        "30", "40", "48", "50", "60", "72", "75", "90", "100", "120", "144", "150", "160",
        "180", "200", "240", "250", "300", "360", "400", "480", "500", "600", "800", "1000",
    )
)  # fmt: skip
SNAP_SHARE = 0.05  # 12 arrivals that jitter by 10 ms give 30 fps within 3 %

MAX_AHEAD_SLOTS = 2
# A stream has outrun its file when it stays ahead for so long. Less than HOLD_S, so that
# the frames that did not fit are still here and can move to the next file.
OUTRUN_S = 0.3
# The least step to the next rate doubles each time: whatever a sender does, its pace opens
# at most 14 further files.
FIRST_STEP_SHARE = 0.002


class FrameTimes:
    """Tells the times of a stream's frames, in seconds from its first frame.

    The capture time counts, since it does not jitter. It comes from the network, so it
    is believed only within half a second of the arrival. Times never fall.
    """

    def __init__(self) -> None:
        self._first_captured_at: float | None = None
        self._first_received_at: float | None = None
        self._latest_s = 0.0

    def time_s(self, captured_at: float | None, received_at: float) -> float:
        """Return the time of the next frame, from its Unix times of capture and arrival."""
        if self._first_received_at is None:
            self._first_received_at = received_at
        time_s = arrival_s = received_at - self._first_received_at
        if captured_at is not None:
            if self._first_captured_at is None:
                self._first_captured_at = captured_at - arrival_s
            time_s = captured_at - self._first_captured_at
            time_s = min(max(time_s, arrival_s - CAPTURE_SLACK_S), arrival_s + CAPTURE_SLACK_S)
        self._latest_s = max(self._latest_s, time_s)
        return self._latest_s


def estimate_rate(times_s: Sequence[float], numbers: Sequence[int]) -> Fraction:
    """Return the frame rate that a few frames suggest.

    Gaps count as the frames that are missing in them: by the frames' numbers, and by
    the median interval where numbers do not tell (the classic wire has none).

    Args:
        times_s: rising times of the frames.
        numbers: their numbers in the stream, rising.
    """
    steps = [max(1, after - before) for before, after in pairwise(numbers)]
    intervals_s = [after - before for before, after in pairwise(times_s)]
    if not steps:
        return DEFAULT_RATE
    usual_s = statistics.median(
        interval_s / step for interval_s, step in zip(intervals_s, steps, strict=True)
    )
    if usual_s <= 0:
        return DEFAULT_RATE  # they came all at once
    positions = [0.0]
    for interval_s, step in zip(intervals_s, steps, strict=True):
        positions.append(positions[-1] + max(step, round(interval_s / usual_s)))
    interval_s = statistics.linear_regression(positions, times_s).slope
    return _snap(1 / interval_s) if interval_s > 0 else DEFAULT_RATE


def _snap(rate: float) -> Fraction:
    rate = min(max(rate, float(LOWEST_RATE)), float(HIGHEST_RATE))
    nearest = min(USUAL_RATES, key=lambda usual: abs(math.log(rate / usual)))
    if abs(rate / nearest - 1) <= SNAP_SHARE:
        return nearest
    # Rather a repeated frame now and then than frames without a slot.
    return Fraction(math.ceil(rate))


@dataclass(slots=True)
class _Held(Generic[T]):
    item: T
    time_s: float
    number: int
    due_s: float
    n_bytes: int
    slot: int = 0


class Timeline(Generic[T]):
    """Holds a stream's frames back for a moment and deals slots to them.

    Slots rise. A frame's slot is its time by the rate, but for jitter.
    """

    def __init__(self) -> None:
        self._rate: Fraction | None = None
        self._rate_raised = 0  # how often, to bound it
        self._held: deque[_Held[T]] = deque()
        self._held_bytes = 0
        self._start_s = 0.0
        self._last_released = -1
        self._in_step_s = 0.0
        self._ahead_since_s: float | None = None
        self.no_slot = 0

    @property
    def rate(self) -> Fraction | None:
        """Slots a second; None until the first frame is released."""
        return self._rate

    @property
    def due_s(self) -> float | None:
        """When the next frame is to be released, on the clock of `add`'s `now_s`."""
        return self._held[0].due_s if self._held else None

    def add(
        self, item: T, *, time_s: float, number: int, n_bytes: int, now_s: float
    ) -> Timeline[T] | None:
        """Take a frame in.

        At the highest rate a frame may find no slot: it is counted in `no_slot`.

        Args:
            item: the frame.
            time_s: its time in its stream; not less than the one before.
            number: its number in its stream.
            n_bytes: what holding it costs.
            now_s: the time now, on a clock that does not jump.

        Returns:
            None mostly. Where the stream is faster than this timeline's rate: another,
            faster one, to which this frame and those that did not fit have moved.
        """
        held = _Held(item, time_s, number, now_s + HOLD_S, n_bytes)
        if self._rate is None:
            if not self._held:
                self._start_s = self._in_step_s = time_s
            self._hold(held)
            return None
        self._hold(held)
        ahead = self._place_last(self._rate)
        if ahead <= MAX_AHEAD_SLOTS:
            self._ahead_since_s = None
        elif self._rate >= HIGHEST_RATE:
            self._held_bytes -= self._held.pop().n_bytes
            self.no_slot += 1
        elif self._ahead_since_s is None:
            self._ahead_since_s = time_s
        elif time_s - self._ahead_since_s >= OUTRUN_S:
            return self._outrun(self._rate, ahead)
        return None

    def release(self, now_s: float) -> list[tuple[int, T]]:
        """Return the slots and frames that have been held long enough, in order."""
        released = []
        while self._held and (
            self._held[0].due_s <= now_s
            or self._held_bytes > MAX_HELD_BYTES
            or len(self._held) > MAX_HELD_FRAMES
        ):
            if self._rate is None:
                self._start(
                    estimate_rate(
                        [held.time_s for held in self._held], [held.number for held in self._held]
                    )
                )
            held = self._held.popleft()
            self._held_bytes -= held.n_bytes
            self._last_released = held.slot
            released.append((held.slot, held.item))
        return released

    def _hold(self, held: _Held[T]) -> None:
        self._held.append(held)
        self._held_bytes += held.n_bytes

    def _start(self, rate: Fraction) -> None:
        """Deal the first slots."""
        self._rate = rate
        waiting, self._held = self._held, deque()
        for held in waiting:
            self._held.append(held)
            self._place_last(rate)

    def _place_last(self, rate: Fraction) -> int:
        """Deal a slot to the latest frame; return how far that is ahead of its time."""
        latest = self._held[-1]
        wanted = latest.slot = round((latest.time_s - self._start_s) * float(rate))
        # Those before it make room towards the past, as far as there are free slots ...
        limit = wanted
        for held in reversed(self._held):
            if held is not latest and held.slot < limit:
                break
            held.slot = limit
            limit -= 1
        # ... and otherwise it goes into the future.
        least = self._last_released + 1
        if self._held[0].slot < least:
            for held in self._held:
                if held.slot >= least:
                    break
                held.slot = least
                least += 1
        ahead = latest.slot - wanted
        if ahead <= 0:
            self._in_step_s = latest.time_s
        return ahead

    def _outrun(self, rate: Fraction, ahead: int) -> Timeline[T]:
        fits = bisect_right(self._held, self._in_step_s, key=lambda held: held.time_s)
        moved = [self._held.pop() for _ in range(len(self._held) - fits)][::-1]
        self._held_bytes -= sum(held.n_bytes for held in moved)
        faster = estimate_rate([held.time_s for held in moved], [held.number for held in moved])
        least = float(rate) * (1 + FIRST_STEP_SHARE * 2**self._rate_raised)
        if faster < least:  # too slight to be seen in a few frames
            seen = float(rate) + ahead / (moved[-1].time_s - self._in_step_s)
            faster = Fraction(math.ceil(max(seen, least) * 10), 10)
        following: Timeline[T] = Timeline()
        following._rate_raised = self._rate_raised + 1
        following._start_s = following._in_step_s = moved[0].time_s
        for held in moved:
            following._hold(held)
        following._start(min(faster, HIGHEST_RATE))
        return following
