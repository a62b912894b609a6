"""Records streams: a folder for each, with AVI files and a ``session.json``.

The receive thread only puts frames into a bounded queue; each recording has a thread of
its own that does the rest. JPEG frames are written as received, never decoded.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain, count
from pathlib import Path

from udpstream.adapters.avi import MAX_FILE_BYTES, AviSeries, Coding
from udpstream.core.ledger import StreamReport
from udpstream.errors import RecordingError
from udpstream.frame import Frame, Stream

# The disk may stall that long: 8.5 s at 30 fps, of JPEG frames ...
MAX_QUEUED_FRAMES = 256
# ... and 0.7 s of raw 1080p; memory for one stream is this and the timeline's 64 MiB.
MAX_QUEUED_BYTES = 128 << 20
SESSION_INTERVAL_S = 1.0
MAX_LISTED = 256  # recordings that are told of at the end; the finished ones go first

# Why a delivered frame is in no file.
_REASONS = {
    "queue_full": "because the disk was too slow",
    "bad_picture": "because they are not pictures of the size announced",
    "no_slot": "because they came faster than 1,000 a second",
    "not_writable": "because the recording had stopped",
}


@dataclass(frozen=True, slots=True)
class RecordingSummary:
    """What became of one stream's recording, so far or in the end.

    Attributes:
        path: the folder.
        stream: whose recording it is.
        files: names of the AVI files in the folder, in order.
        frames_written: frames in those files.
        frames_not_written: frames delivered that are in none, by reason:
            ``queue_full``, ``bad_picture``, ``no_slot``, ``not_writable``.
        error: why the recording stopped before its stream did, or None.
        finished: whether all files are closed.
    """

    path: Path
    stream: Stream
    files: tuple[str, ...]
    frames_written: int
    frames_not_written: dict[str, int]
    error: str | None
    finished: bool


class Recorder:
    """A sink that records each stream to a folder of its own.

    ``DIRECTORY/20261121T120455Z-192.0.2.7/output.avi``, and ``output-2.avi`` ... where
    the size or the codec changes, the stream gets faster or the file has grown to 1 GB.
    The files keep wall time: where frames are missing, the last one stands.
    """

    def __init__(
        self,
        directory: Path,
        *,
        raw_codec: Coding = "mjpeg",
        say: Callable[[str], None],
        max_file_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        """Make sure that the directory can be written to.

        Args:
            directory: created where it does not exist.
            raw_codec: how to record raw frames: MJPEG of quality 95, or lossless FFV1.
            say: takes messages for the user; called from the recordings' threads.
            max_file_bytes: where to go on in another file.

        Raises:
            RecordingError: it cannot be.
        """
        ready_folder(directory)
        self._directory = directory
        self._raw_codec: Coding = raw_codec
        self._say = say
        self._max_file_bytes = max_file_bytes
        self._active: dict[Stream, _Recording] = {}
        self._all: list[_Recording] = []

    def deliver(self, frame: Frame) -> None:
        """Queue a frame; count it where there is no room."""
        recording = self._active.get(frame.stream)
        if recording is None:
            recording = _Recording(
                self._directory, frame, self._raw_codec, self._say, self._max_file_bytes
            )
            self._active[frame.stream] = recording
            self._forget_oldest()
            self._all.append(recording)
        recording.put(frame)

    def _forget_oldest(self) -> None:
        """Keep the list bounded where a camera restarts for days."""
        if len(self._all) >= MAX_LISTED:
            oldest = next((each for each in self._all if each.summary().finished), None)
            if oldest is not None:
                self._all.remove(oldest)

    def update(self, report: StreamReport) -> None:
        """Have the report written to ``session.json`` soon."""
        recording = self._active.get(report.stream)
        if recording is not None:
            recording.report(report)

    def ended(self, stream: Stream, report: StreamReport) -> None:
        """Have the recording finished, in its own time."""
        recording = self._active.pop(stream, None)
        if recording is not None:
            recording.report(report)
            recording.finish()

    def close(self) -> None:
        """Finish all recordings, and wait until what was queued is written. Idempotent."""
        self._active.clear()
        for recording in self._all:
            recording.finish()
        for recording in self._all:
            recording.join()

    def folder(self, stream: Stream) -> Path | None:
        """Return a stream's folder, once it is there; None where it could not be created.

        For any thread that may wait for the disk.
        """
        recording = self._find(stream)
        return None if recording is None else recording.folder()

    def note(self, stream: Stream, name: str, value: object) -> None:
        """Have ``session.json`` hold something more; for any thread, also after the end.

        Args:
            stream: whose recording.
            name: what to call it; what was there under that name gives way.
            value: what JSON can hold.
        """
        recording = self._find(stream)
        if recording is not None:
            recording.note(name, value)

    def _find(self, stream: Stream) -> _Recording | None:
        return next((each for each in self._all.copy() if each.is_of(stream)), None)

    def recordings(self) -> list[RecordingSummary]:
        """All recordings, in the order in which they began; complete after `close`."""
        return [recording.summary() for recording in self._all]


class _Recording:
    """One stream's folder, queue and thread.

    `_wake` guards the queue, `_finishing`, `_report`, `_notes` and `_error`; all else is the
    thread's own, and others only look at it.
    """

    def __init__(
        self,
        directory: Path,
        first: Frame,
        raw_codec: Coding,
        say: Callable[[str], None],
        max_file_bytes: int,
    ) -> None:
        self._codec, self._size_wh = first.codec, first.size_wh
        self._started_at = first.received_at
        self._stream = first.stream
        self._say = say
        self._series = AviSeries(
            directory / session_name(first.received_at, first.stream.camera),
            raw_codec,
            max_file_bytes,
        )

        self._wake = threading.Condition()
        self._queue: deque[tuple[Frame, float]] = deque()
        self._queued_bytes = 0
        self._finishing = False
        self._report: StreamReport | None = None
        self._notes: dict[str, object] = {}
        self._error: str | None = None
        self._queue_full = 0
        self._discarded = 0
        self._taken = 0
        self._begun = threading.Event()
        self._has_folder = False
        self._session_lock = threading.Lock()
        self._session_failed = False
        self._warned_of_queue = False
        self._finished = False
        self._session_due_s = 0.0
        self._thread = threading.Thread(target=self._run, name=f"record {self._stream.camera}")
        self._thread.start()

    # -- called on the receive thread ---------------------------------------------

    def put(self, frame: Frame) -> None:
        n_bytes = len(frame.payload)
        with self._wake:
            if self._error is not None:
                self._discarded += 1
            elif (
                len(self._queue) >= MAX_QUEUED_FRAMES
                or self._queued_bytes + n_bytes > MAX_QUEUED_BYTES
            ):
                self._queue_full += 1
            else:
                self._queue.append((frame, time.monotonic()))
                self._queued_bytes += n_bytes
                self._wake.notify()

    def report(self, report: StreamReport) -> None:
        with self._wake:
            self._report = report

    def finish(self) -> None:
        with self._wake:
            self._finishing = True
            self._wake.notify()

    def join(self) -> None:
        self._thread.join()

    # -- called on any thread -------------------------------------------------------

    def is_of(self, stream: Stream) -> bool:
        return self._stream == stream

    def folder(self) -> Path | None:
        self._begun.wait()
        return self._series.folder if self._has_folder else None

    def note(self, name: str, value: object) -> None:
        with self._wake:
            self._notes[name] = value
        if self._finished:
            self._write_session()

    def summary(self) -> RecordingSummary:
        series = self._series
        written = sum(file.frames for file in series.files)
        not_writable = self._discarded
        if self._error is not None:
            not_writable += self._taken - written - series.bad_pictures - series.no_slot
        return RecordingSummary(
            path=series.folder,
            stream=self._stream,
            files=tuple(file.name for file in series.files),
            frames_written=written,
            frames_not_written={
                "queue_full": self._queue_full,
                "bad_picture": series.bad_pictures,
                "no_slot": series.no_slot,
                "not_writable": not_writable,
            },
            error=self._error,
            finished=self._finished,
        )

    # -- the thread -----------------------------------------------------------------

    def _run(self) -> None:
        self._do(self._begin)
        self._begun.set()
        self._write_session()
        taken = self._take()
        while taken is not None:
            self._do(partial(self._record, *taken))
            if time.monotonic() >= self._session_due_s:
                self._write_session()
                self._warn_of_queue()
            taken = self._take()
        self._do(self._series.end_file)
        self._finished = True
        self._write_session()
        self._say_losses()

    def _take(self) -> tuple[Frame | None, float] | None:
        """Wait for the next frame or the next thing to do; None at the end."""
        with self._wake:
            if not self._queue and not self._finishing:
                due_s = self._session_due_s
                if self._series.due_s is not None:
                    due_s = min(due_s, self._series.due_s)
                self._wake.wait(max(0.0, due_s - time.monotonic()))
            if self._queue:
                frame, queued_s = self._queue.popleft()
                self._queued_bytes -= len(frame.payload)
                return frame, queued_s
            return None if self._finishing else (None, time.monotonic())

    def _begin(self) -> None:
        self._series.folder = make_folder(self._series.folder)
        self._has_folder = True

    def _record(self, frame: Frame | None, now_s: float) -> None:
        if frame is not None:
            self._taken += 1
            self._series.add(frame, now_s)
        self._series.release(now_s)

    def _do(self, work: Callable[[], None]) -> None:
        """Do work on the files; where it fails, stop recording but go on counting."""
        if self._error is not None:
            return
        try:
            work()
        except RecordingError as error:
            with self._wake:
                self._error = str(error)
                self._discarded += len(self._queue)
                self._queue.clear()
                self._queued_bytes = 0
            self._series.discard()
            self._say(f"recording of {self._stream.camera} stopped: {error}")

    def _warn_of_queue(self) -> None:
        if self._queue_full and not self._warned_of_queue:
            self._warned_of_queue = True
            self._say(
                f"recording of {self._stream.camera}: the disk is too slow, frames are left "
                "out; record JPEG, or to a faster disk"
            )

    def _say_losses(self) -> None:
        summary = self.summary()
        lost = {reason: n for reason, n in summary.frames_not_written.items() if n}
        if lost:
            reasons = ", ".join(f"{n} {_REASONS[reason]}" for reason, n in lost.items())
            self._say(f"recording {summary.path}: frames not written: {reasons}")

    def _write_session(self) -> None:
        """Replace ``session.json`` as a whole, so that a crash leaves the old or the new."""
        self._session_due_s = time.monotonic() + SESSION_INTERVAL_S
        if not self._has_folder:
            return  # the one of that name may be another recording's
        part = self._series.folder / "session.json.part"
        try:
            with self._session_lock:
                part.write_text(json.dumps(self._session(), indent=2) + "\n", encoding="utf-8")
                part.replace(part.with_suffix(""))
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            if not self._session_failed and self._error is None:
                self._session_failed = True
                self._say(
                    f"cannot write {part.with_suffix('')}: {error.strerror}; "
                    "the recording goes on without it"
                )

    def _session(self) -> dict[str, object]:
        summary = self.summary()
        files = self._series.files
        report = self._report
        with self._wake:
            notes = self._notes.copy()
        return {
            "camera": self._stream.camera,
            "sender": self._stream.address,
            "wire": self._stream.wire,
            "codec": self._codec.value,
            "size": list(self._size_wh),
            "started_at": _iso(self._started_at),
            "updated_at": _iso(time.time()),
            "finished": summary.finished,
            "error": summary.error,
            "frames_written": summary.frames_written,
            "frames_not_written": summary.frames_not_written,
            "files": [
                {
                    "name": file.name,
                    "codec": file.coding,
                    "size": list(file.size_wh),
                    "started_at": _iso(file.started_at),
                    "frames_per_second": float(file.rate),
                    "duration_s": round(float(file.slots / file.rate), 3),
                    "frames_written": file.frames,
                }
                for file in files
            ],
            "stream": None if report is None else report.as_dict(),
            **notes,
        }


def session_name(started_at: float, camera: str) -> str:
    """Return the name of a session's folder, from the Unix time at which it began."""
    stamp = datetime.fromtimestamp(started_at, UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{stamp}-{camera}"


def ready_folder(directory: Path) -> None:
    """Make sure that a folder is there, and can be written to.

    Raises:
        RecordingError: it cannot be.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise RecordingError(
            f"cannot record to {directory}: {error.strerror}: name a folder that can be written to"
        ) from error


def make_folder(wanted: Path) -> Path:
    """Create a folder of that name, with -2, -3 ... where it is taken.

    Raises:
        RecordingError: it cannot be created.
    """
    names = chain([wanted.name], (f"{wanted.name}-{number}" for number in count(2)))
    for folder in map(wanted.with_name, names):
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise RecordingError(
                f"cannot create {folder}: {error.strerror}: record to another folder"
            ) from error
        else:
            break
    return folder


def _iso(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds")
