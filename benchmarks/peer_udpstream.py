"""The link itself, through its public Sender and Receiver."""

from __future__ import annotations

import time
from collections.abc import Iterator
from multiprocessing.synchronize import Event

from benchmarks.peer import (
    HOST,
    Load,
    Received,
    Run,
    Sent,
    frames_to_send,
    run_pair,
)
from benchmarks.pictures import read_strip, read_words
from udpstream import Codec, Frame, Receiver, Sender, Stream, StreamReport
from udpstream.adapters.codec import encode
from udpstream.adapters.udp import DEFAULT_RECEIVE_BUFFER_BYTES
from udpstream.core.pacing import STOCK_RECEIVE_BUFFER_BYTES
from udpstream.receiver import QUEUE_FRAMES


class UdpStream:
    """The link with its defaults. Encodes by itself only to time it, as `Sender.send` does."""

    name = "udpstream"

    def missing(self) -> str | None:
        """Needs nothing."""
        return None

    def run(self, load: Load) -> Run:
        """Carry raw or JPEG frames."""
        return run_pair(send, receive, load)


def send(load: Load, port: int) -> Iterator[Sent]:
    """The sending process."""
    codec = Codec(load.codec)
    # Nothing gives way: a smaller picture would be a faster one.
    with Sender(
        HOST, port, codec=load.codec, quality=load.quality, fps=load.fps, adapt=False
    ) as sender:
        for number, frame_bgr in frames_to_send(load):
            captured_monotonic_s, captured_s = time.monotonic(), time.perf_counter()
            payload = encode(codec, frame_bgr, load.quality)
            encode_s = time.perf_counter() - captured_s
            sender.send_encoded(payload, codec, load.size_wh, captured_monotonic_s)
            yield Sent(number, captured_s, encode_s)


def receive(load: Load, port: int, ready: Event, stop: Event) -> Iterator[Received]:
    """The receiving process: raw frames by a sink, which sees all; JPEG by `read`."""
    buffer_bytes = STOCK_RECEIVE_BUFFER_BYTES if load.stock_buffer else DEFAULT_RECEIVE_BUFFER_BYTES
    marks = _Marks()
    raw = load.codec == "raw"
    with Receiver(
        HOST,
        port,
        receive_buffer_bytes=buffer_bytes,
        queue_frames=0 if raw else QUEUE_FRAMES,
        sinks=(marks,) if raw else (),
    ) as receiver:
        ready.set()
        if not raw:
            yield from _decoded(receiver, stop)
        stop.wait()
    yield from marks.received


def _decoded(receiver: Receiver, stop: Event) -> Iterator[Received]:
    while not stop.is_set():
        frame = receiver.read(timeout=0.1)
        if frame is not None:
            begun_s = time.perf_counter()
            image = frame.image
            decoded_s = time.perf_counter()
            yield Received(read_strip(image), decoded_s, decoded_s - begun_s, intact=True)


class _Marks:
    """A sink that keeps the mark of each raw frame, and no frame."""

    def __init__(self) -> None:
        self.received: list[Received] = []

    def deliver(self, frame: Frame) -> None:
        number, intact = read_words(frame.payload)
        self.received.append(Received(number, time.perf_counter(), 0.0, intact))

    def ended(self, stream: Stream, report: StreamReport) -> None:
        """Nothing to finish."""

    def update(self, report: StreamReport) -> None:
        """Nothing to show."""
