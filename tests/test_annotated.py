"""``annotated.avi``: the times of the frames, and what happens when something goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.cli_tools import wait_until
from tests.recording_tools import make_stream
from tests.score_tools import body, result_of, scored_of
from udpstream.adapters import annotated, overlay
from udpstream.adapters.annotated import AnnotatedVideo
from udpstream.adapters.avi import AviWriter
from udpstream.core.pose.tally import Summary
from udpstream.errors import RecordingError
from udpstream.frame import Stream
from udpstream.scored import ScoreSink

ROOT = Path(__file__).parent.parent
SUMMARY = Summary(0, 0, None, None, {}, {}, (), None, False)


@pytest.fixture
def said() -> list[str]:
    return []


def sink_to(folder: Path, said: list[str], *, waits: bool = True) -> AnnotatedVideo:
    return AnnotatedVideo(lambda stream: folder, said.append, waits=waits)


def read(path: Path) -> tuple[list[float], list[NDArray[np.uint8]]]:
    """The times at which a file has a new picture, and the pictures."""
    times_s: list[float] = []
    pictures: list[NDArray[np.uint8]] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            if packet.size:
                assert packet.pts is not None
                times_s.append(float(packet.pts * (stream.time_base or Fraction(1))))
                for frame in packet.decode():
                    assert isinstance(frame, av.VideoFrame)
                    pictures.append(frame.to_ndarray(format="bgr24").astype(np.uint8))
    return times_s, pictures


def test_it_is_a_sink_of_scores(tmp_path: Path, said: list[str]) -> None:
    sink: ScoreSink = sink_to(tmp_path, said)
    assert sink is not None


def test_each_scored_frame_is_there_at_its_time_with_its_overlay(
    tmp_path: Path, said: list[str]
) -> None:
    sink = sink_to(tmp_path, said)
    numbers = [n for n in range(60) if n % 7 and not 20 <= n < 35]  # poses skip frames
    for number in numbers:
        sink.scored(scored_of(number, size_wh=(320, 240), landmarks=body(), reference=body()))
    sink.ended(make_stream(), SUMMARY)
    sink.close()
    times_s, pictures = read(tmp_path / "annotated.avi")
    assert times_s == pytest.approx([(n - numbers[0]) / 30 for n in numbers], abs=0.001)
    assert len(pictures) == len(numbers)
    for picture in pictures:
        assert picture.shape == (240, 320, 3)
        light = np.abs(picture.astype(int) - 90).max(axis=2) > 60
        assert light[:40, :120].any()  # the score
        assert light[60:150, 120:200].any()  # the pose
        assert light[-overlay.line_px(320, 240) :].any()  # number and time
    (summary,) = sink.summaries()
    assert summary.files == (tmp_path / "annotated.avi",)
    assert (summary.frames_written, summary.frames_skipped) == (len(numbers), 0)
    assert summary.error is None
    assert said == []


@pytest.mark.parametrize("rate", [10.0, 29.97, 60.0])
def test_the_file_is_as_long_as_the_performance(
    tmp_path: Path, said: list[str], rate: float
) -> None:
    sink = sink_to(tmp_path, said)
    for number in range(0, round(5 * rate), 2):  # every other frame, on a slow machine
        sink.scored(scored_of(number, rate=rate, size_wh=(64, 48)))
    sink.close()
    times_s, _ = read(tmp_path / "annotated.avi")
    assert times_s == pytest.approx([n / rate for n in range(0, round(5 * rate), 2)], abs=1 / rate)


def test_the_same_performance_gives_the_same_file(tmp_path: Path, said: list[str]) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        sink = sink_to(tmp_path / name, said)
        for number in range(40):
            sink.scored(scored_of(number, size_wh=(64, 48)))
            if name == "two" and number % 10 == 0:
                time.sleep(0.05)  # read at another pace
        sink.close()
    one, two = (read(tmp_path / name / "annotated.avi") for name in ("one", "two"))
    assert one[0] == two[0]
    assert all((a == b).all() for a, b in zip(one[1], two[1], strict=True))


def test_a_picture_of_another_size_goes_to_another_file(tmp_path: Path, said: list[str]) -> None:
    sink = sink_to(tmp_path, said)
    for number in range(20):
        size_wh = (64, 48) if number < 10 else (48, 64)
        sink.scored(scored_of(number, size_wh=size_wh))
    sink.close()
    (summary,) = sink.summaries()
    assert [path.name for path in summary.files] == ["annotated.avi", "annotated-2.avi"]
    assert [len(read(path)[0]) for path in summary.files] == [10, 10]


def test_streams_have_files_of_their_own(tmp_path: Path, said: list[str]) -> None:
    streams = [make_stream(1, "192.0.2.7"), make_stream(2, "192.0.2.8")]

    def folder_of(stream: Stream) -> Path:
        folder = tmp_path / stream.camera
        folder.mkdir()
        return folder

    sink = AnnotatedVideo(folder_of, said.append, waits=True)
    for number in range(10):
        for stream in streams[: 1 + (number < 5)]:
            sink.scored(scored_of(number, stream=stream, size_wh=(64, 48)))
    sink.close()
    counts = [len(read(tmp_path / each.camera / "annotated.avi")[0]) for each in streams]
    assert counts == [10, 5]


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Drawing waits until this is set."""
    opened = threading.Event()
    canvas = overlay.canvas

    def slow(image_bgr: NDArray[np.uint8], fit_wh: tuple[int, int]) -> NDArray[np.uint8]:
        assert opened.wait(20)
        return canvas(image_bgr, fit_wh)

    monkeypatch.setattr(overlay, "canvas", slow)
    return opened


