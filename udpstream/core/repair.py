"""When a receiver asks for chunks again.

What parity cannot restore is asked for as soon as it is clear that it will not come by
itself: a short while after a later frame began, in case the network only changed the
order; or after a silence, in case a frame's tail was lost. With no answer it is asked for
again, each time after a longer wait, as long as there are tries and the frame has time.
"""

from __future__ import annotations

import math

REORDER_S = 0.001  # what comes behind a later datagram on a LAN is seldom this late
MOST_REORDER_S = 0.02  # where it often is
TAIL_S = 0.003  # two gaps between the bursts of a paced sender: 1.5 ms each
MOST_TAIL_S = 0.02  # a receiver that was itself held up has not seen the sender pause
FIRST_RETRY_S = 0.010  # before any answer came, or longer where the round trip is
LEAST_RETRY_S = 0.004  # LANs answer in 1 ms, busy Wi-Fi in 10
RETRY_GROWTH = 1.25  # eight tries from 4 ms on are over after 80 ms, within the usual budget
MAX_TRIES = 8
_ANSWERS = 1.5  # how much longer than usual an answer may take
_FORGET = 0.98  # of what was learned, each frame: it halves in a second at 30 fps


class RepairTiming:
    """What one stream has taught about silences and answers.

    Attributes:
        round_trip_s: the least that an answer can take, as far as is known.
    """

    def __init__(self) -> None:
        self.round_trip_s = 0.0
        self._quiet_s = 0.0
        self._reorder_s = REORDER_S
        self._answer_s: float | None = None

    def silence(self, longest_s: float) -> None:
        """Learn how long the longest silence in a frame was that came by itself."""
        self._quiet_s = max(self._quiet_s * _FORGET, min(longest_s, MOST_TAIL_S))
        self._reorder_s = max(self._reorder_s * _FORGET, REORDER_S)

    def asked_in_vain(self) -> None:
        """Learn that what was asked for came by itself after all: wait longer."""
        self._reorder_s = min(2 * self._reorder_s, MOST_REORDER_S)

    def answered(self, seconds: float) -> None:
        """Learn how long an answer took."""
        before_s = seconds if self._answer_s is None else self._answer_s
        self._answer_s = before_s + (seconds - before_s) / 8  # as TCP does, RFC 6298

    def due(
        self,
        *,
        progress_at: float,
        ended_at: float | None,
        tries: int,
        asked_at: float,
        overdue_at: float,
    ) -> float:
        """When to ask, or ask again; infinity if not any more.

        Args:
            progress_at: when the latest datagram came that was not asked for.
            ended_at: since when it is clear that no more are under way, if it is.
            tries: how often it was asked already.
            asked_at: when last.
            overdue_at: from when on an answer is too late.
        """
        if tries >= MAX_TRIES:
            return math.inf
        if tries:
            due_at = asked_at + self._retry_s() * RETRY_GROWTH ** (tries - 1)
        else:
            due_at = progress_at + max(TAIL_S, 2 * self._quiet_s, self._reorder_s)
            if ended_at is not None:
                due_at = min(due_at, ended_at + self._reorder_s)
        return due_at if due_at + self.round_trip_s <= overdue_at else math.inf

    def _retry_s(self) -> float:
        if self._answer_s is None:
            return max(FIRST_RETRY_S, _ANSWERS * self.round_trip_s)
        return max(LEAST_RETRY_S, _ANSWERS * max(self._answer_s, self.round_trip_s))
