"""The windows' logic on a made-up window system and clock; one run on a real X server."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.score_tools import result_of, scored_of
from tests.screen_tools import MISSING_TOOLS, x_server
from udpstream.adapters import overlay
from udpstream.adapters.codec import encode
from udpstream.adapters.pose_overlay import PoseOverlay
from udpstream.adapters.window import MAX_WINDOWS, Windows
from udpstream.core.ledger import Ledger, Loss, StreamReport
from udpstream.frame import Frame, Stream
from udpstream.protocol import Codec
from udpstream.scored import Scored
from udpstream.scoring import ENDED, Result
from udpstream.sinks import Sink


class FakeGui:
    """A window system that keeps what it is shown, and does what a test's user does."""

    def __init__(self) -> None:
        self.shown: dict[str, NDArray[np.uint8]] = {}
        self.sizes_wh: dict[str, tuple[int, int]] = {}
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.keys: list[int] = []
        self.mapped: set[str] = set()
        self.polls = 0
        self.maps_at_poll = True
        self.threads: set[int] = set()

    def open(self, title: str, size_wh: tuple[int, int]) -> None:
        self.threads.add(threading.get_ident())
        self.opened.append(title)
        self.sizes_wh[title] = size_wh

    def show(self, title: str, image_bgr: NDArray[np.uint8]) -> None:
        self.threads.add(threading.get_ident())
        self.shown[title] = image_bgr

    def room_wh(self, title: str) -> tuple[int, int] | None:
        return self.sizes_wh[title] if title in self.mapped else None

    def visible(self, title: str) -> bool:
        return title in self.mapped

    def poll_key(self) -> int:
        self.threads.add(threading.get_ident())
        self.polls += 1
        if self.maps_at_poll:
            self.mapped |= self.sizes_wh.keys()
        return self.keys.pop(0) if self.keys else -1

    def close(self, title: str) -> None:
        self.closed.append(title)
        self._forget(title)

    def user_closes(self, title: str) -> None:
        self._forget(title)

    def _forget(self, title: str) -> None:
        self.mapped.discard(title)
        del self.sizes_wh[title]
        del self.shown[title]


