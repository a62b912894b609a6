from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

import udpstream.capture
from udpstream.capture import Capture, Grid, RateLimit
from udpstream.errors import SourceError

Picture = NDArray[np.uint8]


class Script:
    """A source of so many pictures; picture n has the value n in all pixels."""

    def __init__(
        self,
        pictures: int,
        *,
        live: bool = False,
        fps: float | None = 1000.0,
        before: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.live = live
        self.fps = fps
        self.pictures = pictures
        self.before = before
        self.at = 0
        self.read_at_s: list[float] = []
        self.closed = threading.Event()

    def read(self) -> Picture | None:
        self.before(self.at)
        self.read_at_s.append(time.monotonic())
        if self.closed.is_set() or self.at == self.pictures:
            return None
        self.at += 1
        return np.full((2, 3, 3), self.at - 1, np.uint8)

    def close(self) -> None:
        self.closed.set()


def wait_for_end(capture: Capture) -> None:
    capture._thread.join(10)
    assert not capture._thread.is_alive()


# -- the schedule -------------------------------------------------------------


def test_the_grid_is_absolute() -> None:
    grid = Grid(0.1, 5.0)
    # Each read comes a little late; that moves none of the later ones.
    due_s = [grid.advance(now_s) for now_s in (5.0, 5.03, 5.13, 5.24, 5.31)]
    assert due_s == pytest.approx([5.0, 5.1, 5.2, 5.3, 5.4])


def test_the_grid_catches_up_one_late_read() -> None:
    grid = Grid(0.1, 0.0)
    assert [grid.advance(now_s) for now_s in (0.0, 0.15, 0.16)] == pytest.approx([0.0, 0.1, 0.2])


def test_a_stall_is_followed_by_no_burst_and_the_grid_stays() -> None:
    grid = Grid(0.1, 0.0)
    grid.advance(0.0)
    now_s, dues = 7.04, []
    for _ in range(4):
        due_s = grid.advance(now_s)
        dues.append(due_s)
        now_s = max(now_s, due_s)
    assert dues == pytest.approx([7.0, 7.1, 7.2, 7.3])


def kept(rate: float, fps: float, seconds: float, jitter: float = 0.0) -> list[float]:
    rng = np.random.default_rng(2)
    limit = RateLimit(1 / fps)
    stamps = [(n + jitter * float(rng.uniform(-1, 1))) / rate for n in range(round(seconds * rate))]
    return [stamp for stamp in stamps if limit.admits(stamp)]


@pytest.mark.parametrize("fps", [1, 7, 10, 12, 15, 20, 25, 29])
def test_a_live_source_is_thinned_to_the_rate(fps: float) -> None:
    assert len(kept(30, fps, 60)) == pytest.approx(60 * fps, rel=0.01, abs=2)


def test_a_camera_at_the_very_rate_loses_nothing_to_jitter() -> None:
    assert len(kept(30, 30, 60, jitter=0.12)) == 1800


def test_a_camera_below_the_rate_loses_nothing() -> None:
    assert len(kept(25, 30, 60, jitter=0.1)) == 1500


def test_a_camera_slightly_too_fast_loses_no_more_than_it_is_too_fast() -> None:
    assert len(kept(30.3, 30, 100, jitter=0.05)) == pytest.approx(3000, abs=3)


def test_a_live_source_does_not_burst_after_a_gap() -> None:
    limit = RateLimit(0.1)
    assert limit.admits(0.0)
    after = [9.0 + n / 60 for n in range(60)]
    stamps = [stamp for stamp in after if limit.admits(stamp)]
    assert 10 <= len(stamps) <= 11


# -- the thread ---------------------------------------------------------------


def test_frames_are_numbered_stamped_and_taken_latest_first() -> None:
    may_go_on = threading.Event()

    def hold() -> None:
        may_go_on.wait(10)

    source = Script(5, before=lambda at: hold() if at == 4 else None)
    before_s = time.monotonic()
    with Capture(source) as capture:
        while capture.skipped < 3:
            time.sleep(0.001)
        fourth = capture.take(10)
        assert fourth is not None
        assert (fourth.number, int(fourth.frame_bgr[0, 0, 0])) == (3, 3)
        assert before_s <= source.read_at_s[3] <= fourth.captured_monotonic_s <= time.monotonic()
        assert capture.take(0.0) is None
        before_end = capture.ended
        may_go_on.set()
        fifth = capture.take(10)
        assert fifth is not None
        assert fifth.number == 4
        assert capture.take(10) is None
        assert (before_end, capture.ended) == (False, True)
        assert capture.skipped == 3
    assert source.closed.is_set()


def test_the_last_frame_is_taken_before_the_end() -> None:
    capture = Capture(Script(3))
    capture.start()
    wait_for_end(capture)
    before_end = capture.ended
    last = capture.take(0.0)
    assert last is not None
    assert last.number == 2
    assert (before_end, capture.ended) == (False, True)
    assert capture.skipped == 2
    capture.stop()


def test_an_error_of_the_source_comes_out_of_take_after_the_frames() -> None:
    def fail(at: int) -> None:
        if at == 1:
            raise SourceError("the disk is gone: plug it in")

    capture = Capture(Script(5, before=fail))
    capture.start()
    wait_for_end(capture)
    assert capture.take(0.0) is not None
    for _ in range(2):
        with pytest.raises(SourceError, match="the disk is gone"):
            capture.take(10)
    capture.stop()


def test_reads_are_never_early() -> None:
    source = Script(40, fps=500.0)
    before_s = time.monotonic()
    capture = Capture(source, fps=200.0)
    capture.start()
    wait_for_end(capture)
    assert all(at_s >= before_s + n / 200 - 1e-6 for n, at_s in enumerate(source.read_at_s))


def test_a_live_source_is_thinned_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Script(60, live=True, fps=60.0)
    capture = Capture(source, fps=20.0)
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: source.at / 60)
        capture._run()
        last = capture.take(0.0)
    assert last is not None
    assert (last.number, int(last.frame_bgr[0, 0, 0])) == (19, 57)
    assert last.captured_monotonic_s == 58 / 60
    assert capture.skipped == 19


