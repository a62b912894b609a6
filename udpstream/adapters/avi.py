"""AVI files, by PyAV: frames in slots of a constant rate, as MJPEG or FFV1."""

from __future__ import annotations

import contextlib
import errno
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypeAlias

import av
import av.error
import numpy as np

from udpstream.adapters.codec import decode, encode
from udpstream.core.jpeg import jpeg_size
from udpstream.core.timeline import DEFAULT_RATE, FrameTimes, Timeline
from udpstream.errors import FrameError, RecordingError
from udpstream.frame import Frame
from udpstream.protocol import Buffer, Codec

Coding: TypeAlias = Literal["mjpeg", "ffv1"]

# From 1 GiB on libavformat's muxer goes on in a second RIFF (OpenDML): the first then
# states its own length only, so that a file cut short there by a crash plays on but
# shows, and seeks, only its beginning. Below, it is plain AVI 1.0, which all can read.
# The rest is for the index, 16 bytes a slot.
MAX_FILE_BYTES = 1_000_000_000
# The muxer keeps 24 bytes a slot for the index in memory. 9.7 hours at 30 fps.
MAX_FILE_SLOTS = 1 << 20
# The muxer refuses to leave out more than 60,000 slots at once. 33 minutes at 30 fps.
MAX_GAP_SLOTS = 60_000

# A sender that changes its size with each frame must not fill a folder without end.
MAX_FILES = 10_000

RAW_QUALITY = 95  # of raw frames as MJPEG: no difference to be seen, a tenth of the size

_CHUNK_HEADER_BYTES = 8  # of each slot, with a frame or without
# yuvj420p for MJPEG is only the muxer's business: the JPEGs say themselves what they are.
# bgr0 goes through FFV1's lossless colour transform: BGR comes back bit for bit.
_PIXEL_FORMATS: dict[Coding, str] = {"mjpeg": "yuvj420p", "ffv1": "bgr0"}
# Slices can be encoded at once: 8 ms for 640x480 on two cores, in place of 14.
_OPTIONS: dict[Coding, dict[str, str]] = {"mjpeg": {}, "ffv1": {"level": "3", "slices": "4"}}


