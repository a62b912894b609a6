"""Reading a video with the time of each picture, by PyAV.

Unlike a source, which plays a file at a pace, this answers what the file holds: each
picture once, upright, with square pixels, and when it is shown. Pictures that nobody asks
for are decoded but never converted.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Self, cast

import av
import av.error
import cv2
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from udpstream.adapters.codec import decode
from udpstream.adapters.sources.base import DEFAULT_FPS
from udpstream.core.jpeg import jpeg_size
from udpstream.errors import FrameError, SourceError
from udpstream.protocol import Codec

Image = NDArray[np.uint8]

_NOT_VIDEO = frozenset({"ansi"})  # FFmpeg takes any text file for a film of a terminal
_MAX_FPS = 1000.0  # a file that claims more states its time base, not its rate


class Picture:
    """One picture of a video.

    Attributes:
        time_s: when it is shown, in seconds from the first one.
        again: it is the one before, which is still on show.
    """

    def __init__(
        self,
        time_s: float,
        frame: av.VideoFrame | Image,
        pixel_aspect: float,
        *,
        again: bool = False,
    ) -> None:
        self.time_s = time_s
        self.again = again
        self._frame = frame
        self._pixel_aspect = pixel_aspect

    def at(self, time_s: float) -> Picture:
        """Return the same picture at a later time."""
        return Picture(time_s, self._frame, self._pixel_aspect, again=True)

    def image(self) -> Image:
        """Return it, `(H, W, 3)` uint8 BGR, upright and with square pixels."""
        if isinstance(self._frame, np.ndarray):
            return self._frame
        image_bgr = cast(Image, self._frame.to_ndarray(format="bgr24"))
        if self._pixel_aspect != 1:
            height, width = image_bgr.shape[:2]
            size_wh = max(1, round(width * self._pixel_aspect)), height
            image_bgr = cast(Image, cv2.resize(image_bgr, size_wh))
        quarters = round(self._frame.rotation / 90)  # counterclockwise, as numpy turns
        return cast(Image, np.ascontiguousarray(np.rot90(image_bgr, quarters)))


class VideoReader:
    """A video file, picture by picture.

    Attributes:
        fps: pictures a second, as the file says, or 30.
        duration_s: how long it says it lasts; None where it does not.
        broken: pictures that could not be decoded so far.
    """

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            SourceError: there is no such file, or no video in it.
        """
        self._path = path
        if not path.is_file():
            raise SourceError(f"{path} is no file: give a video file")
        try:
            # An absolute path, since "a:b.mp4" would be read as a protocol's; and a playlist
            # may name files, but nothing on the network.
            self._container = av.open(
                os.fspath(path.absolute()), options={"protocol_whitelist": "file"}
            )
        except (av.error.FFmpegError, OSError) as error:
            raise self._unreadable(error.strerror) from error
        streams = self._container.streams.video
        if not streams or streams[0].codec_context.name in _NOT_VIDEO:
            self._container.close()
            raise self._unreadable("there is no video in it")
        self._stream = streams[0]
        self._stream.thread_type = "AUTO"
        self.fps = _rate(self._stream)
        self.duration_s = self._duration_s()
        self.broken = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def pictures(self) -> Iterator[Picture]:
        """Give all pictures of the file, in the order in which they are shown; once.

        One that is broken is left out, and the others keep their times.

        Raises:
            SourceError: there is not one picture that can be read.
        """
        pixel_aspect = float(self._stream.sample_aspect_ratio or 1)
        first: Fraction | None = None
        last_s = 0.0
        for stamp, frame in self._decoded():
            time_s = 0.0
            if first is None:
                first = stamp or Fraction(0)
            else:
                time_s = last_s if stamp is None else float(stamp - first)
                if time_s <= last_s:  # it has no time stamps, or none that can be believed
                    time_s = last_s + 1 / self.fps
            last_s = time_s
            yield Picture(time_s, frame, pixel_aspect)
        if first is None:
            raise self._unreadable("no picture in it can be decoded")

    def _decoded(self) -> Iterator[tuple[Fraction | None, av.VideoFrame | Image]]:
        """Give frames with their time stamps in seconds."""
        packets = self._container.demux(self._stream)
        # Not in other containers, which may say that a picture is to be turned.
        is_recording = (self._container.format.name, self._stream.name) == ("avi", "mjpeg")
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:  # the rest of the file is missing
                self.broken += 1
                return
            if is_recording and packet.pts is not None:
                if not packet.size:  # "the one before again"
                    continue
                # As a receiver decodes them, so that a recording gives the very same pictures.
                with contextlib.suppress(FrameError):
                    yield packet.pts * packet.time_base, _decode_jpeg(bytes(packet))
                    continue
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                self.broken += 1
                continue
            for frame in frames:
                stamp = None if frame.pts is None else frame.pts * cast(Fraction, frame.time_base)
                yield stamp, frame

    def _duration_s(self) -> float | None:
        if self._stream.duration is not None and self._stream.time_base is not None:
            return float(self._stream.duration * self._stream.time_base)
        if self._container.duration is not None:
            return self._container.duration / av.time_base
        return None

    def _unreadable(self, reason: str | None) -> SourceError:
        return SourceError(f"{self._path} is not a video that can be read: {reason or 'broken'}")


def samples(video: VideoReader, fps: float) -> Iterator[Picture]:
    """Give the pictures that are on show at 0, 1/fps, 2/fps ... seconds.

    Each has its own time, which is up to a picture's length earlier; one that is still on
    show at the next moment comes again, with that moment for its time. So a video's length
    times `fps` come, whether its rate is even or not, and times rise.

    Raises:
        SourceError: there is not one picture that can be read.
    """
    # A quarter of a picture's time is added, since containers round their time stamps.
    slack_s = 0.25 / max(video.fps, fps)
    number = 0
    shown: Picture | None = None
    for picture in itertools.chain(video.pictures(), [None]):
        if shown is not None:
            end_s = shown.time_s + 1 / video.fps if picture is None else picture.time_s
            sample = shown
            while number / fps + slack_s < end_s:
                yield sample
                number += 1
                sample = shown.at(number / fps)
        shown = picture


def _rate(stream: VideoStream) -> float:
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate is not None and 0 < rate <= _MAX_FPS:
            return float(rate)
    return DEFAULT_FPS


def _decode_jpeg(payload: bytes) -> Image:
    return decode(Codec.JPEG, payload, jpeg_size(payload))