def test_a_live_source_is_read_as_it_comes() -> None:
    source = Script(50, live=True, fps=0.001)  # by a schedule it would take a day
    capture = Capture(source)
    capture.start()
    wait_for_end(capture)
    last = capture.take(0.0)
    assert last is not None
    assert last.number == 49
    assert capture.skipped == 49


@pytest.mark.parametrize(
    ("asked", "own", "live", "expected"),
    [
        (None, 25.0, False, 25.0),
        (None, None, True, None),
        (50.0, 25.0, False, 50.0),
        (50.0, 25.0, True, 25.0),
        (10.0, 25.0, True, 10.0),
        (10.0, None, True, 10.0),
    ],
)
def test_the_rate_that_is_told(
    asked: float | None, own: float | None, live: bool, expected: float | None
) -> None:
    assert Capture(Script(0, live=live, fps=own), asked).fps == expected


def test_stop_ends_a_long_wait_at_once() -> None:
    source = Script(5, fps=0.001)
    capture = Capture(source)
    capture.start()
    assert capture.take(10) is not None  # the next is due in a thousand seconds
    capture.stop()
    assert not capture._thread.is_alive()
    assert capture.take(10) is None
    assert capture.ended


def test_stop_wakes_a_taker() -> None:
    source = Script(5, fps=0.001)
    capture = Capture(source)
    capture.start()
    assert capture.take(10) is not None
    taken: list[object] = []
    taker = threading.Thread(target=lambda: taken.append(capture.take(600)))
    taker.start()
    capture.stop()
    taker.join(10)
    assert taken == [None]


def test_stop_does_not_wait_for_a_source_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udpstream.capture, "_JOIN_S", 0.02)
    hanging, release = threading.Event(), threading.Event()

    def hang(at: int) -> None:
        if at == 1:
            hanging.set()
            release.wait(10)

    source = Script(5, live=True, before=hang)
    capture = Capture(source)
    capture.start()
    assert hanging.wait(10)
    capture.stop()
    assert capture._thread.is_alive()
    assert capture._thread.daemon
    release.set()
    wait_for_end(capture)


def test_a_capture_that_was_never_started_can_be_stopped() -> None:
    source = Script(5)
    capture = Capture(source)
    capture.stop()
    assert source.closed.is_set()
    assert capture.ended
