"""``annotated.avi``: the scored frames with what was said of them drawn on.

A sink of scores that only queues; drawing and writing are done on one thread a stream. The
files keep the times of the frames as recordings do: where one is missing, the last stands.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from udpstream.adapters import overlay
from udpstream.adapters.avi import MAX_FILE_BYTES, AviSeries
from udpstream.adapters.codec import encode
from udpstream.adapters.pose_overlay import PoseOverlay
from udpstream.core.pose.tally import Summary
from udpstream.errors import UdpStreamError
from udpstream.frame import Frame, Stream
from udpstream.protocol import Codec
from udpstream.scored import Scored

# Drawing and writing take a fraction of what finding the pose takes, so that a queue is
# there for a disk that stalls: 2 s at 30 fps of 640x480, 0.3 s of 1080p.
MAX_QUEUED_FRAMES = 64
MAX_QUEUED_BYTES = 64 << 20

_QUALITY = 90  # text and thin lines on a picture: at 80 they have a halo
_MAX_LISTED = 256  # streams that are told of at the end; the finished ones go first


@dataclass(frozen=True, slots=True)
class AnnotatedSummary:
    """What became of one stream's annotated file.

    Attributes:
        stream: whose it is.
        files: the files, in order; more than one where the picture's size changed.
        frames_written: frames in them.
        frames_skipped: scored frames that are in none, since drawing or the disk did not
            keep up, or because of the error.
        error: why it stopped before the stream did, or None.
    """

    stream: Stream
    files: tuple[Path, ...]
    frames_written: int
    frames_skipped: int
    error: str | None


class AnnotatedVideo:
    """Writes each stream's scored frames to an ``annotated.avi``, as a `scored.ScoreSink`."""

    def __init__(
        self,
        folder_of: Callable[[Stream], Path],
        say: Callable[[str], None],
        *,
        waits: bool = False,
        max_file_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        """Begin nothing yet: files begin with their streams.

        Args:
            folder_of: names the folder for a stream's file, which must exist then. Called
                once a stream, on a thread of its own, so it may wait for a recording to
                make its folder; what it raises of UdpStreamError is said, and ends this
                stream's file alone.
            say: takes messages for the user; called from the files' threads.
            waits: have `scored` wait where it would skip a frame: for a recording, which
                can wait, and not for a live stream. The result then depends on the frames'
                own times alone.
            max_file_bytes: where to go on in another file.
        """
        self._folder_of = folder_of
        self._say = say
        self._waits = waits
        self._max_file_bytes = max_file_bytes
        self._lock = threading.Lock()
        self._active: dict[Stream, _Annotation] = {}  # guarded by the lock
        self._all: list[_Annotation] = []  # and so is this
        self._closed = False

    def scored(self, scored: Scored) -> None:
        """Queue a frame; count it where there is no room, or wait."""
        with self._lock:
            if self._closed:
                return
            annotation = self._active.get(scored.stream) or self._begin(scored.stream)
        annotation.put(scored)

    def ended(self, stream: Stream, summary: Summary) -> None:  # noqa: ARG002 - a sink's
        """Have the stream's file finished, in its own time."""
        with self._lock:
            annotation = self._active.pop(stream, None)
        if annotation is not None:
            annotation.finish()

    def close(self) -> None:
        """Finish all files, and wait until what was queued is written. Idempotent."""
        with self._lock:
            self._closed = True
            self._active.clear()
            annotations = list(self._all)
        for annotation in annotations:
            annotation.finish()
        for annotation in annotations:
            annotation.join()

    def summaries(self) -> list[AnnotatedSummary]:
        """All streams' files, in the order in which they began; complete after `close`."""
        with self._lock:
            annotations = list(self._all)
        return [annotation.summary() for annotation in annotations]

    def _begin(self, stream: Stream) -> _Annotation:
        if len(self._all) >= _MAX_LISTED:
            oldest = next((each for each in self._all if each.finished), None)
            if oldest is not None:
                self._all.remove(oldest)
        annotation = _Annotation(
            stream, self._folder_of, self._say, self._waits, self._max_file_bytes
        )
        self._active[stream] = annotation
        self._all.append(annotation)
        return annotation


class _Annotation:
    """One stream's file, queue and thread.

    `_changed` guards the queue, its counts, `_finishing` and `_over`; the rest is the thread's
    own, and others only look at it.
    """

    def __init__(
        self,
        stream: Stream,
        folder_of: Callable[[Stream], Path],
        say: Callable[[str], None],
        waits: bool,
        max_file_bytes: int,
    ) -> None:
        self._stream = stream
        self._folder_of = folder_of
        self._say = say
        self._waits = waits
        self._overlay = PoseOverlay()
        self._series = AviSeries(Path(), "mjpeg", max_file_bytes, "annotated")
        self._changed = threading.Condition()
        self._queue: deque[Scored] = deque()
        self._queued_bytes = 0
        self._put = 0
        self._skipped = 0
        self._finishing = False
        self._over = False
        self._error: str | None = None
        self._thread = threading.Thread(target=self._run, name=f"annotate {stream.camera}")
        self._thread.start()

    @property
    def finished(self) -> bool:
        return not self._thread.is_alive()

    def put(self, scored: Scored) -> None:
        with self._changed:
            self._put += 1
            if self._waits:
                self._changed.wait_for(lambda: self._over or self._has_room(scored))
            if self._over or not self._has_room(scored):
                self._skipped += 1
                return
            self._queue.append(scored)
            self._queued_bytes += _decoded_bytes(scored)
            self._changed.notify_all()

    def finish(self) -> None:
        with self._changed:
            self._finishing = True
            self._changed.notify_all()

    def join(self) -> None:
        self._thread.join()

    def summary(self) -> AnnotatedSummary:
        files = list(self._series.files)
        written = sum(file.frames for file in files)
        with self._changed:
            return AnnotatedSummary(
                stream=self._stream,
                files=tuple(self._series.folder / file.name for file in files),
                frames_written=written,
                frames_skipped=self._put - written if self._over else self._skipped,
                error=self._error,
            )

    def _has_room(self, scored: Scored) -> bool:
        return not self._queue or (
            len(self._queue) < MAX_QUEUED_FRAMES
            and self._queued_bytes + _decoded_bytes(scored) <= MAX_QUEUED_BYTES
        )

    # -- the thread -----------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._series.folder = self._folder_of(self._stream)
            self._write()
            self._series.end_file()
        except UdpStreamError as error:
            self._error = str(error)
            self._series.discard()
            self._say(f"annotated.avi of {self._stream.camera} stopped: {error}")
        finally:
            with self._changed:
                self._over = True
                self._queue.clear()
                self._changed.notify_all()  # or who waits for room would wait for ever
        summary = self.summary()
        if summary.frames_skipped and summary.error is None:
            self._say(
                f"annotated.avi of {self._stream.camera}: {summary.frames_skipped} frames are "
                "left out, since drawing and writing did not keep up"
            )

    def _write(self) -> None:
        """Draw and write until the end."""
        while True:
            with self._changed:
                if not self._queue and not self._finishing:
                    self._changed.wait(self._wait_s())
                if not self._queue and self._finishing:
                    return
                scored = self._queue.popleft() if self._queue else None
                if scored is not None:
                    self._queued_bytes -= _decoded_bytes(scored)
                    self._changed.notify_all()
            # A recording is read faster or slower than it was made: its own time counts.
            now_s = scored.time_s if self._waits and scored is not None else time.monotonic()
            if scored is not None:
                self._series.add(self._drawn(scored), now_s)
            if scored is not None or not self._waits:
                self._series.release(now_s)

    def _wait_s(self) -> float | None:
        """How long there is nothing to do unless a frame comes; None: as long as that."""
        if self._waits or self._series.due_s is None:
            return None
        return max(0.0, self._series.due_s - time.monotonic())

    def _drawn(self, scored: Scored) -> Frame:
        """Return a scored frame with its overlay, as a frame to be recorded."""
        canvas_bgr = overlay.canvas(scored.picture(), scored.size_wh)
        self._overlay.draw(canvas_bgr, scored)
        fields = f"frame {scored.frame}", f"{scored.time_s:.2f} s"
        overlay.draw_line(canvas_bgr, overlay.FIELD_GAP.join(fields))
        payload = encode(Codec.JPEG, canvas_bgr, _QUALITY).data
        # Only the differences of times count here: they begin with the session.
        return Frame(
            scored.stream, scored.frame, Codec.JPEG, scored.size_wh, payload,
            captured_at=None, received_at=scored.time_s, latency_s=None,
        )  # fmt: skip


def _decoded_bytes(scored: Scored) -> int:
    """Return what a frame's picture takes; a live one is kept as it came, and takes less."""
    width, height = scored.size_wh
    return 3 * width * height
