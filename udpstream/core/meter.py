"""What became of a stream's datagrams on their way: lost, in what runs, out of order.

Datagrams have an order: by frame, and in it by their place on the wire. Those between the
furthest that came and the next are lost until they come after all; then they were only
reordered. A frame's tail is known to be lost as soon as a later frame begins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

_FRAMES_KEPT = 16  # how far back a datagram can be reordered: half a second at 30 fps
_MOST_SKIPPED = 64  # frames counted as lost at a jump; a sender that jumps further restarted


@dataclass(slots=True)
class LinkCounts:
    """Counts of datagrams; repairs and repetitions are in none but `duplicates`.

    Attributes:
        expected: sent up to the furthest that came; of frames that were not seen at all,
            as many as of the one before.
        received: of these, how many came.
        runs: of datagrams lost in a row.
        reordered: came behind a later one.
        duplicates: came again.
    """

    expected: int = 0
    received: int = 0
    runs: int = 0
    reordered: int = 0
    duplicates: int = 0

    def copy(self) -> LinkCounts:
        """The same counts, that go their own way."""
        return replace(self)

    @property
    def lost_share(self) -> float:
        """Lost by expected, 0 to 1."""
        return (self.expected - self.received) / self.expected if self.expected else 0.0


class LinkMeter:
    """Fills in `LinkCounts` from runs of datagrams, as they come.

    Attributes:
        counts: what it has counted.
        frame: the latest frame of which a datagram came; None before the first.
        arrived_at: when its last one so far came.
        jitter_s: mean deviation of the frames' spacing, RFC 3550, section 6.4.1.
    """

    def __init__(self, counts: LinkCounts) -> None:
        self.counts = counts
        self.frame: int | None = None
        self.arrived_at = 0.0
        self.jitter_s = 0.0
        self._next_frame = -1  # the one behind `frame`
        self._end = 0  # the place behind the furthest of `frame`
        self._total = 0  # datagrams in it
        self._holes: dict[int, int] = {}  # frame: how many are missing before the furthest
        self._transit: tuple[int, float] | None = None

    def note(self, frame: int, first: int, end: int, total: int, now: float) -> None:
        """Count datagrams that came by themselves, in a row.

        Args:
            frame: its number, not cut.
            first: the place on the wire of the first of them.
            end: the place behind the last.
            total: datagrams in that frame.
            now: when the last of them came, in seconds.
        """
        counts = self.counts
        if frame == self._next_frame and not first and self._end == self._total:  # nearly always
            counts.expected += end
            counts.received += end
            self.frame, self._next_frame = frame, frame + 1
            self._end, self._total, self.arrived_at = end, total, now
            return
        if self.frame is None:  # nobody notes of a frame whose beginning it could not have had
            self.frame, self._next_frame, self._total = frame, frame + 1, total
        if frame == self.frame and total != self._total:
            return  # forged: it is not what the frame's own datagrams said of it
        if frame == self.frame and first < self._end < end:
            self._behind(frame, self._end - first)
            first = self._end
        if frame < self.frame or (end <= self._end and frame == self.frame):
            self._behind(frame, end - first)
        else:
            self._ahead(frame, first, end, total)
        if frame == self.frame:
            self.arrived_at = now

    def spaced(self, captured_us: int, first_at: float) -> None:
        """Count a frame's capture time and the arrival of its first datagram as jitter."""
        if self._transit is not None:
            before_us, before_at = self._transit
            interval_us = (captured_us - before_us + (1 << 31)) % (1 << 32) - (1 << 31)
            deviation_s = abs(first_at - before_at - interval_us / 1e6)
            self.jitter_s += (deviation_s - self.jitter_s) / 16
        self._transit = captured_us, first_at

    def _ahead(self, frame: int, first: int, end: int, total: int) -> None:
        assert self.frame is not None
        lost = first - self._end
        if frame > self.frame:
            tail, skipped = self._total - self._end, frame - self.frame - 1
            self._missed(self.frame, tail)
            for number in range(max(self.frame + 1, frame - _FRAMES_KEPT), frame):
                self._missed(number, self._total)
            lost = tail + min(skipped, _MOST_SKIPPED) * self._total + first
            self._missed(frame, first)
            self.frame, self._next_frame, self._total = frame, frame + 1, total
        else:
            self._missed(frame, lost)
        self._end = end
        counts = self.counts
        counts.runs += lost > 0
        counts.expected += lost + end - first
        counts.received += end - first

    def _behind(self, frame: int, count: int) -> None:
        hole = self._holes.pop(frame, 0)
        found = min(count, hole)
        if found < hole:
            self._holes[frame] = hole - found
        self.counts.received += found
        self.counts.reordered += found
        self.counts.duplicates += count - found

    def _missed(self, frame: int, count: int) -> None:
        if count:
            self._holes[frame] = self._holes.get(frame, 0) + count
            while len(self._holes) > _FRAMES_KEPT:
                del self._holes[next(iter(self._holes))]
