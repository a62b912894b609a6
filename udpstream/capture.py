"""The capture thread: reads a source in time and keeps the latest frame."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from udpstream.adapters.sources.base import DEFAULT_FPS, Source
from udpstream.slot import LatestSlot

_JOIN_S = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Captured:
    """One frame of a source.

    Attributes:
        frame_bgr: `(H, W, 3)` uint8 BGR, not to be written to.
        captured_monotonic_s: `time.monotonic()` right after it was read.
        number: how many frames came before it, those that nobody took included.
    """

    frame_bgr: NDArray[np.uint8]
    captured_monotonic_s: float
    number: int


class Grid:
    """When to read a source that does not pace itself: `start + n * period`.

    A read that comes late moves none of the later ones. Times that have passed
    altogether are left out, so that a stall is not followed by a burst.
    """

    def __init__(self, period_s: float, start_s: float) -> None:
        self._period_s = period_s
        self._start_s = start_s
        self._next = 0

    def advance(self, now_s: float) -> float:
        """Return the time of the next read; it lies less than one period before `now_s`."""
        passed = math.floor((now_s - self._start_s) / self._period_s)
        self._next = max(self._next, passed)
        due_s = self._start_s + self._next * self._period_s
        self._next += 1
        return due_s


class RateLimit:
    """Which frames of a live source to keep, so that no more than a rate go on."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        # A camera at the very rate that is asked for has jitter, and is to lose nothing.
        self._slack_s = period_s / 4
        self._due_s = -math.inf

    def admits(self, now_s: float) -> bool:
        """Whether to keep the frame that came at `now_s`."""
        if now_s < self._due_s - self._slack_s:
            return False
        # Due times keep to a grid, but to a new one after a gap: no burst.
        grid_s = now_s if now_s > self._due_s + self._period_s else self._due_s
        self._due_s = grid_s + self._period_s
        return True


class Capture:
    """Reads a source in a thread of its own and holds the latest frame for the taker.

    A source that does not pace itself is read on an absolute schedule; a live one as it
    comes, and frames beyond `fps` are left out. The source is closed by `stop`.
    """

    def __init__(self, source: Source, fps: float | None = None) -> None:
        """Do not start yet.

        Args:
            source: what to read; from now on it belongs to the capture.
            fps: frames a second. None is the source's own rate: all frames of a live
                one, and 30 for one that does not know it.
        """
        self._source = source
        self._fps = fps
        self._slot: LatestSlot[Captured] = LatestSlot()
        self._stopping = threading.Event()
        self._error: Exception | None = None
        self._skipped = 0
        # A daemon: a camera driver may hold a read for ever, OpenCV cannot interrupt it,
        # and the process is to end nevertheless.
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def start(self) -> None:
        """Begin to read the source; once."""
        self._thread.start()

    def stop(self) -> None:
        """Close the source and end the thread, waiting for it a second at most."""
        self._stopping.set()
        self._source.close()
        self._slot.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def take(self, timeout_s: float) -> Captured | None:
        """Return the latest frame, each once, waiting up to `timeout_s` for one.

        None means that none came in time or, if `ended`, that none will come any more.

        Raises:
            SourceError: reading the source failed; all frames before were taken. Any
                other error of the source is raised here as well.
        """
        captured = self._slot.take(timeout_s)
        if captured is None and self._slot.closed and self._error is not None:
            raise self._error
        return captured

    @property
    def ended(self) -> bool:
        """Whether the source ended, or was stopped, and its last frame was taken."""
        return self._slot.closed

    @property
    def fps(self) -> float | None:
        """Frames a second as asked or as the source states; None where not known."""
        own = self._source.fps
        if self._fps is None or (self._source.live and own is not None and own < self._fps):
            return own
        return self._fps

    @property
    def skipped(self) -> int:
        """Frames that were overwritten by a later one before anyone took them."""
        return self._skipped

    def _run(self) -> None:
        try:
            if self._source.live:
                self._read_live()
            else:
                self._read_paced()
        except Exception as error:  # noqa: BLE001 - raised again in take()
            self._error = error
        finally:
            self._slot.close()

    def _read_paced(self) -> None:
        grid = Grid(1 / (self.fps or DEFAULT_FPS), time.monotonic())
        number = 0
        while True:
            now_s = time.monotonic()
            if self._stopping.wait(max(0.0, grid.advance(now_s) - now_s)):
                return
            frame_bgr = self._source.read()
            if frame_bgr is None:
                return
            self._put(frame_bgr, time.monotonic(), number)
            number += 1

    def _read_live(self) -> None:
        limit: Callable[[float], bool] = (
            RateLimit(1 / self._fps).admits if self._fps is not None else lambda _: True
        )
        number = 0
        while (frame_bgr := self._source.read()) is not None:
            now_s = time.monotonic()
            if limit(now_s):
                self._put(frame_bgr, now_s, number)
                number += 1

    def _put(self, frame_bgr: NDArray[np.uint8], now_s: float, number: int) -> None:
        self._skipped += self._slot.put(Captured(frame_bgr, now_s, number))
