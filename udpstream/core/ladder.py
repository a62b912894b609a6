"""Which rates to try on a link, and what the trials of it say together.

Rates double until one is not carried, and then the gap is halved a few times. Each is tried
in bursts, as a sender sends its frames, and where bursts fail, spread over the frame interval.

A link may lose a share of its datagrams at any rate, as Wi-Fi does. So a rate is *carried*
when it loses no more than the lower rates lead to expect, and it *arrives whole* when every
datagram came.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from udpstream.protocol import Tally

Shape: TypeAlias = Literal["burst", "paced"]

FPS = 30  # of the frames that a trial imitates
_LATE = 1.1  # times the planned time: then the sending machine could not keep up
_HALVINGS = 3  # of the gap: to 9 % of a factor of two
_CLOSE_ENOUGH = 1.1
_BAD = 0.2  # lost at the lowest rate: there may be less room still
_MENDED = 0.02  # lost at a lower rate still: that one had room
_SURE = 3.0  # standard deviations, and the rule of three for a share of which nothing was seen


@dataclass(frozen=True, slots=True)
class Step:
    """One trial: what was sent, and what came.

    Attributes:
        shape: how each frame left.
        datagram_bytes: size of each datagram.
        chunks: datagrams in each frame.
        sent: datagrams in all.
        planned_s: how long it should have taken to send them.
        took_s: how long it took.
        tally: what the receiver says.
    """

    shape: Shape
    datagram_bytes: int
    chunks: int
    sent: int
    planned_s: float
    took_s: float
    tally: Tally

    @property
    def bps(self) -> float:
        """UDP payload sent, bits a second."""
        return self.sent * self.datagram_bytes * 8 / max(self.planned_s, self.took_s)

    @property
    def lost(self) -> int:
        """Datagrams that did not come."""
        return self.sent - self.tally.received

    @property
    def loss(self) -> float:
        """Share of the datagrams that did not come, 0 to 1."""
        return self.lost / self.sent

    @property
    def mean_run(self) -> float:
        """Datagrams lost in a row, on average; 0 where none was."""
        return self.lost / self.tally.runs if self.tally.runs else 0.0

    @property
    def frames(self) -> int:
        """Frames sent."""
        return self.sent // self.chunks

    @property
    def whole(self) -> bool:
        """Whether every datagram came."""
        return not self.lost

    @property
    def sender_limited(self) -> bool:
        """Whether this machine could not send as fast as that."""
        return self.took_s > _LATE * self.planned_s


def chunks_at(bps: float, datagram_bytes: int) -> int:
    """Datagrams a frame, at least 1, so that frames add up to that rate."""
    return max(1, round(bps / (8 * FPS * datagram_bytes)))


class RateLadder:
    """Chooses rates, one after the other, by what came of those before.

    Attributes:
        steps: all trials so far, in order.
    """

    def __init__(self, lowest_bps: float, highest_bps: float, datagram_bytes: int) -> None:
        self.steps: list[Step] = []
        self._highest_bps = highest_bps
        self._datagram_bytes = datagram_bytes
        self._bps = min(lowest_bps, highest_bps)
        self._shape: Shape = "burst"
        self._bursts_fail_bps = math.inf
        self._carried_bps: float | None = None
        self._failed_bps: float | None = None
        self._halvings = 0
        self._done = False

    def next(self) -> tuple[float, Shape] | None:
        """The rate to try next, in bits a second, and in which shape; None at the end."""
        return None if self._done else (self._bps, self._shape)

    @property
    def at_most(self) -> int:
        """How many trials there can be in all, as things stand."""
        if self._done:
            return len(self.steps)
        left = (_HALVINGS - self._halvings) * (1 if self._bursts_fail_bps < math.inf else 2)
        if self._failed_bps is None:
            left += 1 + math.ceil(math.log2(self._highest_bps / self._bps))
        return len(self.steps) + max(1, left)

    def add(self, step: Step) -> None:
        """Take the trial of the rate that `next` chose."""
        carried = self.carries(step) and not step.sender_limited
        self.steps.append(step)
        if carried:
            self._carried_bps = self._bps
        elif self._shape == "burst" and step.chunks > 1 and not step.sender_limited:
            self._bursts_fail_bps = min(self._bursts_fail_bps, self._bps)
            self._shape = "paced"
            return
        else:
            self._failed_bps = self._bps
        self._choose()
        self._shape = "paced" if self._bps >= self._bursts_fail_bps else "burst"

    def carries(self, step: Step) -> bool:
        """Whether a trial lost no more than those of lower rates lead to expect."""
        below = [each for each in self.steps if each.chunks < step.chunks]
        below = [each for each in below if each.loss <= _BAD]
        if not below:
            # On the way down the question is whether a lower rate mends it.
            first = not self.steps or step is self.steps[0]
            return step.loss <= (_BAD if first else _MENDED)
        sent = sum(each.sent for each in below)
        lost = sum(each.lost for each in below)
        expected = (lost + _SURE) / sent
        spread = math.sqrt(expected * max(1.0, step.mean_run) / step.sent)
        return step.loss <= expected + _SURE * spread

    def expected_loss(self) -> tuple[float, float]:
        """Share of the datagrams lost at the rates that are carried, and the mean run of it."""
        carried = [step for step in self.steps if self.carries(step)]
        lost = sum(step.lost for step in carried)
        runs = sum(step.tally.runs for step in carried)
        return lost / max(1, sum(step.sent for step in carried)), lost / max(1, runs)

    @property
    def best(self) -> Step | None:
        """The trial with the highest rate that was carried; None if none was."""
        return self._highest([step for step in self.steps if self.carries(step)])

    @property
    def best_whole(self) -> Step | None:
        """The trial with the highest rate that arrived whole; None if none did."""
        return self._highest([step for step in self.steps if step.whole])

    def _highest(self, steps: list[Step]) -> Step | None:
        return max(steps, key=lambda step: step.bps, default=None)

    def _choose(self) -> None:
        """Set the next rate, or the end."""
        carried, failed = self._carried_bps, self._failed_bps
        if failed is None:
            self._done = self._bps >= self._highest_bps
            self._bps = min(2 * self._bps, self._highest_bps)
        elif carried is None:
            self._done = chunks_at(self._bps, self._datagram_bytes) == 1
            self._bps /= 2
        else:
            self._bps = math.sqrt(carried * failed)
            self._halvings += 1
            apart = [chunks_at(bps, self._datagram_bytes) for bps in (carried, self._bps, failed)]
            self._done = (
                self._halvings > _HALVINGS
                or failed < _CLOSE_ENOUGH * carried
                or len(set(apart)) < len(apart)
            )
