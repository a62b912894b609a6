"""A sink that shows each camera in a window of its own.

Frames come in on the receive thread, which only swaps the latest one per camera; all else
(decoding, drawing, every call to the window system) is done by `step` on the main thread,
where the window systems of OpenCV want to be called.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from udpstream.adapters import overlay
from udpstream.adapters.codec import decode
from udpstream.adapters.pose_overlay import PoseOverlay
from udpstream.adapters.screen import HighGui
from udpstream.core.histogram import Histogram
from udpstream.core.ledger import StreamReport
from udpstream.core.tallies import Tallies
from udpstream.errors import FrameError
from udpstream.frame import Frame, Stream
from udpstream.scored import Scored

MAX_WINDOWS = 16  # more cannot be told apart on a screen

_MAX_CAMERAS = 64  # with news waiting; step() empties it at every turn
_FIRST_SIZE_WH = 1280, 720  # at most; leaves room for title bars on a 1366x768 laptop
POLL_S = 0.03  # a window that is not polled this often feels stuck
_STATUS_S = 0.5  # digits that change faster cannot be read
_SILENT_S = 1.0
_KEEP_ENDED_S = 5.0
# A pose is of a frame before the one that is shown, mostly by 30 to 60 ms, which is the
# price of a picture that never waits. Behind by more than this it hangs beside the body.
_POSE_S = 0.3
_SCORE_S = 2.0  # ... but what was said of it still stands
_NEXT_PICTURE_S = 0.05  # so long a score waits to be drawn on the next picture: at 20 fps and more
QUIT_KEYS = frozenset({ord("q"), ord("Q"), 27})  # 27: Escape


class Gui(Protocol):
    """What `Windows` needs of a window system; `screen.HighGui` is the real one."""

    def open(self, title: str, size_wh: tuple[int, int]) -> None:
        """Open a window that can be resized."""

    def show(self, title: str, image_bgr: NDArray[np.uint8]) -> None:
        """Hand a picture to a window; it is painted by the next `poll_key`."""

    def room_wh(self, title: str) -> tuple[int, int] | None:
        """Return the size of a window's picture area, None where it has none."""

    def visible(self, title: str) -> bool:
        """Tell whether a window is still there."""

    def poll_key(self) -> int:
        """Let the windows paint and answer; return a key, or -1."""

    def close(self, title: str) -> None:
        """Close a window that the user has not closed."""


def first_size(picture_wh: tuple[int, int]) -> tuple[int, int]:
    """Return the size at which a window for such pictures opens."""
    width, height = picture_wh
    scale = min(_FIRST_SIZE_WH[0] / width, _FIRST_SIZE_WH[1] / height, 1.0)
    return max(1, round(width * scale)), max(1, round(height * scale))


@dataclass(slots=True)
class _News:
    """What came of one camera since the last step: the latest of each."""

    frame: Frame | None = None
    delivered_at: float = 0.0
    report: StreamReport | None = None
    ended: Stream | None = None


@dataclass(slots=True)
class _Tally:
    """Counts of one stream. delivered = shown + skipped + undecodable + at most 1 waiting."""

    shown: int = 0
    skipped: int = 0
    undecodable: int = 0
    latency: Histogram = field(default_factory=Histogram)
    decode: Histogram = field(default_factory=Histogram)
    display: Histogram = field(default_factory=Histogram)


