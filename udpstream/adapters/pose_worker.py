"""A sink that finds the pose in each camera's latest frame, on threads of its own.

The receive thread only leaves a frame in a slot, where the next one may take its place. All
else is done on one thread a stream: making the tracker, having the pose found, and handing
the result on. So the link never waits for MediaPipe, nor one camera for another.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from udpstream.core.cadence import Cadence
from udpstream.core.histogram import Histogram
from udpstream.core.ledger import StreamReport
from udpstream.core.tallies import Tallies
from udpstream.errors import FrameError, PoseError
from udpstream.frame import Frame, Stream
from udpstream.slot import LatestSlot

MAX_STREAMS = 4  # at once; a tracker takes a core at 60 frames a second, and 300 MB


class FrameTracker(Protocol):
    """Finds poses in one stream; `pose_process.PoseProcess` is the real one."""

    def find(self, frame: Frame) -> NDArray[np.float32] | None:
        """Find the pose in the next frame; may raise FrameError and PoseError."""

    def close(self) -> None:
        """Let go of the model."""


@dataclass(frozen=True, slots=True, eq=False)
class FoundPose:
    """What was found in one frame.

    Attributes:
        frame: the frame; its `stream` and `number` say which.
        landmarks: `(33, 4)` float32 as of `PoseTracker.find`; None: nobody.
        delivered_at: when the receiver delivered the frame, by `time.monotonic`.
        pose_s: how long decoding and finding took.
    """

    frame: Frame
    landmarks: NDArray[np.float32] | None
    delivered_at: float
    pose_s: float


class PoseSink(Protocol):
    """Takes poses.

    Called on the stream's own pose thread: it may take its time, and frames that come
    meanwhile are skipped. What it raises ends that stream's poses.
    """

    def found(self, pose: FoundPose) -> None:
        """Take the result of one frame. Numbers rise within a stream; some may be missing."""

    def wants(self, stream: Stream) -> bool:
        """Tell, after `found`, whether poses of further frames are wanted."""

    def ended(self, stream: Stream) -> None:
        """The stream ended, and its last pose has been handed on."""


@dataclass(slots=True)
class _Tally:
    """Counts of one stream. delivered = all four + at most 2 in hand, while poses are wanted."""

    found: int = 0
    nobody: int = 0
    skipped: int = 0
    undecodable: int = 0
    latency: Histogram = field(default_factory=Histogram)
    pose: Histogram = field(default_factory=Histogram)


@dataclass(slots=True)
class _Work:
    """One stream that is being worked on."""

    thread: threading.Thread
    slot: LatestSlot[tuple[Frame, float]]
    cadence: Cadence
    over: bool = False  # no more poses are wanted of it


class PoseWorker:
    """Finds poses in the latest frame of each stream.

    `deliver`, `ended` and `update` make it a `sinks.Sink`. Where no tracker can be had, that
    is said once, and the frames are counted as skipped: the link goes on without poses.

    Attributes:
        failure: why there are no poses, None while nothing is wrong.
    """

    def __init__(
        self,
        make_tracker: Callable[[], FrameTracker],
        sink: PoseSink,
        say: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to make the first tracker, so that it is there when a camera comes.

        Args:
            make_tracker: makes a tracker for one stream; it may take its time, as for
                fetching a model, and may raise PoseError. `close` waits for it.
            sink: takes the poses.
            say: prints a line; may be called on any thread.
            clock: tells the time, in seconds.
        """
        self.failure: str | None = None
        self._make_tracker = make_tracker
        self._sink = sink
        self._say = say
        self._clock = clock
        self._lock = threading.Lock()
        self._making = threading.Lock()  # one at a time: two would fetch one model twice
        self._spare: FrameTracker | None = None  # guarded by that lock
        self._works: dict[Stream, _Work] = {}  # guarded by the lock
        self._leaving: list[_Work] = []  # ended, but not finished; guarded by it too
        self._tallies = Tallies(_Tally)  # and so are these
        self._said_too_many = False
        self._closed = False
        self._ahead = threading.Thread(target=self._make_spare, name="pose", daemon=True)
        self._ahead.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the first tracker; return whether it is there, or is known not to come."""
        self._ahead.join(timeout_s)
        return not self._ahead.is_alive()

    # On the receive thread

    def deliver(self, frame: Frame) -> None:
        """Keep a frame as its stream's latest; one that is overwritten counts as skipped."""
        delivered_at = self._clock()
        with self._lock:
            work = self._work_of(frame.stream)
            if work is not None:
                if work.over:
                    return
                work.cadence.add(delivered_at)
            if work is None or work.slot.closed or work.slot.put((frame, delivered_at)):
                self._tallies.keep(frame.stream).skipped += 1

    def ended(self, stream: Stream, report: StreamReport) -> None:  # noqa: ARG002 - a sink's
        """Note that a stream ended: its last frame is still worked on."""
        with self._lock:
            work = self._works.pop(stream, None)
            if work is not None:
                work.slot.close()
                self._leaving.append(work)

    def update(self, report: StreamReport) -> None:
        """Do nothing: poses need no report."""

    # On any thread

    def counts(self, stream: Stream) -> dict[str, int]:
        """Return how many of a stream's frames had a pose, nobody, were skipped, undecodable."""
        with self._lock:
            tally = self._tallies.look(stream)
            return {
                "found": tally.found,
                "nobody": tally.nobody,
                "skipped": tally.skipped,
                "undecodable": tally.undecodable,
            }

    def times_ms(self, stream: Stream) -> dict[str, dict[str, float | None]]:
        """Return p50, p95 and p99 of `pose` (decode and find) and `latency` (delivery to found)."""
        with self._lock:
            tally = self._tallies.look(stream)
            return {"pose": tally.pose.summary_ms(), "latency": tally.latency.summary_ms()}

    def close(self) -> None:
        """Finish the frames in hand, hand their poses on, and end all threads; idempotent."""
        with self._lock:
            self._closed = True
            works = [*self._works.values(), *self._leaving]
            self._works.clear()
            self._leaving.clear()
        for work in works:
            work.slot.close()
        for thread in (self._ahead, *(work.thread for work in works)):
            thread.join()
        with self._making:
            if self._spare is not None:
                self._spare.close()
                self._spare = None

    def _work_of(self, stream: Stream) -> _Work | None:
        """Return what works on a stream, begun if need be; None where there is no room."""
        work = self._works.get(stream)
        if work is not None or self._closed or self.failure is not None:
            return work
        self._leaving = [each for each in self._leaving if each.thread.is_alive()]
        if len(self._works) + len(self._leaving) >= MAX_STREAMS:
            if not self._said_too_many:
                self._said_too_many = True
                self._say(f"poses are found in {MAX_STREAMS} streams at once: others have none")
            return None
        thread = threading.Thread(
            target=lambda: self._run(stream, begun), name=f"pose {stream.camera}", daemon=True
        )
        begun = self._works[stream] = _Work(thread, LatestSlot(), Cadence())
        thread.start()
        return begun

    # On the worker's own threads

    def _make_spare(self) -> None:
        """Have a tracker ready for the stream that comes next."""
        with self._making:
            with self._lock:
                wanted = self._spare is None and not self._closed and self.failure is None
            if not wanted:
                return
            try:
                self._spare = self._make_tracker()
            except PoseError as error:
                self._fail(error)

    def _take_tracker(self) -> FrameTracker:
        with self._making:
            spare, self._spare = self._spare, None
            return self._make_tracker() if spare is None else spare

    def _run(self, stream: Stream, work: _Work) -> None:
        try:
            self._follow(stream, work)
        except PoseError as error:
            self._fail(error)
        finally:
            with self._lock:
                work.slot.close()
                self._tallies.keep(stream).skipped += work.slot.take() is not None
            self._sink.ended(stream)
        self._make_spare()

    def _follow(self, stream: Stream, work: _Work) -> None:
        """Have poses found until the stream ends."""
        slot = work.slot
        with contextlib.closing(self._take_tracker()) as tracker:
            while (taken := slot.take()) is not None:
                wait_s = work.cadence.wait_s(taken[1], self._clock())
                if wait_s and (fresher := slot.take(wait_s)) is not None:
                    taken = fresher
                    with self._lock:
                        self._tallies.keep(stream).skipped += 1
                self._find(tracker, *taken)
                if not self._sink.wants(stream):
                    with self._lock:
                        work.over = True
                    break
        if work.over:
            self._make_spare()
        while slot.take() is not None:  # one that came before it was known to be over
            pass

    def _find(self, tracker: FrameTracker, frame: Frame, delivered_at: float) -> None:
        begun_at = self._clock()
        try:
            landmarks = tracker.find(frame)
        except FrameError:  # the window says so, and the recorder
            with self._lock:
                self._tallies.keep(frame.stream).undecodable += 1
            return
        done_at = self._clock()
        with self._lock:
            tally = self._tallies.keep(frame.stream)
            tally.found += landmarks is not None
            tally.nobody += landmarks is None
            tally.pose.add(done_at - begun_at)
            tally.latency.add(done_at - delivered_at)
        self._sink.found(FoundPose(frame, landmarks, delivered_at, done_at - begun_at))

    def _fail(self, error: PoseError) -> None:
        with self._lock:
            if self.failure is not None:
                return
            self.failure = str(error)
        self._say(f"no poses from here on: {error}")
