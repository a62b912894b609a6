from __future__ import annotations

import gc
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udpstream.core.pool import BufferPool


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


@given(st.lists(st.integers(1, 100_000), min_size=1, max_size=30), st.data())
def test_what_is_held_is_nobody_elses(sizes: list[int], data: st.DataObject) -> None:
    pool = BufferPool()
    held = []
    for number, size in enumerate(sizes):
        array = pool.take(size)
        assert array.shape == (size,)
        assert array.dtype == np.uint8
        array[:] = number % 256
        held.append((number % 256, array))
        if data.draw(st.booleans()):
            held.pop(data.draw(st.integers(0, len(held) - 1)))
        for content, each in held:
            assert (each == content).all()


def test_memory_is_used_again_once_nobody_holds_any_of_it() -> None:
    pool = BufferPool()
    array = pool.take(10_000)
    where = address(array)
    view = array[500:].reshape(-1, 100).data.toreadonly()[3:]
    del array
    assert address(pool.take(10_000)) != where
    del view
    assert address(pool.take(10_500)) == where


@pytest.mark.parametrize(("before", "after"), [(10_000, 20_000), (1_000_000, 1_000)])
def test_memory_of_quite_another_size_is_not(before: int, after: int) -> None:
    pool = BufferPool()
    where = address(pool.take(before))
    (memory,) = pool._free  # held, or the allocator may give the same place out again
    assert memory.address == where
    assert address(pool.take(after)) != where


def test_it_keeps_little_and_follows_frames_that_change_their_size() -> None:
    pool = BufferPool()
    frames = [pool.take(50_000) for _ in range(20)]
    frames.clear()
    assert len(pool._free) == 4
    for _ in range(10):
        pool.take(500_000)
    assert max(memory.size for memory in pool._free) >= 500_000
    assert len(pool._free) == 4
    pool.take(40 << 20)
    assert max(memory.size for memory in pool._free) < 40 << 20


def test_a_program_may_end_with_a_frame_in_its_hands() -> None:
    program = (
        "import udpstream.core.pool as module\n"
        "kept = module.BufferPool().take(1000)\n"
        "kept_in_a_cycle = [module.BufferPool().take(1000)]\n"
        "kept_in_a_cycle.append(kept_in_a_cycle)\n"
        "module._MOST_FREE = module._MOST_BYTES = None\n"  # as Python does at its end
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stderr == ""


def test_frames_may_outlive_the_pool_and_be_let_go_anywhere() -> None:
    pool = BufferPool()
    array = pool.take(1_000)
    array[:] = 7
    frames = [pool.take(5_000) for _ in range(500)]
    thread = threading.Thread(target=frames.clear)
    thread.start()
    held = [pool.take(5_000) for _ in range(500)]
    thread.join()
    assert len({address(each) for each in held}) == 500
    assert len(pool._free) <= 5  # of two threads, each may be the last that finds a place
    held.clear()
    del pool
    gc.collect()
    assert (array == 7).all()