@dataclass(slots=True)
class _View:
    """One camera's window."""

    stream: Stream
    image_bgr: NDArray[np.uint8]
    first_wh: tuple[int, int]
    heard_at: float
    title: str
    is_open: bool = True
    was_visible: bool = False  # a window is not visible before the system has put it up
    ended_at: float | None = None
    picture_text: str = ""  # "640x480 jpeg"
    report: StreamReport | None = None
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=32))
    status: str = ""
    status_at: float = float("-inf")
    drawn: str = ""  # the line on the picture that is shown
    came: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=512))
    score: PoseOverlay = field(default_factory=PoseOverlay)
    scored: Scored | None = None  # whose score was there when the picture was drawn

    def age_s(self, number: int) -> float:
        """Return how long before the frame that is shown the frame of a number came."""
        latest_at = self.came[-1][1]
        return next((latest_at - at for each, at in self.came if each >= number), 0.0)

    def learn(self, report: StreamReport | None) -> None:
        """Keep a report, if it is of the stream that is shown."""
        if report is not None and report.stream == self.stream:
            self.report = report

    def silence(self, now: float) -> str | None:
        """Return what to say of a camera that has fallen silent, None of one that has not."""
        silent_s = now - self.heard_at
        fps = self.report.frames_per_second if self.report else None
        # a camera of one frame in two seconds is not silent in between
        if silent_s <= max(_SILENT_S, 3 / fps if fps else 0.0) and self.ended_at is None:
            return None
        since = f"{silent_s:.0f} s" if silent_s < 120 else f"{silent_s / 60:.0f} min"
        return f"{self.stream.camera}{overlay.FIELD_GAP}no signal for {since} - waiting"


