"""A reference from a file: a video, whose poses are found, or the CSV that was made of one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from udpstream.adapters import overlay
from udpstream.adapters.avi import AviWriter
from udpstream.adapters.codec import encode
from udpstream.adapters.skeleton import draw_skeleton
from udpstream.adapters.sources.base import fit
from udpstream.adapters.video import VideoReader, samples
from udpstream.adapters.whole_file import whole_file
from udpstream.core.reference import Reference, format_reference, make_reference, parse_reference
from udpstream.errors import BadReferenceError, PoseError
from udpstream.pose import Landmarks
from udpstream.protocol import Codec

MAX_CSV_BYTES = 1 << 30
MAX_SAMPLES = 500_000

_PREVIEW_WH = 1280, 720  # at most
_PREVIEW_QUALITY = 85

Image = NDArray[np.uint8]


class Tracker(Protocol):
    """What finds poses; `pose.PoseTracker` is the real one."""

    def find(self, image_bgr: Image) -> Landmarks | None:
        """Find the pose in the next picture."""


def is_csv(path: Path) -> bool:
    """Whether a file is to be read as a reference's CSV, and not as a video."""
    return path.suffix.lower() == ".csv"


def read_csv(path: Path, fps: float | None = None) -> Reference:
    """Read a reference from a CSV file.

    Args:
        path: either form of it.
        fps: samples a second of one without times; 10 unless told.

    Raises:
        BadReferenceError: there is no such file, it is no reference, or nobody is in it.
    """
    try:
        if path.stat().st_size > MAX_CSV_BYTES:
            raise BadReferenceError(f"{path} is too large to be a reference: give another file")
        # utf-8-sig: spreadsheets put a mark before the first letter
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return parse_reference(lines, str(path), fps)
    except OSError as error:
        raise BadReferenceError(
            f"the reference {path} cannot be read: {error.strerror}: name a .csv or a video"
        ) from error


def write_csv(reference: Reference, path: Path) -> None:
    """Write a reference as CSV; the file is there whole or not at all.

    Raises:
        RecordingError: it cannot be written.
    """
    with (
        whole_file(path) as part,
        part.open("w", encoding="utf-8", newline="") as file,
    ):
        file.writelines(format_reference(reference))


def sample_video(
    path: Path,
    tracker: Tracker,
    *,
    fps: float | None = None,
    preview: Path | None = None,
    progress: Callable[[float, float | None], None] | None = None,
    say: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
) -> Reference:
    """Find the poses in a video, at moments told by the video's own time stamps.

    Args:
        path: the video.
        tracker: one that has not been given pictures of another stream.
        fps: samples a second; unless told, each picture is one.
        preview: where to write an AVI with the poses drawn on the pictures.
        progress: called after each sample with the seconds done, and in all if known.
        say: takes a message for the user, if the video is damaged.
        stop: once set, it is given up.

    Raises:
        BadReferenceError: the video is too short or too long, or there is nobody in it.
        SourceError: it cannot be read.
        PoseError: the tracker failed, or it was stopped.
        RecordingError: the preview cannot be written.
    """
    times_s: list[float] = []
    poses: list[Landmarks | None] = []
    size_wh: tuple[int, int] | None = None
    with VideoReader(path) as video, contextlib.ExitStack() as written:
        drawn = None
        if preview is not None:
            part = written.enter_context(whole_file(preview))
            drawn = written.enter_context(contextlib.closing(_Preview(part, fps or video.fps)))
        for picture in video.pictures() if fps is None else samples(video, fps):
            if stop is not None and stop.is_set():
                raise PoseError(f"reading {path} was stopped")
            if len(poses) == MAX_SAMPLES:
                raise BadReferenceError(f"{path} is too long: cut out the part to compare with")
            if not picture.again:
                image_bgr = fit(picture.image(), size_wh)
                size_wh = image_bgr.shape[1], image_bgr.shape[0]
                pose = tracker.find(image_bgr)
            times_s.append(picture.time_s)
            poses.append(pose)
            if drawn is not None:
                drawn.add(image_bgr, pose, picture.time_s)
            if progress is not None:
                progress(picture.time_s, video.duration_s)
        if say is not None and (damage := _damage(video, times_s)):
            say(f"{path} is damaged: {damage}")
    # Behind the preview, which shows why, when nobody was seen.
    assert size_wh is not None  # a video without a picture has been refused
    return make_reference(times_s, poses, size_wh[0] / size_wh[1], str(path))


def _damage(video: VideoReader, times_s: Sequence[float]) -> str | None:
    end_s = times_s[-1] if times_s else 0.0
    if video.duration_s is not None and end_s < 0.9 * video.duration_s - 1:
        return f"only {end_s:.1f} s of {video.duration_s:.1f} s can be read"
    return f"{video.broken} pictures were left out" if video.broken else None


class _Preview:
    """An AVI of the samples with their poses drawn, to look over before trusting them."""

    def __init__(self, path: Path, fps: float) -> None:
        self._path = path
        self._rate = Fraction(fps).limit_denominator(1001)
        self._writer: AviWriter | None = None

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, image_bgr: Image, pose: Landmarks | None, time_s: float) -> None:
        canvas_bgr = overlay.canvas(image_bgr, _PREVIEW_WH)
        if pose is not None:
            draw_skeleton(canvas_bgr, pose)
        fields = [] if pose is not None else ["nobody seen"]
        overlay.draw_line(canvas_bgr, overlay.FIELD_GAP.join([*fields, f"{time_s:.2f} s"]))
        if self._writer is None:
            size_wh = canvas_bgr.shape[1], canvas_bgr.shape[0]
            self._writer = AviWriter(self._path, size_wh, self._rate, "mjpeg")
        slot = max(self._writer.slots, round(time_s * self._rate))
        self._writer.write(slot, encode(Codec.JPEG, canvas_bgr, _PREVIEW_QUALITY).data)