class Bench:
    """Windows on a `FakeGui`, a clock that a test turns, and frames made by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.gui = FakeGui()
        self.said: list[str] = []
        self.lines: list[str] = []
        self.windows = Windows(self.said.append, gui=self.gui, clock=lambda: self.now)

        def note_line(canvas_bgr: NDArray[np.uint8], text: str) -> None:
            self.lines.append(text)

        monkeypatch.setattr(overlay, "draw_line", note_line)

    def step(self, after_s: float = 0.0) -> bool:
        self.now += after_s
        return self.windows.step(0)

    def show(self, stream: Stream, level: int = 200) -> bool:
        self.windows.deliver(raw_frame(stream, level=level))
        return self.step()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def stream_of(camera: str = "cam", id_: int = 1) -> Stream:
    return Stream(id=id_, camera=camera, address="192.0.2.7:5000", epoch=9, wire="indexed")


def raw_frame(
    stream: Stream,
    *,
    level: int = 200,
    size_wh: tuple[int, int] = (32, 24),
    latency_s: float | None = 0.002,
) -> Frame:
    payload = bytes([level]) * (size_wh[0] * size_wh[1] * 3)
    return Frame(stream, 0, Codec.RAW, size_wh, memoryview(payload), 1.0, 1.0, latency_s)


def broken_frame(stream: Stream) -> Frame:
    picture = np.zeros((24, 32, 3), np.uint8)
    payload = encode(Codec.JPEG, picture, 80).tobytes()[:40]
    return Frame(stream, 0, Codec.JPEG, (32, 24), memoryview(payload), 1.0, 1.0, 0.002)


def report_of(
    stream: Stream, *, fps: float | None = 30.0, delivered: int = 0, lost: int = 0
) -> StreamReport:
    ledger = Ledger(sent=delivered + lost, delivered=delivered)
    ledger.lost[Loss.MISSING] = lost
    return StreamReport(stream, ledger, "raw", (32, 24), 0.0, 1.0, fps, None, 0)


def title_of(camera: str) -> str:
    return f"udpstream - {camera}"


def test_it_is_a_sink(bench: Bench) -> None:
    sink: Sink = bench.windows
    sink.deliver(raw_frame(stream_of()))
    sink.update(report_of(stream_of()))
    sink.ended(stream_of(), report_of(stream_of()))


def test_nothing_is_opened_before_a_camera_is_there(bench: Bench) -> None:
    assert bench.step()
    assert bench.gui.opened == []
    assert bench.gui.polls == 0


def test_each_camera_has_a_window_of_its_own(bench: Bench) -> None:
    bench.windows.deliver(raw_frame(stream_of("a", 1), level=10))
    bench.windows.deliver(raw_frame(stream_of("b", 2), level=20))
    assert bench.step()
    assert {title: int(image.max()) for title, image in bench.gui.shown.items()} == {
        title_of("a"): 10,
        title_of("b"): 20,
    }


def test_the_latest_frame_wins_and_the_others_count_as_skipped(bench: Bench) -> None:
    stream = stream_of()
    for level in (1, 2, 3):
        bench.windows.deliver(raw_frame(stream, level=level))
    bench.step()
    assert bench.gui.shown[title_of("cam")].max() == 3
    assert bench.windows.counts(stream) == {"shown": 1, "skipped": 2, "undecodable": 0}


def test_delivering_touches_no_window(bench: Bench) -> None:
    stream = stream_of()

    def receive() -> None:
        bench.windows.deliver(raw_frame(stream))
        bench.windows.update(report_of(stream))
        bench.windows.ended(stream, report_of(stream))

    receiver = threading.Thread(target=receive)
    receiver.start()
    receiver.join()
    assert bench.gui.threads == set()
    bench.step()
    assert bench.gui.threads == {threading.get_ident()}


def test_a_step_is_woken_by_a_frame(bench: Bench) -> None:
    feeder = threading.Timer(0.05, bench.windows.deliver, [raw_frame(stream_of())])
    feeder.start()
    assert bench.windows.step(60)
    feeder.join()
    assert bench.gui.opened == [title_of("cam")]


def test_with_a_window_open_a_step_comes_back_to_poll_it(bench: Bench) -> None:
    bench.show(stream_of())
    polls = bench.gui.polls
    assert bench.windows.step(60)  # no news: it must not wait a minute
    assert bench.gui.polls == polls + 1


@pytest.mark.parametrize(
    ("size_wh", "window_wh"),
    [((32, 24), (32, 24)), ((1920, 1080), (1280, 720)), ((720, 1280), (405, 720))],
)
def test_a_window_opens_at_the_pictures_size_within_limits(
    bench: Bench, size_wh: tuple[int, int], window_wh: tuple[int, int]
) -> None:
    bench.windows.deliver(raw_frame(stream_of(), size_wh=size_wh))
    bench.step()
    assert bench.gui.sizes_wh[title_of("cam")] == window_wh
    shown = bench.gui.shown[title_of("cam")]
    assert (shown.shape[1], shown.shape[0]) == window_wh


def test_a_picture_is_fitted_to_a_window_that_the_user_resized(bench: Bench) -> None:
    bench.show(stream_of())
    bench.gui.sizes_wh[title_of("cam")] = (16, 16)
    bench.show(stream_of())
    assert bench.gui.shown[title_of("cam")].shape == (12, 16, 3)


@pytest.mark.parametrize("key", [ord("q"), ord("Q"), 27])
def test_q_and_escape_end_all(bench: Bench, key: int) -> None:
    bench.show(stream_of())
    bench.gui.keys = [ord("x"), key]
    assert bench.step()
    assert not bench.step()
    assert not bench.step()  # for good
    bench.windows.close()
    assert bench.gui.closed == [title_of("cam")]


def test_the_close_button_closes_one_window_and_that_of_the_last_ends(bench: Bench) -> None:
    first, second = stream_of("a", 1), stream_of("b", 2)
    bench.show(first)
    bench.show(second)
    bench.gui.user_closes(title_of("a"))
    assert bench.step()
    assert bench.show(first)
    assert title_of("a") not in bench.gui.shown
    assert bench.windows.counts(first)["skipped"] == 1
    bench.gui.user_closes(title_of("b"))
    assert not bench.step()
    assert bench.gui.closed == []  # what the user closed is not closed again


def test_a_window_that_is_not_up_yet_is_not_taken_for_closed(bench: Bench) -> None:
    bench.gui.maps_at_poll = False
    for _ in range(3):
        assert bench.show(stream_of())
    bench.gui.maps_at_poll = True
    assert bench.step()
    bench.gui.user_closes(title_of("cam"))
    assert not bench.step()


def test_a_closed_window_comes_back_when_its_camera_starts_anew(bench: Bench) -> None:
    bench.show(stream_of("other", 1))
    bench.show(stream_of("cam", 2))
    bench.gui.user_closes(title_of("cam"))
    bench.step()
    bench.windows.ended(stream_of("cam", 2), report_of(stream_of("cam", 2)))
    bench.step()
    assert title_of("cam") not in bench.gui.shown
    bench.show(stream_of("cam", 3))
    assert title_of("cam") in bench.gui.shown


def test_a_camera_that_restarts_keeps_its_window(bench: Bench) -> None:
    bench.show(stream_of(id_=1))
    bench.windows.deliver(raw_frame(stream_of(id_=2), level=77))
    bench.windows.ended(stream_of(id_=1), report_of(stream_of(id_=1)))  # noticed later
    bench.step()
    bench.show(stream_of(id_=1), level=11)  # a straggler of the old run
    assert bench.gui.opened == [title_of("cam")]
    assert bench.gui.shown[title_of("cam")].max() == 77
    assert bench.windows.counts(stream_of(id_=1)) == {"shown": 1, "skipped": 1, "undecodable": 0}
    assert "no signal" not in bench.lines[-1]


def test_the_last_frame_and_the_end_may_come_together(bench: Bench) -> None:
    stream = stream_of()
    bench.windows.deliver(raw_frame(stream))
    bench.windows.ended(stream, report_of(stream))
    bench.step()
    assert bench.windows.counts(stream)["shown"] == 1
    assert bench.lines[-1] == "cam   no signal for 0 s - waiting"


def test_the_window_of_a_camera_that_left_closes_while_others_live(bench: Bench) -> None:
    gone, live = stream_of("gone", 1), stream_of("live", 2)
    bench.show(gone)
    bench.show(live)
    bench.windows.ended(gone, report_of(gone))
    bench.step()
    bench.step(after_s=4.9)
    bench.show(live)
    assert bench.gui.closed == []
    bench.step(after_s=0.2)
    assert bench.gui.closed == [title_of("gone")]
    assert list(bench.gui.shown) == [title_of("live")]
    bench.show(stream_of("gone", 3))
    assert bench.gui.opened.count(title_of("gone")) == 2


def test_the_last_window_waits_dimmed_until_the_camera_is_back(bench: Bench) -> None:
    first, last = stream_of("a", 1), stream_of("b", 2)
    bench.show(first)
    bench.show(last)
    bench.windows.ended(first, report_of(first))
    bench.step(after_s=0.5)
    bench.windows.ended(last, report_of(last))
    bench.step()
    assert bench.step(after_s=3600)
    assert bench.gui.closed == [title_of("a")]
    assert bench.gui.shown[title_of("b")].max() == 80  # 40 % of 200
    assert bench.lines[-1] == "b   no signal for 60 min - waiting"
    bench.show(stream_of("b", 3))
    assert bench.gui.shown[title_of("b")].max() == 200
    assert "no signal" not in bench.lines[-1]


def test_a_silent_camera_is_marked_once_a_second(bench: Bench) -> None:
    bench.show(stream_of())
    drawn = len(bench.lines)
    for _ in range(9):
        bench.step(after_s=0.1)
    assert len(bench.lines) == drawn
    for _ in range(21):
        bench.step(after_s=0.1)
    assert bench.lines[drawn:] == [f"cam   no signal for {n} s - waiting" for n in (1, 2, 3)]


def test_a_slow_camera_is_not_silent_between_its_frames(bench: Bench) -> None:
    bench.windows.update(report_of(stream_of(), fps=0.5))
    bench.show(stream_of())
    bench.step(after_s=5.9)
    assert "no signal" not in bench.lines[-1]
    bench.step(after_s=0.2)
    assert "no signal for 6 s" in bench.lines[-1]


def test_a_broken_picture_is_counted_said_once_and_the_good_one_stays(bench: Bench) -> None:
    stream = stream_of()
    bench.show(stream, level=123)
    for _ in range(3):
        bench.windows.deliver(broken_frame(stream))
        assert bench.step(after_s=0.9)
    assert bench.gui.shown[title_of("cam")].max() == 123
    assert "no signal" not in bench.lines[-1]
    assert bench.windows.counts(stream) == {"shown": 1, "skipped": 0, "undecodable": 3}
    assert len(bench.said) == 1
    assert bench.said[0].startswith("cam sent a frame that cannot be shown: ")
    bench.windows.deliver(broken_frame(stream_of(id_=2)))  # another stream says it again
    bench.step()
    assert len(bench.said) == 2


def test_the_line_tells_what_is_known(bench: Bench) -> None:
    stream = stream_of()
    bench.windows.deliver(raw_frame(stream, latency_s=0.0014))
    bench.step()
    assert bench.lines == ["cam   32x24 raw   - fps   loss -   latency -"]
    bench.windows.update(report_of(stream, fps=29.97, delivered=199, lost=1))
    bench.now += 0.5
    bench.show(stream)
    assert bench.lines[-1] == "cam   32x24 raw   30.0 fps   loss 0.50 %   latency 1.4 ms"


def test_the_latency_is_the_median_of_what_was_shown_lately(bench: Bench) -> None:
    stream = stream_of()
    for latency_s in (0.001, 0.002, 0.9, 0.0):
        bench.windows.deliver(raw_frame(stream, latency_s=latency_s))
        bench.now += 0.003  # until the step shows it
        bench.step()
    bench.now += 0.5
    bench.show(stream)
    assert bench.lines[-1].endswith("latency 4.5 ms")
    assert bench.windows.latency_ms(stream)["p99"] == pytest.approx(903, rel=0.01)


def test_an_unknown_latency_stays_a_dash(bench: Bench) -> None:
    stream = stream_of()
    for _ in range(3):
        bench.windows.deliver(raw_frame(stream, latency_s=None))
        bench.step(after_s=0.6)
    assert bench.lines[-1].endswith("latency -")
    assert bench.windows.latency_ms(stream) == {"p50": None, "p95": None, "p99": None}


def test_windows_are_bounded(bench: Bench) -> None:
    streams = [stream_of(f"cam{n}", n) for n in range(MAX_WINDOWS + 2)]
    for _ in range(2):
        for stream in streams:
            bench.windows.deliver(raw_frame(stream))
        assert bench.step()
    assert len(bench.gui.shown) == MAX_WINDOWS
    assert bench.windows.counts(streams[-1]) == {"shown": 0, "skipped": 2, "undecodable": 0}
    assert bench.said == ["16 windows are open: further cameras are not shown"]


def test_memory_is_bounded_however_many_streams_come(bench: Bench) -> None:
    streams = [stream_of(f"cam{n}", n) for n in range(1000)]
    for stream in streams:
        bench.windows.deliver(raw_frame(stream))
        bench.windows.update(report_of(stream))
        bench.windows.ended(stream, report_of(stream))
    assert len(bench.windows._news) == 64
    assert len(bench.windows._tallies) <= 256
    assert bench.windows.counts(streams[-1])["skipped"] == 1


def test_what_is_delivered_is_shown_skipped_or_undecodable(bench: Bench) -> None:
    stream = stream_of()
    rng = np.random.default_rng(5)
    delivered = 500
    for draw in rng.random(delivered):
        frame = broken_frame(stream) if draw < 0.2 else raw_frame(stream)
        bench.windows.deliver(frame)
        if draw > 0.5:
            bench.step()
    bench.step()
    assert sum(bench.windows.counts(stream).values()) == delivered


# On a real X server

_PLAYER = """
import sys, threading
from tests.test_window import raw_frame, stream_of
from udpstream.adapters.window import Windows

