from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import pytest

from tests.recording_tools import SIZE_WH, jpeg, make_frame, make_report, make_stream
from udpstream.adapters import recorder as recorder_module
from udpstream.adapters.avi import AviWriter
from udpstream.adapters.recorder import Recorder
from udpstream.errors import RecordingError
from udpstream.protocol import Codec

ROOT = Path(__file__).parents[1]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def recorder(tmp_path: Path, said: list[str]) -> Recorder:
    return Recorder(tmp_path, say=said.append)


def session(folder: Path) -> dict[str, Any]:
    content = json.loads((folder / "session.json").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline_s, "did not happen in 30 s"
        time.sleep(0.01)


def frames_in(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)


def test_a_stream_is_recorded_to_a_folder_of_its_own(
    recorder: Recorder, tmp_path: Path, said: list[str]
) -> None:
    stream = make_stream()
    for number in range(60):
        recorder.deliver(make_frame(stream, number))
    recorder.ended(stream, make_report(stream, 60))
    recorder.close()
    (summary,) = recorder.recordings()
    assert summary.path == tmp_path / "20261121T120455Z-192.0.2.7"
    assert summary.files == ("output.avi",)
    assert (summary.frames_written, summary.error, summary.finished) == (60, None, True)
    assert not any(summary.frames_not_written.values())
    assert sorted(path.name for path in summary.path.iterdir()) == ["output.avi", "session.json"]
    video = cv2.VideoCapture(str(summary.path / "output.avi"))
    assert video.get(cv2.CAP_PROP_FPS) == 30
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 60
    assert said == []


def test_the_session_is_told_beside_the_files(recorder: Recorder) -> None:
    stream = make_stream()
    for number in range(30):
        payload = b"broken" if number == 7 else None
        recorder.deliver(make_frame(stream, number, payload=payload))
    report = make_report(stream, 30)
    recorder.ended(stream, report)
    recorder.close()
    content = session(recorder.recordings()[0].path)
    assert content["sender"] == "192.0.2.7:40001"
    assert (content["codec"], content["size"]) == ("jpeg", list(SIZE_WH))
    assert content["started_at"] == "2026-11-21T12:04:55.010+00:00"
    assert (content["finished"], content["error"]) == (True, None)
    assert content["frames_written"] == 29
    assert content["frames_not_written"]["bad_picture"] == 1
    assert content["files"] == [
        {
            "name": "output.avi",
            "codec": "mjpeg",
            "size": list(SIZE_WH),
            "started_at": "2026-11-21T12:04:55.010+00:00",
            "frames_per_second": 30.0,
            "duration_s": 1.0,
            "frames_written": 29,
        }
    ]
    assert content["stream"] == report.as_dict()


def test_it_is_there_from_the_beginning_and_refreshed(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "SESSION_INTERVAL_S", 0.02)
    stream = make_stream()
    recorder.deliver(make_frame(stream, 0))
    wait_until(lambda: any(one.path.is_dir() for one in recorder.recordings()))
    (summary,) = recorder.recordings()
    wait_until((summary.path / "session.json").exists)
    assert session(summary.path)["finished"] is False
    recorder.update(make_report(stream, 1))
    wait_until(lambda: session(summary.path)["stream"] is not None)
    recorder.close()
    assert session(summary.path)["finished"] is True


def test_a_single_frame_makes_a_playable_file(recorder: Recorder) -> None:
    recorder.deliver(make_frame(make_stream(), 0))
    recorder.close()
    ok, image = cv2.VideoCapture(str(recorder.recordings()[0].path / "output.avi")).read()
    assert ok
    assert image.shape == (SIZE_WH[1], SIZE_WH[0], 3)


def test_a_folder_that_is_taken_is_left_alone(tmp_path: Path, recorder: Recorder) -> None:
    (tmp_path / "20261121T120455Z-192.0.2.7").mkdir()
    for stream_id in (1, 2):
        recorder.deliver(make_frame(make_stream(stream_id), 0))
        wait_until(lambda: all(one.path.is_dir() for one in recorder.recordings()))
        recorder.ended(make_stream(stream_id), make_report(make_stream(stream_id), 1))
        wait_until(lambda: all(one.finished for one in recorder.recordings()))
    recorder.close()
    assert [one.path.name for one in recorder.recordings()] == [
        "20261121T120455Z-192.0.2.7-2",
        "20261121T120455Z-192.0.2.7-3",
    ]


def test_streams_do_not_mix(recorder: Recorder) -> None:
    streams = [make_stream(1, "192.0.2.7"), make_stream(2, "192.0.2.8")]
    for number in range(20):
        for stream in streams[: 1 + number % 2]:
            recorder.deliver(make_frame(stream, number))
    recorder.close()
    assert [(one.stream.camera, one.frames_written) for one in recorder.recordings()] == [
        ("192.0.2.7", 20),
        ("192.0.2.8", 10),
    ]


def test_close_twice_and_reports_of_unknown_streams_do_no_harm(recorder: Recorder) -> None:
    stream = make_stream()
    recorder.update(make_report(stream, 0))
    recorder.ended(stream, make_report(stream, 0))
    recorder.close()
    recorder.close()
    assert recorder.recordings() == []


@pytest.mark.parametrize(
    ("frames", "n_bytes"), [(5, 1 << 30), (1 << 30, 5 * len(jpeg(0)))], ids=["frames", "bytes"]
)
def test_a_slow_disk_costs_counted_frames_and_never_the_receiver(
    recorder: Recorder,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    frames: int,
    n_bytes: int,
) -> None:
    monkeypatch.setattr(recorder_module, "MAX_QUEUED_FRAMES", frames)
    monkeypatch.setattr(recorder_module, "MAX_QUEUED_BYTES", n_bytes)
    disk = threading.Event()
    mkdir = Path.mkdir

    def slow_mkdir(path: Path) -> None:
        disk.wait(30)
        mkdir(path)

    monkeypatch.setattr(Path, "mkdir", slow_mkdir)
    stream = make_stream()
    for number in range(20):
        recorder.deliver(make_frame(stream, number, payload=jpeg(0)))
    disk.set()
    recorder.close()
    (summary,) = recorder.recordings()
    assert summary.frames_written == 5
    assert summary.frames_not_written["queue_full"] == 15
    assert any("15 because the disk was too slow" in message for message in said)


def test_a_directory_that_cannot_be_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RecordingError, match=r"cannot record to .*sub: .*: name a folder"):
        Recorder(tmp_path / "file" / "sub", say=print)


