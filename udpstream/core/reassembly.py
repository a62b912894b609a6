"""Frames from the datagrams of one indexed stream, each delivered once or lost by name.

Every frame number from the first on is in one of four states, and moves only forward:

    gap        never seen: no datagram came, but a later frame or the sender's own count
               shows that it was sent
    partial    some chunks are here
    delivered  whole, and handed on
    lost       given up, under a name

Gaps are kept as ranges, so a jump of a billion numbers costs as much as one of two. A
number that is neither in a gap nor partial has met its fate: its datagrams are stale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udpstream.core.ledger import Ledger, Loss
from udpstream.core.packetize import fill_headers
from udpstream.core.serial import unwrap
from udpstream.protocol import HEADER_BYTES, Codec, FrameHeader

GIVE_UP_S = 0.1  # without a new chunk: three frames at 30 fps, far beyond a LAN's reordering
MAX_PARTIAL_FRAMES = 8  # begun and not whole: 267 ms at 30 fps, and few enough for the cache
MAX_GAPS = 64  # ranges; a run of losses is one
MAX_PICTURE_BYTES = 128 << 20  # decoded: 8K is 100 MB, and 600 bytes of JPEG can be 13 GB

# Frames of more chunks get their headers foretold only when one in 256 of them is here:
# else a lone forged datagram would cost 1.5 MB. Raw 1080p has 4,521 chunks.
_FORETOLD_CHUNKS = 5_120
_FORETOLD_SHARE = 256

# The header's bytes that are the same in all datagrams of a frame: all but index and block.
_SAME = np.frombuffer(b"\x00\xff\xff\x00" + b"\xff" * (HEADER_BYTES - 4), np.uint64)


class WholeFrame(NamedTuple):
    """One whole frame, as the core hands it on.

    Attributes:
        payload: `(length,)` uint8; the core keeps no reference.
        captured_us: the wire's 32 bits; None on the classic wire.
    """

    number: int
    codec: Codec
    size_wh: tuple[int, int]
    payload: NDArray[np.uint8]
    captured_us: int | None


class _Partial:
    """A frame of which some chunks are here.

    `headers` are the headers that its data chunks must have, in order: a run of datagrams
    that equals a run of those is checked in all of its fields by one comparison of bytes.
    They are empty until they are worth their memory.
    While no chunk is missing, `in_order` counts them and `arrived` is not kept.
    """

    __slots__ = (
        "arrived",
        "contradicted",
        "header",
        "headers",
        "in_order",
        "left",
        "number",
        "progress_at",
        "rows",
    )

    def __init__(self, number: int, header: FrameHeader, now: float) -> None:
        chunks = header.data_chunks
        self.number = number
        self.header = header
        self.headers = b""
        self.rows: NDArray[np.uint8] = np.empty((chunks, header.chunk_bytes), np.uint8)
        self.arrived: NDArray[np.bool_] | None = None
        self.in_order = 0
        self.left = chunks
        self.progress_at = now
        self.contradicted = False

    @property
    def memory_bytes(self) -> int:
        """What is set aside for it: chunks, which of them came, and headers."""
        return self.rows.nbytes + len(self.rows) + len(self.headers)

    @property
    def wants_headers(self) -> bool:
        """Whether headers are not there yet, and worth their memory."""
        chunks = len(self.rows)
        few = chunks <= _FORETOLD_CHUNKS
        return not self.headers and (few or (chunks - self.left) * _FORETOLD_SHARE >= chunks)

    def take_run(self, datagrams: NDArray[np.uint8], now: float) -> int:
        """Take the leading rows if they are chunks of this frame, in order and new.

        Args:
            datagrams: `(n, D)` uint8, of whatever frame or kind.
            now: seconds.

        Returns:
            How many rows were taken; 0 tells nothing about whose they are.
        """
        if datagrams.shape[1] != HEADER_BYTES + self.header.chunk_bytes:
            return 0
        header = datagrams[0].data
        first = int(header[3]) * self.header.data + int(header[0])
        end = min(first + len(datagrams), len(self.rows))
        rows = datagrams[: max(end - first, 0)]
        expected = self.headers[first * HEADER_BYTES : end * HEADER_BYTES]
        if not expected or rows[:, :HEADER_BYTES].tobytes() != expected:
            return 0
        if self.arrived is None and first != self.in_order:
            self._keep_arrived()
        if self.arrived is not None:
            if self.arrived[first:end].any():
                return 0
            self.arrived[first:end] = True
        self.rows[first:end] = rows[:, HEADER_BYTES:]
        self.in_order = end
        self.left -= end - first
        self.progress_at = now
        return end - first

    def _keep_arrived(self) -> None:
        """From now on, chunks are not in order."""
        self.arrived = np.arange(len(self.rows)) < self.in_order

    def fits(self, header: FrameHeader) -> bool:
        """Whether a header says of the frame what the first one said."""
        return header[2:] == self.header[2:]  # all but index and block

    def place(self, datagrams: NDArray[np.uint8], now: float) -> tuple[int, int]:
        """Put chunks where they belong; return how many were new, and how many bad.

        Args:
            datagrams: `(n, D)` uint8, all of this frame but in any order; index and
                block are checked here.
            now: seconds.
        """
        if self.arrived is None:
            self._keep_arrived()
        assert self.arrived is not None
        header = self.header
        index = datagrams[:, 0].astype(np.intp)
        position = datagrams[:, 3].astype(np.intp) * header.data + index
        is_data = index < header.data  # parity chunks lie above, and are not read yet
        good = is_data & (position < len(self.rows))
        bad = int(np.count_nonzero(is_data & ~good))
        bad += int(np.count_nonzero(index >= header.data + header.parity))
        fresh, first_at = np.unique(position[good], return_index=True)
        new = ~self.arrived[fresh]
        self.rows[fresh[new]] = datagrams[good][first_at[new], HEADER_BYTES:]
        self.arrived[fresh[new]] = True
        count = int(np.count_nonzero(new))
        if count:
            self.left -= count
            self.progress_at = now
        return count, bad


def _all_headers(datagram: NDArray[np.uint8], chunks: int) -> bytes:
    """The headers of all data chunks of the frame that `datagram` belongs to, in order."""
    rows = np.empty((chunks, HEADER_BYTES), np.uint8)
    fill_headers(rows, datagram[:HEADER_BYTES].tobytes())
    return rows.tobytes()


@dataclass(slots=True)
class _Gap:
    start: int
    end: int  # exclusive
    noticed_at: float


class Reassembler:
    """Puts together the frames of one indexed stream.

    It knows neither addresses nor epochs: whoever feeds it has told the streams apart.
    """

    def __init__(self, ledger: Ledger, *, max_frame_bytes: int) -> None:
        self._ledger = ledger
        self._max_frame_bytes = max_frame_bytes
        self._partial: dict[int, _Partial] = {}
        self._gaps: list[_Gap] = []
        self._next: int | None = None  # one above the highest number known; None before any
        self._last_delivered = -1
        self._current: _Partial | None = None  # what the latest datagram belonged to
        self.memory_bytes = 0

    def announce(self, next_frame: int, now: float) -> None:
        """Learn from the sender that all frames below `next_frame` have left it."""
        if self._next is None:
            self._next = next_frame
        elif next_frame > self._next:
            self._pass_over(next_frame, now)

    def feed_run(self, datagrams: NDArray[np.uint8], now: float) -> tuple[WholeFrame | None, int]:
        """Take the leading datagrams if they are chunks of the latest frame, in order and new.

        This is the fast path: all but a frame's first go this way, where the network
        delivers in order, whether or not it drops some.

        Args:
            datagrams: `(n, D)` uint8, of whatever frame or kind.
            now: seconds.

        Returns:
            The frame if it is whole now, and how many rows were taken.
        """
        partial = self._current
        if partial is None:
            return None, 0
        taken = partial.take_run(datagrams, now)
        return (None if partial.left else self._complete(partial)), taken

    def feed(
        self, header: FrameHeader, datagrams: NDArray[np.uint8], now: float
    ) -> tuple[WholeFrame | None, int, int]:
        """Take the leading datagrams that are of the first one's frame.

        Args:
            header: parsed from the first row, hence well-formed.
            datagrams: `(n, D)` uint8; behind the first row, of whatever frame or kind.
            now: seconds.

        Returns:
            The frame if it is whole now, how many rows were taken, and how many of those
            were bad.
        """
        number = self._number_of(header)
        partial = self._partial.get(number)
        if partial is None:
            if not self._is_wanted(number, header, now):
                taken = _leading_run(datagrams)
                if number <= self._last_delivered:  # else it was lost, refused or joined midway
                    self._ledger.duplicate_datagrams += taken
                return None, taken, 0
            chunks = header.data_chunks
            if chunks <= len(datagrams):
                whole = _take_whole(number, header, datagrams[:chunks])
                if whole is not None:
                    return self._hand_on(whole), chunks, 0
            partial = self._begin(number, header, now)
        return self._add(partial, header, datagrams, now)

    def _add(
        self, partial: _Partial, header: FrameHeader, datagrams: NDArray[np.uint8], now: float
    ) -> tuple[WholeFrame | None, int, int]:
        """Do what `feed` does, with a frame that is begun."""
        self._current = partial
        if partial.wants_headers and partial.fits(header):
            partial.headers = _all_headers(datagrams[0], header.data_chunks)
            self.memory_bytes += len(partial.headers)
        taken = new = partial.take_run(datagrams, now)
        bad = 0
        if not taken:
            taken = _leading_run(datagrams)
            if partial.fits(header):
                new, bad = partial.place(datagrams[:taken], now)
            else:
                partial.contradicted = True
                bad = taken
        if not header.parity:
            self._ledger.duplicate_datagrams += taken - new - bad
        return (None if partial.left else self._complete(partial)), taken, bad

    def expire(self, now: float) -> None:
        """Give up what has seen no progress for too long."""
        for partial in list(self._partial.values()):
            if now >= partial.progress_at + GIVE_UP_S:
                loss = Loss.MALFORMED if partial.contradicted else Loss.MISSING
                self._give_up(partial, loss)
        while self._gaps and now >= self._gaps[0].noticed_at + GIVE_UP_S:
            self._close_gap(0)

    def next_timer(self) -> float | None:
        """When `expire` has something to do next, or None."""
        waits = [partial.progress_at for partial in self._partial.values()]
        waits.extend(gap.noticed_at for gap in self._gaps[:1])
        return min(waits) + GIVE_UP_S if waits else None

    def evict_oldest(self) -> bool:
        """Give up the lowest partial frame to free its memory; False if there is none."""
        if not self._partial:
            return False
        self._give_up(self._partial[min(self._partial)], Loss.EVICTED)
        return True

    def finish(self, now: float) -> None:
        """Give up all that is in flight: the stream has ended."""
        self.expire(now + GIVE_UP_S)

    def _number_of(self, header: FrameHeader) -> int:
        """The whole number of a header's frame."""
        if self._next is None:
            # We joined in mid-stream. Unless this is a frame's beginning we could not have
            # had all of it, so counting starts with the next one.
            self._next = header.frame + (header.position != 0)
        return unwrap(header.frame, 32, near=self._next)

    def _is_wanted(self, number: int, header: FrameHeader, now: float) -> bool:
        """Whether to begin a frame of which nothing was seen; if not, its fate is booked."""
        assert self._next is not None
        if number >= self._next:
            self._pass_over(number, now)
            self._next = number + 1
            self._ledger.sent += 1
        elif not self._split_gap(number):
            return False
        if is_oversized(header, self._max_frame_bytes):
            self._ledger.lost[Loss.OVERSIZED] += 1
            return False
        return True

    def _begin(self, number: int, header: FrameHeader, now: float) -> _Partial:
        if len(self._partial) >= MAX_PARTIAL_FRAMES:
            self.evict_oldest()
        partial = _Partial(number, header, now)
        self._partial[number] = partial
        self.memory_bytes += partial.memory_bytes
        return partial

    def _pass_over(self, number: int, now: float) -> None:
        """Note that frames from the highest known to below `number` have not been seen."""
        assert self._next is not None
        if number > self._next:
            self._ledger.sent += number - self._next
            self._gaps.append(_Gap(self._next, number, now))
            self._next = number
            if len(self._gaps) > MAX_GAPS:
                self._close_gap(0)

    def _split_gap(self, number: int) -> bool:
        """Take a number out of its gap; False if it is in none."""
        for at, gap in enumerate(self._gaps):
            if gap.start <= number < gap.end:
                parts = (_Gap(gap.start, number, gap.noticed_at),
                         _Gap(number + 1, gap.end, gap.noticed_at))  # fmt: skip
                self._gaps[at : at + 1] = [part for part in parts if part.start < part.end]
                if len(self._gaps) > MAX_GAPS:
                    self._close_gap(0)
                return True
        return False

    def _close_gap(self, at: int) -> None:
        gap = self._gaps.pop(at)
        self._ledger.lost[Loss.UNSEEN] += gap.end - gap.start

    def _complete(self, partial: _Partial) -> WholeFrame | None:
        self._forget(partial)
        return self._hand_on(_whole(partial.number, partial.header, partial.rows))

    def _hand_on(self, whole: WholeFrame) -> WholeFrame | None:
        """Book a whole frame as delivered; or as late, and keep it back."""
        if whole.number < self._last_delivered:
            self._ledger.lost[Loss.LATE] += 1
            return None
        self._last_delivered = whole.number
        self._ledger.delivered += 1
        self._ledger.payload_bytes += len(whole.payload)
        return whole

    def _give_up(self, partial: _Partial, loss: Loss) -> None:
        self._forget(partial)
        self._ledger.lost[loss] += 1

    def _forget(self, partial: _Partial) -> None:
        del self._partial[partial.number]
        self.memory_bytes -= partial.memory_bytes
        if self._current is partial:
            self._current = None


