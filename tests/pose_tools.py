"""People to find, and what finds them, for the tests of poses."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from udpstream.adapters.codec import decode
from udpstream.adapters.figure import draw_figure
from udpstream.adapters.model import present_model
from udpstream.core.landmarks import N_LANDMARKS
from udpstream.frame import Frame
from udpstream.pose import Landmarks

Image = NDArray[np.uint8]
WALL = 150  # the figure's background


def require_model() -> Path:
    """The pose model; tests never fetch it."""
    if importlib.util.find_spec("mediapipe") is None:
        pytest.skip("MediaPipe is not installed: pip install -e '.[pose]'")
    model = present_model()
    if model is None:
        pytest.skip("the pose model is not there: 'udpstream model' fetches it")
    return model


def scene(size_wh: tuple[int, int], *people: tuple[int, int, int]) -> Image:
    """A picture of figures, each of a height in pixels at the x and y of its upper left corner."""
    image_bgr = np.full((size_wh[1], size_wh[0], 3), WALL, np.uint8)
    for side, x, y in people:
        figure_bgr = cv2.resize(draw_figure(), (side, side), interpolation=cv2.INTER_AREA)
        image_bgr[y : y + side, x : x + side] = figure_bgr
    return image_bgr


def pose_at(x: float, visibility: float = 1.0) -> Landmarks:
    """A pose with all its points in one place."""
    pose = np.zeros((N_LANDMARKS, 4), np.float32)
    pose[:, 0], pose[:, 1], pose[:, 3] = x, 0.5, visibility
    return pose


class GreyTracker:
    """Finds a pose whose x is the picture's grey value / 256, and nobody in black ones."""

    def __init__(self) -> None:
        self.calls = 0
        self.closed = False

    def find(self, image_bgr: Image) -> Landmarks | None:
        self.calls += 1
        grey = float(np.median(image_bgr))
        return None if grey < 8 else pose_at(grey / 256)

    def close(self) -> None:
        self.closed = True


class ImageTracker(Protocol):
    """Finds poses in pictures, as `PoseTracker` does."""

    def find(self, image_bgr: Image) -> Landmarks | None: ...

    def close(self) -> None: ...


class InThread:
    """What finds poses in frames, in the thread that asks."""

    def __init__(self, tracker: ImageTracker) -> None:
        self._tracker = tracker

    def find(self, frame: Frame) -> Landmarks | None:
        return self._tracker.find(decode(frame.codec, frame.payload, frame.size_wh))

    def close(self) -> None:
        self._tracker.close()


def write_video(
    path: Path,
    times_s: Iterable[float],
    *,
    greys: Iterable[int] | None = None,
    size_wh: tuple[int, int] = (64, 48),
    pixel_aspect: Fraction = Fraction(1),
    image: Image | None = None,
) -> None:
    """Write a video with a picture at each of those times, grey ones unless one is given."""
    times_s = list(times_s)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height = size_wh
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.sample_aspect_ratio = pixel_aspect
        for time_s, grey in zip(times_s, greys or [128] * len(times_s), strict=True):
            flat = np.full((size_wh[1], size_wh[0], 3), grey, np.uint8)
            frame = av.VideoFrame.from_ndarray(flat if image is None else image, format="bgr24")
            frame.pts, frame.time_base = round(time_s * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
