"""The sending thread, between a scripted source and a socket that hears."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.test_capture import Script
from tests.test_sender import Ear
from udpstream import Sender
from udpstream.capture import Capture
from udpstream.errors import SourceError, UdpStreamError
from udpstream.transmission import Transmission

WAIT_S = 20.0


@pytest.fixture
def sender() -> Iterator[Sender]:
    ear = Ear()
    with Sender("127.0.0.1", ear.port, codec="raw") as sender:
        yield sender
    ear.socket.close()


def transmit(
    sender: Sender,
    source: Script,
    *,
    frames: int | None = None,
    watch: Callable[[NDArray[np.uint8]], object] | None = None,
) -> Transmission:
    """Send what a source has, to its end."""
    capture = Capture(source)
    with Transmission(capture, sender, frames=frames, watch=watch) as transmission, capture:
        transmission.wait(WAIT_S)
        assert transmission.ended
    return transmission


def test_all_frames_of_a_source_are_sent_and_watched(sender: Sender) -> None:
    watched: list[int] = []
    threads: set[str] = set()

    def watch(frame_bgr: NDArray[np.uint8]) -> None:
        watched.append(int(frame_bgr[0, 0, 0]))
        threads.add(threading.current_thread().name)

    transmission = transmit(sender, Script(20, fps=100.0), watch=watch)
    assert transmission.error is None
    assert sender.stats.frames == len(watched) > 0
    assert watched == sorted(set(watched))  # a busy machine may skip some
    assert watched[-1] == 19
    assert threads == {"sending"}
    assert sender.fps == 100.0
    assert transmission.fps is not None


def test_frames_that_are_left_out_are_watched_but_do_not_count_as_sent(sender: Sender) -> None:
    watched: list[int] = []
    send = sender.send

    def leave_out(frame_bgr: NDArray[np.uint8], captured_s: float | None = None) -> None:
        assert sender._core is not None
        sender._core.adaptation._picture.fps_divisor = 1000
        send(frame_bgr, captured_s)

    sender.send = leave_out  # type: ignore[method-assign]
    transmission = transmit(
        sender, Script(10, fps=100.0), watch=lambda frame_bgr: watched.append(len(frame_bgr))
    )
    assert transmission.error is None
    assert watched
    assert sender.stats.left_out == len(watched)
    assert sender.stats.frames == 0
    assert transmission.fps is None


def test_it_ends_after_as_many_frames_as_were_asked_for(sender: Sender) -> None:
    transmit(sender, Script(1000, fps=200.0), frames=7)
    assert sender.stats.frames == 7


def test_a_source_that_fails_ends_it_with_its_error_after_its_last_frame(sender: Sender) -> None:
    def fail_at_three(at: int) -> None:
        if at == 3:
            raise SourceError("the camera is gone")

    transmission = transmit(sender, Script(9, fps=50.0, before=fail_at_three))
    assert str(transmission.error) == "the camera is gone"
    assert isinstance(transmission.error, UdpStreamError)
    assert sender.stats.frames > 0


def test_stopping_ends_a_source_that_would_go_on(sender: Sender) -> None:
    sent = threading.Event()
    capture = Capture(Script(10**9, fps=100.0))
    transmission = Transmission(capture, sender, watch=lambda _: sent.set())
    with transmission, capture:
        assert sent.wait(WAIT_S)
    assert transmission.ended
    transmission.stop()  # again
    assert transmission.error is None
    assert not transmission.answered  # an ear does not speak
