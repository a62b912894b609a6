"""The engine of scoring: poses in, scored frames out, one session for each stream.

`Performance` is one session, live or from a recording: it gives each frame its result.
`Performances` runs one for each stream of a receiver, and hands on what comes of it.
`Scoring` puts a `PoseWorker` before those, which makes a sink for frames of it all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from udpstream.adapters.codec import decode
from udpstream.adapters.pose_worker import FoundPose, FrameTracker, PoseWorker
from udpstream.adapters.reference_video import Tracker
from udpstream.core.histogram import Histogram
from udpstream.core.ledger import StreamReport
from udpstream.core.pose.tally import Summary
from udpstream.core.reference import Reference
from udpstream.core.tallies import ByStream
from udpstream.core.timeline import FrameTimes
from udpstream.frame import Frame, Stream
from udpstream.scored import Scored, ScoreSink
from udpstream.scoring import WINDOW_S, Metric, Mirror, Scorer, Sync

_SUMMARY_PERIOD_S = 1.0
# Of a time in seconds. Clocks and containers differ in those behind them, and the same
# frames are to have the same scores.
_TIME_DIGITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringOptions:
    """How to score: see `scoring.Scorer`."""

    metric: Metric = "motion"
    mirror: Mirror = "auto"
    sync: Sync = "auto"
    start_s: float | None = None
    window_s: float = WINDOW_S
    loop: bool = False

    def scorer(self, reference: Reference) -> Scorer:
        """Return a scorer for one session.

        Raises:
            BadReferenceError: too little of a body is seen in the reference.
        """
        return Scorer(
            reference,
            metric=self.metric,
            mirror=self.mirror,
            sync=self.sync,
            start_s=self.start_s,
            window_s=self.window_s,
            loop=self.loop,
        )


class Performance:
    """One performer's session with a reference.

    Attributes:
        stream: whose frames they are.
        over: whether the reference has ended, and the session with it.
    """

    def __init__(self, stream: Stream, reference: Reference, scorer: Scorer) -> None:
        self.stream = stream
        self.over = False
        self._reference = reference
        self._scorer = scorer

    def push(
        self,
        frame: int,
        time_s: float,
        size_wh: tuple[int, int],
        picture: Callable[[], NDArray[np.uint8]],
        landmarks: NDArray[np.float32] | None,
        pose_s: float,
    ) -> Scored:
        """Score the next frame.

        Args:
            frame: its number.
            time_s: its time on the session's axis, which begins with the first frame.
            size_wh: its picture's width and height in pixels.
            picture: gives that picture, `(H, W, 3)` uint8 BGR.
            landmarks: `(33, 4)` as a tracker found them; None: nobody.
            pose_s: how long it took to find them.
        """
        begun_s = time.perf_counter()
        time_s = round(time_s, _TIME_DIGITS)
        result = self._scorer.push(time_s, landmarks, size_wh[0] / size_wh[1])
        self.over = result.ended
        return Scored(
            stream=self.stream,
            frame=frame,
            time_s=time_s,
            size_wh=size_wh,
            picture=picture,
            landmarks=landmarks,
            result=result,
            final=self.summary() if result.ended else None,
            reference=pose_at(self._reference, result.reference_s),
            reference_aspect=self._reference.aspect,
            seconds=pose_s + time.perf_counter() - begun_s,
        )

    def summary(self) -> Summary:
        """Return what the session comes to so far."""
        return self._scorer.summary()


def perform(
    performance: Performance,
    tracker: Tracker,
    pictures: Iterable[tuple[float, NDArray[np.uint8]]],
    sinks: Sequence[ScoreSink],
) -> Summary:
    """Score a recording: all its pictures, or those until its reference ends.

    Args:
        performance: a session that has not begun.
        tracker: one that has not been given pictures of another stream.
        pictures: times in seconds and `(H, W, 3)` uint8 BGR pictures.
        sinks: who gets the scored frames.

    Raises:
        PoseError: the tracker failed.
    """
    for number, (time_s, image_bgr) in enumerate(pictures):
        begun_s = time.perf_counter()
        landmarks = tracker.find(image_bgr)
        pose_s = time.perf_counter() - begun_s
        size_wh = image_bgr.shape[1], image_bgr.shape[0]
        picture = partial(np.asarray, image_bgr)
        scored = performance.push(number, time_s, size_wh, picture, landmarks, pose_s)
        for sink in sinks:
            sink.scored(scored)
        if performance.over:
            break
    summary = performance.summary()
    for sink in sinks:
        sink.ended(performance.stream, summary)
    return summary


class Performances:
    """Scores the poses of each stream against one reference: a `pose_worker.PoseSink`.

    A camera that restarts is a new stream, and begins a new session. Where the reference
    ends the session does, with its result.
    """

    def __init__(
        self,
        reference: Reference,
        options: ScoringOptions,
        sinks: Sequence[ScoreSink],
        say: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make sure that the reference can be scored against.

        Args:
            reference: what is to be done.
            options: how to score.
            sinks: who gets the scored frames, on the stream's own pose thread. One that
                raises is dropped, and that is said.
            say: prints a line; may be called on any thread.
            clock: tells the time, in seconds; that of the poses' `delivered_at`.

        Raises:
            BadReferenceError: too little of a body is seen in the reference.
        """
        self._spare: Scorer | None = options.scorer(reference)  # it takes half a second
        self._reference = reference
        self._options = options
        self._sinks = list(sinks)
        self._say = say
        self._clock = clock
        self._lock = threading.Lock()  # guards the sinks, and what follows
        self._sessions: ByStream[_Session] = ByStream()
        self._records: ByStream[_Record] = ByStream()

    # On the receive thread

    def begin(self, frame: Frame) -> None:
        """Set a stream's clock by its first frame, which may never be scored."""
        with self._lock:
            if self._sessions.get(frame.stream) is None:
                times = FrameTimes()
                times.time_s(frame.captured_at, frame.received_at)
                self._sessions.put(frame.stream, _Session(times))

    # On any thread

    def latest(self, stream: Stream) -> Scored | None:
        """Return the latest scored frame of a live stream; None before the first."""
        with self._lock:
            session = self._sessions.get(stream)
        return None if session is None else session.latest

    def summary(self, stream: Stream) -> Summary | None:
        """Return what a stream's session came to, or comes to as of a second ago."""
        with self._lock:
            record = self._records.get(stream)
            return None if record is None else record.summary

    def result_ms(self, stream: Stream) -> dict[str, float | None]:
        """Return p50, p95 and p99 from a frame's delivery until its score can be shown."""
        with self._lock:
            record = self._records.get(stream) or _Record()
            return record.results.summary_ms()

    # On the streams' pose threads

    def found(self, pose: FoundPose) -> None:
        """Score a frame, and hand it on."""
        stream = pose.frame.stream
        self.begin(pose.frame)
        with self._lock:
            session = self._sessions.get(stream)
        if session is None:  # so many others began meanwhile
            return
        if session.performance is None:
            session.performance = Performance(stream, self._reference, self._take_scorer())
        performance = session.performance
        if performance.over:
            return
        time_s = session.times.time_s(pose.frame.captured_at, pose.frame.received_at)
        frame = pose.frame
        # Not `frame.image`, which keeps the picture as long as a recorder keeps the frame.
        picture = partial(decode, frame.codec, frame.payload, frame.size_wh)
        scored = performance.push(
            frame.number, time_s, frame.size_wh, picture, pose.landmarks, pose.pose_s
        )
        session.latest = scored
        now_s = self._clock()
        with self._lock:
            session.record.results.add(now_s - pose.delivered_at)
            self._sessions.put(stream, session)
            self._records.put(stream, session.record)
        self._tell(lambda sink: sink.scored(scored))
        if scored.result.ended:
            self._finish(session, performance)
        elif now_s >= session.summary_s:
            session.summary_s = now_s + _SUMMARY_PERIOD_S
            session.record.summary = performance.summary()

    def wants(self, stream: Stream) -> bool:
        """Tell whether more of a stream is to be scored, which is so until its reference ends."""
        with self._lock:
            session = self._sessions.get(stream)
        return session is None or session.performance is None or not session.performance.over

    def ended(self, stream: Stream) -> None:
        """End a stream's session, unless its reference has."""
        with self._lock:
            session = self._sessions.pop(stream)
        if session is None or session.performance is None:
            return
        if not session.performance.over:
            self._finish(session, session.performance)

    def _take_scorer(self) -> Scorer:
        with self._lock:
            spare, self._spare = self._spare, None
        return self._options.scorer(self._reference) if spare is None else spare

    def _finish(self, session: _Session, performance: Performance) -> None:
        summary = session.record.summary = performance.summary()
        self._tell(lambda sink: sink.ended(performance.stream, summary))

    def _tell(self, tell: Callable[[ScoreSink], None]) -> None:
        for sink in self._sinks.copy():
            try:
                tell(sink)
            except Exception as error:  # noqa: BLE001 - whatever it is, the link goes on
                with self._lock:
                    if sink not in self._sinks:  # another stream's thread was quicker
                        continue
                    self._sinks.remove(sink)
                self._say(
                    f"scores go to {type(sink).__name__} no longer: {type(error).__name__}: {error}"
                )


