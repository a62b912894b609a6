from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.pose_tools import require_model, scene
from tests.recording_tools import make_frame, make_stream
from udpstream.adapters.codec import encode
from udpstream.adapters.pose_process import PoseProcess
from udpstream.errors import FrameError, PoseError
from udpstream.frame import Frame
from udpstream.pose import PoseTracker
from udpstream.protocol import Codec

SIZE_WH = (320, 240)
PERSON = scene(SIZE_WH, (220, 50, 10))
NOBODY = np.zeros_like(PERSON)


def frame_of(image_bgr: np.ndarray, codec: Codec) -> Frame:
    payload = encode(codec, image_bgr, 90).tobytes()
    return make_frame(make_stream(), 0, size_wh=SIZE_WH, codec=codec, payload=payload)


@pytest.fixture(scope="module")
def process() -> Iterator[PoseProcess]:
    process = PoseProcess(require_model())
    try:
        process.wait()
        yield process
    finally:
        process.close()


def test_the_poses_are_those_that_are_found_in_this_process(process: PoseProcess) -> None:
    frames = [frame_of(PERSON, codec) for codec in (Codec.JPEG, Codec.RAW, Codec.JPEG)]
    with PoseTracker(require_model()) as tracker:
        for frame in frames:
            expected, found = tracker.find(frame.image), process.find(frame)
            assert expected is not None
            assert found is not None
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, expected)
    assert process.find(frame_of(NOBODY, Codec.RAW)) is None


def test_what_is_no_picture_is_refused_and_it_goes_on(process: PoseProcess) -> None:
    broken = make_frame(make_stream(), 0, size_wh=SIZE_WH, payload=b"not a JPEG")
    with pytest.raises(FrameError, match="JPEG"):
        process.find(broken)
    assert process.find(frame_of(PERSON, Codec.RAW)) is not None


@pytest.mark.skipif(sys.platform != "linux", reason="processes have ranks elsewhere, too")
def test_the_link_goes_first(process: PoseProcess) -> None:
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, process.id) == min(ours + 10, 19)


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    other = tmp_path / "other.task"
    other.write_bytes(b"not a model")
    process = PoseProcess(other)
    with pytest.raises(PoseError, match=r"other\.task|pip install"):
        process.wait()
    process.close()
    process.close()


def test_loading_can_be_given_up(tmp_path: Path) -> None:
    process = PoseProcess(tmp_path / "none.task")
    failed = threading.Event()

    def wait() -> None:
        with pytest.raises(PoseError):
            process.wait()
        failed.set()

    thread = threading.Thread(target=wait)
    thread.start()
    process.kill()
    thread.join()
    process.close()
    assert failed.is_set()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_process_that_dies_is_told(process: PoseProcess) -> None:
    own = PoseProcess(require_model())
    os.kill(own.id, signal.SIGSEGV)
    with pytest.raises(PoseError, match="its process ended with exit code -11"):
        own.wait()
    with pytest.raises(PoseError, match="its process ended with exit code -11"):
        own.find(frame_of(PERSON, Codec.RAW))
    own.close()
    assert process.find(frame_of(PERSON, Codec.RAW)) is not None  # others have their own