def is_oversized(header: FrameHeader, max_frame_bytes: int) -> bool:
    """Whether a frame, or the picture that it decodes to, is larger than a receiver takes."""
    picture_bytes = header.width * header.height * 3
    return header.length > max_frame_bytes or picture_bytes > max(
        max_frame_bytes, MAX_PICTURE_BYTES
    )


def _leading_run(datagrams: NDArray[np.uint8]) -> int:
    """How many leading rows of `(n, D)` have the first one's header but for index and block."""
    headers = np.ascontiguousarray(datagrams[:, :HEADER_BYTES]).view(np.uint64) & _SAME
    differs = (headers != headers[0]).any(axis=1)
    return int(differs.argmax()) if differs.any() else len(datagrams)


def _take_whole(
    number: int, header: FrameHeader, datagrams: NDArray[np.uint8]
) -> WholeFrame | None:
    """The frame, if these are all of its data chunks in order; small frames come so."""
    expected = _all_headers(datagrams[0], len(datagrams))
    if datagrams[:, :HEADER_BYTES].tobytes() != expected:
        return None
    return _whole(number, header, np.ascontiguousarray(datagrams[:, HEADER_BYTES:]))


def _whole(number: int, header: FrameHeader, rows: NDArray[np.uint8]) -> WholeFrame:
    return WholeFrame(
        number=number,
        codec=header.codec,
        size_wh=(header.width, header.height),
        payload=rows.reshape(-1)[: header.length],
        captured_us=header.captured_us,
    )
