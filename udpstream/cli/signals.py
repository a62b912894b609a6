"""Ctrl+C and its kin, as an event."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Self

# SIGHUP: the terminal was closed, and a recording is to be finished all the same.
_SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
]
_HANGUP = getattr(signal, "SIGHUP", None)


class StopSignals:
    """Sets `event` at the first signal to stop; a second one has its usual effect."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._before = {number: signal.getsignal(number) for number in _SIGNALS}
        if self._before.get(_HANGUP) is signal.SIG_IGN:  # started by nohup
            del self._before[_HANGUP]

    def __enter__(self) -> Self:
        for number in self._before:
            signal.signal(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.event.set()
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
