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

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from udpstream.core.ledger import Ledger, Loss
from udpstream.core.serial import unwrap
from udpstream.protocol import HEADER_BYTES, Codec, FrameHeader

GIVE_UP_S = 0.1  # without a new chunk: three frames at 30 fps, far beyond a LAN's reordering
MAX_PARTIAL_FRAMES = 32  # begun and not whole; a second at 30 fps
MAX_GAPS = 64  # ranges; a run of losses is one


@dataclass(frozen=True, slots=True, eq=False)
class WholeFrame:
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
    """A frame of which some chunks are here."""

    __slots__ = ("arrived", "contradicted", "header", "left", "number", "progress_at", "rows")

    def __init__(self, number: int, header: FrameHeader, now: float) -> None:
        chunks = header.data_chunks
        self.number = number
        self.header = header
        self.rows: NDArray[np.uint8] = np.empty((chunks, header.chunk_bytes), np.uint8)
        self.arrived = np.zeros(chunks, np.bool_)
        self.left = chunks
        self.progress_at = now
        self.contradicted = False

    def fits(self, header: FrameHeader) -> bool:
        """Whether a header says of the frame what the first one said."""
        mine = self.header
        return (
            header.length == mine.length
            and header.chunk_bytes == mine.chunk_bytes
            and header.data == mine.data
            and header.parity == mine.parity
            and header.codec is mine.codec
            and header.width == mine.width
            and header.height == mine.height
            and header.captured_us == mine.captured_us
        )

    def place(self, datagrams: NDArray[np.uint8], now: float) -> tuple[int, int]:
        """Put chunks where they belong; return how many were new, and how many bad.

        Args:
            datagrams: `(n, D)` uint8, all of this frame; index and block unchecked but
                for the first row's.
            now: seconds.
        """
        header = self.header
        chunks = datagrams[:, HEADER_BYTES:]
        index = datagrams[:, 0].astype(np.intp)
        position = datagrams[:, 3].astype(np.intp) * header.data + index
        good = index < header.data  # parity chunks lie above, and are not read yet
        good &= position < len(self.rows)
        first, count = int(position[0]), len(position)
        bad = 0
        if good.all() and bool((np.diff(position) == 1).all()):
            span = slice(first, first + count)
            if not self.arrived[span].any():  # in order and new: one copy for all
                self.rows[span] = chunks
                self.arrived[span] = True
                return self._took(count, now), 0
        else:
            bad = int(np.count_nonzero(~good & (index < header.data)))
            bad += int(np.count_nonzero(index >= header.data + header.parity))
            position, chunks = position[good], chunks[good]
        fresh, first_at = np.unique(position, return_index=True)
        new = ~self.arrived[fresh]
        self.rows[fresh[new]] = chunks[first_at[new]]
        self.arrived[fresh[new]] = True
        return self._took(int(np.count_nonzero(new)), now), bad

    def _took(self, count: int, now: float) -> int:
        if count:
            self.left -= count
            self.progress_at = now
        return count


@dataclass(slots=True)
class _Gap:
    start: int
    end: int  # exclusive
    noticed_at: float


