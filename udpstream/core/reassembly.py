"""Frames from the datagrams of one indexed stream, each delivered once or lost by name.

Every frame number from the first on is in one of five states, and moves only forward:

    gap        never seen: no datagram came, but a later frame or the sender's own count
               shows that it was sent
    partial    some chunks are here
    held       whole, and waiting for an earlier one that is being repaired
    delivered  handed on
    lost       given up, under a name

Gaps are kept as ranges, so a jump of a billion numbers costs as much as one of two. A
number that is in no gap, and neither partial nor held, has met its fate: its datagrams are
stale.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udpstream.core.layout import Layout, layout_of, runs_of
from udpstream.core.ledger import Ledger, Loss
from udpstream.core.meter import LinkMeter
from udpstream.core.packetize import headers_of
from udpstream.core.partial import Partial
from udpstream.core.pool import BufferPool
from udpstream.core.repair import MAX_TRIES, RepairTiming
from udpstream.core.serial import unwrap
from udpstream.protocol import HEADER_BYTES, Ask, Codec, FrameHeader

# How long a frame may take from its last datagram on: three frames at 30 fps, far beyond a
# LAN's reordering, and time for some repairs.
LATENCY_BUDGET_S = 0.1
MAX_PARTIAL_FRAMES = 32  # begun and not whole, or held: the budget's worth at 240 fps, and some
MAX_GAPS = 64  # ranges; a run of losses is one
# Decoded: 8K is 100 MB, and 600 bytes of JPEG can be 13 GB. And with parity: a forged header
# can claim 254 times as much of it as there is data.
MAX_PICTURE_BYTES = 128 << 20

_MOST_AHEAD = 1 << 31  # frames: half of what 32 bits can number
MAX_ASKED_FRAMES = 4  # in a row that were not seen at all
_UNANSWERED_FRAMES = 4  # in a row, after which nobody waits for repairs: but they are asked for

# The header's bytes that are the same in all datagrams of a frame: all but index and block.
_SAME = np.frombuffer(b"\x00\xff\xff\x00" + b"\xff" * (HEADER_BYTES - 4), np.uint64)


class WholeFrame(NamedTuple):
    """One whole frame, as the core hands it on.

    Attributes:
        payload: `(length,)` uint8; the core keeps no reference.
        captured_us: the wire's 32 bits; None on the classic wire.
        first_at: when the first of its datagrams came, in seconds; None on the classic wire.
    """

    number: int
    codec: Codec
    size_wh: tuple[int, int]
    payload: NDArray[np.uint8]
    captured_us: int | None
    first_at: float | None


@dataclass(slots=True)
class _Gap:
    start: int
    end: int  # exclusive
    due_at: float  # about when its first frame should have come
    noticed_at: float
    tries: int = 0
    asked_at: float = -1.0

    @property
    def was_asked(self) -> bool:
        """Whether it was asked for, and not passed over from the beginning."""
        return self.asked_at >= 0

    def part(self, start: int, end: int) -> _Gap:
        return replace(self, start=start, end=end)


class Reassembler:
    """Puts together the frames of one indexed stream.

    It knows neither addresses nor epochs: whoever feeds it has told the streams apart.

    Attributes:
        meter: what became of the datagrams.
        can_ask: whether the sender hears what it is asked for.
        refuses: whether the latest frame that began was larger than is taken.
        memory_bytes: what is set aside for frames that are partial or held.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        pool: BufferPool,
        max_frame_bytes: int,
        latency_budget_s: float = LATENCY_BUDGET_S,
    ) -> None:
        self.meter = LinkMeter(ledger.link)
        self.can_ask = False
        self.refuses = False
        self.memory_bytes = 0
        self._ledger = ledger
        self._max_frame_bytes = max_frame_bytes
        self._pool = pool
        self._budget_s = latency_budget_s
        self._partial: dict[int, Partial] = {}
        self._held: dict[int, WholeFrame] = {}
        self._out: list[WholeFrame] = []
        self._asks: list[Ask] = []
        # Frames of late that were asked for and are over; True for those asked for once, whole.
        self._asked: dict[int, bool] = {}
        self._gaps: list[_Gap] = []
        self._next: int | None = None  # one above the highest number known; None before any
        self._begun_at = 0.0  # when the first datagram of the highest frame came
        self._last_delivered = -1
        self._current: Partial | None = None  # what the latest datagram belonged to
        self._timing = RepairTiming()
        self._unanswered = 0  # frames in a row that were asked for in vain

    @property
    def partial_frames(self) -> int:
        """How many frames are begun and not whole."""
        return len(self._partial)

    @property
    def has_frames(self) -> bool:
        """Whether `frames` has any."""
        return bool(self._out)

    def frames(self) -> list[WholeFrame]:
        """The frames to hand on since the last call, in order of their numbers."""
        frames, self._out = self._out, []
        return frames

    def asks(self) -> list[Ask]:
        """What to ask the sender for since the last call."""
        asks, self._asks = self._asks, []
        return asks

    def hears(self, round_trip_s: float | None) -> None:
        """Learn how long an answer takes at least; None: the sender does not hear us."""
        self.can_ask = round_trip_s is not None
        self._timing.round_trip_s = round_trip_s or 0.0

    def announce(self, next_frame: int, now: float) -> None:
        """Learn from the sender that all frames below `next_frame` have left it."""
        if self._next is None:
            self._next = next_frame
        elif next_frame > self._next + _MOST_AHEAD:
            return  # forged: the numbers of frames on the wire could not follow it
        elif next_frame > self._next:
            self._pass_over(next_frame, now)
            self._begun_at = now
        self._ended_below(next_frame, now)

    def feed_run(self, datagrams: NDArray[np.uint8], now: float) -> int:
        """Take the leading datagrams if they are chunks of the latest frame, in order and new.

        This is the fast path: all but a frame's first go this way, where the network
        delivers in order, whether or not it drops some.

        Args:
            datagrams: `(n, D)` uint8, of whatever frame or kind.
            now: seconds.

        Returns:
            How many rows were taken.
        """
        partial = self._current
        if partial is None:
            return 0
        before_at = partial.progress_at
        taken = partial.take_run(datagrams, now)
        if taken:
            partial.silence_s = max(partial.silence_s, now - before_at)
            if partial.header.parity and datagrams[0, 0] >= partial.header.data:
                self._ledger.parity_bytes += taken * datagrams.shape[1]
            if not partial.left or (partial.header.parity and partial.is_whole):
                self._complete(partial)
        return taken

    def feed(
        self, header: FrameHeader, datagrams: NDArray[np.uint8], now: float
    ) -> tuple[int, int]:
        """Take the leading datagrams that are of the first one's frame.

        Args:
            header: parsed from the first row, hence well-formed.
            datagrams: `(n, D)` uint8; behind the first row, of whatever frame or kind.
            now: seconds.

        Returns:
            How many rows were taken, and how many of those were bad.
        """
        number = self._number_of(header)
        partial = self._partial.get(number)
        if self._current is not None and self._current is not partial:
            self._current.finish_run()  # the meter is to hear of datagrams in their order
        if partial is None:
            wanted, gap = self._claim(number, header, now)
            if not wanted:
                return self._take_stale(number, header, datagrams, now), 0
            was_asked = gap is not None and gap.was_asked
            layout = layout_of(header.data_chunks, header.data, header.parity)
            if layout.chunks <= len(datagrams) and not was_asked:
                whole = _take_whole(number, header, layout, datagrams, self._pool, now)
                if whole is not None:
                    self.meter.note(number, 0, layout.chunks, layout.total, now)
                    self._hand_on(whole)
                    return layout.chunks, 0
            partial = self._begin(number, header, layout, now)
            if gap is not None and was_asked:
                partial.all_asked(tries=gap.tries, asked_at=gap.asked_at, due_at=gap.due_at)
        return self._add(partial, header, datagrams, now)

    def _add(
        self, partial: Partial, header: FrameHeader, datagrams: NDArray[np.uint8], now: float
    ) -> tuple[int, int]:
        """Do what `feed` does, with a frame that is begun."""
        self._current = partial
        fits = partial.fits(header)
        if fits:
            self.memory_bytes += partial.foretell(datagrams[0])
            taken = self.feed_run(datagrams, now)
            if taken:
                return taken, 0
        taken = _leading_run(datagrams)
        if not fits:
            partial.contradicted = True
            return taken, taken
        datagrams = datagrams[:taken]
        repairs_before = partial.repairs
        placed = partial.place(datagrams, now)
        self._ledger.link.duplicates += placed.repeated
        self._ledger.parity_bytes += placed.parity * datagrams.shape[1]
        repairs = partial.repairs - repairs_before
        if repairs:
            self._ledger.repair_bytes += repairs * datagrams.shape[1]
            self._unanswered = 0
            if partial.tries == 1 and not repairs_before:
                self._timing.answered(now - partial.asked_at)
        if partial.is_whole:
            self._complete(partial)
        return taken, placed.bad

    def expire(self, now: float) -> None:
        """Give up what is overdue, ask for what is missing, and let go of what was held."""
        for partial in list(self._partial.values()):
            if now >= self._overdue_at(partial):
                loss = Loss.MALFORMED if partial.contradicted else Loss.MISSING
                self._give_up(partial, loss)
            elif self.can_ask and now >= self._due(partial):
                self._asks += partial.asks(now)
        overdue = [gap for gap in self._gaps if now >= gap.due_at + self._budget_s]
        for gap in overdue:
            self._close_gap(self._gaps.index(gap))
        for gap in self._gaps:
            if self.can_ask and now >= self._due(gap):
                gap.tries, gap.asked_at = gap.tries + 1, now
                self._asks += [Ask(number & 0xFFFF_FFFF) for number in range(gap.start, gap.end)]
        self._release()

    def next_timer(self) -> float | None:
        """When `expire` has something to do next, or None."""
        waits = [self._overdue_at(partial) for partial in self._partial.values()]
        waits += [gap.due_at + self._budget_s for gap in self._gaps]
        if self.can_ask:
            waits += [self._due(partial) for partial in self._partial.values()]
            waits += [self._due(gap) for gap in self._gaps]
        return min(waits, default=None)

    def evict_oldest(self) -> bool:
        """Free the memory of the lowest frame: hand it on, or give it up. False if none."""
        if self._held and (not self._partial or min(self._held) < min(self._partial)):
            self._let_go(min(self._held))
            return True
        if not self._partial:
            return False
        self._give_up(self._partial[min(self._partial)], Loss.EVICTED)
        self._release()
        return True

    def finish(self, now: float) -> None:
        """Give up all that is in flight: the stream has ended."""
        self.can_ask = False
        self.expire(now + self._budget_s)

    def _number_of(self, header: FrameHeader) -> int:
        """The whole number of a header's frame."""
        if self._next is None:
            # We joined in mid-stream. Unless this is a frame's beginning we could not have
            # had all of it, so counting starts with the next one.
            self._next = header.frame + (header.position != 0)
        if header.frame == self._next:  # nearly always, in the first years
            return self._next
        return unwrap(header.frame, 32, near=self._next)

    def _claim(self, number: int, header: FrameHeader, now: float) -> tuple[bool, _Gap | None]:
        """Whether to begin a frame of which nothing was here, and the gap that it was in.

        If it is not to begin, its fate is booked.
        """
        assert self._next is not None
        gap = None
        if number >= self._next:
            if number > self._next:
                self._pass_over(number, now)
            if self._partial:
                self._ended_below(number, now)
            self._next = number + 1
            self._begun_at = now
            self._ledger.sent += 1
        else:
            gap = self._split_gap(number)
            if gap is None:
                return False, None
        self.refuses = is_oversized(header, self._max_frame_bytes)
        if self.refuses:
            self._ledger.lost[Loss.OVERSIZED] += 1
            return False, None
        return True, gap

    def _take_stale(
        self, number: int, header: FrameHeader, datagrams: NDArray[np.uint8], now: float
    ) -> int:
        """Count datagrams of a frame that needs them no more; return how many."""
        taken = _leading_run(datagrams)
        datagrams = datagrams[:taken]
        parity = int(np.count_nonzero(datagrams[:, 0] >= header.data))
        self._ledger.parity_bytes += parity * datagrams.shape[1]
        if number > self._last_delivered and number not in self._held:
            return taken  # it was lost, refused, or we joined in its midst
        layout = layout_of(header.data_chunks, header.data, header.parity)
        rows, known = layout.rows_of(datagrams[:, 3], datagrams[:, 0])
        asked_once = self._asked.get(number)
        if asked_once:
            self._asked.pop(number)
            self._timing.asked_in_vain()
        elif asked_once is not None:  # the answer to one ask, where another's came before
            self._ledger.link.duplicates += int(np.count_nonzero(known))
            return taken
        for run in runs_of(layout.places_of(rows[known])):
            self.meter.note(number, int(run[0]), int(run[-1]) + 1, layout.total, now)
        return taken

    def _begin(self, number: int, header: FrameHeader, layout: Layout, now: float) -> Partial:
        if len(self._partial) + len(self._held) >= MAX_PARTIAL_FRAMES:
            self.evict_oldest()
        partial = Partial(number, header, layout, self.meter, self._pool, now)
        self._partial[number] = partial
        self.memory_bytes += partial.memory_bytes
        return partial

    def _pass_over(self, number: int, now: float) -> None:
        """Note that frames from the highest known to below `number` have not been seen."""
        assert self._next is not None
        self._ledger.sent += number - self._next
        # Of an outage only the end is asked for: what comes next matters more.
        dead_below = max(number - MAX_ASKED_FRAMES, self._next)
        interval_s = (now - self._begun_at) / (number - self._next + 1)
        if dead_below > self._next:
            self._gaps.append(_Gap(self._next, dead_below, now, now, tries=MAX_TRIES))
        for each in range(dead_below, number):
            self._gaps.append(_Gap(each, each + 1, now - interval_s * (number - each), now))
        self._next = number
        while len(self._gaps) > MAX_GAPS:
            self._close_gap(0)

    def _ended_below(self, number: int, now: float) -> None:
        """Note that nothing is under way any more of frames below `number`."""
        for partial in self._partial.values():
            if partial.ended_at is None and partial.number < number:
                partial.ended_at = now

    def _split_gap(self, number: int) -> _Gap | None:
        """Take a number out of its gap, and return that; None if it is in none."""
        for at, gap in enumerate(self._gaps):
            if gap.start <= number < gap.end:
                parts = gap.part(gap.start, number), gap.part(number + 1, gap.end)
                self._gaps[at : at + 1] = [part for part in parts if part.start < part.end]
                if len(self._gaps) > MAX_GAPS:
                    self._close_gap(0)
                return gap
        return None

    def _close_gap(self, at: int) -> None:
        gap = self._gaps.pop(at)
        if gap.was_asked:
            self._unanswered += 1
            self._remember_asked(gap.start, once=False)  # of these, each is a range of its own
        self._ledger.lost[Loss.UNSEEN] += gap.end - gap.start

    def _overdue_at(self, partial: Partial) -> float:
        """When a frame is to be given up: it must not hold up those behind it for longer."""
        if partial.ended_at is None:
            return partial.progress_at + self._budget_s
        return min(partial.progress_at, partial.ended_at) + self._budget_s

    def _due(self, lacking: Partial | _Gap) -> float:
        """When to ask for what a frame, or a gap, is lacking."""
        if isinstance(lacking, Partial):
            progress_at, ended_at = lacking.progress_at, lacking.ended_at
            overdue_at = self._overdue_at(lacking)
        else:
            progress_at = ended_at = lacking.noticed_at
            overdue_at = lacking.due_at + self._budget_s
        return self._timing.due(
            progress_at=progress_at, ended_at=ended_at, tries=lacking.tries,
            asked_at=lacking.asked_at, overdue_at=overdue_at,
        )  # fmt: skip

    def _complete(self, partial: Partial) -> None:
        partial.finish_run()
        ledger = self._ledger
        self._learn_of_asking(partial, whole=True)
        if partial.repairs:
            ledger.repaired_by_nack += 1
        elif partial.left:
            ledger.repaired_by_parity += 1
        else:
            self._timing.silence(partial.silence_s)
        self._forget(partial)
        self._hand_on(_whole(partial.number, partial.header, partial.restore(), partial.first_at))

    def _learn_of_asking(self, partial: Partial, *, whole: bool) -> None:
        """Learn from a frame that is over, and may have been asked for."""
        if partial.asked_in_vain:
            self._timing.asked_in_vain()
        elif partial.tries:
            self._remember_asked(partial.number, once=whole and partial.tries == 1)

    def _remember_asked(self, number: int, *, once: bool) -> None:
        """Keep in mind that a frame was asked for.

        What still comes of one that was asked for once, and is whole, was not lost, but came
        by itself and late. Of others it may be an answer.
        """
        self._asked[number] = once
        if len(self._asked) > MAX_PARTIAL_FRAMES:
            del self._asked[next(iter(self._asked))]

    def _hand_on(self, whole: WholeFrame) -> None:
        """Book a whole frame as delivered; or as late; or hold it for an earlier one."""
        if whole.captured_us is not None and whole.first_at is not None:
            self.meter.spaced(whole.captured_us, whole.first_at)
        if whole.number < self._last_delivered:
            self._ledger.lost[Loss.LATE] += 1
            return
        if not self._held and not self._waits(whole.number):
            self._deliver(whole)
            return
        self._held[whole.number] = whole
        self.memory_bytes += whole.payload.nbytes
        if len(self._partial) + len(self._held) > MAX_PARTIAL_FRAMES:
            self.evict_oldest()
        self._release()

    def _release(self) -> None:
        """Deliver what is held and need not wait any longer, in order."""
        for number in sorted(self._held):
            if self._waits(number):
                break
            self._let_go(number)

    def _let_go(self, number: int) -> None:
        whole = self._held.pop(number)
        self.memory_bytes -= whole.payload.nbytes
        self._deliver(whole)

    def _deliver(self, whole: WholeFrame) -> None:
        self._last_delivered = whole.number
        self._ledger.delivered += 1
        self._ledger.payload_bytes += len(whole.payload)
        self._out.append(whole)

    def _waits(self, number: int) -> bool:
        """Whether a whole frame is to wait for an earlier one that may still be repaired."""
        if not (self._partial or self._gaps):  # nearly always
            return False
        if not self.can_ask or self._unanswered >= _UNANSWERED_FRAMES:
            return False
        last = self._last_delivered  # what is below can only be late
        return any(last < earlier < number for earlier in self._partial) or any(
            last < gap.end - 1 and gap.start < number and gap.tries < MAX_TRIES
            for gap in self._gaps
        )

    def _give_up(self, partial: Partial, loss: Loss) -> None:
        partial.finish_run()
        self._unanswered += partial.tries > 0 and not partial.repairs
        self._learn_of_asking(partial, whole=False)
        self._forget(partial)
        self._ledger.lost[loss] += 1

    def _forget(self, partial: Partial) -> None:
        del self._partial[partial.number]
        self.memory_bytes -= partial.memory_bytes
        if self._current is partial:
            self._current = None


