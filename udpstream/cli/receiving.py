"""``udpstream receive``: streams to windows and recordings."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from udpstream.adapters.address import split_host_port
from udpstream.adapters.recorder import Recorder, RecordingSummary
from udpstream.adapters.screen import screen_problem
from udpstream.adapters.udp import Offload
from udpstream.adapters.window import Windows
from udpstream.cli.score_options import ScoreOptions
from udpstream.cli.scoring import LiveScoring, load_score_reference
from udpstream.cli.signals import StopSignals
from udpstream.cli.terminal import (
    StatusLine,
    print_lines,
    recording_summary,
    say,
    stream_status,
    stream_summary,
)
from udpstream.core.ledger import StreamReport
from udpstream.core.receiving import Wire
from udpstream.errors import DisplayError, UdpStreamError
from udpstream.frame import Frame, Stream
from udpstream.receiver import Receiver
from udpstream.sinks import Sink

_STATUS_PERIOD_S = 0.5
_STEP_S = 0.1  # how long a signal may wait for an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveOptions:
    """The options of ``udpstream receive``, checked by the command line."""

    address: str
    wire: Wire
    size_wh: tuple[int, int]
    record: Path | None
    record_raw_as: Literal["mjpeg", "ffv1"]
    display: Literal["auto", "on", "off"]
    receive_buffer_bytes: int
    offload: Offload
    frames: int | None
    seconds: float | None
    stats: Path | None
    latency_budget_s: float
    score: ScoreOptions | None = None
    score_to: Path = Path("recordings")  # where nothing is recorded


class FrameLimit:
    """Hands frames on to other sinks, up to a number of them, and then sets an event."""

    def __init__(self, most: int | None, sinks: Sequence[Sink], reached: threading.Event) -> None:
        self._left = most
        self._sinks = sinks
        self._reached = reached

    def deliver(self, frame: Frame) -> None:
        """Hand a frame on, if it is not one too many."""
        if self._left is not None:
            if self._left == 0:
                return
            self._left -= 1
        for sink in self._sinks:
            sink.deliver(frame)
        if self._left == 0:
            self._reached.set()

    def ended(self, stream: Stream, report: StreamReport) -> None:
        """Hand it on."""
        for sink in self._sinks:
            sink.ended(stream, report)

    def update(self, report: StreamReport) -> None:
        """Hand it on."""
        for sink in self._sinks:
            sink.update(report)


def receive(options: ReceiveOptions) -> None:
    """Receive until a bound is reached, the last window is closed or a signal comes.

    Raises:
        UdpStreamError: the address, the recordings' folder or a window cannot be had, or
            the statistics cannot be written.
    """
    host, port = split_host_port(options.address, default_host="0.0.0.0")
    with contextlib.ExitStack() as closing, StopSignals() as signals:
        recorder = None
        if options.record:
            recorder = Recorder(options.record, raw_codec=options.record_raw_as, say=say)
            closing.callback(recorder.close)
        scoring = _scoring(options, recorder, signals.event)
        if scoring is not None:
            closing.callback(scoring.close)
        windows = _windows(options.display, scoring)
        if windows is not None:
            closing.callback(windows.close)
        if scoring is not None:
            scoring.wait(signals.event)
            if signals.event.is_set():
                return
        sinks: list[Sink] = [sink for sink in (recorder, scoring, windows) if sink is not None]
        receiver = Receiver(
            host,
            port,
            wire=options.wire,
            classic_size_wh=options.size_wh,
            receive_buffer_bytes=options.receive_buffer_bytes,
            latency_budget_s=options.latency_budget_s,
            offload=options.offload,
            queue_frames=0,
            sinks=[FrameLimit(options.frames, sinks, signals.event)],
            say=say,
        )
        if scoring is not None:
            scoring.connect(receiver.send_result)
        with receiver, StatusLine() as status:
            say(f"listening on {receiver.address}; Ctrl+C ends")
            _watch(receiver, windows, scoring, status, signals.event, options.seconds)
        if receiver.error is not None:
            raise receiver.error
    try:
        if options.stats is not None:
            _write_stats(options.stats, _stats(receiver, recorder, windows, scoring))
    finally:
        _print_summary(receiver, recorder, windows, scoring)


def _scoring(
    options: ReceiveOptions, recorder: Recorder | None, stop: threading.Event
) -> LiveScoring | None:
    if options.score is None:
        return None
    reference = load_score_reference(options.score, stop)
    if reference is None:
        return None
    return LiveScoring(reference, options.score, options.score_to, recorder)


def _windows(display: Literal["auto", "on", "off"], scoring: LiveScoring | None) -> Windows | None:
    if display == "off":
        return None
    problem = screen_problem()
    if problem is None:
        return Windows(say, scores=None if scoring is None else scoring.latest)
    if display == "on":
        raise DisplayError(f"{problem}. Use --display off, or start it where there is a screen.")
    say(f"no window: {problem}")
    return None


def _watch(
    receiver: Receiver,
    windows: Windows | None,
    scoring: LiveScoring | None,
    status: StatusLine,
    stop: threading.Event,
    seconds: float | None,
) -> None:
    begun_s = status_s = time.monotonic()
    while not stop.is_set() and receiver.error is None:
        now_s = time.monotonic()
        if seconds is not None and now_s - begun_s >= seconds:
            return
        if windows is None:
            stop.wait(_STEP_S)
        elif not windows.step(_STEP_S):
            return
        if now_s >= status_s:
            lines = []
            for report in receiver.live_reports():
                lines.append(stream_status(report))
                if scoring is not None:
                    lines += scoring.status(report.stream)
            status.show(lines or ["waiting for a camera"])
            status_s = now_s + _STATUS_PERIOD_S


def _print_summary(
    receiver: Receiver,
    recorder: Recorder | None,
    windows: Windows | None,
    scoring: LiveScoring | None,
) -> None:
    recordings = recorder.recordings() if recorder is not None else []
    reports = receiver.reports()
    for report in reports:
        stages_ms = report.stages_ms()
        if windows is not None:
            stages_ms |= windows.stages_ms(report.stream)
        print_lines(stream_summary(report, stages_ms))
        for recording in recordings:
            if recording.stream == report.stream:
                print_lines(recording_summary(recording))
        if scoring is not None:
            print_lines(scoring.summary(report.stream))
    if not reports:
        print_lines([f"no frames came to {receiver.address}"])


def _stats(
    receiver: Receiver,
    recorder: Recorder | None,
    windows: Windows | None,
    scoring: LiveScoring | None,
) -> dict[str, object]:
    streams = []
    for report in receiver.reports():
        entry = report.as_dict()
        if windows is not None:
            entry["stages_ms"] = {**report.stages_ms(), **windows.stages_ms(report.stream)}
            entry["display"] = {
                **windows.counts(report.stream),
                "latency_ms": windows.latency_ms(report.stream),
            }
        if scoring is not None:
            entry["score"] = scoring.stats(report.stream)
        streams.append(entry)
    return {
        "address": receiver.address,
        "receive_buffer_bytes": receiver.receive_buffer_bytes,
        "dropped_datagrams": dict(receiver.dropped),
        "streams": streams,
        "recordings": [_recording(each) for each in recorder.recordings()] if recorder else [],
    }


def _write_stats(path: Path, stats: dict[str, object]) -> None:
    try:
        path.write_text(json.dumps(stats, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UdpStreamError(f"cannot write {path}: {error.strerror}") from error


def _recording(recording: RecordingSummary) -> dict[str, object]:
    return {
        "stream": recording.stream.id,
        "folder": str(recording.path),
        "files": list(recording.files),
        "frames_written": recording.frames_written,
        "frames_not_written": recording.frames_not_written,
        "error": recording.error,
    }
