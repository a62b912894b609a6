"""Tries a link: frame-shaped traffic at rising rates, against a receiver that counts it."""

from __future__ import annotations

import os
import threading
import time
from typing import Self

from udpstream.adapters.address import Endpoint
from udpstream.adapters.udp import Offload, UdpSender
from udpstream.bench.reach import WallClock, parsed
from udpstream.core.ladder import FPS, Shape, Step, chunks_at
from udpstream.core.pacing import Pace, pace_frame
from udpstream.core.probing import Load
from udpstream.errors import AddressError
from udpstream.pacer import paced
from udpstream.protocol import MAX_PROBES, Probe, ProbeForm, Tally, pack_control

_SETTLE_S = 0.1  # between a trial's last datagram and its closing: what overtakes has overtaken
_CLOSING_S = 0.1  # between closings
_ANSWER_S = 5.0  # for a queue of that length to drain, with the closing behind it
_SPREAD = 0.75  # of the frame interval, as a sender paces
_PACED_GAP_S = 1e-3


class LinkTester:
    """Runs trials against one receiver."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        datagram_bytes: int,
        receive_buffer_bytes: int,
        offload: Offload = "auto",
    ) -> None:
        """Open the way.

        Args:
            endpoint: of a receiver that has answered.
            datagram_bytes: size of the datagrams to try it with.
            receive_buffer_bytes: what it said that its socket holds.
            offload: UDP_SEGMENT where it works, always, or never.

        Raises:
            AddressError: there is no way there, or no such offload.
        """
        self._socket = UdpSender(*endpoint.sockaddr[:2], offload=offload)
        self._datagram_bytes = datagram_bytes
        self._receive_buffer_bytes = receive_buffer_bytes
        self._epoch = int.from_bytes(os.urandom(2))
        self._wall = WallClock()
        self._trials = 0

    @property
    def segments(self) -> bool:
        """Whether the kernel cuts datagrams for us (UDP_SEGMENT)."""
        return self._socket.segments

    def run(self, bps: float, shape: Shape, seconds: float, stop: threading.Event) -> Step | None:
        """Send frames of one size for so many seconds, and ask what came; None if stopped.

        Raises:
            AddressError: the receiver does not answer, or datagrams cannot leave.
        """
        chunks = chunks_at(bps, self._datagram_bytes)
        frames = max(1, min(round(seconds * FPS), MAX_PROBES // chunks))
        self._trials += 1
        load = Load(self._epoch, self._trials, chunks, self._datagram_bytes)
        pace = self._pace(shape, chunks)
        begun_s = time.monotonic()
        for frame in range(frames):
            if stop.wait(max(0.0, begun_s + frame / FPS - time.monotonic())):
                return None
            load.number(frame)
            self._send_frame(load, pace)
        # The last frame has its interval, too, as long as it leaves within it.
        took_s = max(time.monotonic() - begun_s, frames / FPS)
        if stop.wait(_SETTLE_S):
            return None
        tally = self._close(chunks, chunks * frames, stop)
        if tally is None:
            return None
        return Step(
            shape, self._datagram_bytes, chunks, chunks * frames, frames / FPS, took_s, tally
        )

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pace(self, shape: Shape, chunks: int) -> Pace:
        if shape == "burst":  # as a sender does it
            return pace_frame(chunks, self._datagram_bytes, self._receive_buffer_bytes, 1 / FPS)
        bursts = min(chunks, int(_SPREAD / FPS / _PACED_GAP_S))
        burst = -(-chunks // bursts)
        return Pace(burst, _SPREAD / FPS / -(-chunks // burst))

    def _send_frame(self, load: Load, pace: Pace) -> None:
        chunks, size = load.datagrams.shape
        together = self._socket.most_together(size)
        for start in paced(pace, chunks):
            end = min(start + pace.burst, chunks)
            for first in range(start, end, together):
                burst = load.stamp(first, min(first + together, end), self._wall.us())
                self._socket.send_all(burst)

    def _close(self, chunks: int, sent: int, stop: threading.Event) -> Tally | None:
        """Ask for the tally, again and again, until it comes."""
        until_s = time.monotonic() + _ANSWER_S
        while time.monotonic() < until_s and not stop.is_set():
            closing = Probe(
                self._epoch, self._trials, sent, chunks, ProbeForm.CLOSING, self._wall.us()
            )
            self._socket.send(pack_control(closing))
            asked_s = time.monotonic()
            while (left_s := asked_s + _CLOSING_S - time.monotonic()) > 0:
                self._socket.wait(left_s)
                while (datagram := self._socket.receive()) is not None:
                    message = parsed(datagram)
                    if isinstance(message, Tally) and (message.epoch, message.trial) == (
                        self._epoch,
                        self._trials,
                    ):
                        return message
        if stop.is_set():
            return None
        raise AddressError(
            f"the receiver at {self._socket.endpoint} has stopped to answer for {_ANSWER_S:g} s: "
            "see whether it runs, and try again with a lower --max-rate"
        )
