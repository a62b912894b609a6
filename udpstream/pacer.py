"""When the bursts of a frame may leave, on this machine's clock."""

from __future__ import annotations

import time
from collections.abc import Iterator

from udpstream.core.pacing import Pace


def paced(pace: Pace, datagrams: int) -> Iterator[int]:
    """Yield the first datagram's number of each burst, when the burst may leave."""
    begun_s = last_s = time.monotonic()
    yield 0
    for number, start in enumerate(range(pace.burst, datagrams, pace.burst), 1):
        wait_s = pace.due(begun_s, number, last_s) - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        last_s = time.monotonic()
        yield start