windows = Windows(print)
stop = threading.Event()

def feed():
    while not stop.wait(0.02):
        for id_, camera in enumerate(("left", "right"), 1):
            windows.deliver(raw_frame(stream_of(camera, id_), size_wh=(320, 240)))

feeder = threading.Thread(target=feed)
feeder.start()
while windows.step(0.2):
    pass
stop.set()
feeder.join()
windows.close()
print("ended by the user")
"""


def wait_for(get: Callable[[], list[str]], count: int) -> list[str]:
    """Return what `get` gives as soon as it is that many, or its last answer after 20 s."""
    until = time.monotonic() + 20
    while len(found := get()) != count and time.monotonic() < until:
        time.sleep(0.05)
    return found


@pytest.mark.skipif(bool(MISSING_TOOLS), reason=f"needs {' and '.join(MISSING_TOOLS)}")
def test_real_windows_open_and_q_ends_them() -> None:
    with ExitStack() as stack:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("QT_")}
        inherited.pop("WAYLAND_DISPLAY", None)
        env = inherited | {"DISPLAY": stack.enter_context(x_server())}
        player = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", _PLAYER],
                env=env,
                cwd=Path(__file__).parents[1],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(player.kill)

        def windows_called(pattern: str) -> list[str]:
            found = subprocess.run(
                ["xdotool", "search", "--onlyvisible", "--name", pattern],
                env=env,
                capture_output=True,
                text=True,
                check=False,
                timeout=20,
            )
            return found.stdout.split()

        assert len(wait_for(lambda: windows_called("^udpstream - (left|right)$"), 2)) == 2
        (left,) = windows_called("^udpstream - left$")
        subprocess.run(
            ["xdotool", "windowfocus", "--sync", left, "key", "q"], env=env, check=True, timeout=20
        )
        said, complained = player.communicate(timeout=20)
        assert player.returncode == 0
        assert said == "ended by the user\n"
        assert "QFontDatabase" not in complained
        assert "qt.qpa" not in complained


def test_a_frame_that_others_keep_does_not_keep_the_decoded_picture(bench: Bench) -> None:
    frame = raw_frame(stream_of())
    bench.windows.deliver(frame)
    assert bench.step()
    assert "image" not in vars(frame)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """The numbers of the scored frames that were drawn, and whether with their poses."""
    calls: list[tuple[int, bool]] = []

    def note(
        overlay: PoseOverlay, canvas_bgr: NDArray[np.uint8], scored: Scored, *, pose: bool = True
    ) -> None:
        calls.append((scored.frame, pose))

    monkeypatch.setattr(PoseOverlay, "draw", note)
    return calls


class ScoredBench(Bench):
    """A bench whose frames come 30 times a second, with scores that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        self.scores: dict[Stream, Scored] = {}
        self.windows = Windows(
            self.said.append, scores=self.scores.get, gui=self.gui, clock=lambda: self.now
        )

    def frame(self, stream: Stream, number: int) -> None:
        self.now = 100 + number / 30
        self.windows.deliver(replace(raw_frame(stream), number=number))
        self.step()

    def score(self, stream: Stream, number: int, result: Result | None = None) -> None:
        self.scores[stream] = scored_of(number, stream=stream, result=result)