def is_oversized(header: FrameHeader, max_frame_bytes: int) -> bool:
    """Whether a frame, with its parity or decoded, is larger than a receiver takes."""
    if header.length > max_frame_bytes:
        return True
    large_bytes = header.width * header.height * 3
    if header.parity:
        parity_chunks = -(-header.data_chunks // header.data) * header.parity
        large_bytes = max(large_bytes, header.length + parity_chunks * header.chunk_bytes)
    return large_bytes > max_frame_bytes and large_bytes > MAX_PICTURE_BYTES


def _leading_run(datagrams: NDArray[np.uint8]) -> int:
    """How many leading rows of `(n, D)` have the first one's header but for index and block."""
    headers = np.ascontiguousarray(datagrams[:, :HEADER_BYTES]).view(np.uint64) & _SAME
    differs = (headers != headers[0]).any(axis=1)
    return int(differs.argmax()) if differs.any() else len(datagrams)


def _take_whole(
    number: int,
    header: FrameHeader,
    layout: Layout,
    datagrams: NDArray[np.uint8],
    pool: BufferPool,
    now: float,
) -> WholeFrame | None:
    """The frame, if all of its data chunks lead these datagrams in order; small ones come so."""
    if layout.is_interleaved:
        return None
    datagrams = datagrams[: layout.chunks]
    headers = datagrams[:, :HEADER_BYTES].tobytes()
    if headers != headers_of(headers[:HEADER_BYTES], layout, layout.chunks):
        return None
    chunks = pool.take(layout.chunks * header.chunk_bytes)
    chunks.reshape(layout.chunks, header.chunk_bytes)[:] = datagrams[:, HEADER_BYTES:]
    return _whole(number, header, chunks, now)


def _whole(
    number: int, header: FrameHeader, chunks: NDArray[np.uint8], first_at: float
) -> WholeFrame:
    return WholeFrame(
        number=number,
        codec=header.codec,
        size_wh=(header.width, header.height),
        payload=chunks[: header.length],
        captured_us=header.captured_us,
        first_at=first_at,
    )
