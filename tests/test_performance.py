from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.cli_tools import wait_until
from tests.performance_tools import (
    RATE,
    Scores,
    TrueTracker,
    joints,
    numbered_frame,
    reference_of,
)
from tests.pose_tools import InThread, require_model
from tests.pose_tools import pose_at as points_at
from tests.recording_tools import make_report, make_stream
from udpstream.adapters.codec import encode
from udpstream.adapters.pose_process import PoseProcess
from udpstream.adapters.pose_worker import FoundPose, FrameTracker
from udpstream.adapters.recorder import Recorder
from udpstream.adapters.reference_video import Tracker
from udpstream.adapters.sources.dancer import DancerSource
from udpstream.adapters.video import VideoReader
from udpstream.cli.rescoring import find_recording
from udpstream.core.dancer.performer import Dancer
from udpstream.core.pose.tally import Summary
from udpstream.core.reference import Reference, make_reference
from udpstream.errors import BadReferenceError, PoseError
from udpstream.frame import Frame, Stream
from udpstream.performance import (
    Performance,
    Performances,
    Scoring,
    ScoringOptions,
    perform,
    pose_at,
)
from udpstream.pose import PoseTracker
from udpstream.protocol import Codec
from udpstream.scored import Scored, ScoreSink
from udpstream.scoring import CORRECT, ENDED, NOBODY, WAITING

STREAM = make_stream()


class Bench:
    """An engine that is given poses, with who listens to it."""

    def __init__(
        self,
        *more: ScoreSink,
        options: ScoringOptions | None = None,
        reference: Reference | None = None,
    ) -> None:
        self.scores = Scores()
        self.said: list[str] = []
        self.engine = Performances(
            reference or reference_of(), options or ScoringOptions(), [*more, self.scores],
            self.said.append, clock=lambda: 0.0,
        )  # fmt: skip

    def feed(
        self, numbers: Sequence[int], stream: Stream = STREAM, truth: str = "", seed: int = 3
    ) -> list[Scored]:
        """Find those frames' true poses; return what was handed on of them."""
        before = len(self.scores.all)
        find = joints(seed, *filter(None, [truth]))
        for number in numbers:
            frame = numbered_frame(stream, number)
            pose = find(number / RATE)
            self.engine.found(FoundPose(frame, pose, 0.0, 0.01))
        return self.scores.all[before:]


def said_of(scores: Sequence[Scored]) -> list[object]:
    """What may not differ between two ways to score a frame."""
    return [(each.frame, each.time_s, each.result) for each in scores]


def test_a_dancer_in_time_is_correct_frame_by_frame() -> None:
    bench = Bench()
    scores = bench.feed(range(60))
    assert [each.frame for each in scores] == list(range(60))
    assert scores[0].result.score is None
    assert {each.result.verdict for each in scores[30:]} == {CORRECT}
    last = scores[-1]
    assert last.aspect == pytest.approx(96 / 72)
    assert last.stream == STREAM
    assert last.reference_aspect == pytest.approx(4 / 3, abs=1e-6)
    assert last.reference is not None
    assert last.seconds > 0.01
    assert bench.engine.latest(STREAM) is last


def test_time_begins_with_the_streams_first_frame_though_it_is_never_scored() -> None:
    bench = Bench()
    bench.engine.begin(numbered_frame(STREAM, 0))
    scores = bench.feed(range(9, 60))
    assert scores[0].time_s == pytest.approx(9 / RATE, abs=1e-4)
    assert scores[-1].result.lag_s == pytest.approx(0.0, abs=0.1)


def test_capture_times_count_and_arrivals_where_there_are_none() -> None:
    for captured, expected_s in ((True, 1 / RATE), (False, 1 / RATE + 0.1)):
        bench = Bench()
        for number, late_s in ((0, 0.0), (1, 0.1)):
            frame = numbered_frame(STREAM, number)
            frame.received_at += late_s
            frame.captured_at = frame.captured_at if captured else None
            bench.engine.found(FoundPose(frame, None, 0.0, 0.01))
        assert bench.scores.all[1].time_s == pytest.approx(expected_s, abs=1e-4)


def test_where_the_reference_ends_the_session_does_with_its_result() -> None:
    bench = Bench(reference=reference_of(4.0))
    scores = bench.feed(range(90))
    assert [each.result.ended for each in scores] == [False] * (len(scores) - 1) + [True]
    assert scores[-1].result.reason == ENDED
    assert scores[-1].time_s == pytest.approx(4.0, abs=0.3)
    [(_, summary)] = bench.scores.summaries
    assert summary.frames == len(scores)
    assert summary.mean_score is not None
    assert summary.mean_score > 50
    bench.engine.ended(STREAM)
    assert len(bench.scores.summaries) == 1
    assert bench.engine.summary(STREAM) == summary


