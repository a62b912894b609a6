"""Video files and pictures on disk as sources."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from udpstream.adapters.sources.base import DEFAULT_FPS, DeviceHolder, fit
from udpstream.errors import SourceError

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})

# FFmpeg takes any text file for a film of a terminal's screen.
_TEXT_FOURCC = cv2.VideoWriter.fourcc(*"ansi")
_MAX_FPS = 1000.0  # a file that claims more states its time base, not its rate


class VideoFile:
    """A video file, at its own speed.

    The n-th picture read is the one that is on show n / fps seconds into the file: at
    a higher rate than the file's own pictures repeat, at a lower one some are left out,
    and a file with gaps or an uneven rate keeps its time.
    """

    live = False

    def __init__(
        self,
        path: Path,
        *,
        size_wh: tuple[int, int] | None,
        fps: float | None,
        loop: bool,
        say: Callable[[str], None],
    ) -> None:
        """Open the file and read its first picture.

        Raises:
            SourceError: there is no video in it that can be read.
        """
        self._path = path
        self._size_wh = size_wh
        self._loop = loop
        self._say = say
        self._video = DeviceHolder()
        self._rewind()
        stated = self._video.get(cv2.CAP_PROP_FPS)
        self._own_fps = stated if 0 < stated <= _MAX_FPS else DEFAULT_FPS
        self.fps: float | None = fps or self._own_fps
        self._length_s = self._video.get(cv2.CAP_PROP_FRAME_COUNT) / self._own_fps
        self._warned = False
        self._reads = 0
        self._begun_s = 0.0  # when the present round began, on the time scale of reads
        first = self._next()
        if first is None or self._video.get(cv2.CAP_PROP_FOURCC) == _TEXT_FOURCC:
            self._video.close()
            raise SourceError(f"{path} is not a video that can be read: give a video file")
        self._on_show, self._on_show_s = first
        self._ahead = self._next()

    def read(self) -> NDArray[np.uint8] | None:
        """Return the next picture, `(H, W, 3)` uint8 BGR; None at the end or once closed."""
        if self._video.closing.is_set():
            return None
        # A quarter of a picture's time is added, since containers round their time stamps.
        slack_s = 0.25 / self._own_fps
        now_s = self._reads / cast(float, self.fps) - self._begun_s + slack_s
        while True:
            if self._ahead is not None:
                if self._ahead[1] > now_s:
                    break
                self._on_show, self._on_show_s = self._ahead
                self._ahead = self._next()
                continue
            end_s = self._on_show_s + 1 / self._own_fps
            if now_s < end_s:
                break
            self._warn_if_short(end_s)
            if not self._loop:
                return None
            self._rewind()
            self._begun_s += end_s
            now_s -= end_s
            self._on_show_s = 0.0
            self._ahead = self._next()
            if self._ahead is None:
                if self._video.closing.is_set():
                    return None
                raise SourceError(f"{self._path} can no longer be read: was it changed?")
        self._reads += 1
        return self._on_show

    def close(self) -> None:
        """Close the file."""
        self._video.close()

    def _rewind(self) -> None:
        # Opened anew: a seek to the start lands elsewhere in some containers.
        self._video.release()
        self._video.hold(cv2.VideoCapture(str(self._path)))
        self._first_s: float | None = None
        self._last_s = 0.0

    def _next(self) -> tuple[NDArray[np.uint8], float] | None:
        """Read a picture, and when it is shown, in seconds from the first one."""
        picture = self._video.read()
        if picture is None:
            return None
        shown_s = self._video.get(cv2.CAP_PROP_POS_MSEC) / 1e3
        if self._first_s is None:
            self._first_s = shown_s
        else:
            shown_s -= self._first_s
            if not math.isfinite(shown_s) or shown_s <= self._last_s:  # it has no time stamps
                shown_s = self._last_s + 1 / self._own_fps
            self._last_s = shown_s
        return fit(picture, self._size_wh), self._last_s

    def _warn_if_short(self, end_s: float) -> None:
        if self._warned or end_s > 0.9 * self._length_s:
            return
        self._warned = True
        self._say(
            f"{self._path} ended after {end_s:.1f} s of {self._length_s:.1f} s: "
            "the rest of it cannot be read"
        )


class ImageFiles:
    """Pictures on disk, one after the other."""

    live = False

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        size_wh: tuple[int, int] | None,
        fps: float | None,
        loop: bool,
        say: Callable[[str], None],
    ) -> None:
        self.fps: float | None = fps or DEFAULT_FPS
        self._paths = paths
        self._size_wh = size_wh
        self._loop = loop
        self._say = say
        self._at = 0
        self._broken: set[Path] = set()
        self._closed = False

    def read(self) -> NDArray[np.uint8] | None:
        """Return the next picture, `(H, W, 3)` uint8 BGR; None at the end or once closed.

        One that cannot be read is left out, and said once.

        Raises:
            SourceError: none of the pictures can be read.
        """
        while not self._closed:
            if self._at == len(self._paths):
                if len(self._broken) == len(self._paths):
                    raise SourceError(
                        f"none of the pictures in {self._paths[0].parent} can be read: "
                        "give PNG, JPEG, BMP, TIFF, WebP or PPM files"
                    )
                if not self._loop:
                    return None
                self._at = 0
            path = self._paths[self._at]
            self._at += 1
            if path in self._broken:
                continue
            picture = _read_image(path)
            if picture is not None:
                return fit(picture, self._size_wh)
            self._broken.add(path)
            self._say(f"{path} cannot be read as a picture: it is left out")
        return None

    def close(self) -> None:
        """End the pictures."""
        self._closed = True


def image_paths(folder: Path) -> list[Path]:
    """The pictures in a folder, in natural order: img2 comes before img10."""
    return sorted(
        (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES),
        key=lambda path: _natural(path.name),
    )


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    # Text and digits alternate, text first, so like is compared with like; the name
    # itself settles img1 against img01.
    parts = re.split(r"([0-9]+)", name.casefold())
    return [(int(part), "") if at % 2 else (0, part) for at, part in enumerate(parts)], name


def _read_image(path: Path) -> NDArray[np.uint8] | None:
    # Not cv2.imread: on Windows it cannot open names outside the system's code page.
    try:
        encoded = np.fromfile(path, np.uint8)
        picture = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    except (OSError, cv2.error):
        return None
    return cast(NDArray[np.uint8] | None, picture)
