from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tests.cli_tools import wait_until
from tests.pose_tools import GreyTracker, Image, InThread
from tests.recording_tools import make_frame, make_report, make_stream
from udpstream.adapters.pose_worker import MAX_STREAMS, FoundPose, PoseWorker
from udpstream.errors import PoseError
from udpstream.frame import Frame, Stream
from udpstream.pose import Landmarks
from udpstream.protocol import Codec

SIZE_WH = (8, 6)


def grey_frame(number: int, stream: Stream, grey: int = 128) -> Frame:
    payload = np.full((SIZE_WH[1], SIZE_WH[0], 3), grey, np.uint8).tobytes()
    return make_frame(stream, number, size_wh=SIZE_WH, codec=Codec.RAW, payload=payload)


class Poses:
    """A pose sink that keeps what it is given."""

    def __init__(self) -> None:
        self.poses: list[FoundPose] = []
        self.ended_streams: list[Stream] = []
        self.enough: int | None = None  # the number of the last frame that is wanted

    def found(self, pose: FoundPose) -> None:
        self.poses.append(pose)

    def wants(self, stream: Stream) -> bool:
        return self.enough is None or max(self.numbers(stream)) < self.enough

    def ended(self, stream: Stream) -> None:
        self.ended_streams.append(stream)

    def numbers(self, stream: Stream) -> list[int]:
        return [pose.frame.number for pose in self.poses if pose.frame.stream == stream]