class Scoring:
    """Finds the poses of a receiver's streams and scores them: a `sinks.Sink`.

    Whatever goes wrong in it, the link goes on.

    Attributes:
        performances: what has come of it.
    """

    def __init__(
        self,
        performances: Performances,
        make_tracker: Callable[[], FrameTracker],
        say: Callable[[str], None],
    ) -> None:
        """Begin to make a tracker: see `PoseWorker`."""
        self.performances = performances
        self._worker = PoseWorker(make_tracker, performances, say)

    def wait(self, timeout_s: float) -> bool:
        """Wait for the first tracker; return whether it is there, or is known not to come."""
        return self._worker.wait(timeout_s)

    def deliver(self, frame: Frame) -> None:
        """Have a frame's pose found, if there is time for it."""
        self.performances.begin(frame)
        self._worker.deliver(frame)

    def ended(self, stream: Stream, report: StreamReport) -> None:
        """Note that a stream ended: its session does when its last pose has been scored."""
        self._worker.ended(stream, report)

    def update(self, report: StreamReport) -> None:
        """Do nothing: scores need no report."""

    @property
    def failure(self) -> str | None:
        """Why there are no poses; None while nothing is wrong."""
        return self._worker.failure

    def counts(self, stream: Stream) -> dict[str, int]:
        """Return how many of a stream's frames had a pose, nobody, were skipped, undecodable."""
        return self._worker.counts(stream)

    def times_ms(self, stream: Stream) -> dict[str, dict[str, float | None]]:
        """Return p50, p95 and p99 of three times.

        `pose` is of decoding and finding, `latency` from delivery to the pose, and `result`
        from delivery until the score can be shown.
        """
        result_ms = self.performances.result_ms(stream)
        return {**self._worker.times_ms(stream), "result": result_ms}

    def close(self) -> None:
        """Finish the frames in hand, and end all sessions; idempotent."""
        self._worker.close()