@pytest.fixture
def scored_bench(monkeypatch: pytest.MonkeyPatch) -> ScoredBench:
    return ScoredBench(monkeypatch)


def test_the_latest_score_is_drawn_on_the_latest_frame(
    scored_bench: ScoredBench, drawn: list[tuple[int, bool]]
) -> None:
    stream = stream_of()
    scored_bench.frame(stream, 0)
    assert drawn == []  # shown at once, though there is no score yet
    assert title_of("cam") in scored_bench.gui.shown
    scored_bench.score(stream, 0)
    scored_bench.frame(stream, 1)
    scored_bench.frame(stream, 2)
    scored_bench.score(stream, 2)
    scored_bench.frame(stream, 4)
    assert drawn == [(0, True), (0, True), (2, True)]


def test_a_score_does_not_wait_long_for_the_next_picture(
    scored_bench: ScoredBench, drawn: list[tuple[int, bool]]
) -> None:
    stream = stream_of()
    scored_bench.frame(stream, 0)
    scored_bench.score(stream, 0)
    scored_bench.step(0.04)
    assert drawn == []  # the next picture may be there at once
    scored_bench.step(0.02)
    scored_bench.step(0.2)
    assert drawn == [(0, True)]
    scored_bench.score(stream, 1)
    scored_bench.step(5.0)
    assert drawn == [(0, True)]  # the camera is silent, and its picture dimmed