class Windows:
    """Shows the latest frame of each camera in a window of its own.

    `deliver`, `ended` and `update` make it a `sinks.Sink` and may be called on any thread;
    `step` and `close` are for the main thread. `q` or Escape in any window ends all; a
    window's close button closes that camera's window until the camera starts anew.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        *,
        scores: Callable[[Stream], Scored | None] | None = None,
        gui: Gui | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open nothing yet: windows open as cameras come.

        Args:
            say: prints a line.
            scores: tells the latest scored frame of a stream, which is drawn on the latest
                frame; None where there is no scoring. Called on the main thread.
            gui: the window system; OpenCV's for None.
            clock: tells the time, in seconds.
        """
        self._say = say
        self._scores = scores
        self._gui: Gui = HighGui() if gui is None else gui
        self._clock = clock
        self._news_came = threading.Condition()
        self._news: dict[str, _News] = {}  # by camera; guarded by the condition
        self._tallies = Tallies(_Tally)  # guarded by it too
        self._views: dict[str, _View] = {}  # by camera; the main thread's own
        self._said_too_many = False
        self._done = False

    # On the receive thread

    def deliver(self, frame: Frame) -> None:
        """Keep a frame as the camera's latest; one that is overwritten counts as skipped."""
        with self._news_came:
            news = self._news_of(frame.stream)
            if news is None:
                self._tallies.keep(frame.stream).skipped += 1
                return
            if news.frame is not None:
                self._tallies.keep(news.frame.stream).skipped += 1
            news.frame, news.delivered_at = frame, self._clock()
            self._news_came.notify()

    def ended(self, stream: Stream, report: StreamReport) -> None:
        """Note that a stream ended: its window closes soon, if it is not the last one."""
        with self._news_came:
            news = self._news_of(stream)
            if news is not None:
                news.ended, news.report = stream, report
                self._news_came.notify()

    def update(self, report: StreamReport) -> None:
        """Keep a stream's latest report for the status line."""
        with self._news_came:
            news = self._news_of(report.stream)
            if news is not None:
                news.report = report

    # On any thread

    def counts(self, stream: Stream) -> dict[str, int]:
        """Return how many of a stream's frames were shown, skipped and undecodable."""
        with self._news_came:
            tally = self._tallies.look(stream)
            return {
                "shown": tally.shown,
                "skipped": tally.skipped,
                "undecodable": tally.undecodable,
            }

    def latency_ms(self, stream: Stream) -> dict[str, float | None]:
        """Return p50, p95 and p99 from capture to shown; None where it cannot be known."""
        with self._news_came:
            tally = self._tallies.look(stream)
            return tally.latency.summary_ms()

    def stages_ms(self, stream: Stream) -> dict[str, dict[str, float | None]]:
        """Return p50, p95 and p99 of decoding, and of all else from delivered to shown."""
        with self._news_came:
            tally = self._tallies.look(stream)
            return {"decode": tally.decode.summary_ms(), "display": tally.display.summary_ms()}

    # On the main thread

    def step(self, timeout_s: float) -> bool:
        """Wait for news, show it, and let the windows answer the user.

        Returns after at most `timeout_s`, and while a window is open after 0.03 s, so
        call it in a loop.

        Returns:
            False when the user has had enough: `q`, Escape, or the last window closed.

        Raises:
            DisplayError: a window could not be opened.
        """
        if self._done:
            return False
        open_before = self._open_views()
        with self._news_came:
            if not self._news:
                self._news_came.wait(min(timeout_s, POLL_S) if open_before else timeout_s)
            arrived, self._news = self._news, {}
        for camera, news in arrived.items():
            self._take(camera, news)
        self._mind_silence()
        self._mind_scores()
        self._done = not self._answer_user()
        return not self._done

    def close(self) -> None:
        """Close all windows."""
        for view in self._open_views():
            self._gui.close(view.title)
        self._views.clear()

    def _news_of(self, stream: Stream) -> _News | None:
        """Return the camera's place in the inbox, None where that is full."""
        if stream.camera not in self._news and len(self._news) >= _MAX_CAMERAS:
            return None
        return self._news.setdefault(stream.camera, _News())

    def _open_views(self) -> list[_View]:
        return [view for view in self._views.values() if view.is_open]

    def _take(self, camera: str, news: _News) -> None:
        # The frame first: it may be the last one of the stream that ended, or the first
        # one of the stream that follows it, which the end then no longer concerns.
        if news.frame is not None:
            self._take_frame(news.frame, news.delivered_at, news.report)
        view = self._views.get(camera)
        if view is None:
            return
        view.learn(news.report)
        if news.ended == view.stream:
            view.ended_at = self._clock()
            if not view.is_open:
                del self._views[camera]

    def _take_frame(self, frame: Frame, delivered_at: float, report: StreamReport | None) -> None:
        stream = frame.stream
        view = self._views.get(stream.camera)
        stale = view is not None and stream.id < view.stream.id
        closed_by_user = view is not None and stream == view.stream and not view.is_open
        if stale or closed_by_user or not self._has_room_for(view):
            with self._news_came:
                self._tallies.keep(stream).skipped += 1
            return
        begun_s = self._clock()
        try:
            # Not `frame.image`, which keeps the picture as long as a recorder keeps the frame.
            image_bgr = decode(frame.codec, frame.payload, frame.size_wh)
        except FrameError as error:
            self._count_undecodable(stream, error)
            if view is not None and view.stream == stream:
                view.heard_at = delivered_at
            return
        decode_s = self._clock() - begun_s
        if view is None or view.stream != stream:
            view = self._open_view(stream, image_bgr, delivered_at)
        view.learn(report)  # before the line is written
        view.image_bgr, view.heard_at, view.ended_at = image_bgr, delivered_at, None
        view.came.append((frame.number, delivered_at))
        view.picture_text = f"{frame.size_wh[0]}x{frame.size_wh[1]} {frame.codec.name.lower()}"
        self._draw(view, self._status(view), dimmed=False)
        with self._news_came:
            tally = self._tallies.keep(stream)
            tally.shown += 1
            here_s = self._clock() - delivered_at
            tally.decode.add(decode_s)
            tally.display.add(here_s - decode_s)
            if frame.latency_s is not None:
                latency_s = frame.latency_s + here_s
                tally.latency.add(latency_s)
                view.latencies_s.append(latency_s)

    def _has_room_for(self, view: _View | None) -> bool:
        if (view is not None and view.is_open) or len(self._open_views()) < MAX_WINDOWS:
            return True
        if not self._said_too_many:
            self._said_too_many = True
            self._say(f"{MAX_WINDOWS} windows are open: further cameras are not shown")
        return False

    def _count_undecodable(self, stream: Stream, error: FrameError) -> None:
        with self._news_came:
            tally = self._tallies.keep(stream)
            tally.undecodable += 1
            is_first = tally.undecodable == 1
        if is_first:
            self._say(
                f"{stream.camera} sent a frame that cannot be shown: {error}; "
                "the last good picture stays, and further ones are counted"
            )

    def _open_view(self, stream: Stream, image_bgr: NDArray[np.uint8], now: float) -> _View:
        """Open a window for a stream, or let it take over that of the camera's last run."""
        before = self._views.get(stream.camera)
        view = _View(
            stream=stream,
            image_bgr=image_bgr,
            first_wh=first_size((image_bgr.shape[1], image_bgr.shape[0])),
            heard_at=now,
            title=f"udpstream - {stream.camera}",
        )
        if before is not None and before.is_open:
            view.was_visible = before.was_visible
        else:
            self._gui.open(view.title, view.first_wh)
        self._views[stream.camera] = view
        return view

    def _status(self, view: _View) -> str:
        now = self._clock()
        if now - view.status_at >= _STATUS_S:
            view.status = _status_line(
                view.stream, view.picture_text, view.report, view.latencies_s
            )
            view.status_at = now
            view.latencies_s.clear()
        return view.status

    def _draw(self, view: _View, line: str, *, dimmed: bool) -> None:
        room_wh = self._gui.room_wh(view.title) or view.first_wh
        canvas_bgr = overlay.canvas(view.image_bgr, room_wh)
        if dimmed:
            overlay.dim(canvas_bgr)
        elif self._scores is not None:
            view.scored = self._scores(view.stream)
            self._draw_score(canvas_bgr, view, view.scored)
        overlay.draw_line(canvas_bgr, line)
        self._gui.show(view.title, canvas_bgr)
        view.drawn = line

    def _draw_score(
        self, canvas_bgr: NDArray[np.uint8], view: _View, scored: Scored | None
    ) -> None:
        if scored is None:
            return
        age_s = view.age_s(scored.frame)
        if age_s <= _SCORE_S or scored.result.ended:
            view.score.draw(canvas_bgr, scored, pose=age_s <= _POSE_S)

    def _mind_silence(self) -> None:
        """Mark the cameras that are silent; close the windows of those that left."""
        now = self._clock()
        for view in sorted(self._open_views(), key=lambda view: view.heard_at):
            gone = view.ended_at is not None and now - view.ended_at > _KEEP_ENDED_S
            if gone and len(self._open_views()) > 1:
                self._gui.close(view.title)
                del self._views[view.stream.camera]
                continue
            line = view.silence(now)
            if line is not None and line != view.drawn:
                self._draw(view, line, dimmed=True)

    def _mind_scores(self) -> None:
        """Draw the scores that came after their pictures, where the next picture keeps away."""
        if self._scores is None:
            return
        now = self._clock()
        for view in self._open_views():
            waits = now - view.heard_at < _NEXT_PICTURE_S or view.silence(now) is not None
            if not waits and self._scores(view.stream) is not view.scored:
                self._draw(view, self._status(view), dimmed=False)

    def _answer_user(self) -> bool:
        """Let the windows paint; return False when the user wants to end."""
        views = self._open_views()
        if not views:
            return True
        if self._gui.poll_key() in QUIT_KEYS:
            return False
        for view in views:
            if self._gui.visible(view.title):
                view.was_visible = True
            elif view.was_visible:
                view.is_open = False
        return bool(self._open_views())


def _status_line(
    stream: Stream,
    picture_text: str,
    report: StreamReport | None,
    latencies_s: deque[float],
) -> str:
    """Return the line under a live picture; what is not known is a dash."""
    fps = report.frames_per_second if report else None
    # an offset between clocks that is off by more than the latency makes it negative
    latency_ms = max(0.0, statistics.median(latencies_s) * 1e3) if latencies_s else None
    fields = (
        stream.camera,
        picture_text,
        "- fps" if fps is None else f"{fps:.1f} fps",
        "loss -" if report is None else f"loss {report.ledger.lost_share * 100:.2f} %",
        "latency -" if latency_ms is None else f"latency {latency_ms:.1f} ms",
    )
    return overlay.FIELD_GAP.join(fields)
