"""Frames that have left, kept for a while so that chunks of them can be asked for again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udpstream.core.pacing import buffer_capacity
from udpstream.core.packetize import OutgoingFrame
from udpstream.protocol import Ask

KEPT_S = 1.0  # ten times the usual latency budget; what is older no receiver waits for
# What a gigabit link carries in the usual latency budget. Each frame's datagrams are written
# where the oldest ones were; with 32 MB copying took 1.7 times as long, out of the cache. Of
# larger pictures, as many as that budget spans at 30 fps.
MAX_BYTES = 12 << 20
_LEAST_FRAMES = 3
# Of what is sent anew, so that nobody makes a sender flood its receiver: a link that loses
# every third datagram asks for half as much again.
_SHARE = 0.5
_LEAST_ALLOWANCE_BYTES = 256 << 10
_FRAMES = 1 << 32  # the wire's numbers are modulo this


class _Kept(NamedTuple):
    number: int
    frame: OutgoingFrame
    begun_at: float


class History:
    """The frames of the last second, within a bound of bytes."""

    def __init__(self, reuse: Callable[[OutgoingFrame], None]) -> None:
        """Keep nothing yet; `reuse` is given each frame that is let go."""
        self._reuse = reuse
        self._kept: deque[_Kept] = deque()
        self._bytes = 0
        self._allowance_bytes = float(_LEAST_ALLOWANCE_BYTES)

    def add(self, number: int, frame: OutgoingFrame, now: float) -> None:
        """Keep a frame that is leaving or has left, and let go of those that are too old."""
        nbytes = frame.datagrams.nbytes
        self._kept.append(_Kept(number, frame, now))
        self._bytes += nbytes
        most_bytes = max(_LEAST_ALLOWANCE_BYTES, nbytes)
        self._allowance_bytes = min(self._allowance_bytes + _SHARE * nbytes, most_bytes)
        while self._bytes > MAX_BYTES and len(self._kept) > _LEAST_FRAMES:
            self._let_go()
        while now - self._kept[0].begun_at > KEPT_S:
            self._let_go()

    def clear(self) -> None:
        """Keep the latest frame alone, which may be leaving: nobody will ask for others."""
        while len(self._kept) > 1:
            self._let_go()

    def answer(self, ask: Ask, buffer_bytes: int) -> NDArray[np.uint8] | None:
        """The datagrams that are asked for, `(n, D)` uint8; None where there are none.

        What has not left yet is not sent twice, and what is gone, or would be too much, not
        at all.

        Args:
            ask: which.
            buffer_bytes: room in the receiver's buffer; no more than it holds, or one.
        """
        for kept in reversed(self._kept):
            if kept.number % _FRAMES == ask.frame:
                most = buffer_capacity(kept.frame.datagrams.shape[1], buffer_bytes)
                datagrams = kept.frame.again(
                    ask.block, ask.index, ask.chunks, most, self._allowance_bytes
                )
                self._allowance_bytes -= datagrams.nbytes
                return datagrams if len(datagrams) else None
        return None

    def _let_go(self) -> None:
        kept = self._kept.popleft()
        self._bytes -= kept.frame.datagrams.nbytes
        self._reuse(kept.frame)
