"""The real sender and receiver without sockets: joined by simulated links, on simulated time.

An hour of streaming passes in as long as its arithmetic takes, and comes out the same each time.
What machines add to it, encoding, scheduling and full socket buffers, is not in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from udpstream.core.pacing import STOCK_RECEIVE_BUFFER_BYTES, Pace, pace_frame
from udpstream.core.packetize import packetize_classic
from udpstream.core.receiving import Event, ReceiverCore
from udpstream.core.sending import SenderCore
from udpstream.core.streams import Address
from udpstream.protocol import (
    NO_ESTIMATE_US,
    Buffer,
    ClassicGeometry,
    Codec,
    Hello,
    pack_control,
    parse_control,
)

SENDER: Address = ("192.0.2.7", 40_001)
_BYES = 3  # as the sender says it


class Link(Protocol):
    """One direction between two machines, as `SimulatedLink` is."""

    def send(self, datagram: bytes, now: float) -> None:
        """Put a datagram on the link."""

    def deliver(self, now: float) -> list[bytes]:
        """Take off what has arrived."""

    def next_delivery(self) -> float | None:
        """When the next datagram arrives; None if none is under way."""


class _Stage:
    """Time, a receiver, and the link to it.

    Attributes:
        now: the time, in seconds from the beginning.
        events: what the receiver has told; for the caller to take.
        wire_bytes: UDP payload that the sender put on the link.
    """

    def __init__(self, receiver: ReceiverCore, there: Link) -> None:
        self.now = 0.0
        self.events: list[Event] = []
        self.wire_bytes = 0
        self.receiver = receiver
        self.there = there

    def run_until(self, end_s: float) -> None:
        """Let time pass, from one thing that happens to the next."""
        while True:
            due_s = min((due for due in self._dues() if due is not None), default=math.inf)
            if due_s > end_s:
                break
            self.now = max(self.now, due_s)
            self._step()
        self.now = max(self.now, end_s)

    def close(self) -> None:
        """End all streams, so that their last events come."""
        self.receiver.close(self.now)
        self.events += self.receiver.events()

    def _dues(self) -> list[float | None]:
        return [self.there.next_delivery(), self.receiver.next_timer()]

    def _step(self) -> None:
        """Do what is due now."""
        arrived = self.there.deliver(self.now)
        for size, group in groupby(arrived, key=len):  # as reads bring them, many at once
            datagrams = np.frombuffer(b"".join(group), np.uint8).reshape(-1, size)
            self.receiver.feed(SENDER, datagrams, 0, self.now)
        self.receiver.handle_timer(self.now)
        self.events += self.receiver.events()

    def _leave(
        self,
        pace: Pace,
        count: int,
        burst: Callable[[int, int], Sequence[Buffer] | NDArray[np.uint8]],
    ) -> None:
        begun_s = left_s = self.now
        for number, start in enumerate(range(0, count, pace.burst)):
            left_s = pace.due(begun_s, number, left_s)
            self.run_until(left_s)
            for datagram in burst(start, min(start + pace.burst, count)):
                self._put(bytes(datagram))

    def _put(self, datagram: bytes) -> None:
        self.wire_bytes += len(datagram)
        self.there.send(datagram, self.now)


class ClassicRehearsal(_Stage):
    """A sender on the classic wire and a receiver: nothing goes back."""

    def send_frame(
        self, payload: NDArray[np.uint8], geometry: ClassicGeometry, interval_s: float
    ) -> None:
        """Send one frame at the sender's pace; return when its last datagram has left.

        Raises:
            FrameError: the payload is not a raw frame of that geometry.
        """
        datagrams = packetize_classic(payload, geometry)
        pace = pace_frame(len(datagrams), len(datagrams[0]), STOCK_RECEIVE_BUFFER_BYTES, interval_s)
        self._leave(pace, len(datagrams), lambda start, end: datagrams[start:end])


class Rehearsal(_Stage):
    """A sender's core and a receiver's, and a link each way."""

    def __init__(
        self,
        sender: SenderCore,
        receiver: ReceiverCore,
        there: Link,
        back: Link,
        *,
        repair: bool = True,
    ) -> None:
        """Join them.

        Args:
            sender: of frames.
            receiver: of them.
            there: the link from the sender to the receiver.
            back: the link for reports and for what is asked.
            repair: whether the receiver may ask for what is missing; where not, the sender
                tells it nothing of clocks, as one does that hears no answers.
        """
        super().__init__(receiver, there)
        self.sender = sender
        self.back = back
        self._repair = repair
        self._leaving = False

    def send_frame(
        self, payload: NDArray[np.uint8], codec: Codec, size_wh: tuple[int, int]
    ) -> None:
        """Send a frame that is captured now; return when its last datagram has left.

        Raises:
            FrameError: the frame does not fit the wire.
        """
        self._hello()
        frame, pace = self.sender.packetize(payload, codec, size_wh, self.now, self.now)
        self._leaving = True
        self._leave(pace or Pace(len(frame), 0.0), len(frame), frame.burst)
        self._leaving = False
        self.sender.frame_sent(self.now)

    def say_bye(self) -> None:
        """Tell the receiver that the stream is over, as often as a sender does."""
        for _ in range(_BYES):
            self._put(self.sender.bye())

    def _dues(self) -> list[float | None]:
        hello_at = None if self._leaving else self.sender.next_hello_at
        return [*super()._dues(), self.back.next_delivery(), hello_at]

    def _step(self) -> None:
        self._hello()
        super()._step()
        for answer, _ in self.receiver.datagrams_to_send():
            self.back.send(answer, self.now)
        for datagram in self.back.deliver(self.now):
            self.sender.receive(datagram, self.now)
        for datagrams in self.sender.repairs():
            for row in datagrams:
                self._put(row.tobytes())

    def _hello(self) -> None:
        hello = self.sender.hello_due(self.now)
        if hello is None:
            return
        if not self._repair:
            message = parse_control(hello)
            assert isinstance(message, Hello)
            hello = pack_control(replace(message, offset_error_us=NO_ESTIMATE_US))
        self._put(hello)