class AviWriter:
    """Writes one AVI file. What was written plays even if it is never closed.

    Attributes:
        path: the file.
        frames: frames written.
        slots: slots up to the last frame, it included: the file's length.
        n_bytes: bytes of the file as it is on the disk now.
    """

    def __init__(
        self, path: Path, size_wh: tuple[int, int], rate: Fraction, coding: Coding
    ) -> None:
        """Create the file and write its header.

        Args:
            path: of a file that does not exist.
            size_wh: of all its frames.
            rate: slots a second, at most 1,000.
            coding: MJPEG, from JPEG files as they are; or lossless FFV1, from raw BGR.

        Raises:
            FrameError: no file can hold pictures of that size.
            RecordingError: the file cannot be created or written.
        """
        self.path = path
        self.frames = 0
        self.slots = 0
        self.n_bytes = 0
        self._size_wh = size_wh
        self._coding = coding
        self._time_base = 1 / rate
        # flush_packets: each frame goes to the kernel at once, so that a crash of this
        # program takes none with it.
        # An absolute path, since "a:b/output.avi" would be read as a protocol's.
        name = os.fspath(path.absolute())
        self._container = av.open(name, "w", format="avi", options={"flush_packets": "1"})
        self._stream = self._container.add_stream(coding, rate=rate, options=_OPTIONS[coding])
        self._stream.width, self._stream.height = size_wh
        self._stream.pix_fmt = _PIXEL_FORMATS[coding]
        context = self._stream.codec_context
        context.time_base = self._time_base
        # Threads within a frame, not one a frame, which would hold frames back.
        context.thread_type = "SLICE"
        context.thread_count = 1 if coding == "mjpeg" else 0  # 0: one a core
        context.gop_size = 1  # each frame stands for itself
        try:
            self._container.start_encoding()
            self.n_bytes = path.stat().st_size
        except (OSError, av.error.FFmpegError) as error:
            if not isinstance(error, OSError):
                raise FrameError(
                    f"pictures of {size_wh[0]}x{size_wh[1]} cannot be recorded as {coding}: "
                    f"{error.strerror}"
                ) from error
            with contextlib.suppress(OSError):  # half a header plays nowhere
                path.unlink(missing_ok=True)
            raise _recording_error(path, error) from error

    def has_room(self, slot: int, n_bytes: int, max_bytes: int) -> bool:
        """Whether a frame still fits this file, which is to end below `max_bytes`."""
        return (
            slot - self.slots < MAX_GAP_SLOTS
            and slot < MAX_FILE_SLOTS
            and self.n_bytes + (slot - self.slots + 1) * _CHUNK_HEADER_BYTES + n_bytes <= max_bytes
        )

    def write(self, slot: int, payload: Buffer) -> None:
        """Write one frame; slots left out before it repeat the one before.

        Args:
            slot: 0 for the first frame, then rising.
            payload: a JPEG file for MJPEG; `height * width * 3` bytes of BGR for FFV1.

        Raises:
            RecordingError: the file cannot be written; the frame is not in it.
        """
        try:
            for packet in self._packets(slot, payload):
                packet_bytes = packet.size
                self._container.mux(packet)
                self.n_bytes += (slot - self.slots + 1) * _CHUNK_HEADER_BYTES
                self.n_bytes += packet_bytes + packet_bytes % 2
        except av.error.FFmpegError as error:
            # The file may end in half a frame, which players would show.
            self._abandon()
            raise _recording_error(self.path, error) from error
        self.frames += 1
        self.slots = slot + 1

    def close(self) -> None:
        """Write the index and close the file. Idempotent.

        Raises:
            RecordingError: the index cannot be written. The frames are safe, and the file
                plays as one does after a crash.
        """
        try:
            self._container.close()
        except av.error.FFmpegError as error:
            self._abandon()
            raise _recording_error(self.path, error) from error

    def _packets(self, slot: int, payload: Buffer) -> Sequence[av.Packet[Any]]:
        if self._coding == "mjpeg":
            packet = av.Packet(bytes(payload))
            packet.pts = packet.dts = slot
            packet.time_base = self._time_base
            packet.stream = self._stream
            packet.is_keyframe = True
            return [packet]
        width, height = self._size_wh
        frame_bgr = np.frombuffer(payload, np.uint8).reshape(height, width, 3)
        frame = av.VideoFrame.from_ndarray(frame_bgr, format="bgr24")
        frame.pts = slot
        frame.time_base = self._time_base
        return self._stream.encode(frame)

    def _abandon(self) -> None:
        """Close the file and cut it after the last whole frame."""
        with contextlib.suppress(av.error.FFmpegError):  # the error is known
            self._container.close()
        with contextlib.suppress(OSError):
            os.truncate(self.path, self.n_bytes)


@dataclass(slots=True)
class AviFile:
    """What is to be known of one file of a series."""

    name: str
    coding: Coding
    size_wh: tuple[int, int]
    rate: Fraction
    started_at: float  # Unix time at which its first frame arrived
    frames: int = 0
    slots: int = 0


