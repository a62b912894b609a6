"""How fast the link is on this machine: two processes on loopback, and the work they do."""

from __future__ import annotations

import multiprocessing as mp
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

import numpy as np

from udpstream.adapters.codec import DEFAULT_QUALITY, decode, encode
from udpstream.adapters.udp import UdpSender
from udpstream.bench.cores import on_core, stay_on
from udpstream.bench.pictures import moving_pictures
from udpstream.core import parity
from udpstream.core.ledger import StreamReport
from udpstream.errors import UdpStreamError
from udpstream.frame import Frame, Stream
from udpstream.protocol import DEFAULT_DATAGRAM_BYTES, HEADER_BYTES, Codec
from udpstream.receiver import Receiver
from udpstream.sender import Sender

SIZE_WH = (640, 480)
_HOST = "127.0.0.1"
_SEED = 1
_FPS = 30.0
_WARM_UP_FRAMES = 15  # not counted: handshakes and first-use costs
_TAIL_S = 0.3  # for the last frames to arrive
_PARITY_CHUNKS = 8
_REPEATS = 50
_RAW_BUFFERS = 4  # what a camera driver has, which stay in the cache

# The bare loop's socket options, from linux/udp.h.
_SOL_UDP, _UDP_GRO = 17, 104
_TIMEOUT = struct.pack("@ll", 0, 100_000)  # a timeval, 0.1 s


@dataclass(frozen=True, slots=True)
class Flow:
    """Frames sent from one process to another.

    Attributes:
        sent_fps: frames a second that left.
        whole_fps: frames a second that arrived whole.
        whole_share: of those sent, 0 to 1.
        latency_ms: p50, p95 and p99 from capture to whole, encoding included.
        sender_cpu_ms, receiver_cpu_ms: processor time a frame.
    """

    sent_fps: float
    whole_fps: float
    whole_share: float
    latency_ms: tuple[float, float, float]
    sender_cpu_ms: float
    receiver_cpu_ms: float


@dataclass(frozen=True, slots=True)
class Work:
    """What the processor does for one frame, median times in milliseconds."""

    size_wh: tuple[int, int]
    jpeg_bytes: int
    encode_ms: float
    decode_ms: float
    parity_ms: float