def test_a_live_stream_is_never_kept_waiting(
    tmp_path: Path, said: list[str], gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotated, "MAX_QUEUED_FRAMES", 8)
    sink = sink_to(tmp_path, said, waits=False)
    for number in range(30):
        sink.scored(scored_of(number, size_wh=(64, 48)))  # comes back though nothing is drawn
    (waiting,) = sink.summaries()
    assert waiting.frames_skipped in (21, 22)  # one may be in hand
    gate.set()
    sink.close()
    (summary,) = sink.summaries()
    assert summary.frames_written + summary.frames_skipped == 30
    assert summary.frames_skipped == waiting.frames_skipped
    (message,) = said
    assert f"annotated.avi of 192.0.2.7: {summary.frames_skipped} frames are left out" in message


def test_large_pictures_fill_the_queue_sooner_and_one_always_fits(
    tmp_path: Path, said: list[str], gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotated, "MAX_QUEUED_BYTES", 1000)
    sink = sink_to(tmp_path, said, waits=False)
    sink.scored(scored_of(0, size_wh=(64, 48)))
    for number in range(1, 5):
        sink.scored(scored_of(number, size_wh=(64, 48)))
    gate.set()
    sink.close()
    (summary,) = sink.summaries()
    assert summary.frames_written in (1, 2)  # the first may have been in hand
    assert summary.frames_skipped == 5 - summary.frames_written


def test_a_recording_waits_for_room(
    tmp_path: Path, said: list[str], gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotated, "MAX_QUEUED_FRAMES", 4)
    sink = sink_to(tmp_path, said)
    threading.Timer(0.1, gate.set).start()
    for number in range(30):
        sink.scored(scored_of(number, size_wh=(64, 48)))
    sink.close()
    (summary,) = sink.summaries()
    assert (summary.frames_written, summary.frames_skipped) == (30, 0)


@pytest.mark.parametrize("waits", [False, True])
def test_a_failure_is_said_once_and_stops_this_file_alone(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    write = AviWriter.write

    def failing(writer: AviWriter, slot: int, payload: bytes) -> None:
        if slot == 5:
            raise RecordingError("cannot write it: the disk is full")
        write(writer, slot, payload)

    monkeypatch.setattr(AviWriter, "write", failing)
    sink = sink_to(tmp_path, said, waits=waits)
    for number in range(60):
        sink.scored(scored_of(number, size_wh=(64, 48)))
    wait_until(lambda: sink.summaries()[0].error is not None, "a failure")
    sink.scored(scored_of(60, size_wh=(64, 48)))
    sink.ended(make_stream(), SUMMARY)
    sink.close()
    (summary,) = sink.summaries()
    assert summary.error == "cannot write it: the disk is full"
    assert (summary.frames_written, summary.frames_skipped) == (5, 56)
    assert said == ["annotated.avi of 192.0.2.7 stopped: cannot write it: the disk is full"]
    assert len(read(tmp_path / "annotated.avi")[0]) == 5


def test_without_a_folder_there_is_a_message(tmp_path: Path, said: list[str]) -> None:
    sink = sink_to(tmp_path / "missing", said)
    for number in range(30):
        sink.scored(scored_of(number, size_wh=(64, 48)))
    sink.close()
    (summary,) = sink.summaries()
    assert summary.frames_skipped == 30
    assert len(said) == 1
    assert "annotated.avi of 192.0.2.7 stopped: cannot write" in said[0]


def test_what_comes_after_the_end_is_not_taken(tmp_path: Path, said: list[str]) -> None:
    sink = sink_to(tmp_path, said)
    sink.close()
    sink.scored(scored_of(0))
    sink.close()
    assert sink.summaries() == []
    assert list(tmp_path.iterdir()) == []


def test_a_frame_without_a_score_is_there_with_the_reason(tmp_path: Path, said: list[str]) -> None:
    sink = sink_to(tmp_path, said)
    for number in range(5):
        result = result_of(number / 30, None, reason="nobody in view")
        sink.scored(scored_of(number, size_wh=(320, 240), result=result))
    sink.close()
    _, pictures = read(tmp_path / "annotated.avi")
    assert all((picture[:40] > 180).any() for picture in pictures)


def test_a_recording_does_not_wait_for_a_file_that_has_stopped(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotated, "MAX_QUEUED_FRAMES", 1)
    may_fail = threading.Event()

    def folder_of(stream: Stream) -> Path:
        assert may_fail.wait(20)
        raise RecordingError(f"no folder for {stream.camera}")

    sink = AnnotatedVideo(folder_of, said.append, waits=True)
    sink.scored(scored_of(0))
    threading.Timer(0.05, may_fail.set).start()
    sink.scored(scored_of(1))  # there is no room until the file has stopped
    sink.close()
    assert said == ["annotated.avi of 192.0.2.7 stopped: no folder for 192.0.2.7"]
    assert sink.summaries()[0].frames_skipped == 2


KILLED = """
import os, signal, sys, time
from pathlib import Path
from tests.score_tools import scored_of
from udpstream.adapters.annotated import AnnotatedVideo
sink = AnnotatedVideo(lambda stream: Path(sys.argv[1]), print)
start_s = time.monotonic()
for number in range(150):
    sink.scored(scored_of(number, rate=100, size_wh=(64, 48)))
    time.sleep(max(0, start_s + number / 100 - time.monotonic()))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_costs_the_last_second_at_most(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no SIGKILL")
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert run.returncode == -9
    times_s, _ = read(tmp_path / "annotated.avi")
    assert times_s[-1] > 0.48
    assert times_s == pytest.approx([n / 100 for n in range(len(times_s))], abs=0.011)
