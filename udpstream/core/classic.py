"""Frames from the datagrams of one classic stream: one unbroken run of indices, or torn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from udpstream.core.ledger import Ledger, Loss
from udpstream.core.pool import BufferPool
from udpstream.core.reassembly import WholeFrame
from udpstream.protocol import CLASSIC_INDEX_BYTES, ClassicGeometry, Codec

# A run that pauses this long is over: its sender stopped in mid-frame.
GIVE_UP_S = 0.5


class ClassicReassembler:
    """Puts together the frames of one classic stream.

    The wire names no frame, so a frame is only believed when its chunks came as one run
    from index 0 to the last, and the kernel dropped nothing meanwhile: the tail of one
    frame after the head of another would otherwise look whole.
    """

    def __init__(self, ledger: Ledger, geometry: ClassicGeometry, pool: BufferPool) -> None:
        self._ledger = ledger
        self._pool = pool
        self._geometry = geometry
        self._payload: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._latest = b""  # the datagram taken last
        self._expected = 0  # the index that continues the run; 0 = no run
        self._skipping = False  # a run broke: wait for the next index 0
        self._kernel_dropped = 0
        self._progress_at = 0.0

    def feed(
        self, datagram: NDArray[np.uint8], kernel_dropped: int, now: float
    ) -> WholeFrame | None:
        """Take one datagram, `(D,)` uint8 of the right size for its index.

        Args:
            datagram: index and chunk.
            kernel_dropped: the socket's count of drops so far.
            now: seconds.

        Returns:
            The frame that this datagram closes, or None.
        """
        index = int(datagram[0])
        chunk = datagram[CLASSIC_INDEX_BYTES:]
        if self._is_repeat(datagram):
            self._ledger.link.duplicates += 1
            return None
        if self._expected and kernel_dropped != self._kernel_dropped:
            self._tear()
        if index == 0:
            if self._expected:
                self._tear()
            self._skipping = False
            self._payload = self._pool.take(self._geometry.frame_bytes)
            self._kernel_dropped = kernel_dropped
            self._ledger.sent += 1
        elif index != self._expected:
            if self._expected:
                self._tear()
            elif not self._skipping:  # the head of this frame is missing
                self._ledger.sent += 1
                self._ledger.lost[Loss.TORN] += 1
            self._skipping = True
            return None
        start = index * self._geometry.chunk_bytes
        self._payload[start : start + len(chunk)] = chunk
        self._latest = datagram.tobytes()
        self._expected = index + 1
        self._progress_at = now
        if self._expected < self._geometry.chunks:
            return None
        payload = self._payload
        self._end_run()
        self._ledger.delivered += 1
        self._ledger.payload_bytes += len(payload)
        return WholeFrame(
            number=self._ledger.sent - 1,
            codec=Codec.RAW,
            size_wh=self._geometry.size_wh,
            payload=payload,
            captured_us=None,
            first_at=None,
        )

    def expire(self, now: float) -> None:
        """Give up a run that has paused for too long."""
        if self._expected and now >= self._progress_at + GIVE_UP_S:
            self._tear()

    def next_timer(self) -> float | None:
        """When `expire` has something to do next, or None."""
        return self._progress_at + GIVE_UP_S if self._expected else None

    def finish(self, now: float) -> None:
        """Give up what is in flight: the stream has ended."""
        self.expire(now + GIVE_UP_S)

    @property
    def memory_bytes(self) -> int:
        """Bytes set aside for a frame that is not whole."""
        return self._payload.nbytes

    def evict_oldest(self) -> bool:
        """Give up the run to free its memory; False if there is none."""
        if not self._expected:
            return False
        self._ledger.lost[Loss.EVICTED] += 1
        self._end_run()
        self._skipping = True
        return True

    def _is_repeat(self, datagram: NDArray[np.uint8]) -> bool:
        """Whether the network delivered the latest datagram once more.

        Neighbouring frames may hold the same bytes, but then an index would have to follow
        itself with a whole frame lost between; or a frame be a single chunk.
        """
        return (
            self._geometry.chunks > 1
            and len(datagram) == len(self._latest)
            and int(datagram[0]) == self._latest[0]
            and datagram.tobytes() == self._latest
        )

    def _tear(self) -> None:
        self._ledger.lost[Loss.TORN] += 1
        self._end_run()
        self._skipping = True

    def _end_run(self) -> None:
        self._expected = 0
        self._payload = np.empty(0, np.uint8)
