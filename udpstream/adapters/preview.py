"""The performer's window: the camera's own picture, and what a receiver says of it.

Frames come in on the sending thread, which only leaves the latest one in a slot; all else
is done by `step` on the main thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from udpstream.adapters import overlay
from udpstream.adapters.score_replies import words_of_reply
from udpstream.adapters.score_words import Words, draw_words
from udpstream.adapters.screen import HighGui
from udpstream.adapters.window import POLL_S, QUIT_KEYS, Gui, first_size
from udpstream.protocol import Result
from udpstream.slot import LatestSlot

TITLE = "udpstream - preview"

_DRAW_S = 1 / 60  # a source may be quicker than any screen
_WORDS_S = 0.4  # those that change with every frame cannot be read


class Preview:
    """Shows the latest frame with the latest result.

    `put` may be called on any thread; `step` and `close` are for the main thread. `q`,
    Escape or the close button end it.
    """

    def __init__(
        self,
        *,
        mirrored: bool,
        gui: Gui | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make ready; the window opens with the first frame.

        Args:
            mirrored: whether to show the picture as a mirror does.
            gui: the window system.
            clock: tells the time, in seconds.
        """
        self._mirrored = mirrored
        self._gui: Gui = HighGui() if gui is None else gui
        self._clock = clock
        self._slot: LatestSlot[NDArray[np.uint8]] = LatestSlot()
        self._first_wh: tuple[int, int] | None = None  # None: no window yet
        self._was_visible = False  # a window is not visible before the system has put it up
        self._next_s = float("-inf")  # when to draw next
        self._words: Words | None = None  # that are shown
        self._words_s = float("-inf")  # and since when

    def put(self, frame_bgr: NDArray[np.uint8]) -> None:
        """Take the latest frame, `(H, W, 3)` uint8 BGR, which is not written to."""
        self._slot.put(frame_bgr)

    def step(self, result: Result | None, line: str, timeout_s: float) -> bool:
        """Wait for a frame, show it, and let the window answer the user.

        Args:
            result: what is said of the performer; None: nothing.
            line: of fields set apart by `overlay.FIELD_GAP`, for the lower edge.
            timeout_s: how long to wait at most; while the window is open, 0.03 s.

        Returns:
            False when the user has had enough.

        Raises:
            DisplayError: the window could not be opened.
        """
        is_open = self._first_wh is not None
        wait_s = min(timeout_s, POLL_S) if is_open else timeout_s
        early_s = self._next_s - self._clock()
        if early_s > 0:
            time.sleep(min(early_s, wait_s))
        frame_bgr = self._slot.take(wait_s)
        if frame_bgr is not None:
            self._show(frame_bgr, result, line)
            self._next_s = self._clock() + _DRAW_S
        return self._first_wh is None or self._answer_user()

    def close(self) -> None:
        """Close the window."""
        if self._first_wh is not None:
            self._gui.close(TITLE)
            self._first_wh = None

    def _show(self, frame_bgr: NDArray[np.uint8], result: Result | None, line: str) -> None:
        if self._first_wh is None:
            first_wh = first_size((frame_bgr.shape[1], frame_bgr.shape[0]))
            self._gui.open(TITLE, first_wh)
            self._first_wh = first_wh
        canvas_bgr = overlay.canvas(frame_bgr, self._gui.room_wh(TITLE) or self._first_wh)
        if self._mirrored:
            cv2.flip(canvas_bgr, 1, canvas_bgr)
        overlay.draw_line(canvas_bgr, line)
        words = self._settled(result)
        if words is not None:
            draw_words(canvas_bgr, words, afar=True)
        self._gui.show(TITLE, canvas_bgr)

    def _settled(self, result: Result | None) -> Words | None:
        """The words to show: those that are shown already, for a moment."""
        words = None if result is None else _drawable(words_of_reply(result))
        now_s = self._clock()
        was_scored = self._words is not None and bool(self._words.score)
        is_scored = words is not None and bool(words.score)
        if was_scored != is_scored or now_s - self._words_s >= _WORDS_S:
            self._words, self._words_s = words, now_s
        return self._words

    def _answer_user(self) -> bool:
        if self._gui.poll_key() in QUIT_KEYS:
            return False
        if self._gui.visible(TITLE):
            self._was_visible = True
        elif self._was_visible:
            self._first_wh = None  # the user has closed it
            return False
        return True


def _drawable(words: Words) -> Words:
    """Replace what OpenCV 4 cannot draw: a receiver may say more than ours does."""
    return Words(*(each.encode("ascii", "replace").decode() for each in words))