class AviSeries:
    """Writes a stream to ``output.avi``, ``output-2.avi`` ... in a folder, or by another name.

    A new file begins where the size or the codec changes, where the stream has become
    faster than the file, and where a file is full. Frames are held back for 0.4 s.

    Attributes:
        folder: where to; it must exist when the first frame is released.
        files: what has been written, in order.
        bad_pictures: frames left out because they are not what they claim to be.
    """

    def __init__(
        self, folder: Path, raw_codec: Coding, max_file_bytes: int, stem: str = "output"
    ) -> None:
        self.folder = folder
        self._stem = stem
        self.files: list[AviFile] = []
        self.bad_pictures = 0
        self._no_slot = 0  # of timelines that have ended
        self._raw_codec: Coding = raw_codec
        self._max_file_bytes = max_file_bytes
        self._times = FrameTimes()
        self._timeline: Timeline[Frame] = Timeline()
        self._kind: tuple[tuple[int, int], Codec] | None = None
        self._writer: AviWriter | None = None
        self._first_slot = 0

    @property
    def due_s(self) -> float | None:
        """When `release` has something to do, on the clock of `now_s`."""
        return self._timeline.due_s

    @property
    def no_slot(self) -> int:
        """Frames left out because they came faster than 1,000 a second."""
        return self._no_slot + self._timeline.no_slot

    def add(self, frame: Frame, now_s: float) -> None:
        """Take a frame in, at that time of a clock that does not jump.

        Raises:
            RecordingError: a file cannot be written.
        """
        time_s = self._times.time_s(frame.captured_at, frame.received_at)
        if not _is_picture(frame):
            self.bad_pictures += 1
            return
        kind = (frame.size_wh, frame.codec)
        if kind != self._kind:
            self.end_file()
            self._kind = kind
        before = self._timeline
        faster = before.add(
            frame, time_s=time_s, number=frame.number, n_bytes=len(frame.payload), now_s=now_s
        )
        if faster is not None:
            self.end_file(faster)

    def release(self, now_s: float) -> None:
        """Write the frames that have been held long enough.

        Raises:
            RecordingError: a file cannot be written.
        """
        for slot, frame in self._timeline.release(now_s):
            try:
                self._write(slot, frame)
            except FrameError:
                self.bad_pictures += 1

    def end_file(self, following: Timeline[Frame] | None = None) -> None:
        """Write what is held and close the file; the next frame begins another.

        Raises:
            RecordingError: a file cannot be written.
        """
        try:
            self.release(math.inf)
            self._close()
        finally:
            self._no_slot += self._timeline.no_slot
            self._timeline = Timeline() if following is None else following

    def discard(self) -> None:
        """Forget the frames that are held, after an error."""
        self._timeline = Timeline()

    def _write(self, slot: int, frame: Frame) -> None:
        payload: Buffer = frame.payload
        coding: Coding = "mjpeg"
        if frame.codec is Codec.RAW and self._raw_codec == "ffv1":
            coding = "ffv1"
        elif frame.codec is Codec.RAW:
            frame_bgr = decode(frame.codec, payload, frame.size_wh)
            payload = encode(Codec.JPEG, frame_bgr, RAW_QUALITY).data
        writer = self._writer
        if writer is None or not writer.has_room(
            slot - self._first_slot, len(payload), self._max_file_bytes
        ):
            writer = self._open(slot, frame, coding)
        writer.write(slot - self._first_slot, payload)
        self.files[-1].frames = writer.frames
        self.files[-1].slots = writer.slots

    def _open(self, slot: int, frame: Frame, coding: Coding) -> AviWriter:
        self._close()
        if len(self.files) >= MAX_FILES:
            raise RecordingError(
                f"cannot go on recording to {self.folder}: the stream changed its size or "
                f"speed so often that {MAX_FILES} files are full; look at the sender"
            )
        rate = self._timeline.rate or DEFAULT_RATE
        name = f"{self._stem}-{len(self.files) + 1}.avi" if self.files else f"{self._stem}.avi"
        writer = AviWriter(self.folder / name, frame.size_wh, rate, coding)
        self._writer = writer
        self._first_slot = slot
        self.files.append(AviFile(name, coding, frame.size_wh, rate, frame.received_at))
        return writer

    def _close(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()


def _is_picture(frame: Frame) -> bool:
    """Whether a frame is what it claims to be, as far as its first bytes tell."""
    if frame.codec is Codec.RAW:
        return len(frame.payload) == frame.size_wh[0] * frame.size_wh[1] * 3
    try:
        return jpeg_size(frame.payload) == frame.size_wh
    except FrameError:
        return False


def _recording_error(path: Path, error: OSError | av.error.FFmpegError) -> RecordingError:
    advice = {
        errno.ENOSPC: "the disk is full: make room, or record to another folder",
        errno.EDQUOT: "the quota is used up: make room, or record to another folder",
        errno.EFBIG: "the file has grown too large for this system: record to another folder",
    }.get(error.errno or 0, f"{error.strerror}: check the folder, or record to another one")
    return RecordingError(f"cannot write {path}: {advice}")
