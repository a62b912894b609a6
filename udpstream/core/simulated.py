"""A link that loses, repeats, displaces, delays and holds up datagrams, the same each time.

It lives on simulated time, so that thousands of frames pass it in a second, and what
went wrong goes wrong again with the same seed. Its books balance:

    sent + duplicated == lost + overflowed + delivered + in_flight
"""

from __future__ import annotations

import heapq
import random
from collections import deque

IP_OVERHEAD_BYTES = 28  # of each datagram: 20 of IPv4 and 8 of UDP
DEFAULT_QUEUE_BYTES = 64 << 10  # of a small switch or router

# How long a datagram that is to be overtaken waits for others, where the sender pauses.
HOLD_S = 0.005


class SimulatedLink:
    """One direction of a link between two machines.

    Losses follow Gilbert and Elliott's two states: in one all datagrams pass, in the
    other none do. Those that are lost are lost before the bottleneck, and copies are made
    behind it: neither takes its time.

    Attributes:
        sent: datagrams given to it.
        lost: of these, those that never come out.
        overflowed: of these, those that found the queue full.
        duplicated: copies that it made, beside what was sent.
        delivered: datagrams that came out, copies included.
    """

    def __init__(
        self,
        seed: int,
        *,
        loss: float = 0.0,
        burst: float = 1.0,
        reorder: int = 0,
        duplicate: float = 0.0,
        delay_s: float = 0.0,
        rate_bytes_per_s: float | None = None,
        queue_bytes: int = DEFAULT_QUEUE_BYTES,
    ) -> None:
        """Lay the link.

        Args:
            seed: of all that happens on it by chance.
            loss: share of the datagrams that are lost, 0 to 1.
            burst: how many are lost in a row, on average; 1 makes each loss independent
                of the one before.
            reorder: how many later datagrams may overtake one.
            duplicate: share of the datagrams that come twice, 0 to 1.
            delay_s: time that each is under way, in seconds, beside what it waits.
            rate_bytes_per_s: what passes in a second, each datagram with its 28 bytes of
                UDP and IP; None = no limit.
            queue_bytes: what may wait for that, the datagram that is passing included.

        Raises:
            ValueError: a figure is out of its range.
        """
        if not (0 <= loss <= 1 and 0 <= duplicate <= 1):
            raise ValueError(f"shares are 0 to 1: loss {loss}, duplicate {duplicate}")
        if burst < 1 or reorder < 0 or delay_s < 0:
            raise ValueError(
                f"burst {burst} must be 1 or more, reorder {reorder} and delay {delay_s} s not "
                "below 0"
            )
        if queue_bytes < 0:
            raise ValueError(f"a queue of {queue_bytes} bytes must be 0 or more")
        self.rate_bytes_per_s = rate_bytes_per_s
        self._queue_bytes = queue_bytes
        self._queue: deque[tuple[float, int]] = deque()  # (when it has passed, its bytes)
        self._queued_bytes = 0
        self.sent = 0
        self.lost = 0
        self.overflowed = 0
        self.duplicated = 0
        self.delivered = 0
        self._random = random.Random(seed)  # noqa: S311 - chance, not secrets
        # The chance that a datagram is lost, after one that was lost and after one that
        # was not. Independent losses come in rows of 1 / (1 - loss), so none are shorter.
        self._loss_after_loss = max(1 - 1 / burst, loss)
        self._loss_after_pass = loss * (1 - self._loss_after_loss) / (1 - loss) if loss < 1 else 1.0
        self._losing = self._random.random() < loss
        self._reorder = reorder
        self._duplicate = duplicate
        self._delay_s = delay_s
        self._launched = 0
        # (due_s, place, -number, datagram): those that are due at once come out by their
        # place, and of equals the one that overtakes first.
        self._flying: list[tuple[float, int, int, bytes]] = []
        self._held: list[tuple[float, int, int, bytes]] = []  # until overtaken: a few

    @property
    def rate_bytes_per_s(self) -> float | None:
        """What passes in a second, or None. A new rate is for datagrams sent from then on.

        Raises:
            ValueError: the rate is not above 0.
        """
        return self._rate_bytes_per_s

    @rate_bytes_per_s.setter
    def rate_bytes_per_s(self, rate: float | None) -> None:
        if rate is not None and not rate > 0:
            raise ValueError(f"a rate of {rate} bytes a second must be above 0")
        self._rate_bytes_per_s = rate

    @property
    def in_flight(self) -> int:
        """Datagrams that are under way."""
        return len(self._flying) + len(self._held)

    def send(self, datagram: bytes, now: float) -> None:
        """Put a datagram on the link; `now` in seconds, never falling."""
        self.sent += 1
        chance = self._loss_after_loss if self._losing else self._loss_after_pass
        self._losing = self._random.random() < chance
        if self._losing:
            self.lost += 1
            return
        passed_s = self._pass_bottleneck(len(datagram) + IP_OVERHEAD_BYTES, now)
        if passed_s is None:
            self.overflowed += 1
            return
        self._launch(datagram, passed_s)
        if self._random.random() < self._duplicate:
            self.duplicated += 1
            self._launch(datagram, passed_s)

    def deliver(self, now: float) -> list[bytes]:
        """Take off what has arrived by `now`, in the order of arrival."""
        self._release(now, overtaken_by=-1)
        arrived = []
        while self._flying and self._flying[0][0] <= now:
            arrived.append(heapq.heappop(self._flying)[3])
        self.delivered += len(arrived)
        return arrived

    def next_delivery(self) -> float | None:
        """When the next datagram arrives, as far as is known now; None if none is under way."""
        dues_s = [flight[0] for flight in self._held]
        if self._flying:
            dues_s.append(self._flying[0][0])
        return min(dues_s, default=None)

    def _pass_bottleneck(self, size: int, now: float) -> float | None:
        """When a datagram is through the bottleneck; None where the queue has no room."""
        while self._queue and self._queue[0][0] <= now:
            self._queued_bytes -= self._queue.popleft()[1]
        begins_s = self._queue[-1][0] if self._queue else now
        if self._rate_bytes_per_s is None:
            return begins_s
        if self._queued_bytes + size > self._queue_bytes:
            return None
        passed_s = begins_s + size / self._rate_bytes_per_s
        self._queue.append((passed_s, size))
        self._queued_bytes += size
        return passed_s

    def _launch(self, datagram: bytes, now: float) -> None:
        number = self._launched
        self._launched += 1
        due_s = now + self._delay_s
        overtakers = self._random.randint(0, self._reorder)
        place = number + overtakers
        if overtakers:
            self._held.append((due_s + HOLD_S, place, -number, datagram))
        else:
            heapq.heappush(self._flying, (due_s, place, -number, datagram))
        self._release(due_s, overtaken_by=number)

    def _release(self, due_s: float, overtaken_by: int) -> None:
        """Let go what was overtaken by all that it waited for, or waited long enough."""
        held, self._held = self._held, []
        for flight in held:
            held_until_s, place, number, datagram = flight
            if place <= overtaken_by or held_until_s <= due_s:
                due = min(held_until_s, due_s)
                heapq.heappush(self._flying, (due, place, number, datagram))
            else:
                self._held.append(flight)
