"""What a source of frames is, and what all of them share."""

from __future__ import annotations

import os
import threading
from typing import Any, Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from udpstream.errors import SourceError

DEFAULT_FPS = 30.0


class Source(Protocol):
    """Gives pictures, one a call.

    Attributes:
        fps: how often `read` should be called each second; None where not known. A
            live source's is what it was asked for or says of itself.
        live: it paces itself: `read` waits for the next picture. Other sources
            answer at once and are paced by the caller.
    """

    @property
    def fps(self) -> float | None: ...  # noqa: D102

    @property
    def live(self) -> bool: ...  # noqa: D102

    def read(self) -> NDArray[np.uint8] | None:
        """Return the next picture, `(H, W, 3)` uint8 BGR C-contiguous; None at the end.

        The source does not write to it again, and neither may the caller: it may be
        read-only and share memory with other pictures of the source.

        Raises:
            SourceError: the source cannot be read any further.
        """

    def close(self) -> None:
        """Let go of the source; may be called from any thread, and more than once.

        A `read` that waits in another thread returns None, as do all later ones.
        """


class Device(Protocol):
    """The part of `cv2.VideoCapture` that is used here, so that tests can stand in."""

    def isOpened(self) -> bool: ...  # noqa: D102, N802
    def read(self) -> tuple[bool, Any]: ...  # noqa: D102
    def get(self, prop: int, /) -> float: ...  # noqa: D102
    def set(self, prop: int, value: float, /) -> bool: ...  # noqa: D102
    def release(self) -> None: ...  # noqa: D102


class DeviceHolder:
    """Holds a `Device` that one thread reads and any thread may close.

    OpenCV does not survive a release in the middle of a read, and a read of a camera
    can block for seconds: so whoever is in the device last releases it.
    """

    def __init__(self) -> None:
        self.closing = threading.Event()
        self._device: Device | None = None
        self._busy = threading.Lock()

    def hold(self, device: Device) -> None:
        """Keep a device; it is released at once if `close` came first."""
        with self._busy:
            self._device = device
        self._release_if_closing()

    def read(self) -> NDArray[np.uint8] | None:
        """Return the device's next picture; None if it has none or is let go of."""
        with self._busy:
            if self._device is None or self.closing.is_set():
                return None
            try:
                ok, picture = self._device.read()
            except cv2.error as error:
                raise SourceError(f"OpenCV failed to read a picture: {error.err}") from error
        self._release_if_closing()
        return cast(NDArray[np.uint8], picture) if ok and picture is not None else None

    def get(self, prop: int) -> float:
        """Return a property of the device, 0 if there is no device."""
        with self._busy:
            return 0.0 if self._device is None else self._device.get(prop)

    @property
    def empty(self) -> bool:
        """Whether there is no device."""
        return self._device is None

    def release(self) -> None:
        """Let go of the device, from the thread that reads it; another may be held later."""
        with self._busy:
            if self._device is not None:
                self._device.release()
                self._device = None

    def close(self) -> None:
        """Let go of the device for good, from any thread, without waiting for a read."""
        self.closing.set()
        self._release_if_closing()

    def _release_if_closing(self) -> None:
        # The one who fails to get the lock leaves the release to the holder, who comes
        # by here after giving the lock back.
        if self.closing.is_set() and self._busy.acquire(blocking=False):
            try:
                if self._device is not None:
                    self._device.release()
                    self._device = None
            finally:
                self._busy.release()


def quiet_opencv() -> None:
    """Keep OpenCV's own remarks on sources that do not open off the error output.

    They are whole-process settings of OpenCV, and what the user's environment says
    of them stands.
    """
    if "OPENCV_LOG_LEVEL" not in os.environ:
        # OpenCV 4 has it at the top, OpenCV 5 in a module of its own; 0 is silent in both.
        (getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel)(0)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
    # How long a read waits for a camera that went silent: 10 s unless told.
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "2")


def fit(frame_bgr: NDArray[np.uint8], size_wh: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Return a picture in that size, or as it is if it has that size or None is asked."""
    height, width = frame_bgr.shape[:2]
    if size_wh is None or size_wh == (width, height):
        return frame_bgr
    smaller = size_wh[0] * size_wh[1] < width * height
    scaled = cv2.resize(
        frame_bgr, size_wh, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    )
    return cast(NDArray[np.uint8], scaled)