def test_a_looped_reference_begins_anew() -> None:
    bench = Bench(reference=reference_of(9.6), options=ScoringOptions(loop=True))
    scores = bench.feed(range(180))
    assert len(scores) == 180
    assert {each.result.verdict for each in scores[-20:]} == {CORRECT}


def test_a_countdown_is_waited_for() -> None:
    scores = Bench(options=ScoringOptions(sync="start", start_s=2.0)).feed(range(40))
    assert {each.result.reason for each in scores[:30]} == {WAITING}
    assert scores[30].result.reason != WAITING


def test_a_camera_that_restarts_begins_a_session_of_its_own() -> None:
    bench = Bench()
    first, second = make_stream(1), make_stream(2)
    bench.feed(range(40), first)
    bench.engine.ended(first)
    assert bench.engine.latest(first) is None
    again = bench.feed(range(40), second)
    assert again[0].time_s == 0.0
    bench.engine.ended(second)
    (_, one), (_, two) = bench.scores.summaries
    assert (one.frames, two.frames) == (40, 40)
    assert one == two


def test_two_cameras_at_once_do_not_mix() -> None:
    alone = Bench().feed(range(40))
    bench = Bench()
    dancer, other = make_stream(1, "192.0.2.7"), make_stream(2, "192.0.2.8")
    for number in range(40):
        bench.feed([number], dancer)
        bench.feed([number], other, truth="still")
    mixed = [each for each in bench.scores.all if each.stream == dancer]
    assert said_of(mixed) == said_of(alone)


def test_somebody_who_leaves_and_returns() -> None:
    bench = Bench()
    bench.feed(range(30))
    find = joints(3)
    for number in range(30, 90):
        pose = None if number < 60 else find(number / RATE)
        frame = numbered_frame(STREAM, number)
        bench.engine.found(FoundPose(frame, pose, 0.0, 0.01))
    scores = bench.scores.all
    assert {each.result.reason for each in scores[30:60]} == {NOBODY}
    assert {each.result.verdict for each in scores[30:60]} == {None}
    assert scores[-1].result.verdict == CORRECT


class Broken(Scores):
    """A sink that fails from its third frame on."""

    def scored(self, scored: Scored) -> None:
        super().scored(scored)
        if len(self.all) == 3:
            raise ZeroDivisionError("no such thing")


class BrokenAtTheEnd(Scores):
    def ended(self, stream: Stream, summary: Summary) -> None:
        raise OSError("the disk is gone")


def test_a_sink_that_fails_is_dropped_once_and_the_others_go_on() -> None:
    broken, late = Broken(), BrokenAtTheEnd()
    bench = Bench(broken, late)
    bench.feed(range(10))
    bench.engine.ended(STREAM)
    assert (len(broken.all), len(bench.scores.all)) == (3, 10)
    assert len(bench.scores.summaries) == 1
    assert bench.said == [
        "scores go to Broken no longer: ZeroDivisionError: no such thing",
        "scores go to BrokenAtTheEnd no longer: OSError: the disk is gone",
    ]


def test_a_reference_that_cannot_be_scored_against_is_refused_at_once() -> None:
    far = make_reference([0.0, 0.1], [points_at(0.5, 0.1)] * 2, 1.0, "x")
    with pytest.raises(BadReferenceError, match="too little of a body"):
        Bench(reference=far)


def test_the_references_pose_is_taken_between_two_samples() -> None:
    nobody = np.zeros_like(points_at(0.0))
    reference = Reference(
        np.array([0.0, 1.0, 2.0]), np.stack([points_at(0.2), points_at(0.4), nobody]), 1.0
    )

    def x_at(time_s: float | None) -> float | None:
        pose = pose_at(reference, time_s)
        return None if pose is None else float(pose[0, 0])

    assert x_at(0.25) == pytest.approx(0.25)
    assert x_at(-1.0) == pytest.approx(0.2)
    assert x_at(1.4) == pytest.approx(0.4)
    assert (x_at(1.6), x_at(9.0), x_at(None)) == (None, None, None)


