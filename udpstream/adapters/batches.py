"""What a UDP socket holds, as batches of equal datagrams, however many reads they took."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from udpstream.adapters.udp_numbers import SO_RXQ_OVFL, SOL_UDP, TOLD, TRUNCATED, UDP_GRO
from udpstream.core.streams import Address

Ancillary: TypeAlias = list[tuple[int, int, bytes]]
Read: TypeAlias = tuple[int, Ancillary, int, Address]
# As a socket's `recvmsg_into`: it fills the first of those, and has so much room for the second.
Receive: TypeAlias = Callable[[tuple[memoryview], int], Read]

LARGEST_READ_BYTES = 1 << 16  # a GRO read needs this much room, or it truncates
# A few reads are taken together, so that numpy's cost a call is shared; more would fall
# out of the L2 cache between the kernel's copy and ours.
_ROOM_BYTES = 4 * LARGEST_READ_BYTES
_MOST_READS = 256  # at a time: a flood of tiny datagrams must not keep the reader from its timers
_ANCILLARY_BYTES = 64  # room for what `_note` takes


class Batch(NamedTuple):
    """Datagrams of one size from one source, in the order in which they came.

    Attributes:
        source: their address.
        datagrams: `(n, D)` uint8, a view that the next read overwrites.
        kernel_dropped: datagrams of whatever source that had found no room before the
            first of these came; between them, none was dropped.
    """

    source: Address
    datagrams: NDArray[np.uint8]
    kernel_dropped: int


class BatchReader:
    """Joins what is read from one socket.

    Attributes:
        receive: one system call that reads, and raises `BlockingIOError` where nothing waits.
        kernel_dropped: datagrams that found no room in the socket's buffer, so far.
        truncated: datagrams that were empty, or larger than any of ours can be.
    """

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self.kernel_dropped = 0
        self.truncated = 0
        self._room: NDArray[np.uint8] = np.empty(_ROOM_BYTES, np.uint8)
        self._room_view = self._room.data
        self._ancillary: Ancillary = []  # of the latest read, and what it said:
        self._segment_bytes = 0

    def read(self) -> Iterator[Batch]:
        """What waits in the socket, as far as the room goes.

        Datagrams of one size from one source that follow each other, with no drop between,
        come as one batch, however many reads it took. Take each batch before asking for the
        next.
        """
        source: Address | None = None  # of the batch that is being gathered
        size = start = end = 0
        dropped = self.kernel_dropped
        before: Read | None = None
        for _ in range(_MOST_READS):
            got = self._read_into(self._room_view[end : end + LARGEST_READ_BYTES])
            if got is None:
                break
            if got == before and end > start:  # nearly always: a full read like the one before
                end += got[0]
                continue
            nbytes, ancillary, flags, sender = got
            if not nbytes or flags & TRUNCATED:
                self.truncated += 1
                continue
            before = got
            if ancillary != self._ancillary:
                self._note(ancillary)
            sent_size = self._segment_bytes or nbytes
            if sent_size != size or sender != source or self.kernel_dropped != dropped:
                if end > start:
                    yield from self._batches(source, start, end, size, dropped)
                source, size, start, dropped = sender, sent_size, end, self.kernel_dropped
            end += nbytes
            # A shorter datagram can only be the last of a coalesced read, and a coalesced read
            # with room for more was a burst's last: use it before looking for the next.
            burst_ends = self._segment_bytes > 0 and nbytes < LARGEST_READ_BYTES - 2 * size
            if nbytes % size or burst_ends:
                yield from self._batches(source, start, end, size, dropped)
                start = end
        if end > start:
            yield from self._batches(source, start, end, size, dropped)

    def _read_into(self, room: memoryview) -> Read | None:
        """One read of something; None if nothing waits, or the room is too small."""
        if len(room) < LARGEST_READ_BYTES:
            return None
        for _ in range(_MOST_READS):
            try:
                return self.receive((room,), _ANCILLARY_BYTES)
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno not in TOLD:  # an answer of ours found nobody
                    raise
        return None

    def _note(self, ancillary: Ancillary) -> None:
        """Take what the kernel adds to a read: the size of a datagram, and its drops so far."""
        self._ancillary = ancillary
        self._segment_bytes = 0
        for _, kind, value in ancillary:
            if kind == UDP_GRO:
                self._segment_bytes = int.from_bytes(value[:4], sys.byteorder)
            elif kind == SO_RXQ_OVFL:  # 32 bits
                dropped = int.from_bytes(value[:4], sys.byteorder)
                self.kernel_dropped += (dropped - self.kernel_dropped) % (1 << 32)

    def _batches(
        self, source: Address | None, start: int, end: int, size: int, dropped: int
    ) -> Iterator[Batch]:
        """What was gathered: datagrams of one size, and a shorter one if there is a rest."""
        assert source is not None
        rest = (end - start) % size
        if end - rest > start:
            yield Batch(source, self._room[start : end - rest].reshape(-1, size), dropped)
        if rest:
            yield Batch(source, self._room[end - rest : end].reshape(1, rest), dropped)


def coalesced(datagram_bytes: int) -> Ancillary:
    """What the kernel adds to a read of several datagrams of one size."""
    return [(SOL_UDP, UDP_GRO, datagram_bytes.to_bytes(4, sys.byteorder))]
