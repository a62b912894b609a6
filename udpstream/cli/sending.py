"""``udpstream send``: a source to a receiver."""

from __future__ import annotations

import time
from dataclasses import dataclass

from udpstream.adapters.address import split_host_port
from udpstream.adapters.sources import open_source
from udpstream.adapters.udp import Offload
from udpstream.capture import Capture
from udpstream.cli.signals import StopSignals
from udpstream.cli.terminal import StatusLine, print_lines, say
from udpstream.core.picture import Limits
from udpstream.core.rate import RateMeter
from udpstream.sender import CodecName, Parity, Sender, SenderWire

_STATUS_PERIOD_S = 0.5
_TAKE_S = 0.1  # how long a signal may wait for an answer


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


def send(options: SendOptions) -> None:
    """Send until the source ends, a bound is reached or a signal comes.

    Raises:
        UdpStreamError: the address, the source or the options cannot be had.
    """
    host, port = split_host_port(options.address, default_host="127.0.0.1")
    source = open_source(
        options.source, size_wh=options.size_wh, fps=options.fps, loop=options.loop, say=say
    )
    capture = Capture(source, options.fps)
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
        capture,  # last: its first frame waits for nobody
    ):
        say(f"sending {options.source} to {sender.address} as {options.codec}; Ctrl+C ends")
        begun_s = status_s = time.monotonic()
        rate = RateMeter()
        answered = False
        while not signals.event.is_set() and sender.stats.frames != options.frames:
            now_s = time.monotonic()
            if options.seconds is not None and now_s - begun_s >= options.seconds:
                break
            captured = capture.take(_TAKE_S)
            if captured is not None:
                sender.fps = capture.fps  # a camera tells its rate with its first picture
                sender.send(captured.frame_bgr, captured.captured_monotonic_s)
                rate.add(time.monotonic())
                answered = answered or sender.receiver_is_there
            elif capture.ended:
                break
            if now_s >= status_s:
                status.show([_status(sender, rate)])
                status_s = now_s + _STATUS_PERIOD_S
    lines = _summary(sender, capture, time.monotonic() - begun_s)
    if sender.stats.frames and sender.expects_answer and not answered:
        lines.append("  receiver  none answered: is one running there, and may UDP pass?")
    print_lines(lines)


def _status(sender: Sender, rate: RateMeter) -> str:
    fps = rate.per_second(time.monotonic())
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
    return "  ".join(fields)


def _summary(sender: Sender, capture: Capture, seconds: float) -> list[str]:
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
