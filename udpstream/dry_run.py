"""Takes a made-up frame the way of real ones, so that the processor's caches hold this way.

A processor that sleeps between two frames loses its caches. At 30 fps, of the 0.23 ms from a
small frame's last datagram to its reader 0.15 ms were spent waiting for memory.
"""

from __future__ import annotations

import numpy as np

from udpstream.core.pacing import STOCK_RECEIVE_BUFFER_BYTES
from udpstream.core.packetize import Packetizer
from udpstream.core.pool import BufferPool
from udpstream.core.receiving import FrameArrived, ReceiverCore
from udpstream.frame import Frame, frame_of
from udpstream.protocol import DEFAULT_DATAGRAM_BYTES, Codec

_SOURCE = ("127.0.0.1", 0)
_A_READ = 46  # datagrams: the rest of a larger frame comes with others
_PAYLOAD = np.zeros(512 << 10, np.uint8)  # a larger frame takes so long that this is nothing


class DryRun:
    """A receiver core of its own, with a stream of its own."""

    def __init__(self, pool: BufferPool) -> None:
        """Take frames into memory from there, so that it is in the caches for the next real one."""
        self._packetizer = Packetizer(epoch=0, datagram_bytes=DEFAULT_DATAGRAM_BYTES)
        self._core = ReceiverCore(
            wall_offset_s=0.0, receive_buffer_bytes=STOCK_RECEIVE_BUFFER_BYTES, pool=pool
        )
        self._frames = 0

    def __call__(self, payload_bytes: int, now: float) -> Frame | None:
        """Take a frame of about that size.

        Args:
            payload_bytes: at least 1.
            now: seconds, never falling.

        Returns:
            The frame, for tests; None would be a fault.
        """
        payload = _PAYLOAD[:payload_bytes]
        sent = self._packetizer.packetize(payload, Codec.JPEG, (640, 480), self._frames, 0)
        self._frames += 1
        datagrams = sent.whole()
        for part in datagrams[:_A_READ], datagrams[_A_READ:]:
            self._core.feed(_SOURCE, part, 0, now)
        self._packetizer.reuse(sent)
        for event in self._core.events():
            if isinstance(event, FrameArrived):
                return frame_of(event)
        return None
