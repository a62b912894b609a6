from __future__ import annotations

import numpy as np
import pytest

from udpstream.core.pool import BufferPool
from udpstream.dry_run import DryRun

MOST_BYTES = 512 << 10


@pytest.mark.parametrize("payload_bytes", [1, 5_000, 45_000, 46 * 1376, 46 * 1376 + 1, 300_000])
def test_a_frame_of_that_size_goes_all_the_way(payload_bytes: int) -> None:
    dry_run = DryRun(BufferPool())
    for number in range(3):
        frame = dry_run(payload_bytes)
        assert frame is not None
        assert frame.number == number
        assert len(frame.payload) == payload_bytes


def test_a_huge_frame_is_not_imitated_whole() -> None:
    frame = DryRun(BufferPool())(50 << 20)
    assert frame is not None
    assert len(frame.payload) == MOST_BYTES


def test_the_next_frame_gets_its_memory() -> None:
    pool = BufferPool()
    frame = DryRun(pool)(45_000)
    assert frame is not None
    place = np.frombuffer(frame.payload, np.uint8).ctypes.data
    del frame
    assert pool.take(44_000).ctypes.data == place


def test_a_day_of_it_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr("udpstream.intake.time.monotonic", lambda: now_s)
    pool = BufferPool()
    dry_run = DryRun(pool)
    for number in range(2_000):
        # As long between two as makes a receiver let go of silent streams, and sizes that vary.
        now_s = number * 45.0
        assert dry_run(1 + 97 * (number % 500)) is not None
    assert len(pool._free) <= 4
    core = dry_run._intake.core
    assert not core.has_news
    assert not dry_run._intake.queue
    assert len(core.reports()) == 1
    assert core.reports()[0].ledger.delivered == 2_000
