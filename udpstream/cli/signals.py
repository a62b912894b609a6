"""Ctrl+C and its kin, as an event."""

from __future__ import annotations

import math
import signal
import threading
import time
from types import FrameType
from typing import Self

# SIGHUP: the terminal was closed, and a recording is to be finished all the same.
_SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
]
_HANGUP = getattr(signal, "SIGHUP", None)
# What signals a process and its group, as timeout(1) and some shells do, means it once.
_TWICE_S = 0.5


class StopSignals:
    """Sets `event` at the first signal to stop; one more, later on, has its usual effect."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._first_s = math.inf  # when it came
        self._before = {number: signal.getsignal(number) for number in _SIGNALS}
        if self._before.get(_HANGUP) is signal.SIG_IGN:  # started by nohup
            del self._before[_HANGUP]

    def __enter__(self) -> Self:
        for number in self._before:
            signal.signal(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        if not self.event.is_set():  # else there is a summary to print, which no echo may cut off
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        now_s = time.monotonic()
        self._first_s = min(self._first_s, now_s)
        self.event.set()
        if now_s >= self._first_s + _TWICE_S:
            signal.signal(number, signal.SIG_DFL)
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            signal.raise_signal(number)