@dataclass(slots=True)
class _Record:
    """What stays of a stream."""

    summary: Summary | None = None
    results: Histogram = field(default_factory=Histogram)


@dataclass(slots=True)
class _Session:
    """A live stream: its clock from the first frame on, the rest from the first pose on."""

    times: FrameTimes
    performance: Performance | None = None
    latest: Scored | None = None
    record: _Record = field(default_factory=_Record)
    summary_s: float = float("-inf")


def pose_at(reference: Reference, time_s: float | None) -> NDArray[np.float32] | None:
    """Return the reference's pose at a time, `(33, 4)`; None where there is none.

    Between two samples it is interpolated, unless somebody was seen in one of them only.
    """
    if time_s is None:
        return None
    times_s = reference.times_s
    after = int(np.clip(np.searchsorted(times_s, time_s), 1, len(times_s) - 1))
    before = after - 1
    share = float(
        np.clip((time_s - times_s[before]) / (times_s[after] - times_s[before]), 0.0, 1.0)
    )
    earlier, later = reference.landmarks[before], reference.landmarks[after]
    if (earlier[:, 3] > 0).any() and (later[:, 3] > 0).any():
        pose = earlier + np.float32(share) * (later - earlier)
        # A point that was found in one of them only is where it was found.
        for found, other in ((earlier, later), (later, earlier)):
            alone = (found[:, 3] > 0) & (other[:, 3] == 0)
            pose[alone] = found[alone]
    else:
        pose = earlier if share < 0.5 else later
    return pose if (pose[:, 3] > 0).any() else None
