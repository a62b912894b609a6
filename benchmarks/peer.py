"""What a peer is, and how one is run: a sending and a receiving process.

Both processes stamp with the monotonic clock, which processes of one machine share, and
hand their records to the parent when they are done, or each few seconds in a soak.
"""

from __future__ import annotations

import multiprocessing as mp
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.pictures import write_strip, write_words
from benchmarks.schedule import WARM_UP_FRAMES, due_numbers
from udpstream.bench.cores import stay_on
from udpstream.bench.pictures import moving_pictures

HOST = "127.0.0.1"
_START_S = 60.0  # how long a process may take to get ready, on a busy machine
_TAIL_S = 0.5  # how long the last frames may take to arrive

# What a camera driver has: the sender reuses a few buffers, which stay in the cache.
_RAW_BUFFERS = 4


@dataclass(frozen=True)
class Load:
    """What to send.

    Attributes:
        size_wh: of the pictures, in pixels.
        codec: how they travel.
        fps: frames a second; None sends as fast as it goes.
        seconds: for how long, warm-up not counted.
        seed: of the pictures.
        stock_buffer: receive into a socket buffer of 212,992 bytes, instead of as large a
            one as the peer asks for.
        quality: of JPEG.
    """

    size_wh: tuple[int, int]
    codec: Literal["raw", "jpeg"]
    fps: float | None
    seconds: float
    seed: int
    stock_buffer: bool = False
    quality: int = 80


class Sent(NamedTuple):
    """One frame at the sender; times are `time.perf_counter`'s."""

    number: int
    captured_s: float
    encode_s: float


class Received(NamedTuple):
    """One frame at the receiver; `decode_s` is part of what passed until `decoded_s`."""

    number: int
    decoded_s: float
    decode_s: float
    intact: bool


@dataclass(frozen=True)
class Run:
    """The records of one load, warm-up left out."""

    sent: list[Sent]
    received: list[Received]

    @property
    def sent_fps(self) -> float:
        """Frames a second at the sender, by intervals."""
        return _rate([frame.captured_s for frame in self.sent])

    @property
    def received_fps(self) -> float:
        """Frames a second at the receiver, torn ones too, by intervals."""
        return _rate([frame.decoded_s for frame in self.received])

    @property
    def intact_share(self) -> float:
        """Frames that arrived whole, by frames sent, 0 to 1."""
        numbers = {frame.number for frame in self.received if frame.intact}
        return len(numbers & {frame.number for frame in self.sent}) / max(1, len(self.sent))

    def latencies_ms(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Capture to decoded of each frame, `(n,)` ms: in all, and less encode and decode."""
        sent = {frame.number: frame for frame in self.sent}
        pairs = [(sent[there.number], there) for there in self.received if there.number in sent]
        total = np.array([there.decoded_s - here.captured_s for here, there in pairs])
        codec = np.array([here.encode_s + there.decode_s for here, there in pairs])
        return total * 1e3, (total - codec) * 1e3


class Peer(Protocol):
    """One way to carry frames from process to process."""

    name: str

    def missing(self) -> str | None:
        """How to get what this peer needs, or None if it can run here."""

    def run(self, load: Load) -> Run:
        """Carry a load once."""


Send: TypeAlias = Callable[[Load, int], Iterator[Sent]]
Receive: TypeAlias = Callable[[Load, int, Event, Event], Iterator[Received]]
"""Takes the load, a free port, and two events: `ready`, to be set, and `stop`, to heed."""


def frames_to_send(load: Load) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Numbers and marked pictures, each yielded when it is due."""
    pictures = moving_pictures(load.size_wh, load.seed)
    if load.codec == "raw":
        pictures = pictures[:_RAW_BUFFERS]
    mark = write_words if load.codec == "raw" else write_strip
    for number in due_numbers(load.fps, load.seconds):
        picture = pictures[number % len(pictures)]
        mark(picture, number)
        yield number, picture


class Pair:
    """The two processes of a run, started; each sends batches of records to us."""

    def __init__(
        self, send: Send, receive: Receive, load: Load, flush_s: float = float("inf")
    ) -> None:
        """Start the receiver, wait until it is bound, then start the sender."""
        context = mp.get_context("spawn")
        self._ready, self._stop = context.Event(), context.Event()
        port = _free_port()
        self._received, theirs = context.Pipe(duplex=False)
        self.receiver = context.Process(
            target=_child,
            args=(1, receive, theirs, flush_s, load, port, self._ready, self._stop),
            daemon=True,
        )
        self.receiver.start()
        deadline_s = time.monotonic() + _START_S
        while not self._ready.wait(0.1):
            if not self.receiver.is_alive() or time.monotonic() > deadline_s:
                self.receiver.terminate()
                self._raise_for(self._received)
        self._sent, theirs = context.Pipe(duplex=False)
        self.sender = context.Process(
            target=_child, args=(0, send, theirs, flush_s, load, port), daemon=True
        )
        self.sender.start()

    def sent(self) -> list[Sent] | None:
        """The sender's next batch, or None at its end; waits for it."""
        return self._next(self._sent)

    def received(self, timeout_s: float | None = None) -> list[Received] | None:
        """The receiver's next batch, or None at its end or where none comes in time."""
        return self._next(self._received) if self._received.poll(timeout_s) else None

    def finish(self) -> None:
        """Let the last frames arrive and tell the receiver to end."""
        time.sleep(_TAIL_S)
        self._stop.set()

    def close(self) -> None:
        """Wait for both processes to end, and end one that hangs."""
        self._stop.set()
        for process in (self.sender, self.receiver):
            process.join(10)
            if process.is_alive():
                process.terminate()

    def _next(self, connection: Connection) -> list[Any] | None:
        records: list[Any] | str | None = connection.recv()
        if isinstance(records, str):
            raise RuntimeError(f"a benchmark process failed:\n{records}")
        return records

    def _raise_for(self, connection: Connection) -> None:
        if connection.poll(1):
            self._next(connection)
        raise RuntimeError("a benchmark's receiver did not get ready")


def run_pair(send: Send, receive: Receive, load: Load) -> Run:
    """Carry a load between two fresh processes and collect the records of both."""
    pair = Pair(send, receive, load)
    try:
        sent = pair.sent() or []
        pair.finish()
        return run_of(sent, pair.received() or [])
    finally:
        pair.close()


def run_of(sent: list[Sent], received: list[Received]) -> Run:
    """Leave the warm-up out."""
    return Run(
        [frame for frame in sent if frame.number >= WARM_UP_FRAMES],
        [frame for frame in received if frame.number >= WARM_UP_FRAMES],
    )


def _child(
    core: int,
    function: Callable[..., Iterator[Sent | Received]],
    connection: Connection,
    flush_s: float,
    *args: object,
) -> None:
    try:
        stay_on(core)
        batch: list[Sent | Received] = []
        flush_at_s = time.monotonic() + flush_s
        for record in function(*args):
            batch.append(record)
            if time.monotonic() >= flush_at_s:
                connection.send(batch)
                batch = []
                flush_at_s += flush_s
        connection.send(batch)
        connection.send(None)
    except Exception:  # noqa: BLE001 - the parent raises it again
        connection.send(traceback.format_exc())


def _rate(stamps_s: list[float]) -> float:
    span_s = stamps_s[-1] - stamps_s[0] if len(stamps_s) > 1 else 0.0
    return (len(stamps_s) - 1) / span_s if span_s else 0.0


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((HOST, 0))
        return int(udp.getsockname()[1])
