"""``udpstream send``: a source to a receiver."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import Literal

from udpstream.adapters import overlay
from udpstream.adapters.address import split_host_port
from udpstream.adapters.preview import Preview
from udpstream.adapters.score_replies import words_of_reply
from udpstream.adapters.screen import screen_problem
from udpstream.adapters.sources import DEFAULT_FPS, open_source
from udpstream.adapters.sources.dancer import DancerSource
from udpstream.adapters.udp import Offload
from udpstream.capture import Capture
from udpstream.cli.signals import StopSignals
from udpstream.cli.terminal import ProgressBar, StatusLine, print_lines, say
from udpstream.core.picture import Limits
from udpstream.protocol import Result
from udpstream.sender import CodecName, Parity, Sender, SenderWire
from udpstream.transmission import Transmission

_STATUS_PERIOD_S = 0.5
_STEP_S = 0.1  # how long a signal may wait for an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOptions:
    """The options of ``udpstream send``, checked by the command line."""

    address: str
    source: str
    loop: bool
    codec: CodecName
    quality: int
    size_wh: tuple[int, int] | None
    fps: float | None
    frames: int | None
    seconds: float | None
    wire: SenderWire
    datagram_bytes: int | None
    offload: Offload
    fec: Parity
    max_fec_percent: float
    adapt: bool
    limits: Limits
    preview: bool
    mirror: Literal["auto", "on", "off"]


def send(options: SendOptions) -> None:
    """Send until the source ends, a bound is reached, the preview is closed or a signal comes.

    Raises:
        UdpStreamError: the address, the source, the window or the options cannot be had.
    """
    host, port = split_host_port(options.address, default_host="127.0.0.1")
    source = open_source(
        options.source, size_wh=options.size_wh, fps=options.fps, loop=options.loop, say=say
    )
    capture = Capture(source, options.fps)
    if isinstance(source, DancerSource):
        with StopSignals() as signals:
            draw_dance(source, _most_frames(options, source.fps or DEFAULT_FPS), signals.event)
            if signals.event.is_set():
                return
    preview = _preview(options, is_camera=source.live) if options.preview else None
    try:
        with (
            StopSignals() as signals,
            Sender(
                host,
                port,
                codec=options.codec,
                quality=options.quality,
                fps=capture.fps,
                wire=options.wire,
                datagram_bytes=options.datagram_bytes,
                offload=options.offload,
                fec=options.fec,
                max_fec_percent=options.max_fec_percent,
                adapt=options.adapt,
                limits=options.limits,
            ) as sender,
            StatusLine() as status,
            Transmission(
                capture, sender, frames=options.frames, watch=preview.put if preview else None
            ) as transmission,
            capture,  # last: its first frame waits for nobody
        ):
            say(f"sending {options.source} to {sender.address} as {options.codec}; Ctrl+C ends")
            begun_s = time.monotonic()
            _watch(sender, transmission, preview, status, signals.event, options.seconds)
    finally:
        if preview is not None:
            preview.close()
    if transmission.error is not None:
        raise transmission.error
    lines = sent_summary(sender, capture, time.monotonic() - begun_s)
    if sender.stats.frames and sender.expects_answer and not transmission.answered:
        lines.append("  receiver  none answered: is one running there, and may UDP pass?")
    print_lines(lines)


def draw_dance(source: DancerSource, most: float, stop: threading.Event) -> None:
    """Draw a dance before it begins, behind a progress bar.

    So it keeps time, whatever else this machine has to do meanwhile.

    Args:
        source: who dances.
        most: how many frames will be wanted, unless the dance comes round before.
        stop: once set, it is given up.
    """
    count = math.ceil(min(most, source.frames_a_round))
    with ProgressBar("drawing the dance") as bar:
        for number in range(count):
            if stop.is_set():
                return
            source.draw(number)
            bar.show(number + 1, count)


def _most_frames(options: SendOptions, fps: float) -> float:
    seconds = math.inf if options.seconds is None else options.seconds
    return min(math.inf if options.frames is None else options.frames, seconds * fps)


def _preview(options: SendOptions, *, is_camera: bool) -> Preview | None:
    problem = screen_problem()
    if problem is not None:
        say(f"no window: {problem}")
        return None
    # Who looks at themselves expects a mirror; in a film, or a test card, they are not.
    mirrored = is_camera if options.mirror == "auto" else options.mirror == "on"
    return Preview(mirrored=mirrored)


def _watch(
    sender: Sender,
    transmission: Transmission,
    preview: Preview | None,
    status: StatusLine,
    stop: threading.Event,
    seconds: float | None,
) -> None:
    """Tell how it goes, until it ends or is to end."""
    end_s = math.inf if seconds is None else time.monotonic() + seconds
    status_s = -math.inf
    fields: list[str] = []
    while not (stop.is_set() or transmission.ended):
        now_s = time.monotonic()
        if now_s >= end_s:
            return
        if now_s >= status_s:
            fields = _status(sender, transmission)
            lines = ["  ".join(fields)]
            if (result := sender.result) is not None:
                lines.append(_said(result))
            status.show(lines)
            status_s = now_s + _STATUS_PERIOD_S
        wait_s = min(_STEP_S, end_s - now_s)
        if preview is None:
            transmission.wait(wait_s)
        elif not preview.step(sender.result, overlay.FIELD_GAP.join(fields), wait_s):
            return


def _status(sender: Sender, transmission: Transmission) -> list[str]:
    fps = transmission.fps
    fields = [
        sender.address,
        f"{'-' if fps is None else f'{fps:.1f}'} fps",
        f"{sender.stats.frames:,} frames",
    ]
    if sender.expects_answer:
        there = sender.receiver_is_there
        fields.append("receiver there" if there else "no answer from a receiver")
    if sender.adaptation:
        fields.append(sender.adaptation)
    return fields


def _said(result: Result) -> str:
    """What a receiver says of the performer, in 80 columns."""
    words = words_of_reply(result)
    fields = words.reason, words.score, words.verdict, words.hint or words.detail
    return "  ".join(filter(None, fields))


def sent_summary(sender: Sender, capture: Capture, seconds: float) -> list[str]:
    """What was sent, in a few lines of about 80 columns."""
    stats = sender.stats
    encode, send_ = stats.encode.summary_ms(), stats.send.summary_ms()
    megabytes, on_the_wire = stats.payload_bytes / 1e6, stats.wire_bytes / 1e6
    lines = [
        f"sent {stats.frames:,} frames to {sender.address} in {seconds:.1f} s",
        f"  data      {megabytes:,.1f} MB of pictures, {on_the_wire:,.1f} MB on the wire",
    ]
    if stats.parity_bytes or stats.repair_bytes:
        lines.append(
            f"  repair    {stats.parity_bytes / 1e6:,.2f} MB of it parity, "
            f"{stats.repair_bytes / 1e6:,.2f} MB asked for again"
        )
    if stats.left_out:
        lines.append(f"  left out  {stats.left_out:,} frames, for a link that is too narrow")
    if stats.frames:
        lines.append(
            f"  times     encoding p50 {encode['p50']:.2f} ms, p99 {encode['p99']:.2f}; "
            f"sending p50 {send_['p50']:.2f}, p99 {send_['p99']:.2f}"
        )
    if capture.skipped:
        lines.append(f"  skipped   {capture.skipped:,} captured frames, for later ones")
    return lines
