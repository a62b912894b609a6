"""A camera, that may be absent, unplugged and plugged back."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from udpstream.adapters.sources.base import Device, DeviceHolder, fit
from udpstream.errors import SourceError

RETRY_S = 0.5
_MOST_INDEX = 99  # above it OpenCV takes the hundreds for one of its own backends

# What a USB 2 camera can send uncompressed at 30 fps: above it most cameras give a few
# pictures a second unless they are asked for Motion JPEG.
_MOST_UNCOMPRESSED_PIXELS_A_S = 640 * 480 * 30


class Camera:
    """A camera by its index or device path, opened on the first read.

    Where it is not there, or goes away, `read` tries again every half second until it
    is (back) or the source is closed. All its waiting ends at once with `close`, but
    for a wait inside the driver, which OpenCV cannot interrupt.
    """

    live = True

    def __init__(
        self,
        name: str,
        *,
        size_wh: tuple[int, int] | None,
        fps: float | None,
        say: Callable[[str], None],
        open_device: Callable[[int | str], Device] | None = None,
        retry_s: float = RETRY_S,
    ) -> None:
        """Do not open it yet.

        Args:
            name: an index, as ``"0"``, or a device path.
            size_wh: the mode to ask for; pictures of another size are scaled to it.
                None takes what the camera gives.
            fps: the rate to ask for; None takes what the camera gives.
            say: is told when the camera goes and comes, and the mode that it gives
                where that is another than asked for.
            open_device: opens an index or path as `cv2.VideoCapture` does.
            retry_s: seconds between two attempts to open it.

        Raises:
            SourceError: no camera can have that index.
        """
        self._name = name
        self._target: int | str = int(name) if name.isdecimal() else name
        if isinstance(self._target, int) and self._target > _MOST_INDEX:
            raise SourceError(f"no camera has the index {name}: give 0, 1, 2 or a device path")
        self._label = f"camera {name}"
        self._size_wh = size_wh
        self._asked_fps = fps
        self._say = say
        self._open_device = open_device or _open_video_capture
        self._retry_s = retry_s
        self._holder = DeviceHolder()
        self._own_fps: float | None = None
        self._seen = False  # it has given a picture
        self._absent = False  # and this was said
        self._mode_said = False

    @property
    def fps(self) -> float | None:
        """Pictures a second as the camera states them, else as asked; None if not known."""
        return self._own_fps or self._asked_fps

    def read(self) -> NDArray[np.uint8] | None:
        """Wait for the next picture, `(H, W, 3)` uint8 BGR; None once closed."""
        closing = self._holder.closing
        while not closing.is_set():
            problem = self._connect() if self._holder.empty else None
            if problem is None:
                picture = self._read_device()
                if picture is not None:
                    self._arrived(picture)
                    return fit(picture, self._size_wh)
                problem = "it gives no pictures"
            if closing.is_set():
                break
            self._holder.release()
            if not self._absent:
                self._absent = True
                state = "has gone away" if self._seen else "is not there"
                self._say(
                    f"{self._label} {state} ({problem}); trying again every {self._retry_s:g} s"
                )
            closing.wait(self._retry_s)
        return None

    def close(self) -> None:
        """Let go of the camera; a read that waits for it returns None."""
        self._holder.close()

    def _connect(self) -> str | None:
        """Open the camera and ask for the mode; say what is wrong if it does not open."""
        try:
            device = self._open_device(self._target)
        except cv2.error as error:
            return f"OpenCV: {error.err}"
        if not device.isOpened():
            device.release()
            return _why_not(self._name)
        if self._size_wh is not None or self._asked_fps is not None:
            _ask_mode(device, self._size_wh, self._asked_fps)
        # Frames that wait in the driver are old frames, but with one buffer V4L2 has no
        # place for the next while this one is read, and gives half the rate.
        device.set(cv2.CAP_PROP_BUFFERSIZE, 2)
        self._holder.hold(device)
        return None

    def _read_device(self) -> NDArray[np.uint8] | None:
        try:
            return self._holder.read()
        except SourceError:  # a camera that was pulled out may fail so: it is tried again
            return None

    def _arrived(self, picture: NDArray[np.uint8]) -> None:
        if self._absent:
            self._say(f"{self._label} is {'back' if self._seen else 'there'}")
            self._absent = False
        elif self._seen:
            return
        self._seen = True
        stated = self._holder.get(cv2.CAP_PROP_FPS)
        self._own_fps = stated if 0 < stated <= 1000 else None
        self._say_mode((picture.shape[1], picture.shape[0]))

    def _say_mode(self, given_wh: tuple[int, int]) -> None:
        other_size = self._size_wh is not None and self._size_wh != given_wh
        other_fps = (
            self._asked_fps is not None
            and self._own_fps is not None
            and abs(self._own_fps - self._asked_fps) > 0.05 * self._asked_fps
        )
        if self._mode_said or not (other_size or other_fps):
            return
        self._mode_said = True
        given, asked = _mode(given_wh, self._own_fps), _mode(self._size_wh, self._asked_fps)
        scaled = f"; its pictures are scaled to {_mode(self._size_wh, None)}" if other_size else ""
        self._say(f"{self._label} gives {given} where {asked} was asked for{scaled}")


def _open_video_capture(target: int | str) -> Device:
    # On Linux V4L2 is the one backend for cameras; left to choose, OpenCV 5 tries others
    # first and reads frames through FFmpeg, whose reads know no time limit.
    return cv2.VideoCapture(target, cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY)


def _ask_mode(device: Device, size_wh: tuple[int, int] | None, fps: float | None) -> None:
    # The order is the one that works: the format limits which sizes there are, and the
    # size which rates.
    width, height = size_wh or (
        int(device.get(cv2.CAP_PROP_FRAME_WIDTH)),
        int(device.get(cv2.CAP_PROP_FRAME_HEIGHT)),
    )
    if width * height * (fps or 30) > _MOST_UNCOMPRESSED_PIXELS_A_S:
        device.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    if size_wh is not None:
        device.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        device.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
    if fps is not None:
        device.set(cv2.CAP_PROP_FPS, fps)


def _why_not(name: str) -> str:
    if sys.platform != "linux":
        return "it is not connected, or another program uses it"
    path = Path(name if name.startswith("/") else f"/dev/video{name}")
    if not path.exists():
        return f"there is no {path}"
    if not os.access(path, os.R_OK | os.W_OK):
        return f"no permission for {path}: join its group, often 'video'"
    return f"{path} does not open as a camera, or another program uses it"


def _mode(size_wh: tuple[int, int] | None, fps: float | None) -> str:
    size = "" if size_wh is None else f"{size_wh[0]}x{size_wh[1]}"
    rate = "" if fps is None else f"{fps:g} fps"
    return " at ".join(part for part in (size, rate) if part)