def test_a_point_that_one_sample_lacks_is_where_the_other_has_it() -> None:
    left, right = points_at(0.2), points_at(0.4)
    left[5] = 0
    pose = pose_at(Reference(np.array([0.0, 1.0]), np.stack([left, right]), 1.0), 0.5)
    assert pose is not None
    assert pose[5].tolist() == right[5].tolist()
    assert pose[6, 0] == pytest.approx(0.3)


@contextmanager
def live(
    tracker: FrameTracker | PoseError, reference: Reference, recorder: Recorder | None = None
) -> Iterator[tuple[Scoring, Scores, list[str]]]:
    """Scoring as a receiver's sink."""
    scores, said = Scores(), list[str]()

    def make() -> FrameTracker:
        if isinstance(tracker, PoseError):
            raise tracker
        return tracker

    engine = Performances(reference, ScoringOptions(), [scores], said.append)
    scoring = Scoring(engine, make, said.append)
    try:
        yield scoring, scores, said
    finally:
        scoring.close()
        if recorder is not None:
            recorder.close()


def play(scoring: Scoring, scores: Scores, frames: Sequence[Frame], recorder: Recorder) -> None:
    """Deliver frames, each when the one before has been scored."""
    for count, frame in enumerate(frames, start=1):
        recorder.deliver(frame)
        scoring.deliver(frame)
        wait_until(lambda count=count: len(scores.all) == count, "a score")  # type: ignore[misc]
    stream = frames[0].stream
    for sink in (recorder, scoring):
        sink.ended(stream, make_report(stream, len(frames)))
    wait_until(lambda: bool(scores.summaries), "the end")


def from_recording(recording: Path, tracker: Tracker, reference: Reference) -> Scores:
    scores = Scores()
    performance = Performance(STREAM, reference, ScoringOptions().scorer(reference))
    [(video, _)] = find_recording(recording).videos
    with VideoReader(video) as reader:
        pictures = ((each.time_s, each.image()) for each in reader.pictures())
        perform(performance, tracker, pictures, [scores])
    return scores


def test_a_recording_gives_the_numbers_of_the_live_path(tmp_path: Path) -> None:
    truth = joints(3, "left-forearm=30", "lag=0.4")
    recorder = Recorder(tmp_path, say=print)
    frames = [numbered_frame(STREAM, number) for number in range(75)]
    with live(InThread(TrueTracker(truth)), reference_of(), recorder) as (scoring, scores, said):
        play(scoring, scores, frames, recorder)
        assert scoring.counts(STREAM)["found"] == 75
        assert scoring.times_ms(STREAM)["result"]["p50"] is not None
    assert said == []
    [summary] = recorder.recordings()
    again = from_recording(summary.path, TrueTracker(truth), reference_of())
    assert said_of(again.all) == said_of(scores.all)
    assert again.summaries == scores.summaries
    last = again.all[-1].result
    assert last.lag_s == pytest.approx(0.4, abs=0.1)
    assert last.hint is not None
    assert last.hint.limb == "left forearm"


def ready(process: PoseProcess) -> PoseProcess:
    process.wait()
    return process


def test_a_recording_gives_the_numbers_of_the_live_path_with_mediapipe(tmp_path: Path) -> None:
    model = require_model()
    source = DancerSource(Dancer(3), (320, 240), RATE)
    recorder = Recorder(tmp_path, say=print)
    frames = []
    for number in range(30):
        picture = source.read()
        assert picture is not None
        payload = memoryview(encode(Codec.JPEG, picture, 80).tobytes())
        frame = numbered_frame(STREAM, number)
        frames.append(replace(frame, payload=payload, size_wh=(320, 240)))
    with live(ready(PoseProcess(model)), reference_of(), recorder) as (scoring, scores, _):
        play(scoring, scores, frames, recorder)
    [summary] = recorder.recordings()
    with PoseTracker(model) as tracker:
        again = from_recording(summary.path, tracker, reference_of())
    assert said_of(again.all) == said_of(scores.all)
    assert again.all[-1].result.verdict == CORRECT


def test_without_a_model_frames_go_by_unscored() -> None:
    failure = PoseError("no model: run 'udpstream model'")
    with live(failure, reference_of()) as (scoring, scores, said):
        wait_until(lambda: scoring.failure is not None, "the failure")
        scoring.deliver(numbered_frame(STREAM, 0))
        scoring.ended(STREAM, make_report(STREAM, 1))
        assert scoring.counts(STREAM)["skipped"] == 1
    assert scores.all == []
    assert said == ["no poses from here on: no model: run 'udpstream model'"]
