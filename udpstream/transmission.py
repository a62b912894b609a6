"""The sending thread: from a capture to a sender, whatever the main thread does meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Self

import numpy as np
from numpy.typing import NDArray

from udpstream.capture import Capture
from udpstream.core.rate import RateMeter
from udpstream.sender import Sender

_TAKE_S = 0.1  # how long it may take to see that it should stop


class Transmission:
    """Sends what a capture brings, each frame at once, until it ends or enough were sent.

    Attributes:
        answered: whether a receiver has answered so far.
        error: what ended it before its time, if anything did.
    """

    def __init__(
        self,
        capture: Capture,
        sender: Sender,
        *,
        frames: int | None = None,
        watch: Callable[[NDArray[np.uint8]], object] | None = None,
    ) -> None:
        """Make ready; `start` begins.

        Args:
            capture: where frames come from; started by the caller.
            sender: where they go.
            frames: how many to send at most.
            watch: gets each frame when it has left, or was left out for the link's sake;
                `(H, W, 3)` uint8 BGR, not to be written to. It is called on the sending
                thread, and must return at once.
        """
        self.answered = False
        self.error: Exception | None = None
        self._capture = capture
        self._sender = sender
        self._frames = frames
        self._watch = watch
        self._rate = RateMeter()  # guarded by the lock
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sending", daemon=True)

    def start(self) -> None:
        """Begin to send; once."""
        self._thread.start()

    def stop(self) -> None:
        """End, after a frame that is being sent; more calls do nothing."""
        self._stopping.set()
        self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait(self, timeout_s: float) -> None:
        """Wait until it has ended, or so many seconds have passed."""
        self._ended.wait(timeout_s)

    @property
    def ended(self) -> bool:
        """Whether no more frames will be sent."""
        return self._ended.is_set()

    @property
    def fps(self) -> float | None:
        """Frames a second that left of late; None if that is not known."""
        with self._lock:
            return self._rate.per_second(time.monotonic())

    def _run(self) -> None:
        try:
            while not self._stopping.is_set() and self._sender.stats.frames != self._frames:
                if not self._send_next() and self._capture.ended:
                    break
        except Exception as error:  # noqa: BLE001 - the main thread raises it
            self.error = error
        finally:
            self._ended.set()

    def _send_next(self) -> bool:
        """Send the next frame; False if none came in time."""
        captured = self._capture.take(_TAKE_S)
        if captured is None:
            return False
        self._sender.fps = self._capture.fps  # a camera tells its rate with its first picture
        before = self._sender.stats.frames
        self._sender.send(captured.frame_bgr, captured.captured_monotonic_s)
        if self._sender.stats.frames > before:
            with self._lock:
                self._rate.add(time.monotonic())
        self.answered = self.answered or self._sender.receiver_is_there
        if self._watch is not None:
            self._watch(captured.frame_bgr)
        return True