def test_a_pose_that_is_too_old_is_dropped_and_then_its_score(
    scored_bench: ScoredBench, drawn: list[tuple[int, bool]]
) -> None:
    stream = stream_of()
    scored_bench.frame(stream, 0)
    scored_bench.score(stream, 0)
    for number in range(1, 90):
        scored_bench.frame(stream, number)
    with_pose = [pose for _, pose in drawn]
    assert with_pose == [True] * 9 + [False] * 51  # 0.3 s, and 2 s


def test_that_the_reference_has_ended_stays(
    scored_bench: ScoredBench, drawn: list[tuple[int, bool]]
) -> None:
    stream = stream_of()
    scored_bench.score(stream, 0, result_of(score=None, reason=ENDED))
    for number in range(100):
        scored_bench.frame(stream, number)
    assert drawn[-1] == (0, False)
    assert len(drawn) == 100


def test_a_score_of_a_frame_that_no_window_showed_is_drawn(
    scored_bench: ScoredBench, drawn: list[tuple[int, bool]]
) -> None:
    stream = stream_of()
    scored_bench.frame(stream, 0)
    scored_bench.score(stream, 7)  # skipped here
    scored_bench.frame(stream, 8)
    scored_bench.score(stream, 9)  # delivered, but not yet shown
    scored_bench.frame(stream, 10)
    scored_bench.score(stream, 12)
    scored_bench.frame(stream, 11)
    assert drawn == [(7, True), (9, True), (12, True)]
    scored_bench.score(stream, 7)
    scored_bench.frame(stream, 30)
    assert drawn[-1] == (7, False)  # it grows old all the same


def test_each_window_has_its_own_score(
    scored_bench: ScoredBench, drawn: list[tuple[int, bool]]
) -> None:
    one, two = stream_of("one", 1), stream_of("two", 2)
    scored_bench.score(one, 3)
    scored_bench.frame(one, 3)
    scored_bench.frame(two, 3)
    assert drawn == [(3, True)]


def test_a_silent_camera_has_no_score(
    scored_bench: ScoredBench, drawn: list[tuple[int, bool]]
) -> None:
    stream = stream_of()
    scored_bench.score(stream, 0)
    scored_bench.frame(stream, 0)
    scored_bench.step(after_s=5)
    assert "no signal" in scored_bench.lines[-1]
    assert drawn == [(0, True)]


def test_without_scoring_nothing_is_drawn(bench: Bench, drawn: list[tuple[int, bool]]) -> None:
    bench.show(stream_of())
    assert title_of("cam") in bench.gui.shown
    assert drawn == []
