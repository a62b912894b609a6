"""Datagrams for the tests, and two cores joined by simulated links."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from udpstream.bench import rehearsal
from udpstream.core.ledger import Ledger
from udpstream.core.packetize import Packetizer
from udpstream.core.receiving import Event, FrameArrived, ReceiverCore, StreamEnded
from udpstream.core.sending import SenderCore
from udpstream.core.simulated import SimulatedLink
from udpstream.core.streams import Address
from udpstream.protocol import Codec

SIZE_WH = (640, 480)
WALL_S = 1_700_000_000.0
SENDER = rehearsal.SENDER


def payload_of(number: int, length: int = 1000) -> NDArray[np.uint8]:
    """The bytes of frame `number`; no two frames share them."""
    return np.random.default_rng([number, length]).integers(0, 256, length, dtype=np.uint8)


def datagrams_of(
    number: int, length: int = 1000, *, epoch: int = 1, datagram_bytes: int = 124,
    codec: Codec = Codec.JPEG, size_wh: tuple[int, int] = SIZE_WH, parity: int = 0,
) -> NDArray[np.uint8]:  # fmt: skip
    """All datagrams of frame `number`, `(N, D)` uint8; ten of them unless told otherwise."""
    packetizer = Packetizer(epoch, datagram_bytes)
    payload, captured_us = payload_of(number, length), 1000 * number
    frame = packetizer.packetize(
        payload, codec, size_wh, number, captured_us, (lambda _: parity) if parity else None
    )
    return frame.whole()


def balanced(ledger: Ledger) -> bool:
    """Whether nothing is counted twice or below zero."""
    counts = [ledger.sent, ledger.delivered, ledger.in_flight, *ledger.lost.values()]
    return (
        ledger.sent == ledger.delivered + sum(ledger.lost.values()) + ledger.in_flight
        and min(counts) >= 0
    )


def make_receiver(**options: object) -> ReceiverCore:
    """A receiver's core on a machine with a good clock."""
    defaults: dict[str, object] = {"wall_offset_s": WALL_S, "receive_buffer_bytes": 8 << 20}
    return ReceiverCore(**(defaults | options))  # type: ignore[arg-type]


def feed(
    core: ReceiverCore,
    datagrams: bytes | NDArray[np.uint8],
    now: float = 0.0,
    source: Address = SENDER,
    kernel_dropped: int = 0,
) -> list[Event]:
    """Feed one datagram or a batch of them; return what came of it."""
    if isinstance(datagrams, bytes):
        datagrams = np.frombuffer(datagrams, np.uint8)[None, :]
    core.feed(source, datagrams, kernel_dropped, now)
    return core.events()


def frames_in(events: list[Event]) -> list[FrameArrived]:
    return [event for event in events if isinstance(event, FrameArrived)]


def ended_in(events: list[Event]) -> list[StreamEnded]:
    return [event for event in events if isinstance(event, StreamEnded)]


class JoinedCores(rehearsal.Rehearsal):
    """A sender's core and a receiver's, over two simulated links, on simulated time.

    The sender's clock is ahead of the receiver's by `ahead_s`.
    """

    def __init__(
        self,
        there: SimulatedLink,
        back: SimulatedLink,
        *,
        fps: float = 30.0,
        ahead_s: float = 0.0,
        datagram_bytes: int = 124,
    ) -> None:
        sender = SenderCore(
            epoch=0x1234, session=99, datagram_bytes=datagram_bytes, interval_s=1 / fps,
            wall_offset_s=WALL_S + ahead_s,
        )  # fmt: skip
        super().__init__(sender, make_receiver(), there, back)
        self.interval_s = 1 / fps
        self.check: Callable[[], None] = lambda: None

    def send(self, payload: NDArray[np.uint8]) -> None:
        """Send one frame, then let its interval pass."""
        self.send_frame(payload, Codec.JPEG, SIZE_WH)
        self.run(self.interval_s)

    def run(self, duration_s: float) -> None:
        """Let time pass, from one thing that happens to the next."""
        self.run_until(self.now + duration_s)

    def _step(self) -> None:
        super()._step()
        self.check()