def work(size_wh: tuple[int, int]) -> Work:
    """Time the codec and the parity of one frame, on one core."""
    pictures = moving_pictures(size_wh, _SEED)[:_RAW_BUFFERS]
    jpegs = [encode(Codec.JPEG, picture, DEFAULT_QUALITY) for picture in pictures]
    chunk_bytes = DEFAULT_DATAGRAM_BYTES - HEADER_BYTES
    chunks = -(-len(jpegs[0]) // chunk_bytes)
    blocks = -(-chunks // (parity.MAX_CHUNKS - _PARITY_CHUNKS))
    rows = np.resize(jpegs[0], (-(-chunks // blocks), chunk_bytes))
    repeats = _REPEATS if size_wh == SIZE_WH else _REPEATS // 4
    return Work(
        size_wh,
        len(jpegs[0]),
        _median_ms(lambda n: encode(Codec.JPEG, pictures[n % 4], DEFAULT_QUALITY), repeats),
        _median_ms(lambda n: decode(Codec.JPEG, jpegs[n % 4].data, size_wh), repeats),
        blocks * _median_ms(lambda _: parity.encode(rows, _PARITY_CHUNKS), repeats),
    )


def flat_out(codec: Codec, seconds: float, stop: threading.Event) -> Flow:
    """Send frames that are encoded already, as fast as it goes."""
    pictures = moving_pictures(SIZE_WH, _SEED)[:_RAW_BUFFERS]
    payloads = [encode(codec, picture, DEFAULT_QUALITY) for picture in pictures]

    def send(sender: Sender) -> Iterator[float]:
        end_s = time.monotonic() + seconds
        number = 0
        while (now_s := time.monotonic()) < end_s and not stop.is_set():
            sender.send_encoded(payloads[number % len(payloads)], codec, SIZE_WH, now_s)
            number += 1
            yield now_s

    return _flow(codec, None, send)


def at_frame_rate(seconds: float, stop: threading.Event) -> Flow:
    """Encode and send JPEG frames at 30 fps, as from a camera."""
    pictures = moving_pictures(SIZE_WH, _SEED)

    def send(sender: Sender) -> Iterator[float]:
        begun_s = time.monotonic()
        for number in range(round(seconds * _FPS)):
            if stop.wait(max(0.0, begun_s + number / _FPS - time.monotonic())):
                return
            captured_s = time.monotonic()
            sender.send(pictures[number % len(pictures)], captured_s)
            yield captured_s

    return _flow(Codec.JPEG, _FPS, send)


def bare_bytes_per_second(seconds: float, stop: threading.Event) -> float:
    """What a loop of bare socket calls carries when nobody looks at the bytes."""
    with _other_end(_receive_bare) as (port, other), on_core(0):
        sender = UdpSender(_HOST, port)
        most = sender.most_together(DEFAULT_DATAGRAM_BYTES)
        datagrams = np.zeros((most, DEFAULT_DATAGRAM_BYTES), np.uint8)
        begun_s = time.monotonic()
        while time.monotonic() < begun_s + seconds and not stop.is_set():
            sender.send_all(datagrams)
        sender.close()
        received_bytes, took_s = _end(other)
        return float(received_bytes / took_s) if took_s else 0.0


def _flow(codec: Codec, fps: float | None, send: Callable[[Sender], Iterator[float]]) -> Flow:
    with _other_end(_receive_frames) as (port, other), on_core(0):
        adapt = fps is not None  # flat out is meant so
        with Sender(_HOST, port, codec=codec.value, fps=fps, adapt=adapt) as sender:
            picture = moving_pictures(SIZE_WH, _SEED)[0]
            for _ in range(_WARM_UP_FRAMES):
                sender.send(picture)
                time.sleep(1 / _FPS)
            begun_cpu_s = time.process_time()
            sent_s = list(send(sender))
            sender_cpu_s = time.process_time() - begun_cpu_s
            time.sleep(_TAIL_S)
        arrived, receiver_cpu_s = _end(other)
    if len(sent_s) < 2:
        raise UdpStreamError("stopped before there was anything to measure")
    whole_s = {
        number - _WARM_UP_FRAMES: at_s for number, at_s in arrived if number >= _WARM_UP_FRAMES
    }
    latencies_ms = [1e3 * (at_s - sent_s[n]) for n, at_s in whole_s.items() if n < len(sent_s)]
    p50, p95, p99 = np.percentile(latencies_ms or [np.nan], (50, 95, 99)).tolist()
    return Flow(
        sent_fps=_rate(sent_s),
        whole_fps=_rate(list(whole_s.values())),
        whole_share=len(whole_s) / len(sent_s),
        latency_ms=(p50, p95, p99),
        sender_cpu_ms=1e3 * sender_cpu_s / len(sent_s),
        receiver_cpu_ms=1e3 * receiver_cpu_s / max(1, len(arrived)),
    )


# -- the other end, a process of its own ------------------------------------------


@contextmanager
def _other_end(receive: Callable[[Connection], None]) -> Iterator[tuple[int, Connection]]:
    """Start a receiving process; yield its port, and the connection that ends it."""
    context = mp.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(receive, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield _hear(ours), ours
    finally:
        ours.close()
        process.join(5)
        if process.is_alive():
            process.terminate()


def _end(other: Connection) -> Any:
    """Tell the other end to stop; return what it has to say."""
    other.send(None)
    return _hear(other)


def _hear(other: Connection) -> Any:
    try:
        heard = other.recv()
    except EOFError as error:
        raise UdpStreamError("the receiving process of this measurement ended") from error
    if isinstance(heard, str):
        raise UdpStreamError(f"the receiving process of this measurement failed: {heard}")
    return heard


def _child(receive: Callable[[Connection], None], connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the parent's
    stay_on(1)
    try:
        receive(connection)
    except (UdpStreamError, OSError, EOFError) as error:
        connection.send(str(error))


def _receive_frames(connection: Connection) -> None:
    marks = _Marks()
    with Receiver(_HOST, 0, queue_frames=0, sinks=(marks,)) as receiver:
        connection.send(receiver.port)
        begun_s = time.process_time()
        connection.recv()
        took_s = time.process_time() - begun_s
    connection.send((marks.arrived, took_s))


def _receive_bare(connection: Connection) -> None:
    room = bytearray(1 << 16)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        if sys.platform == "linux":
            udp.setsockopt(_SOL_UDP, _UDP_GRO, 1)
        udp.settimeout(0.1)
        udp.bind((_HOST, 0))
        connection.send(udp.getsockname()[1])
        total, first_s, last_s = 0, 0.0, 0.0
        while not connection.poll():
            try:
                for _ in range(1000):
                    total += udp.recv_into(room)
                    last_s = time.monotonic()
                    first_s = first_s or last_s
            except TimeoutError:
                continue
        connection.send((total, last_s - first_s))


class _Marks:
    """A sink that keeps each frame's number and time, and no frame."""

    def __init__(self) -> None:
        self.arrived: list[tuple[int, float]] = []

    def deliver(self, frame: Frame) -> None:
        self.arrived.append((frame.number, time.monotonic()))

    def ended(self, stream: Stream, report: StreamReport) -> None:
        """Nothing to finish."""

    def update(self, report: StreamReport) -> None:
        """Nothing to show."""


def _rate(stamps_s: list[float]) -> float:
    span_s = stamps_s[-1] - stamps_s[0] if len(stamps_s) > 1 else 0.0
    return (len(stamps_s) - 1) / span_s if span_s > 0 else 0.0


def _median_ms(function: Callable[[int], object], repeats: int) -> float:
    took_s = []
    for number in range(repeats):
        begun_s = time.perf_counter()
        function(number)
        took_s.append(time.perf_counter() - begun_s)
    return 1e3 * median(took_s)