class GatedTracker(GreyTracker):
    """Finds a pose each time it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.looking = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)

    def find(self, image_bgr: Image) -> Landmarks | None:
        self.looking.release()
        assert self.gate.acquire(timeout=30)
        return super().find(image_bgr)


class Bench:
    """A worker with what it talks to."""

    def __init__(self, *trackers: GreyTracker | PoseError) -> None:
        self.poses = Poses()
        self.said: list[str] = []
        self.made: list[GreyTracker] = []
        self._trackers = list(trackers)
        self.worker = PoseWorker(self._make, self.poses, self.said.append)

    def _make(self) -> InThread:
        tracker = self._trackers.pop(0) if self._trackers else GreyTracker()
        if isinstance(tracker, PoseError):
            raise tracker
        self.made.append(tracker)
        return InThread(tracker)

    def handled(self, stream: Stream) -> int:
        """Frames that were skipped, or handed on."""
        counts = self.worker.counts(stream)
        return counts["skipped"] + counts["undecodable"] + len(self.poses.numbers(stream))

    def feed(self, stream: Stream, number: int, grey: int = 128) -> None:
        """Deliver a frame, and wait until it has been worked on."""
        before = self.handled(stream)
        self.worker.deliver(grey_frame(number, stream, grey))
        wait_until(lambda: self.handled(stream) > before, "the frame")

    def end(self, stream: Stream) -> None:
        self.worker.ended(stream, make_report(stream, 1))
        wait_until(lambda: stream in self.poses.ended_streams, "the end")


@contextmanager
def bench_of(*trackers: GreyTracker | PoseError) -> Iterator[Bench]:
    bench = Bench(*trackers)
    try:
        yield bench
    finally:
        bench.worker.close()


def test_each_result_bears_its_frame() -> None:
    stream = make_stream()
    with bench_of() as bench:
        for number, grey in ((3, 64), (4, 0), (9, 192)):
            bench.feed(stream, number, grey)
        bench.end(stream)
    assert bench.poses.numbers(stream) == [3, 4, 9]
    first, black, last = bench.poses.poses
    assert first.landmarks is not None
    assert last.landmarks is not None
    assert (first.landmarks[0, 0], last.landmarks[0, 0]) == (0.25, 0.75)
    assert black.landmarks is None
    assert first.frame.stream == stream
    assert bench.worker.counts(stream) == {
        "found": 2, "nobody": 1, "skipped": 0, "undecodable": 0,
    }  # fmt: skip


def test_the_latest_frame_wins_and_the_others_are_counted() -> None:
    stream, tracker = make_stream(), GatedTracker()
    with bench_of(tracker) as bench:
        bench.worker.deliver(grey_frame(0, stream))
        assert tracker.looking.acquire(timeout=30)
        for number in range(1, 6):
            bench.worker.deliver(grey_frame(number, stream))
        tracker.gate.release(2)
        bench.end(stream)
        assert bench.poses.numbers(stream) == [0, 5]
        assert bench.worker.counts(stream)["skipped"] == 4
        assert bench.handled(stream) == 6


def test_a_tracker_that_is_busy_holds_up_nobody() -> None:
    slow, quick, tracker = make_stream(1), make_stream(2, "192.0.2.8"), GatedTracker()
    with bench_of(tracker) as bench:
        bench.worker.deliver(grey_frame(0, slow))
        assert tracker.looking.acquire(timeout=30)
        bench.feed(quick, 0)
        assert bench.poses.numbers(quick) == [0]
        assert bench.poses.numbers(slow) == []
        tracker.gate.release()


def test_one_tracker_for_one_stream() -> None:
    one, other = make_stream(1), make_stream(2, "192.0.2.8")
    with bench_of() as bench:
        for number in range(3):
            bench.feed(one, number)
            bench.feed(other, number)
        assert [tracker.calls for tracker in bench.made] == [3, 3]
        bench.end(one)
        wait_until(lambda: [tracker.closed for tracker in bench.made[:2]].count(True) == 1, "one")
    assert all(tracker.closed for tracker in bench.made)


def test_the_first_tracker_is_there_before_the_first_frame() -> None:
    with bench_of() as bench:
        wait_until(lambda: bool(bench.made), "a tracker")
        stream = make_stream()
        bench.feed(stream, 0)
        assert len(bench.made) == 1
    with bench_of() as unused:
        wait_until(lambda: bool(unused.made), "a tracker")
    assert unused.made[0].closed


def test_the_last_frame_before_the_end_is_worked_on() -> None:
    stream, tracker = make_stream(), GatedTracker()
    with bench_of(tracker) as bench:
        bench.worker.deliver(grey_frame(0, stream))
        assert tracker.looking.acquire(timeout=30)
        bench.worker.deliver(grey_frame(1, stream))
        bench.worker.ended(stream, make_report(stream, 2))
        assert not bench.poses.ended_streams
        tracker.gate.release(2)
    assert bench.poses.numbers(stream) == [0, 1]
    assert bench.poses.ended_streams == [stream]


def test_a_frame_that_cannot_be_decoded_is_counted() -> None:
    stream = make_stream()
    with bench_of() as bench:
        bench.feed(stream, 0)
        broken = make_frame(stream, 1, payload=b"not a JPEG")
        bench.worker.deliver(broken)
        wait_until(lambda: bench.handled(stream) == 2, "the frame")
        bench.feed(stream, 2)
    assert bench.poses.numbers(stream) == [0, 2]
    assert bench.worker.counts(stream)["undecodable"] == 1


def test_without_a_model_that_is_said_once_and_the_frames_are_counted() -> None:
    stream = make_stream()
    with bench_of(PoseError("the pose model cannot be fetched: no network")) as bench:
        wait_until(lambda: bench.worker.failure is not None, "the failure")
        for number in range(5):
            bench.worker.deliver(grey_frame(number, stream))
        assert bench.worker.counts(stream)["skipped"] == 5
    assert bench.said == ["no poses from here on: the pose model cannot be fetched: no network"]
    assert not bench.poses.poses


class FailingTracker(GreyTracker):
    """Fails at its second picture."""

    def find(self, image_bgr: Image) -> Landmarks | None:
        if self.calls == 1:
            raise PoseError("MediaPipe failed on a picture: it did")
        return super().find(image_bgr)


def test_a_tracker_that_fails_ends_the_poses_and_nothing_else() -> None:
    stream = make_stream()
    with bench_of(FailingTracker()) as bench:
        bench.feed(stream, 0)
        bench.worker.deliver(grey_frame(1, stream))
        wait_until(lambda: bool(bench.poses.ended_streams), "the end")
        for number in range(2, 5):
            bench.worker.deliver(grey_frame(number, stream))
        assert bench.worker.counts(stream)["skipped"] == 3
        assert bench.made[0].closed
    assert bench.said == ["no poses from here on: MediaPipe failed on a picture: it did"]


def test_more_streams_than_there_is_room_for() -> None:
    streams = [make_stream(number, f"192.0.2.{number}") for number in range(1, MAX_STREAMS + 3)]
    with bench_of() as bench:
        for stream in streams:
            bench.feed(stream, 0)
        assert len(bench.made) == MAX_STREAMS
        assert [bench.worker.counts(stream)["skipped"] for stream in streams[-2:]] == [1, 1]
        assert len(bench.said) == 1
        bench.end(streams[0])
        wait_until(lambda: bench.made[0].closed, "the room")
        wait_until(lambda: _feeds(bench, streams[-1]), "a pose of the stream that was too many")


def _feeds(bench: Bench, stream: Stream) -> bool:
    bench.feed(stream, 1)
    return bench.worker.counts(stream)["found"] > 0


def test_frames_after_closing_are_counted_as_skipped() -> None:
    stream = make_stream()
    with bench_of() as bench:
        bench.feed(stream, 0)
        bench.worker.close()
        bench.worker.deliver(grey_frame(1, stream))
        assert bench.worker.counts(stream)["skipped"] == 1
        bench.worker.close()


def test_times_are_told() -> None:
    stream, tracker = make_stream(), GatedTracker()
    with bench_of(tracker) as bench:
        bench.worker.deliver(grey_frame(0, stream))
        assert tracker.looking.acquire(timeout=30)
        time.sleep(0.05)
        tracker.gate.release()
        bench.end(stream)
        times_ms = bench.worker.times_ms(stream)
    pose_ms, latency_ms = times_ms["pose"]["p50"], times_ms["latency"]["p50"]
    assert pose_ms is not None
    assert latency_ms is not None
    assert 49 < pose_ms <= latency_ms * 1.01


def test_no_thread_is_left() -> None:
    before = set(threading.enumerate())
    with bench_of() as bench:
        bench.feed(make_stream(), 0)
    assert set(threading.enumerate()) <= before


def test_the_first_tracker_can_be_waited_for() -> None:
    with bench_of() as bench:
        assert bench.worker.wait(30)
        assert len(bench.made) == 1
    with bench_of(PoseError("there is no model")) as bench:
        assert bench.worker.wait(30)
        assert bench.worker.failure == "there is no model"


def test_a_camera_that_restarts_finds_a_tracker_ready() -> None:
    first, second = make_stream(1), make_stream(2)
    with bench_of() as bench:
        bench.feed(first, 0)
        bench.end(first)
        wait_until(lambda: len(bench.made) == 2, "another tracker")
        bench.feed(second, 0)
        assert [tracker.calls for tracker in bench.made] == [1, 1]


def test_no_pose_is_found_once_none_is_wanted() -> None:
    stream, other = make_stream(), make_stream(2, "192.0.2.8")
    with bench_of() as bench:
        bench.poses.enough = 1
        for number in range(2):
            bench.feed(stream, number)
        wait_until(lambda: bench.made[0].closed, "its tracker to be let go of")
        for number in range(2, 20):
            bench.worker.deliver(grey_frame(number, stream))
        bench.feed(other, 0)
        assert not bench.poses.ended_streams  # what was said of it stands as long as it lasts
        bench.end(stream)
        assert bench.poses.numbers(stream) == [0, 1]
        assert sum(bench.worker.counts(stream).values()) == 2