class Reassembler:
    """Puts together the frames of one indexed stream.

    It knows neither addresses nor epochs: whoever feeds it has told the streams apart.
    """

    def __init__(
        self, ledger: Ledger, *, max_frame_bytes: int, give_up_s: float = GIVE_UP_S
    ) -> None:
        self._ledger = ledger
        self._max_frame_bytes = max_frame_bytes
        self._give_up_s = give_up_s
        self._partial: dict[int, _Partial] = {}
        self._gaps: list[_Gap] = []
        self._next: int | None = None  # one above the highest number known; None before any
        self._last_delivered = -1
        self.memory_bytes = 0

    def announce(self, next_frame: int, now: float) -> None:
        """Learn from the sender that all frames below `next_frame` have left it."""
        if self._next is None:
            self._next = next_frame
        elif next_frame > self._next:
            self._pass_over(next_frame, now)

    def feed(
        self, header: FrameHeader, datagrams: NDArray[np.uint8], now: float
    ) -> tuple[WholeFrame | None, int]:
        """Take datagrams of one frame; return it if it is whole now, and the bad ones' count.

        Args:
            header: parsed from the first row, hence well-formed.
            datagrams: `(n, D)` uint8. All rows have that header's bytes but for index
                and block.
            now: seconds.
        """
        partial = self._find(header, now)
        if partial is None:
            self._ledger.duplicate_datagrams += len(datagrams)
            return None, 0
        if not partial.fits(header):
            partial.contradicted = True
            return None, len(datagrams)
        new, bad = partial.place(datagrams, now)
        if not header.parity:
            self._ledger.duplicate_datagrams += len(datagrams) - new - bad
        if partial.left:
            return None, bad
        del self._partial[partial.number]
        self.memory_bytes -= partial.rows.nbytes
        if partial.number < self._last_delivered:
            self._ledger.lost[Loss.LATE] += 1
            return None, bad
        self._last_delivered = partial.number
        self._ledger.delivered += 1
        self._ledger.payload_bytes += header.length
        return _whole(partial), bad

    def expire(self, now: float) -> None:
        """Give up what has seen no progress for too long."""
        for number, partial in list(self._partial.items()):
            if now - partial.progress_at >= self._give_up_s:
                self._give_up(number, _name_of(partial))
        while self._gaps and now - self._gaps[0].noticed_at >= self._give_up_s:
            self._close_gap(0)

    def next_timer(self) -> float | None:
        """When `expire` has something to do next, or None."""
        waits = [partial.progress_at for partial in self._partial.values()]
        waits.extend(gap.noticed_at for gap in self._gaps[:1])
        return min(waits) + self._give_up_s if waits else None

    def evict_oldest(self) -> bool:
        """Give up the lowest partial frame to free its memory; False if there is none."""
        if not self._partial:
            return False
        self._give_up(min(self._partial), Loss.EVICTED)
        return True

    def finish(self, now: float) -> None:
        """Give up all that is in flight: the stream has ended."""
        self.expire(now + self._give_up_s)

    def _find(self, header: FrameHeader, now: float) -> _Partial | None:
        """The partial frame that a header belongs to, begun if it is new; None if stale."""
        if self._next is None:
            # We joined in mid-stream. Unless this is a frame's beginning we could not have
            # had all of it, so counting starts with the next one.
            number = header.frame
            joined_midway = header.position != 0
            self._next = number + joined_midway
            if joined_midway:
                return None
        number = unwrap(header.frame, 32, near=self._next)
        partial = self._partial.get(number)
        if partial is not None:
            return partial
        if number >= self._next:
            self._pass_over(number, now)
            self._next = number + 1
            self._ledger.sent += 1
        elif not self._split_gap(number):
            return None
        if header.length > self._max_frame_bytes:
            self._ledger.lost[Loss.OVERSIZED] += 1
            return None
        if len(self._partial) >= MAX_PARTIAL_FRAMES:
            self.evict_oldest()
        partial = _Partial(number, header, now)
        self._partial[number] = partial
        self.memory_bytes += partial.rows.nbytes
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

    def _give_up(self, number: int, loss: Loss) -> None:
        partial = self._partial.pop(number)
        self.memory_bytes -= partial.rows.nbytes
        self._ledger.lost[loss] += 1

    def partial_numbers(self) -> Iterator[int]:
        """Numbers of the frames that are begun and not whole, oldest begun first."""
        return iter(self._partial)


def _name_of(partial: _Partial) -> Loss:
    return Loss.MALFORMED if partial.contradicted else Loss.MISSING


def _whole(partial: _Partial) -> WholeFrame:
    header = partial.header
    return WholeFrame(
        number=partial.number,
        codec=header.codec,
        size_wh=(header.width, header.height),
        payload=partial.rows.reshape(-1)[: header.length],
        captured_us=header.captured_us,
    )
