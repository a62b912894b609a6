"""Takes a made-up frame the way of real ones, so that the processor's caches hold this way.

A processor that sleeps between two frames loses its caches. At 30 fps, of the 0.23 ms from a
small frame's last datagram to its reader 0.15 ms were spent waiting for memory.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from udpstream.adapters.batches import BatchReader, Read, coalesced
from udpstream.core.pacing import STOCK_RECEIVE_BUFFER_BYTES
from udpstream.core.packetize import Packetizer
from udpstream.core.pool import BufferPool
from udpstream.core.receiving import ReceiverCore
from udpstream.core.streams import Address
from udpstream.frame import Frame
from udpstream.intake import Intake
from udpstream.protocol import DEFAULT_DATAGRAM_BYTES, Codec

_SOURCE = ("127.0.0.1", 0)
_A_READ = 46  # datagrams: the rest of a larger frame comes with others
_PAYLOAD = np.zeros(512 << 10, np.uint8)  # a larger frame takes so long that this is nothing


class DryRun:
    """An intake of its own, of one stream; its socket holds what is made up."""

    def __init__(self, pool: BufferPool) -> None:
        """Take frames into memory from there, so that it is in the caches for the next real one."""
        self._packetizer = Packetizer(epoch=0, datagram_bytes=DEFAULT_DATAGRAM_BYTES)
        core = ReceiverCore(
            wall_offset_s=0.0, receive_buffer_bytes=STOCK_RECEIVE_BUFFER_BYTES, pool=pool
        )
        self._intake = Intake(self, core, queue_frames=1, sinks=(), say=_ignore)
        self._intake.reader_waits = True
        self._waiting: deque[NDArray[np.uint8]] = deque()
        self._frames = 0
        self.read = BatchReader(self._receive).read

    def __call__(self, payload_bytes: int) -> Frame | None:
        """Take a frame of about that size.

        Args:
            payload_bytes: at least 1.

        Returns:
            The frame, for tests; None would be a fault.
        """
        payload = _PAYLOAD[:payload_bytes]
        sent = self._packetizer.packetize(payload, Codec.JPEG, (640, 480), self._frames, 0)
        self._frames += 1
        datagrams = sent.whole()
        self._waiting.extend(
            datagrams[start : start + _A_READ] for start in range(0, len(datagrams), _A_READ)
        )
        while self._intake.take_in():  # until there is no more: the next one begins as this did
            pass
        self._packetizer.reuse(sent)
        return self._intake.pop()

    def send(self, datagram: bytes, to: Address) -> None:
        """Nobody is there."""

    def _receive(self, rooms: tuple[memoryview], _ancillary_bytes: int) -> Read:
        """What `recvmsg_into` would return."""
        if not self._waiting:
            raise BlockingIOError
        datagrams = self._waiting.popleft()
        room = np.frombuffer(rooms[0], np.uint8, datagrams.size)
        room.reshape(datagrams.shape)[:] = datagrams
        return datagrams.size, coalesced(datagrams.shape[1]), 0, _SOURCE


def _ignore(_: str) -> None:
    """Nothing is said of what is made up."""