def test_a_directory_that_vanishes_stops_the_recording_alone(
    tmp_path: Path, said: list[str]
) -> None:
    recorder = Recorder(tmp_path / "gone", say=said.append)
    (tmp_path / "gone").rmdir()
    for number in range(10):
        recorder.deliver(make_frame(make_stream(), number))
    recorder.close()
    (summary,) = recorder.recordings()
    assert summary.frames_not_written["not_writable"] == 10
    assert "cannot create" in said[0]
    assert not (tmp_path / "gone").exists()


def test_a_failure_stops_this_recording_and_says_so(
    recorder: Recorder, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = AviWriter.write

    def failing(writer: AviWriter, slot: int, payload: bytes) -> None:
        if slot == 10:
            raise RecordingError("cannot write it: the disk is full")
        write(writer, slot, payload)

    monkeypatch.setattr(AviWriter, "write", failing)
    stream = make_stream()
    for number in range(60):
        recorder.deliver(make_frame(stream, number))
    wait_until(lambda: recorder.recordings()[0].error is not None)
    recorder.deliver(make_frame(stream, 60))
    recorder.ended(stream, make_report(stream, 61))
    recorder.close()
    (summary,) = recorder.recordings()
    assert summary.error == "cannot write it: the disk is full"
    assert summary.frames_written == 10
    assert summary.frames_not_written["not_writable"] == 51
    assert said[0] == "recording of 192.0.2.7 stopped: cannot write it: the disk is full"
    assert session(summary.path)["error"] == summary.error


FULL_DISK = """
import sys
from pathlib import Path
from tests.recording_tools import make_frame, make_stream
from udpstream.adapters.recorder import Recorder
recorder = Recorder(Path(sys.argv[1]), say=print)
for number in range(250):
    recorder.deliver(make_frame(make_stream(), number))
recorder.close()
(summary,) = recorder.recordings()
print(summary.frames_written, summary.frames_not_written["not_writable"])
"""


def test_a_full_disk_leaves_what_was_written_playable(tmp_path: Path) -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a small disk takes root on Linux")
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        run = subprocess.run(
            [sys.executable, "-c", FULL_DISK, str(tmp_path)],
            cwd=ROOT, check=True, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        *messages, counts = run.stdout.splitlines()
        written, not_written = map(int, counts.split())
        (folder,) = tmp_path.iterdir()
        assert run.stderr == ""
        assert "the disk is full" in messages[0]
        assert 10 < written < 250
        assert written + not_written == 250
        assert frames_in(folder / "output.avi") == written
        assert session(folder)["frames_written"] <= written
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


KILLED = """
import os, signal, sys, time
from pathlib import Path
from tests.recording_tools import make_frame, make_report, make_stream
from udpstream.adapters.recorder import Recorder
recorder = Recorder(Path(sys.argv[1]), say=print)
stream = make_stream()
start_s = time.monotonic()
for number in range(300):
    recorder.deliver(make_frame(stream, number, rate=200))
    if number % 50 == 0:
        recorder.update(make_report(stream, number))
    time.sleep(max(0, start_s + number / 200 - time.monotonic()))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_costs_the_last_second_at_most(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no SIGKILL")
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (-signal.SIGKILL, "")
    (folder,) = tmp_path.iterdir()
    kept = frames_in(folder / "output.avi")
    assert 100 <= kept < 300  # 200 frames a second
    video = cv2.VideoCapture(str(folder / "output.avi"))
    readable = 0
    while video.read()[0]:
        readable += 1
    assert readable == kept
    assert session(folder)["finished"] is False


def test_raw_frames_can_be_recorded_lossless(tmp_path: Path, said: list[str]) -> None:
    recorder = Recorder(tmp_path, raw_codec="ffv1", say=said.append)
    frames = [make_frame(make_stream(), number, codec=Codec.RAW) for number in range(5)]
    for frame in frames:
        recorder.deliver(frame)
    recorder.close()
    video = cv2.VideoCapture(str(recorder.recordings()[0].path / "output.avi"))
    for frame in frames:
        assert video.read()[1].tobytes() == frame.payload


def test_others_learn_the_folder_and_leave_notes_in_the_session(
    recorder: Recorder, tmp_path: Path
) -> None:
    stream = make_stream()
    assert recorder.folder(stream) is None
    recorder.note(stream, "score", 0)  # of a stream that is not recorded: nothing to do
    recorder.deliver(make_frame(stream, 0))
    folder = recorder.folder(stream)
    assert folder is not None
    assert folder.parent == tmp_path
    assert folder.is_dir()
    recorder.note(stream, "score", {"mean_score": 1})
    recorder.ended(stream, make_report(stream, 1))
    recorder.close()
    assert session(folder)["score"] == {"mean_score": 1}
    recorder.note(stream, "score", {"mean_score": 2})
    assert session(folder)["score"] == {"mean_score": 2}
    assert session(folder)["frames_written"] == 1
    assert recorder.folder(stream) == folder


def test_a_folder_that_could_not_be_made_is_none(tmp_path: Path, said: list[str]) -> None:
    recorder = Recorder(tmp_path / "recordings", say=said.append)
    (tmp_path / "recordings").rmdir()
    recorder.deliver(make_frame(make_stream(), 0))
    assert recorder.folder(make_stream()) is None
    recorder.note(make_stream(), "score", 1)
    recorder.close()
    assert "cannot create" in said[0]
