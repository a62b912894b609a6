"""When frames are due. Standard library only: GStreamer's Python may have nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator

WARM_UP_FRAMES = 15  # before the load, not counted: handshakes and first-use costs
_WARM_UP_FPS = 30.0


def due_numbers(fps: float | None, seconds: float) -> Iterator[int]:
    """Yield each frame's number when it is due, on an absolute schedule, warm-up first.

    Args:
        fps: frames a second; None makes each due at once.
        seconds: for how long, warm-up not counted.
    """
    start_s = time.perf_counter()
    for number in range(WARM_UP_FRAMES):
        _sleep_until(start_s + number / _WARM_UP_FPS)
        yield number
    start_s += WARM_UP_FRAMES / _WARM_UP_FPS
    due_s, number = start_s, WARM_UP_FRAMES
    while due_s < start_s + seconds:
        _sleep_until(due_s)
        yield number
        number += 1
        now_s = time.perf_counter()
        due_s = now_s if fps is None else start_s + (number - WARM_UP_FRAMES) / fps


def _sleep_until(due_s: float) -> None:
    wait_s = due_s - time.perf_counter()
    if wait_s > 0:
        time.sleep(wait_s)
